"""Tags by themselves: those of any scope (`tags/default`), and the names and values that a subscription has."""

from collections import Counter

from emulators.azure.arm import SCOPE, Answer, Arm, Call, Json, Refusal, operation, read
from emulators.azure.tracked import SUBSCRIPTION, tags_of

_TAGS = SCOPE + "/providers/Microsoft.Resources/tags/default"
_NAMES = SUBSCRIPTION + "/tagNames"
_NAME = _NAMES + "/{tagName}"
_VALUE = _NAME + "/tagValues/{tagValue}"


class Tags:
    """`tags/default` and `tagNames`. Tags of the subscription itself are kept here."""

    namespace = "Microsoft.Resources"

    def __init__(self, arm: Arm):
        self.arm = arm
        self._subscription: Json = {}
        self._names: dict[str, dict[str, str]] = {}  #: declared names and values by lower-cased word, in their spelling

    @operation("GET", _TAGS)
    def get(self, call: Call) -> Answer:
        return Answer(200, self._shown(call))

    @operation("PUT", _TAGS)
    def replace(self, call: Call) -> Answer:
        return self._set(call, tags_of(read(call.content(), "properties", dict, required=True)) or {})

    @operation("PATCH", _TAGS)
    def update(self, call: Call) -> Answer:
        verb = read(call.content(), "operation", str, "Merge").lower()
        given = tags_of(read(call.content(), "properties", dict, required=True)) or {}
        known = self._tags(call)
        if verb == "replace":
            return self._set(call, given)
        if verb == "merge":
            return self._set(call, _merged(known, given))
        if verb == "delete":
            gone = {(name.lower(), value) for name, value in given.items()}
            return self._set(call, {name: value for name, value in known.items() if (name.lower(), value) not in gone})
        raise Refusal(400, "InvalidTagPatchOperation", f"'{verb}' is not an operation on tags; use Merge, Replace or Delete.")

    @operation("DELETE", _TAGS)
    def delete(self, call: Call) -> Answer:
        self._set(call, {})
        return Answer(200)

    # names and values of the subscription --------------------------------------------------------------------------------

    @operation("GET", _NAMES)
    def list_names(self, call: Call) -> Answer:
        used: dict[str, Counter[str]] = {word: Counter() for word in self._names}
        spelled = {word: next(iter(values.values()), word) for word, values in self._names.items()}
        for resource in self.arm.store.where(lambda one: bool(one.body.get("tags"))):
            for name, value in resource.body["tags"].items():
                spelled.setdefault(name.lower(), name)
                used.setdefault(name.lower(), Counter())[value] += 1
        for word, values in self._names.items():
            for value in list(values.values())[1:]:
                used[word][value] += 0
        return Answer(200, {"value": [_name(call, spelled[word], counts) for word, counts in used.items()], "nextLink": None})

    @operation("PUT", _NAME)
    def create_name(self, call: Call) -> Answer:
        known = call["tagName"].lower() in self._names
        self._names.setdefault(call["tagName"].lower(), {"": call["tagName"]})
        return Answer(200 if known else 201, _name(call, call["tagName"], Counter()))

    @operation("DELETE", _NAME)
    def delete_name(self, call: Call) -> Answer:
        if self._names.pop(call["tagName"].lower(), None) is None:
            return Answer(204)
        return Answer(200)

    @operation("PUT", _VALUE)
    def create_value(self, call: Call) -> Answer:
        values = self._names.get(call["tagName"].lower())
        if values is None:
            raise Refusal(404, "TagNotFound", f"The tag name '{call['tagName']}' could not be found.")
        known = call["tagValue"].lower() in values
        values.setdefault(call["tagValue"].lower(), call["tagValue"])
        return Answer(200 if known else 201, _value(call, call["tagName"], call["tagValue"], 0))

    @operation("DELETE", _VALUE)
    def delete_value(self, call: Call) -> Answer:
        values = self._names.get(call["tagName"].lower(), {})
        return Answer(204 if values.pop(call["tagValue"].lower(), None) is None else 200)

    # where tags are ------------------------------------------------------------------------------------------------------

    def _tags(self, call: Call) -> dict[str, str]:
        if call["scope"].count("/") == 2:
            return dict(self._subscription)
        return dict(self.arm.store.need(call["scope"]).body.get("tags") or {})

    def _set(self, call: Call, tags: dict[str, str]) -> Answer:
        tags_of({"tags": tags})
        if call["scope"].count("/") == 2:
            self._subscription = tags
        else:
            self.arm.store.need(call["scope"]).body["tags"] = tags
        return Answer(200, self._shown(call))

    def _shown(self, call: Call) -> Json:
        return {
            "id": f"{call['scope']}/providers/Microsoft.Resources/tags/default",
            "name": "default",
            "type": "Microsoft.Resources/tags",
            "properties": {"tags": self._tags(call)},
        }


def _merged(known: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    """Names are the same whatever their case; the first spelling stays."""
    spelled = {name.lower(): name for name in known}
    return {**known, **{spelled.get(name.lower(), name): value for name, value in given.items()}}


def _name(call: Call, name: str, counts: Counter[str]) -> Json:
    return {
        "id": f"/subscriptions/{call.subscription}/tagNames/{name}",
        "tagName": name,
        "count": {"type": "Total", "value": sum(counts.values())},
        "values": [_value(call, name, value, count) for value, count in counts.items()],
    }


def _value(call: Call, name: str, value: str, count: int) -> Json:
    return {
        "id": f"/subscriptions/{call.subscription}/tagNames/{name}/tagValues/{value}",
        "tagValue": value,
        "count": {"type": "Total", "value": count},
    }

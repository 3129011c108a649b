"""Properties of an account's services: `blobServices/default` and the like. They are kept, and shown when asked for."""

from typing import Any

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, operation, read, read_texts
from emulators.azure.storage.kinds import ACCOUNT

_CORS: Json = {"cors": {"corsRules": []}}

#: What each service has unless somebody has set it otherwise.
_DEFAULTS: dict[str, Json] = {
    "blobServices": {**_CORS, "deleteRetentionPolicy": {"allowPermanentDelete": False, "enabled": False}},
    "fileServices": {**_CORS, "shareDeleteRetentionPolicy": {"enabled": True, "days": 7}},
    "queueServices": dict(_CORS),
    "tableServices": dict(_CORS),
}


_POLICY = {"enabled": bool, "days": int, "allowPermanentDelete": bool}

#: What can be set besides rules for other origins, and of which kind it is; a table in a table is an object.
_FIELDS: dict[str, Any] = {
    "defaultServiceVersion": str,
    "isVersioningEnabled": bool,
    "automaticSnapshotPolicyEnabled": bool,
    "deleteRetentionPolicy": _POLICY,
    "containerDeleteRetentionPolicy": _POLICY,
    "shareDeleteRetentionPolicy": _POLICY,
    "changeFeed": {"enabled": bool, "retentionInDays": int},
    "restorePolicy": {"enabled": bool, "days": int},
}
_RULE_LISTS = ("allowedOrigins", "allowedMethods", "exposedHeaders", "allowedHeaders")


class Services:
    """`storageAccounts/{blob,file,queue,table}Services`. `hidden["services"]` of an account has what was set."""

    namespace = "Microsoft.Storage"

    def __init__(self, arm: Arm):
        self.arm = arm
        for name in _DEFAULTS:
            arm.router.add("GET", f"{ACCOUNT.template}/{name}", self.list_all)
            arm.router.add("GET", f"{ACCOUNT.template}/{name}/{{serviceName}}", self.get)
            arm.router.add("PUT", f"{ACCOUNT.template}/{name}/{{serviceName}}", self.put)

    def list_all(self, call: Call) -> Answer:
        account, word = self.arm.store.need(call.path.rsplit("/", 1)[0]), _word(call.path.rsplit("/", 1)[1])
        return Answer(200, {"value": [self._shown(account, word)]})

    def get(self, call: Call) -> Answer:
        return Answer(200, self._shown(*self._asked(call)))

    def put(self, call: Call) -> Answer:
        account, word = self._asked(call)
        given = read(call.content(), "properties", dict, {})
        kept = account.hidden.setdefault("services", {}).setdefault(word, {})
        kept.update(_checked(given, _FIELDS))
        rules = read(given, "cors.corsRules", list)
        if rules is not None:
            kept["cors"] = {"corsRules": [_rule(rule) for rule in rules]}
        return Answer(200, self._shown(account, word))

    @operation("GET", ACCOUNT.template + "/managementPolicies/{policyName}")
    def policy(self, call: Call) -> Answer:
        account = self.arm.store.need(call.path.rsplit("/", 2)[0])
        raise Refusal(404, "ManagementPolicyNotFound", f"No ManagementPolicy found for account {account.name}")

    def _asked(self, call: Call) -> tuple[Resource, str]:
        account = self.arm.store.need(call.path.rsplit("/", 2)[0])
        if call["serviceName"].lower() != "default":
            raise Refusal(
                400, "InvalidServiceName", f"A storage account has one service of a kind, 'default', not '{call['serviceName']}'."
            )
        return account, _word(call.path.rsplit("/", 2)[1])

    def _shown(self, account: Resource, word: str) -> Json:
        kept = account.hidden.get("services", {}).get(word, {})
        shown: Json = {
            "id": f"{account.id}/{word}/default",
            "name": "default",
            "type": f"{ACCOUNT.type}/{word}",
            "properties": {**_DEFAULTS[word], **kept},
        }
        return {**shown, "sku": account.body["sku"]} if word in ("blobServices", "fileServices") else shown


def _checked(given: Json, fields: dict[str, Any]) -> Json:
    """What is known of what was sent. Raises `Refusal` 400 for a wrong type."""
    found: Json = {}
    for name, kind in fields.items():
        value = read(given, name, dict if isinstance(kind, dict) else kind)
        if value is not None:
            found[name] = _checked(value, kind) if isinstance(kind, dict) else value
    return found


def _rule(given: Json) -> Json:
    lists = {name: read_texts(given, name) for name in _RULE_LISTS}
    return {**lists, "maxAgeInSeconds": read(given, "maxAgeInSeconds", int, required=True)}


def _word(text: str) -> str:
    return next(name for name in _DEFAULTS if name.lower() == text.lower())

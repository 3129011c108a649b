"""Microsoft.Authorization/locks: CanNotDelete and ReadOnly at subscription, group and resource. They bite at once."""

from emulators.azure.arm import SCOPE, Answer, Arm, Call, Json, Lock, Refusal, operation, read

_LOCKS = "/providers/Microsoft.Authorization/locks"
_LOCK = SCOPE + _LOCKS + "/{lockName}"
_LEVELS = ("CanNotDelete", "ReadOnly")


class LockOperations:
    """What clients do with locks; `arm.locks` is what every request is checked against."""

    namespace = "Microsoft.Authorization"

    def __init__(self, arm: Arm):
        self.arm = arm

    @operation("PUT", _LOCK)
    def create(self, call: Call) -> Answer:
        scope, name = call["scope"], call["lockName"]
        level = read(call.content(), "properties.level", str, required=True)
        known = next((one for one in _LEVELS if one.lower() == level.lower()), None)
        if known is None:
            raise Refusal(400, "LockLevelNotSupported", f"The lock level '{level}' is not supported; use {' or '.join(_LEVELS)}.")
        if "/providers/" in scope:
            self.arm.store.need(scope)
        lock = self.arm.locks.find(scope, name)
        status = 200 if lock is not None else 201
        if lock is None:
            lock = Lock(scope, name, known)
            self.arm.locks.all.append(lock)
        lock.level, lock.notes = known, read(call.content(), "properties.notes", str)
        return Answer(status, _shown(lock))

    @operation("GET", _LOCK)
    def get(self, call: Call) -> Answer:
        return Answer(200, _shown(self._need(call)))

    @operation("DELETE", _LOCK)
    def delete(self, call: Call) -> Answer:
        lock = self.arm.locks.find(call["scope"], call["lockName"])
        if lock is None:
            return Answer(204)
        self.arm.locks.all.remove(lock)
        return Answer(200)

    @operation("GET", SCOPE + _LOCKS)
    def list_all(self, call: Call) -> Answer:
        """Locks at the scope and below it, or with `atScope()` those that hold for it: its own and those from above."""
        scope = call["scope"].lower()
        above = call.query.get("$filter", "").strip().lower() == "atscope()"
        found = [
            lock
            for lock in self.arm.locks.all
            if (own := lock.scope.lower()) == scope or (scope.startswith(own + "/") if above else own.startswith(scope + "/"))
        ]
        return Answer(200, {"value": [_shown(lock) for lock in found], "nextLink": None})

    def _need(self, call: Call) -> Lock:
        lock = self.arm.locks.find(call["scope"], call["lockName"])
        if lock is None:
            raise Refusal(404, "LockNotFound", f"The lock '{call['lockName']}' could not be found.")
        return lock


def _shown(lock: Lock) -> Json:
    properties: Json = {"level": lock.level}
    if lock.notes is not None:
        properties["notes"] = lock.notes
    return {
        "id": f"{lock.scope}{_LOCKS}/{lock.name}",
        "name": lock.name,
        "type": "Microsoft.Authorization/locks",
        "properties": properties,
    }

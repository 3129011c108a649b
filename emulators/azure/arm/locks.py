"""Management locks: they hold for a scope and everything below it."""

from dataclasses import dataclass, field

from emulators.azure.arm.access import covers
from emulators.azure.arm.messages import Refusal

#: What a method is called where it is refused, and the levels that refuse it.
_REFUSED = {
    "DELETE": ("delete", ("CanNotDelete", "ReadOnly")),
    "PUT": ("write", ("ReadOnly",)),
    "PATCH": ("write", ("ReadOnly",)),
    "POST": ("write", ("ReadOnly",)),
}

#: Locks can be made and removed in spite of locks.
_OWN = "/providers/microsoft.authorization/locks"


@dataclass(slots=True)
class Lock:
    """`level` is CanNotDelete or ReadOnly."""

    scope: str
    name: str
    level: str
    notes: str | None = None


@dataclass(slots=True)
class Locks:
    """All locks of one Resource Manager, in order of creation."""

    all: list[Lock] = field(default_factory=list)

    def find(self, scope: str, name: str) -> Lock | None:
        wanted = (scope.lower(), name.lower())
        return next((lock for lock in self.all if (lock.scope.lower(), lock.name.lower()) == wanted), None)

    def forget(self, scope: str) -> None:
        """Drop the locks of a resource that is gone, and of what was below it."""
        self.all = [lock for lock in self.all if not covers(scope, lock.scope)]

    def check(self, method: str, path: str) -> None:
        """Raises `Refusal` 409 `ScopeLocked`. A deletion is also stopped by locks of what it would take along."""
        word, levels = _REFUSED.get(method, ("", ()))
        if not word or _OWN in path.lower():
            return
        found = [
            lock.scope
            for lock in self.all
            if lock.level in levels and (covers(lock.scope, path) or (method == "DELETE" and covers(path, lock.scope)))
        ]
        if found:
            scopes = ",".join(dict.fromkeys(found))
            raise Refusal(
                409,
                "ScopeLocked",
                f"The scope '{path}' cannot perform {word} operation because following scope(s) are locked: '{scopes}'. "
                "Please remove the lock and try again.",
            )

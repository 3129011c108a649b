"""Who may do what where: users, roles, permissions on entities that are inherited downwards.

Which privilege an operation needs says the registry (`schema.Method.privilege`, `schema.Field.privilege`).
"""

import hmac
from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter import schema
from emulators.vcenter.faults import Fault, no_permission
from emulators.vcenter.inventory import Inventory, is_entity, ref
from emulators.vcenter.records import Ref

_READ = frozenset({"System.Anonymous", "System.View", "System.Read"})
ADMIN, READ_ONLY, VIEW, ANONYMOUS, NO_ACCESS = -1, -2, -3, -4, -5
ROLE_NAMES = {"Admin": ADMIN, "ReadOnly": READ_ONLY, "NoAccess": NO_ACCESS}


@dataclass(slots=True)
class Role:
    """A set of privileges. `privileges` None means all of them."""

    id: int
    name: str
    privileges: frozenset[str] | None
    system: bool = False

    def allows(self, privilege: str) -> bool:
        return self.privileges is None or privilege in self.privileges


@dataclass(slots=True)
class Permission:
    """A user's role on one entity and, with `propagate`, on all below it that say nothing else."""

    entity: str
    principal: str
    role: int
    propagate: bool


def system_roles() -> dict[int, Role]:
    """The roles every vCenter has."""
    table = [
        Role(ADMIN, "Admin", None, True),
        Role(READ_ONLY, "ReadOnly", _READ, True),
        Role(VIEW, "View", frozenset({"System.Anonymous", "System.View"}), True),
        Role(ANONYMOUS, "Anonymous", frozenset({"System.Anonymous"}), True),
        Role(NO_ACCESS, "NoAccess", frozenset(), True),
    ]
    return {role.id: role for role in table}


@dataclass(slots=True)
class Authorization:
    """Users with their passwords, roles and permissions of one vCenter."""

    users: dict[str, str] = field(default_factory=dict)
    roles: dict[int, Role] = field(default_factory=system_roles)
    permissions: list[Permission] = field(default_factory=list)
    #: The role that a user has by inheritance from an entity downwards, as long as the tree and the permissions stay.
    _inherited: dict[tuple[str, str], int | None] = field(default_factory=dict)
    _stamp: tuple[int, int, int] = (0, 0, 0)

    def knows(self, user: str, password: str) -> bool:
        """Whether the password is that of the user (names without case, as vCenter has them)."""
        expected = self.users.get(user.lower())
        given = hmac.compare_digest((expected or "").encode(), password.encode())
        return expected is not None and given

    def role(self, inventory: Inventory, user: str, entity: Any) -> Role | None:
        """The role of a user on an entity: the nearest permission upwards decides."""
        stamp = (inventory.tree, id(self.permissions), len(self.permissions))
        if stamp != self._stamp:
            self._inherited.clear()
            self._stamp = stamp
        user = user.lower()
        for permission in self.permissions:
            if permission.entity == entity.moid and permission.principal.lower() == user:
                return self.roles[permission.role]
        found = self._from_above(inventory, user, entity.parent)
        return self.roles[found] if found is not None else None

    def _from_above(self, inventory: Inventory, user: str, parent: Ref | None) -> int | None:
        if parent is None:
            return None
        known = self._inherited.get((user, parent.moid), 0)
        if known != 0:  # no role has the id 0
            return known
        found = None
        entity = inventory.find(parent.moid)
        if entity is not None:
            mine = (p for p in self.permissions if p.propagate and p.entity == entity.moid and p.principal.lower() == user)
            here = next(mine, None)
            found = here.role if here is not None else self._from_above(inventory, user, entity.parent)
        self._inherited[user, parent.moid] = found
        return found

    def allows(self, inventory: Inventory, user: str, entity: Any, privilege: str) -> bool:
        role = self.role(inventory, user, entity)
        return role is not None and role.allows(privilege)

    def anywhere(self, user: str, privilege: str) -> bool:
        """Whether the user has the privilege on any entity: what objects outside the tree ask for."""
        mine = [permission for permission in self.permissions if permission.principal.lower() == user.lower()]
        return any(self.roles[permission.role].allows(privilege) for permission in mine)


def entity_of(inventory: Inventory, managed: Any) -> Any:
    """The entity whose permissions guard an object: itself, the machine of a snapshot, the datastore of a browser; else None."""
    if is_entity(managed):
        return managed
    owner: Ref | None = getattr(managed, "owner", None)
    return inventory.find(owner.moid) if owner else None


def check(inventory: Inventory, user: str, managed: Any, privilege: str) -> None:
    """Raises `Fault("NoPermission")` when the user lacks the privilege on the object."""
    entity = entity_of(inventory, managed)
    rules = inventory.authorization
    if entity is None:
        root = inventory.find(inventory.root.moid)
        allowed = rules.anywhere(user, privilege) if privilege in _READ else rules.allows(inventory, user, root, privilege)
    else:
        allowed = rules.allows(inventory, user, entity, privilege)
    if not allowed:
        raise no_permission(ref(entity or managed), privilege)


def may_read(inventory: Inventory, user: str, managed: Any) -> bool:
    """Whether the user sees the object at all."""
    try:
        check(inventory, user, managed, "System.Read")
    except Fault:
        return False
    return True


def all_privileges(role: Role) -> list[str]:
    """The privilege ids of a role, sorted."""
    return sorted(schema.privileges() if role.privileges is None else role.privileges)

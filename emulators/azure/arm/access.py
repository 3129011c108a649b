"""Who calls and what they may: bearer tokens and role assignments."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from emulators.azure.arm.messages import Json, Refusal

#: Claims of a token that is genuine, made for this base URL and has not expired. Raises `Refusal` 401.
CheckToken = Callable[[str, str], Json]


@dataclass(frozen=True, slots=True)
class Role:
    """A role definition: patterns of the actions it allows and of those it takes away again."""

    id: str
    name: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()

    def allows(self, action: str) -> bool:
        action = action.lower()
        return _any(self.actions, action) and not _any(self.not_actions, action)


_NOT_CONTRIBUTOR = (
    "Microsoft.Authorization/*/Delete",
    "Microsoft.Authorization/*/Write",
    "Microsoft.Authorization/elevateAccess/Action",
)
_SITE_RECOVERY_READS = (
    "Microsoft.Authorization/*/read",
    "Microsoft.Network/virtualNetworks/read",
    "Microsoft.Resources/subscriptions/read",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
    "Microsoft.Storage/storageAccounts/read",
    "Microsoft.RecoveryServices/Vaults/*/read",
    "Microsoft.RecoveryServices/Vaults/read",
    "Microsoft.RecoveryServices/locations/*",
)
_VAULT = "Microsoft.RecoveryServices/Vaults/replication"
_ITEM_VERBS = (
    "applyRecoveryPoint", "failoverCommit", "plannedFailover", "reProtect", "repairReplication", "testFailover",
    "testFailoverCleanup", "unplannedFailover", "updateMobilityService",
)  # fmt: skip

#: Built-in roles by name, ids as Azure has them.
ROLES: dict[str, Role] = {
    role.name: role
    for role in (
        Role("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", ("*",)),
        Role("b24988ac-6180-42a0-ab88-20f7382dd24c", "Contributor", ("*",), _NOT_CONTRIBUTOR),
        Role("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", ("*/read",)),
        Role(
            "6670b86e-a3f7-4917-ac9b-5d6ab1be4567",
            "Site Recovery Contributor",
            (
                *_SITE_RECOVERY_READS,
                f"{_VAULT}*",
                "Microsoft.RecoveryServices/Vaults/certificates/write",
                "Microsoft.RecoveryServices/Vaults/extendedInformation/*",
            ),
        ),
        Role(
            "494ae006-db33-4328-bf46-533a6560a3ca",
            "Site Recovery Operator",
            (
                *_SITE_RECOVERY_READS,
                f"{_VAULT}Jobs/*",
                "Microsoft.RecoveryServices/Vaults/extendedInformation/read",
                *(f"{_VAULT}Fabrics/*/replicationProtectedItems/{verb}/action" for verb in _ITEM_VERBS),
                *(f"{_VAULT}RecoveryPlans/{verb}/action" for verb in _ITEM_VERBS),
            ),
        ),
        Role("dbaa88c4-0c30-4179-9fb3-46319faa6149", "Site Recovery Reader", _SITE_RECOVERY_READS),
    )
}


@dataclass(frozen=True, slots=True)
class Assignment:
    """A principal (object id) has a role at a scope and everything below it."""

    principal: str
    role: Role
    scope: str
    name: str  #: a GUID; with the scope it is the assignment's id


class Access:
    """Role assignments of one estate."""

    def __init__(self, new_name: Callable[[], str]) -> None:
        self.assignments: list[Assignment] = []
        self._new_name = new_name

    def grant(self, principal: str, role: str, scope: str) -> None:
        """Assign a built-in role by its name. Raises `ValueError` for an unknown one."""
        if role not in ROLES:
            raise ValueError(f"no role is named {role!r}; known are {', '.join(sorted(ROLES))}")
        self.assignments.append(Assignment(principal, ROLES[role], scope, self._new_name()))

    def revoke(self, principal: str) -> None:
        self.assignments = [kept for kept in self.assignments if kept.principal != principal]

    def roles(self, principal: str, scope: str) -> list[Role]:
        """The roles that a principal has at a scope, its own and those from above."""
        return [one.role for one in self.assignments if one.principal == principal and covers(one.scope, scope)]

    def sees(self, principal: str, scope: str) -> bool:
        """Whether the principal has any role at, above or below `scope` (which subscriptions a list shows)."""
        return any(
            assigned.principal == principal and (covers(assigned.scope, scope) or covers(scope, assigned.scope))
            for assigned in self.assignments
        )

    def check(self, claims: Json, action: str, scope: str) -> None:
        """Raises `Refusal` 403 `AuthorizationFailed` unless a role allows `action` at `scope`."""
        principal = str(claims.get("oid", ""))
        for assigned in self.assignments:
            if assigned.principal == principal and covers(assigned.scope, scope) and assigned.role.allows(action):
                return
        raise Refusal(
            403,
            "AuthorizationFailed",
            f"The client '{claims.get('appid', principal)}' with object id '{principal}' does not have authorization to perform "
            f"action '{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh "
            "your credentials.",
        )


def bearer(header: str) -> str:
    """The token of an `Authorization` header. Raises `Refusal` 401."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal(401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
    return token.strip()


def _any(patterns: tuple[str, ...], action: str) -> bool:
    return any(fnmatchcase(action, pattern.lower()) for pattern in patterns)


def covers(scope: str, other: str) -> bool:
    """Whether `other` is `scope` or below it."""
    above, below = scope.rstrip("/").lower(), other.rstrip("/").lower()
    return below == above or below.startswith(above + "/")

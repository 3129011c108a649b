"""Microsoft.Authorization: who has which role where. What is assigned here is what every request is checked against."""

import re

from emulators.azure.arm import ROLES, SCOPE, Answer, Arm, Call, Json, Refusal, operation, read
from emulators.azure.arm.access import Assignment, Role
from emulators.azure.entra import Entra

_ASSIGNMENTS = "/providers/Microsoft.Authorization/roleAssignments"
_DEFINITIONS = "/providers/Microsoft.Authorization/roleDefinitions"
_NAME = "/{roleAssignmentName}"
_GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_FILTER = re.compile(r"\s*principalId\s+eq\s+'([^']*)'\s*", re.IGNORECASE)


class Authorization:
    """Role assignments at subscription, group and resource, and the built-in role definitions."""

    namespace = "Microsoft.Authorization"

    def __init__(self, arm: Arm, login: Entra):
        self.arm, self.login = arm, login

    @operation("PUT", SCOPE + _ASSIGNMENTS + _NAME)
    def assign(self, call: Call) -> Answer:
        scope, name = call["scope"], call["roleAssignmentName"]
        if not _GUID.fullmatch(name):
            raise Refusal(400, "InvalidRoleAssignmentId", f"The role assignment ID '{name}' is not valid. It must be a GUID.")
        body = call.content()
        principal = read(body, "properties.principalId", str, required=True)
        role = _role(read(body, "properties.roleDefinitionId", str, required=True))
        if principal not in self.login.principals():
            raise Refusal(400, "PrincipalNotFound", f"Principal {principal} does not exist in the directory {self.login.tenant}.")
        if scope.count("/") > 4:
            self.arm.store.need(scope)
        same = [
            one
            for one in self.arm.access.assignments
            if (one.principal, one.role, one.scope.lower()) == (principal, role, scope.lower())
        ]
        if same:
            raise Refusal(409, "RoleAssignmentExists", "The role assignment already exists.")
        if self._find(scope, name) is not None:
            raise Refusal(
                409,
                "RoleAssignmentUpdateNotPermitted",
                "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
            )
        made = Assignment(principal, role, scope, name)
        self.arm.access.assignments.append(made)
        return Answer(201, self._shown(made))

    @operation("GET", SCOPE + _ASSIGNMENTS + _NAME)
    def show(self, call: Call) -> Answer:
        found = self._find(call["scope"], call["roleAssignmentName"])
        if found is None:
            name = call["roleAssignmentName"]
            raise Refusal(404, "RoleAssignmentNotFound", f"The role assignment '{name}' is not found.")
        return Answer(200, self._shown(found))

    @operation("DELETE", SCOPE + _ASSIGNMENTS + _NAME)
    def withdraw(self, call: Call) -> Answer:
        found = self._find(call["scope"], call["roleAssignmentName"])
        if found is None:
            return Answer(204)
        self.arm.access.assignments.remove(found)
        return Answer(200, self._shown(found))

    @operation("GET", SCOPE + _ASSIGNMENTS)
    def assignments(self, call: Call) -> Answer:
        """Assignments at the scope, above and below it."""
        scope = call["scope"].lower()
        match = _FILTER.fullmatch(call.query.get("$filter", ""))
        shown = [
            self._shown(one)
            for one in self.arm.access.assignments
            if _related(one.scope.lower(), scope) and (match is None or one.principal == match[1])
        ]
        return Answer(200, {"value": shown, "nextLink": None})

    @operation("GET", _DEFINITIONS)
    @operation("GET", SCOPE + _DEFINITIONS)
    def definitions(self, call: Call) -> Answer:
        match = re.fullmatch(r"\s*roleName\s+eq\s+'([^']*)'\s*", call.query.get("$filter", ""), re.IGNORECASE)
        found = [role for role in ROLES.values() if match is None or role.name.lower() == match[1].lower()]
        return Answer(200, {"value": [_definition(role, call.subscription) for role in found], "nextLink": None})

    @operation("GET", _DEFINITIONS + "/{roleDefinitionId}")
    @operation("GET", SCOPE + _DEFINITIONS + "/{roleDefinitionId}")
    def definition(self, call: Call) -> Answer:
        wanted = call["roleDefinitionId"].lower()
        found = next((role for role in ROLES.values() if role.id == wanted), None)
        if found is None:
            raise Refusal(404, "RoleDefinitionDoesNotExist", f"The specified role definition with ID '{wanted}' does not exist.")
        return Answer(200, _definition(found, call.subscription))

    @operation("GET", SCOPE + "/providers/Microsoft.Authorization/permissions")
    def permissions(self, call: Call) -> Answer:
        """What the caller may do at a scope."""
        roles = self.arm.access.roles(str(call.principal.get("oid", "")), call["scope"])
        return Answer(200, {"value": [_permission(role) for role in roles], "nextLink": None})

    def _find(self, scope: str, name: str) -> Assignment | None:
        for one in self.arm.access.assignments:
            if one.name.lower() == name.lower() and one.scope.lower() == scope.lower():
                return one
        return None

    def _shown(self, assigned: Assignment) -> Json:
        subscription = assigned.scope.split("/")[2]
        return {
            "id": f"{assigned.scope}{_ASSIGNMENTS}/{assigned.name}",
            "name": assigned.name,
            "type": "Microsoft.Authorization/roleAssignments",
            "properties": {
                "roleDefinitionId": f"/subscriptions/{subscription}{_DEFINITIONS}/{assigned.role.id}",
                "principalId": assigned.principal,
                "principalType": "User" if assigned.principal in self.login.users.object_ids() else "ServicePrincipal",
                "scope": assigned.scope,
            },
        }


def _related(one: str, other: str) -> bool:
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")


def _role(definition_id: str) -> Role:
    wanted = definition_id.rsplit("/", 1)[-1].lower()
    found = next((role for role in ROLES.values() if role.id == wanted), None)
    if found is None:
        raise Refusal(400, "RoleDefinitionDoesNotExist", f"The specified role definition with ID '{wanted}' does not exist.")
    return found


def _definition(role: Role, subscription: str) -> Json:
    return {
        "id": f"{f'/subscriptions/{subscription}' if subscription else ''}{_DEFINITIONS}/{role.id}",
        "name": role.id,
        "type": "Microsoft.Authorization/roleDefinitions",
        "properties": {
            "roleName": role.name,
            "type": "BuiltInRole",
            "description": "",
            "assignableScopes": ["/"],
            "permissions": [_permission(role)],
        },
    }


def _permission(role: Role) -> Json:
    return {"actions": list(role.actions), "notActions": list(role.not_actions), "dataActions": [], "notDataActions": []}

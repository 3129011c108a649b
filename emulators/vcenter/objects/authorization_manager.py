"""AuthorizationManager: roles and permissions over the wire."""

from typing import Any

from emulators.vcenter import schema
from emulators.vcenter.authorization import Permission, Role, all_privileges
from emulators.vcenter.entity import Property, permissions
from emulators.vcenter.events import above
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects.service_instance import Service
from emulators.vcenter.records import Record, Ref


def _role(role: Role) -> Record:
    return Record(
        "AuthorizationRole",
        roleId=role.id,
        system=role.system,
        name=role.name,
        info=Record("Description", label=role.name, summary=role.name),
        privilege=all_privileges(role),
    )


def _all_permissions(inventory: Inventory) -> list[Record]:
    entities = [inventory.find(moid) for moid in dict.fromkeys(p.entity for p in inventory.authorization.permissions)]
    return [record for entity in entities if entity is not None for record in permissions(inventory, entity)]


def _role_told(call: Call, kind: str, text: str, role: Role, **more: Any) -> None:
    argument = Record("RoleEventArgument", roleId=role.id, name=role.name)
    call.inventory.events.post(kind, text, user=call.user, role=argument, **more)


def _permission_told(call: Call, kind: str, entity: Any, told: Permission, **more: Any) -> None:
    about = Record("ManagedEntityEventArgument", name=entity.name, entity=ref(entity))
    text = f"Permission of {told.principal} on {entity.name}: {kind.removeprefix('Permission').removesuffix('Event').lower()}"
    call.inventory.events.post(kind, text, user=call.user, entity=about, principal=told.principal, group=False, **more)


def set_permissions(call: Call, _manager: Service, args: Any) -> None:
    """SetEntityPermissions: add, or replace those of the same principal."""
    inventory, rules = call.inventory, call.inventory.authorization
    entity = inventory.find(args["entity"].moid)
    for told in args.get("permission") or []:
        if told["roleId"] not in rules.roles:
            raise Fault("NotFound", f"There is no role {told['roleId']}.")
        if told["principal"].lower() not in rules.users:
            raise Fault("UserNotFound", f"There is no user {told['principal']}.", principal=told["principal"], unresolved=False)
        fresh = Permission(entity.moid, told["principal"], told["roleId"], told["propagate"])
        kept = [p for p in rules.permissions if not _same(p, entity.moid, fresh.principal)]
        kind = "PermissionAddedEvent" if len(kept) == len(rules.permissions) else "PermissionUpdatedEvent"
        rules.permissions = [*kept, fresh]
        role = Record("RoleEventArgument", roleId=fresh.role, name=rules.roles[fresh.role].name)
        _permission_told(call, kind, entity, fresh, role=role, propagate=fresh.propagate)
    inventory.change(entity, "permission")


def remove_permission(call: Call, _manager: Service, args: Any) -> None:
    """RemoveEntityPermission."""
    inventory, rules = call.inventory, call.inventory.authorization
    kept = [p for p in rules.permissions if not _same(p, args["entity"].moid, args["user"])]
    if len(kept) == len(rules.permissions):
        raise Fault("NotFound", "There is no such permission.")
    gone = next(p for p in rules.permissions if _same(p, args["entity"].moid, args["user"]))
    rules.permissions = kept
    _permission_told(call, "PermissionRemovedEvent", inventory.find(args["entity"].moid), gone)
    inventory.change(inventory.find(args["entity"].moid), "permission")


def _same(permission: Permission, moid: str, principal: str) -> bool:
    return permission.entity == moid and permission.principal.lower() == principal.lower()


def entity_permissions(call: Call, _manager: Service, args: Any) -> list[Record]:
    """RetrieveEntityPermissions."""
    moids = [args["entity"].moid, *(above(call.inventory, args["entity"].moid) if args["inherited"] else [])]
    return [record for moid in moids for record in permissions(call.inventory, call.inventory.find(moid))]


def add_role(call: Call, _manager: Service, args: Any) -> int:
    """AddAuthorizationRole."""
    rules = call.inventory.authorization
    name = args["name"]
    if any(role.name == name for role in rules.roles.values()):
        raise Fault("AlreadyExists", f"There is a role {name}.", name=name)
    number = max(0, *rules.roles) + 1
    wanted = frozenset(args.get("privIds") or []) | {"System.Anonymous", "System.View", "System.Read"}
    rules.roles[number] = Role(number, name, wanted)
    _role_told(call, "RoleAddedEvent", f"Role {name} is created", rules.roles[number], privilegeList=sorted(wanted))
    call.inventory.change(call.inventory.find("AuthorizationManager"), "roleList")
    return number


def _own_role(call: Call, number: int) -> Role:
    role = call.inventory.authorization.roles.get(number)
    if role is None:
        raise Fault("NotFound", f"There is no role {number}.")
    if role.system:
        raise invalid_argument("roleId", f"{role.name} is a system role.")
    return role


def update_role(call: Call, _manager: Service, args: Any) -> None:
    """UpdateAuthorizationRole."""
    role, rules = _own_role(call, args["roleId"]), call.inventory.authorization
    if any(other.name == args["newName"] and other is not role for other in rules.roles.values()):
        raise Fault("AlreadyExists", f"There is a role {args['newName']}.", name=args["newName"])
    before, role.name = role.name, args["newName"]
    role.privileges = frozenset(args.get("privIds") or []) | {"System.Anonymous", "System.View", "System.Read"}
    _role_told(call, "RoleUpdatedEvent", f"Role {before} is modified", role, privilegeList=sorted(role.privileges))
    call.inventory.change(call.inventory.find("AuthorizationManager"), "roleList")


def remove_role(call: Call, _manager: Service, args: Any) -> None:
    """RemoveAuthorizationRole: with its permissions, or not at all while it has some (`failIfUsed`)."""
    role, rules = _own_role(call, args["roleId"]), call.inventory.authorization
    used = [permission for permission in rules.permissions if permission.role == role.id]
    if used and args["failIfUsed"]:
        raise Fault("RemoveFailed", f"The role {role.name} is in use.")
    rules.permissions = [permission for permission in rules.permissions if permission.role != role.id]
    del rules.roles[role.id]
    _role_told(call, "RoleRemovedEvent", f"Role {role.name} is removed", role)
    _told(call, used)
    call.inventory.change(call.inventory.find("AuthorizationManager"), "roleList")


def _told(call: Call, changed: list[Permission]) -> None:
    for moid in dict.fromkeys(permission.entity for permission in changed):
        entity = call.inventory.find(moid)
        if entity is not None:
            call.inventory.change(entity, "permission")


def merge(call: Call, _manager: Service, args: Any) -> None:
    """MergePermissions: who has one role gets another."""
    rules = call.inventory.authorization
    for number in (args["srcRoleId"], args["dstRoleId"]):
        if number not in rules.roles:
            raise Fault("NotFound", f"There is no role {number}.")
    moved = [permission for permission in rules.permissions if permission.role == args["srcRoleId"]]
    for permission in moved:
        permission.role = args["dstRoleId"]
    _told(call, moved)


def role_permissions(call: Call, _manager: Service, args: Any) -> list[Record]:
    """RetrieveRolePermissions."""
    if args["roleId"] not in call.inventory.authorization.roles:
        raise Fault("NotFound", f"There is no role {args['roleId']}.")
    return [one for one in _all_permissions(call.inventory) if one["roleId"] == args["roleId"]]


def has_privileges(call: Call, _manager: Service, args: Any) -> list[Record]:
    """HasPrivilegeOnEntities."""
    session = call.inventory.sessions.by_key(args["sessionId"])
    if session is None:
        raise invalid_argument("sessionId", "There is no such session.")
    return [_availability(call, session.user, one, args.get("privId") or []) for one in args["entity"]]


def reset_permissions(call: Call, manager: Service, args: Any) -> None:
    """ResetEntityPermissions: these, and no others, are set on the entity from now on."""
    inventory, rules = call.inventory, call.inventory.authorization
    before = rules.permissions
    rules.permissions = [one for one in before if one.entity != args["entity"].moid]
    try:
        set_permissions(call, manager, args)
    except Fault:
        rules.permissions = before
        raise
    inventory.change(inventory.find(args["entity"].moid), "permission")


def has_privileges_on(call: Call, _manager: Service, args: Any) -> list[bool]:
    """HasPrivilegeOnEntity."""
    (found,) = has_privileges(call, _manager, {**args, "entity": [args["entity"]]})
    return [one["isGranted"] for one in found["privAvailability"]]


def user_has_privileges(call: Call, _manager: Service, args: Any) -> list[Record]:
    """HasUserPrivilegeOnEntities."""
    _known_user(call, args["userName"])
    return [_availability(call, args["userName"], one, args.get("privId") or []) for one in args["entities"]]


def user_privileges(call: Call, _manager: Service, args: Any) -> list[Record]:
    """FetchUserPrivilegeOnEntities."""
    _known_user(call, args["userName"])
    rules, found = call.inventory.authorization, []
    for one in args["entities"]:
        role = rules.role(call.inventory, args["userName"], call.inventory.find(one.moid))
        found.append(Record("UserPrivilegeResult", entity=one, privileges=all_privileges(role) if role is not None else []))
    return found


def _known_user(call: Call, name: str) -> None:
    if name.lower() not in call.inventory.authorization.users:
        raise Fault("UserNotFound", f"There is no user {name}.", principal=name, unresolved=False)


def _availability(call: Call, user: str, one: Ref, wanted: list[str]) -> Record:
    entity, rules = call.inventory.find(one.moid), call.inventory.authorization
    granted = [
        Record("PrivilegeAvailability", privId=name, isGranted=rules.allows(call.inventory, user, entity, name))
        for name in wanted
    ]
    return Record("EntityPrivilege", entity=one, privAvailability=granted)


def _privilege(name: str) -> Record:
    group, _, plain = name.rpartition(".")
    return Record("AuthorizationPrivilege", privId=name, onParent=False, name=plain, privGroupName=group)


AUTHORIZATION_PROPERTIES: dict[str, Property] = {
    "privilegeList": lambda _inventory, _manager: [_privilege(name) for name in schema.privileges()],
    "roleList": lambda inventory, _manager: [_role(role) for role in inventory.authorization.roles.values()],
    "description": lambda _inventory, _manager: Record(
        "AuthorizationDescription", privilege=[element("System")], privilegeGroup=[element("System")]
    ),
}


def element(key: str) -> Record:
    return Record("ElementDescription", key=key, label=key, summary=key)


AUTHORIZATION_OPERATIONS = {
    "SetEntityPermissions": set_permissions,
    "RemoveEntityPermission": remove_permission,
    "RetrieveEntityPermissions": entity_permissions,
    "RetrieveAllPermissions": lambda call, _manager, _args: _all_permissions(call.inventory),
    "AddAuthorizationRole": add_role,
    "UpdateAuthorizationRole": update_role,
    "RemoveAuthorizationRole": remove_role,
    "MergePermissions": merge,
    "RetrieveRolePermissions": role_permissions,
    "HasPrivilegeOnEntities": has_privileges,
    "HasPrivilegeOnEntity": has_privileges_on,
    "HasUserPrivilegeOnEntities": user_has_privileges,
    "FetchUserPrivilegeOnEntities": user_privileges,
    "ResetEntityPermissions": reset_permissions,
}

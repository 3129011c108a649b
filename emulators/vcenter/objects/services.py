"""The service objects a client meets first: ServiceInstance, sessions, authorization, tasks, search."""

from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter.authorization import Permission, Role, all_privileges, may_read
from emulators.vcenter.entity import Property, children, escaped, permissions
from emulators.vcenter.events import above, datacenter_of
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects.compute import HostSystem
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.paths import split_path
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.sessions import COOKIE, Session
from emulators.vcenter.tasks import Task


@dataclass(slots=True)
class Service:
    """A service object: it has no state of its own."""

    kind: str
    moid: str
    cache: dict[str, Any] = field(default_factory=dict)


#: Field of ServiceContent -> kind of the object; its moid is the kind.
SERVICES = {
    "propertyCollector": ("PropertyCollector", "propertyCollector"),
    "viewManager": ("ViewManager", "ViewManager"),
    "sessionManager": ("SessionManager", "SessionManager"),
    "authorizationManager": ("AuthorizationManager", "AuthorizationManager"),
    "eventManager": ("EventManager", "EventManager"),
    "taskManager": ("TaskManager", "TaskManager"),
    "searchIndex": ("SearchIndex", "SearchIndex"),
}

# ServiceInstance -----------------------------------------------------------------------------------------------------


def content(inventory: Inventory) -> Record:
    """ServiceContent."""
    about = Record(
        "AboutInfo",
        name="VMware vCenter Server",
        fullName=f"VMware vCenter Server {inventory.version} (drillbed emulator)",
        vendor="VMware, Inc.",
        version=inventory.version,
        build="5318154",
        osType="linux-x64",
        productLineId="vpx",
        apiType="VirtualCenter",
        apiVersion=api_version(inventory.version),
        instanceUuid=inventory.instance_uuid,
        licenseProductName="VMware VirtualCenter Server",
        licenseProductVersion="6.0",
    )
    services = {name: Ref(kind, moid) for name, (kind, moid) in SERVICES.items()}
    return Record("ServiceContent", rootFolder=inventory.root, about=about, **services)


def api_version(version: str) -> str:
    """`6.5.0` -> `6.5`; from 7.0 on the API has four parts (`8.0.3.0`)."""
    parts = version.split(".")
    return ".".join(parts[:2]) if int(parts[0]) < 7 else ".".join([*parts, "0", "0"][:4])


INSTANCE_PROPERTIES: dict[str, Property] = {
    "serverClock": lambda inventory, _instance: inventory.clock.now(),
    "content": lambda inventory, _instance: content(inventory),
    "capability": lambda _inventory, _instance: Record(
        "Capability", provisioningSupported=True, multiHostSupported=True, userShellAccessSupported=False
    ),
}
INSTANCE_OPERATIONS = {
    "RetrieveServiceContent": lambda call, _instance, _args: content(call.inventory),
    "CurrentTime": lambda call, _instance, _args: call.inventory.clock.now(),
}

# SessionManager ------------------------------------------------------------------------------------------------------


def _session(session: Session, now: Session | None) -> Record:
    return Record(
        "UserSession",
        key=session.key,
        userName=session.user,
        fullName=session.user,
        loginTime=session.login_time,
        lastActiveTime=session.last_active,
        locale=session.locale,
        messageLocale=session.locale,
        extensionSession=False,
        ipAddress=session.address,
        userAgent=session.agent,
        callCount=session.calls,
    )


def login(call: Call, _manager: Service, args: Any) -> Record:
    """Login. Raises `Fault("InvalidLogin")`, also when the session is logged in already, as vCenter does."""
    inventory, user = call.inventory, args["userName"]
    known = inventory.authorization.knows(user, args.get("password") or "")
    if call.session is not None or not known:
        if not known:
            text = f"Cannot login {user}@{call.peer}"
            inventory.events.post("BadUsernameSessionEvent", text, user=user, ipAddress=call.peer)
        raise Fault("InvalidLogin", "Cannot complete login due to an incorrect user name or password.")
    if not inventory.authorization.anywhere(user, "System.View"):
        inventory.events.post("NoAccessUserEvent", f"Cannot login user {user}: no permission", user=user, ipAddress=call.peer)
        raise Fault(
            "NoPermission", "Permission to perform this operation was denied.", object=inventory.root, privilegeId="System.View"
        )
    locale = args.get("locale") or "en_US"
    session = inventory.sessions.open(user.lower(), locale=locale, address=call.peer, agent=call.agent)
    call.set_cookie = f'{COOKIE}="{session.token}"; Path=/; HttpOnly; Secure;'
    inventory.events.post(
        "UserLoginSessionEvent",
        f"User {session.user}@{call.peer} logged in as {call.agent}",
        user=session.user,
        ipAddress=call.peer,
        userAgent=call.agent,
        locale=locale,
        sessionId=session.key,
    )
    _sessions_changed(inventory)
    return _session(session, session)


def logout(call: Call, _manager: Service, _args: Any) -> None:
    """Logout."""
    session = call.session
    assert session is not None, "the registry asks for a session"
    _end(call, session)


def terminate(call: Call, _manager: Service, args: Any) -> None:
    """TerminateSession."""
    for key in args["sessionId"]:
        session = call.inventory.sessions.by_key(key)
        if session is None:
            raise Fault("NotFound", "There is no such session.")
        if session is call.session:
            raise invalid_argument("sessionId", "A session cannot terminate itself.")
        _end(call, session)


def _end(call: Call, session: Session) -> None:
    inventory = call.inventory
    inventory.sessions.close(session)
    inventory.changed.notify_all()
    inventory.events.post(
        "UserLogoutSessionEvent",
        f"User {session.user}@{session.address} logged out",
        user=session.user,
        ipAddress=session.address,
        userAgent=session.agent,
        callCount=session.calls,
        sessionId=session.key,
        loginTime=session.login_time,
    )
    _sessions_changed(inventory)


def _sessions_changed(inventory: Inventory) -> None:
    inventory.change(inventory.find("SessionManager"), "sessionList")


def session_is_active(call: Call, _manager: Service, args: Any) -> bool:
    """SessionIsActive."""
    session = call.inventory.sessions.by_key(args["sessionID"])
    return session is not None and session.user.lower() == args["userName"].lower()


def set_locale(call: Call, _manager: Service, args: Any) -> None:
    """SetLocale."""
    if call.session is not None:
        call.session.locale = args["locale"]


def current_session(call: Call) -> Record | None:
    """The property `currentSession`: the only one that depends on who asks."""
    return _session(call.session, call.session) if call.session else None


SESSION_PROPERTIES: dict[str, Property] = {
    "defaultLocale": lambda _inventory, _manager: "en",
    "messageLocaleList": lambda _inventory, _manager: ["en"],
    "supportedLocaleList": lambda _inventory, _manager: ["en"],
    "sessionList": lambda inventory, _manager: [_session(session, None) for session in inventory.sessions.all()],
}
SESSION_OPERATIONS = {
    "Login": login,
    "Logout": logout,
    "TerminateSession": terminate,
    "SessionIsActive": session_is_active,
    "SetLocale": set_locale,
}

# AuthorizationManager ------------------------------------------------------------------------------------------------


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
        rules.permissions = [p for p in rules.permissions if not _same(p, entity.moid, fresh.principal)] + [fresh]
    inventory.change(entity, "permission")


def remove_permission(call: Call, _manager: Service, args: Any) -> None:
    """RemoveEntityPermission."""
    inventory, rules = call.inventory, call.inventory.authorization
    kept = [p for p in rules.permissions if not _same(p, args["entity"].moid, args["user"])]
    if len(kept) == len(rules.permissions):
        raise Fault("NotFound", "There is no such permission.")
    rules.permissions = kept
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
    call.inventory.change(call.inventory.find("AuthorizationManager"), "roleList")
    return number


def has_privileges(call: Call, _manager: Service, args: Any) -> list[Record]:
    """HasPrivilegeOnEntities."""
    session = call.inventory.sessions.by_key(args["sessionId"])
    if session is None:
        raise invalid_argument("sessionId", "There is no such session.")
    found = []
    for one in args["entity"]:
        entity = call.inventory.find(one.moid)
        granted = [
            Record(
                "PrivilegeAvailability",
                privId=privilege,
                isGranted=call.inventory.authorization.allows(call.inventory, session.user, entity, privilege),
            )
            for privilege in args.get("privId") or []
        ]
        found.append(Record("EntityPrivilege", entity=one, privAvailability=granted))
    return found


AUTHORIZATION_PROPERTIES: dict[str, Property] = {
    "roleList": lambda inventory, _manager: [_role(role) for role in inventory.authorization.roles.values()],
    "description": lambda _inventory, _manager: Record(
        "AuthorizationDescription", privilege=[_element("System")], privilegeGroup=[_element("System")]
    ),
}


def _element(key: str) -> Record:
    return Record("ElementDescription", key=key, label=key, summary=key)


AUTHORIZATION_OPERATIONS = {
    "SetEntityPermissions": set_permissions,
    "RemoveEntityPermission": remove_permission,
    "RetrieveEntityPermissions": entity_permissions,
    "RetrieveAllPermissions": lambda call, _manager, _args: _all_permissions(call.inventory),
    "AddAuthorizationRole": add_role,
    "HasPrivilegeOnEntities": has_privileges,
}

# TaskManager and Task ------------------------------------------------------------------------------------------------


def _states() -> Record:
    return Record(
        "TaskDescription",
        methodInfo=[_element("VirtualMachine.powerOn")],
        state=[_element(state) for state in ("queued", "running", "success", "error")],
        reason=[Record("TypeDescription", key="TaskReasonUser", label="User", summary="Started by a user")],
    )


TASK_MANAGER_PROPERTIES: dict[str, Property] = {
    "recentTask": lambda inventory, _manager: [ref(task) for task in inventory.tasks.recent[-200:]],
    "description": lambda _inventory, _manager: _states(),
    "maxCollector": lambda _inventory, _manager: 32,
}


def cancel(call: Call, task: Task, _args: Any) -> None:
    """CancelTask."""
    call.inventory.tasks.cancel(task)


TASK_OPERATIONS = {"CancelTask": cancel}

# SearchIndex ---------------------------------------------------------------------------------------------------------


def _candidates(call: Call, args: Any) -> list[Any]:
    kind = VirtualMachine if args["vmSearch"] else HostSystem
    found: list[Any] = list(call.inventory.all_of(kind))
    if args.get("datacenter"):
        found = [one for one in found if (datacenter_of(call.inventory, one) or one).moid == args["datacenter"].moid]
    return [one for one in found if may_read(call.inventory, call.user, one)]


def _by_uuid(call: Call, args: Any) -> list[Ref]:
    wanted = args["uuid"].lower()
    instance = args["vmSearch"] and args.get("instanceUuid")
    return [ref(one) for one in _candidates(call, args) if (one.instance_uuid if instance else one.uuid) == wanted]


def _by_name(call: Call, args: Any) -> list[Ref]:
    wanted = args["dnsName"].lower()
    return [
        ref(one) for one in _candidates(call, args) if (one.guest.hostname if args["vmSearch"] else one.name).lower() == wanted
    ]


def _by_ip(call: Call, args: Any) -> list[Ref]:
    wanted = args["ip"]
    return [ref(one) for one in _candidates(call, args) if wanted in (one.guest.addresses if args["vmSearch"] else [one.address])]


def _first(found: list[Ref]) -> Ref | None:
    return found[0] if found else None


def find_by_path(call: Call, _index: Service, args: Any) -> Ref | None:
    """FindByInventoryPath: names from the root folder's children down, `DC0/vm/web`."""
    entity = call.inventory.find(call.inventory.root.moid)
    for name in args["inventoryPath"].strip("/").split("/"):
        entity = next((child for child in children(call.inventory, entity) if escaped(child.name) == name), None)
        if entity is None:
            return None
    return ref(entity) if may_read(call.inventory, call.user, entity) else None


def find_child(call: Call, _index: Service, args: Any) -> Ref | None:
    """FindChild: right below a folder, datacenter, compute resource or pool; pools show their machines too."""
    parent = call.inventory.find(args["entity"].moid)
    if parent is None:
        raise Fault("ManagedObjectNotFound", "The object has already been deleted.", obj=args["entity"])
    below = children(call.inventory, parent)
    if parent.kind == "ResourcePool":
        below += [vm for vm in call.inventory.all_of(VirtualMachine) if vm.pool.moid == parent.moid]
    found = next((child for child in below if escaped(child.name) == args["name"]), None)
    return ref(found) if found is not None and may_read(call.inventory, call.user, found) else None


def find_by_datastore_path(call: Call, _index: Service, args: Any) -> Ref | None:
    """FindByDatastorePath: the machine of a .vmx file."""
    datastore, relative = split_path(args["path"])
    for vm in call.inventory.all_of(VirtualMachine):
        if (vm.datastore_name, f"{vm.directory}/{vm.vmx}") == (datastore, relative) and may_read(call.inventory, call.user, vm):
            return ref(vm)
    return None


SEARCH_OPERATIONS = {
    "FindByUuid": lambda call, _index, args: _first(_by_uuid(call, args)),
    "FindAllByUuid": lambda call, _index, args: _by_uuid(call, args),
    "FindByDnsName": lambda call, _index, args: _first(_by_name(call, args)),
    "FindAllByDnsName": lambda call, _index, args: _by_name(call, args),
    "FindByIp": lambda call, _index, args: _first(_by_ip(call, args)),
    "FindAllByIp": lambda call, _index, args: _by_ip(call, args),
    "FindByInventoryPath": find_by_path,
    "FindByDatastorePath": find_by_datastore_path,
    "FindChild": find_child,
}

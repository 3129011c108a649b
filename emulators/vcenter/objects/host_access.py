"""Who may do what on a host itself, its time, and its certificate."""

import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.kind import Kind
from emulators.vcenter.objects.host_parts import HostPart, changed, host_of, refresh, shows
from emulators.vcenter.objects.host_states import set_lockdown
from emulators.vcenter.objects.host_system import HostSystem
from emulators.vcenter.records import Record

_ZONES = {
    "UTC": ("UTC", 0),
    "Europe/Berlin": ("CET", 3600),
    "Europe/London": ("GMT", 0),
    "America/New_York": ("EST", -18000),
    "America/Los_Angeles": ("PST", -28800),
    "Asia/Tokyo": ("JST", 32400),
}
_LONGEST = 128


def initial(_inventory: Inventory, _host: HostSystem) -> dict[str, Any]:
    """What the configuration of a fresh host shows of these."""
    return {
        "dateTimeInfo": Record("HostDateTimeInfo", timeZone=_zone("UTC"), ntpConfig=Record("HostNtpConfig", server=[])),
        "lockdownMode": "lockdownDisabled",
    }


# time ----------------------------------------------------------------------------------------------------------------


def _zone(key: str) -> Record:
    name, offset = _ZONES[key]
    return Record("HostDateTimeSystemTimeZone", key=key, name=name, description=key, gmtOffset=offset)


def update_time_config(call: Call, part: HostPart, args: Any) -> None:
    """UpdateDateTimeConfig: zone and time servers."""
    told, info = args["config"], host_of(call, part).config["dateTimeInfo"]
    unknown = sorted(name for name, value in told.fields.items() if value is not None and name not in ("timeZone", "ntpConfig"))
    if unknown:
        raise Fault("NotSupported", f"Configuring {unknown[0]} is not supported by this emulator.")
    if told["timeZone"] is not None:
        if told["timeZone"] not in _ZONES:
            raise invalid_argument("config.timeZone", f"There is no time zone {told['timeZone']}.")
        info["timeZone"] = _zone(told["timeZone"])
    if told["ntpConfig"] is not None:
        info["ntpConfig"] = told["ntpConfig"].copy()
    changed(call, part, "dateTimeInfo", "dateTimeInfo")


def query_time(call: Call, part: HostPart, _args: Any) -> float:
    """QueryDateTime: the host's own clock, which may have been set."""
    return call.inventory.clock.now() + float(host_of(call, part).hidden.get("clock", 0.0))


def set_time(call: Call, part: HostPart, args: Any) -> None:
    """UpdateDateTime."""
    host_of(call, part).hidden["clock"] = args["dateTime"] - call.inventory.clock.now()


def time_service(call: Call, part: HostPart, _args: Any) -> Record:
    """TestTimeService: whether servers are told and their service runs."""
    config = host_of(call, part).config
    service = next(one for one in config["service"]["service"] if one["key"] == "ntpd")
    report = [] if config["dateTimeInfo"]["ntpConfig"]["server"] else ["No time server is configured."]
    report += [] if service["running"] else ["The service ntpd is not running."]
    return Record("HostDateTimeSystemServiceTestResult", workingNormally=not report, report=report)


# accounts ------------------------------------------------------------------------------------------------------------


def _accounts(call: Call, part: HostPart) -> dict[str, str]:
    found: dict[str, str] = host_of(call, part).hidden.setdefault("accounts", {"root": ""})
    return found


def _groups(call: Call, part: HostPart) -> dict[str, set[str]]:
    found: dict[str, set[str]] = host_of(call, part).hidden.setdefault("groups", {"root": {"root"}})
    return found


def _valid(name: str) -> str:
    if not name or len(name) > _LONGEST or not name.isprintable() or any(one in name for one in " :/\\"):
        raise invalid_argument("id", f"{name!r} is no name of an account.")
    return name


def _known(known: Any, name: str) -> str:
    if name not in known:
        raise Fault("UserNotFound", f"There is no {name} on this host.", principal=name, unresolved=False)
    return name


def create_user(call: Call, part: HostPart, args: Any) -> None:
    """CreateUser."""
    spec, accounts = args["user"], _accounts(call, part)
    if _valid(spec["id"]) in accounts:
        raise Fault("AlreadyExists", f"There is a user {spec['id']}.", name=spec["id"])
    accounts[spec["id"]] = spec["password"] or ""


def update_user(call: Call, part: HostPart, args: Any) -> None:
    """UpdateUser."""
    spec, accounts = args["user"], _accounts(call, part)
    _known(accounts, spec["id"])
    if spec["password"] is not None:
        accounts[spec["id"]] = spec["password"]


def remove_user(call: Call, part: HostPart, args: Any) -> None:
    """RemoveUser."""
    accounts, name = _accounts(call, part), args["userName"]
    _known(accounts, name)
    if name == "root":
        raise Fault("SecurityError", "root cannot be removed.")
    del accounts[name]
    for members in _groups(call, part).values():
        members.discard(name)


def create_group(call: Call, part: HostPart, args: Any) -> None:
    """CreateGroup."""
    groups, name = _groups(call, part), _valid(args["group"]["id"])
    if name in groups:
        raise Fault("AlreadyExists", f"There is a group {name}.", name=name)
    groups[name] = set()


def remove_group(call: Call, part: HostPart, args: Any) -> None:
    """RemoveGroup."""
    groups, name = _groups(call, part), args["groupName"]
    _known(groups, name)
    if name == "root":
        raise Fault("SecurityError", "root cannot be removed.")
    del groups[name]


def assign(call: Call, part: HostPart, args: Any) -> None:
    """AssignUserToGroup."""
    members = _groups(call, part)[_known(_groups(call, part), args["group"])]
    _known(_accounts(call, part), args["user"])
    if args["user"] in members:
        raise Fault("AlreadyExists", f"{args['user']} is in {args['group']} already.", name=args["user"])
    members.add(args["user"])


def unassign(call: Call, part: HostPart, args: Any) -> None:
    """UnassignUserFromGroup."""
    members = _groups(call, part)[_known(_groups(call, part), args["group"])]
    members.discard(_known(members, args["user"]))


def change_password(call: Call, part: HostPart, args: Any) -> None:
    """ChangePassword of an account that knows its old one."""
    accounts = _accounts(call, part)
    expected = accounts.get(args["user"])
    if expected is None or not hmac.compare_digest(expected.encode(), args["oldPassword"].encode()):
        raise Fault("InvalidLogin", "Cannot complete login due to an incorrect user name or password.")
    accounts[args["user"]] = args["newPassword"]


# access --------------------------------------------------------------------------------------------------------------

_MODES = ("accessAdmin", "accessReadOnly", "accessNoAccess", "accessNone")


def _entries(call: Call, part: HostPart) -> dict[tuple[str, bool], str]:
    found: dict[tuple[str, bool], str] = host_of(call, part).hidden.setdefault("access", {("root", False): "accessAdmin"})
    return found


def access_entries(call: Call, part: HostPart, _args: Any) -> list[Record]:
    """RetrieveHostAccessControlEntries."""
    entries = sorted(_entries(call, part).items())
    return [Record("HostAccessControlEntry", principal=one, group=group, accessMode=mode) for (one, group), mode in entries]


def change_access(call: Call, part: HostPart, args: Any) -> None:
    """ChangeAccessMode: `accessNone` takes an entry away."""
    entries, key = _entries(call, part), (args["principal"], args["isGroup"])
    if args["accessMode"] not in _MODES:
        raise invalid_argument("accessMode", f"{args['accessMode']} cannot be set.")
    _known(_groups(call, part) if args["isGroup"] else _accounts(call, part), args["principal"])
    if args["accessMode"] == "accessNone":
        entries.pop(key, None)
    else:
        entries[key] = args["accessMode"]


def _users(name: str) -> tuple[Any, Any]:
    """Asking for a list of users and setting it."""

    def query(call: Call, part: HostPart, _args: Any) -> list[str]:
        return list(host_of(call, part).hidden.get(name, []))

    def update(call: Call, part: HostPart, args: Any) -> None:
        told = args.get("users") or []
        for user in told:
            _known(_accounts(call, part), user)
        host_of(call, part).hidden[name] = list(dict.fromkeys(told))

    return query, update


_SYSTEM_USERS, _EXCEPTIONS = _users("system users"), _users("lockdown exceptions")


def change_lockdown(call: Call, part: HostPart, args: Any) -> None:
    """ChangeLockdownMode."""
    set_lockdown(call, host_of(call, part), args["mode"])
    call.inventory.change(part, "lockdownMode")


# certificates --------------------------------------------------------------------------------------------------------


def _certificate(call: Call, part: HostPart) -> x509.Certificate:
    """The host's certificate; it signs its first one itself, when first asked for."""
    host = host_of(call, part)
    if "certificate" not in host.hidden:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(host.name)
        now = _utc(host.booted)
        made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1825))
        host.hidden["key"] = _pem(key)
        host.hidden["certificate"] = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return x509.load_pem_x509_certificate(host.hidden["certificate"])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def _utc(when: float) -> datetime:
    return datetime.fromtimestamp(when, UTC)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def certificate_info(call: Call, part: HostPart) -> Record:
    """HostCertificateManagerCertificateInfo of the certificate in use."""
    found = _certificate(call, part)
    until = found.not_valid_after_utc.timestamp()
    return Record(
        "HostCertificateManagerCertificateInfo",
        kind="Machine",
        issuer=found.issuer.rfc4514_string(),
        notBefore=found.not_valid_before_utc.timestamp(),
        notAfter=until,
        subject=found.subject.rfc4514_string(),
        status="good" if until > call.inventory.clock.now() else "expired",
    )


def signing_request(call: Call, part: HostPart, args: Any) -> str:
    """GenerateCertificateSigningRequest: for a new key, which the host keeps."""
    host = host_of(call, part)
    return _request(host, _name(host.address if args["useIpAddressAsCommonName"] else host.name))


def signing_request_by_name(call: Call, part: HostPart, args: Any) -> str:
    """GenerateCertificateSigningRequestByDn."""
    try:
        name = x509.Name.from_rfc4514_string(args["distinguishedName"])
    except ValueError as error:
        raise invalid_argument("distinguishedName", f"It is no distinguished name: {error}.") from None
    return _request(host_of(call, part), name)


def _request(host: HostSystem, name: x509.Name) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    host.hidden["pending key"] = _pem(key)
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def install(call: Call, part: HostPart, args: Any) -> None:
    """InstallServerCertificate: one for the key of the last signing request."""
    host = host_of(call, part)
    try:
        found = x509.load_pem_x509_certificate(args["cert"].encode())
    except ValueError as error:
        raise Fault("HostConfigFault", f"It is no certificate: {error}.") from None
    pending = host.hidden.get("pending key")
    key = serialization.load_pem_private_key(pending, None) if pending is not None else None
    if key is None or found.public_key() != key.public_key():
        raise Fault("HostConfigFault", "The certificate is not for the key of the last signing request.")
    host.hidden["certificate"], host.hidden["key"] = args["cert"].encode(), host.hidden.pop("pending key")
    call.inventory.change(part, "certificateInfo")


def replace_authorities(call: Call, part: HostPart, args: Any) -> None:
    """ReplaceCACertificatesAndCRLs: all of them or none."""
    readers = (("caCert", x509.load_pem_x509_certificate), ("caCrl", x509.load_pem_x509_crl))
    for name, reader in readers:
        for text in args.get(name) or []:
            try:
                reader(text.encode())
            except ValueError as error:
                raise Fault("HostConfigFault", f"{name} holds something else: {error}.") from None
    host = host_of(call, part)
    host.hidden["authorities"], host.hidden["revocations"] = args["caCert"], args.get("caCrl") or []


def _kept(name: str) -> Any:
    return lambda call, part, _args: list(host_of(call, part).hidden.get(name, []))


def _info_of(inventory: Inventory, part: HostPart) -> Record:
    return certificate_info(Call(inventory, None), part)


HOST_ACCESS_KINDS = {
    "HostDateTimeSystem": Kind(
        {"dateTimeInfo": shows("dateTimeInfo")},
        {
            "UpdateDateTimeConfig": update_time_config,
            "QueryAvailableTimeZones": lambda _call, _part, _args: [_zone(key) for key in _ZONES],
            "QueryDateTime": query_time,
            "UpdateDateTime": set_time,
            "RefreshDateTimeSystem": refresh,
            "TestTimeService": time_service,
        },
    ),
    "HostLocalAccountManager": Kind(
        {},
        {
            "CreateUser": create_user,
            "UpdateUser": update_user,
            "RemoveUser": remove_user,
            "CreateGroup": create_group,
            "RemoveGroup": remove_group,
            "AssignUserToGroup": assign,
            "UnassignUserFromGroup": unassign,
            "ChangePassword": change_password,
        },
    ),
    "HostAccessManager": Kind(
        {"lockdownMode": shows("lockdownMode")},
        {
            "RetrieveHostAccessControlEntries": access_entries,
            "ChangeAccessMode": change_access,
            "QuerySystemUsers": _SYSTEM_USERS[0],
            "UpdateSystemUsers": _SYSTEM_USERS[1],
            "QueryLockdownExceptions": _EXCEPTIONS[0],
            "UpdateLockdownExceptions": _EXCEPTIONS[1],
            "ChangeLockdownMode": change_lockdown,
        },
    ),
    "HostCertificateManager": Kind(
        {"certificateInfo": _info_of},
        {
            "RetrieveCertificateInfoList": lambda call, part, _args: [certificate_info(call, part)],
            "GenerateCertificateSigningRequest": signing_request,
            "GenerateCertificateSigningRequestByDn": signing_request_by_name,
            "InstallServerCertificate": install,
            "ReplaceCACertificatesAndCRLs": replace_authorities,
            "ListCACertificates": _kept("authorities"),
            "ListCACertificateRevocationLists": _kept("revocations"),
        },
        volatile=frozenset({"certificateInfo"}),
    ),
}

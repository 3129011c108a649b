"""Storage policies (PBM) at `/pbm`: profiles that are made, changed, found and deleted. Types come from pyVmomi's registry too.

Policies are not applied to machines here: what asks for the objects of a policy, or for compliance, is not supported.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from emulators.vcenter import authorization, parse, schema, soap
from emulators.vcenter.faults import Fault, invalid_argument, invalid_request
from emulators.vcenter.http_body import bounded, plain
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.serialise import fragment
from emulators.vcenter.sessions import token_of

_KIND = "text/xml; charset=utf-8"
#: Object id -> its kind.
_OBJECTS = {
    "ServiceInstance": "PbmServiceInstance",
    "SessionManager": "PbmSessionManager",
    "CapabilityMetadataManager": "PbmCapabilityMetadataManager",
    "ProfileManager": "PbmProfileProfileManager",
    "complianceManager": "PbmComplianceManager",
    "placementSolver": "PbmPlacementSolver",
}
_STORAGE = "STORAGE"


@dataclass(slots=True)
class Policies:
    """The storage policies of a vCenter by their ids."""

    profiles: dict[str, Record] = field(default_factory=dict)


def policies(inventory: Inventory) -> Policies:
    found: Policies = inventory.beside.setdefault("pbm", Policies())
    return found


def pbm(inventory: Inventory, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The door of `/pbm` and `/pbm/sdk`."""
    if environ["REQUEST_METHOD"] != "POST" or environ.get("PATH_INFO", "").rstrip("/") not in ("/pbm", "/pbm/sdk"):
        return plain(start_response, "404 Not Found", "There is nothing here.\n")
    body = bounded(environ, parse.MAX_BODY)
    if body is None:
        return plain(start_response, "413 Content Too Large", "The request is too large.\n")
    try:
        with inventory.lock:
            name, content = _answer(inventory, body, environ)
    except Fault as fault:
        return plain(start_response, "500 Internal Server Error", soap.fault_text(fault), kind=_KIND)
    return plain(start_response, "200 OK", soap.enveloped(name, content, namespace=schema.PBM), kind=_KIND)


def _answer(inventory: Inventory, body: bytes, environ: dict[str, Any]) -> tuple[str, str]:
    request = parse.request(body, namespace=schema.PBM)
    kind = _OBJECTS.get(request.this.moid)
    if kind is None or kind != request.this.kind:
        raise invalid_request(f"There is no {request.this.kind} {request.this.moid}.")
    method = schema.methods(kind).get(request.method)
    if method is None:
        raise Fault("MethodNotFound", f"{kind} has no method {request.method}.", receiver=request.this, method=request.method)
    call = Call(inventory, inventory.sessions.find(_token(request.header, environ)))
    if method.name != "PbmRetrieveServiceContent":
        if call.session is None:
            raise Fault("NotAuthenticated", "The session is not authenticated.", object=inventory.root, privilegeId="System.View")
        root = inventory.find(inventory.root.moid)
        authorization.check(inventory, call.user, root, method.privilege or "StorageProfile.View")
    operation = _OPERATIONS.get(method.name)
    if operation is None:
        raise Fault("NotSupported", f"{kind}.{method.name} is not supported by this emulator.")
    result = operation(call, parse.arguments(request.arguments, method.params))
    if result is None or method.result is None:
        return method.name, ""
    return method.name, fragment("returnval", method.result.name, result)


def _token(header: Any, environ: dict[str, Any]) -> str:
    """The session's secret: as a header of the message, where clients of this service put it, or as cookie."""
    for element in header if header is not None else ():
        if etree.QName(element).localname == "vcSessionCookie":
            return (element.text or "").strip().strip('"')
    return token_of(environ.get("HTTP_COOKIE", ""))


# operations ----------------------------------------------------------------------------------------------------------


def _content(call: Call, _args: Any) -> Record:
    managers = {
        "sessionManager": "SessionManager",
        "capabilityMetadataManager": "CapabilityMetadataManager",
        "profileManager": "ProfileManager",
        "complianceManager": "complianceManager",
        "placementSolver": "placementSolver",
    }
    about = Record("PbmAboutInfo", name="PBM", version="2.0", instanceUuid=call.inventory.instance_uuid)
    refs = {name: Ref(_OBJECTS[moid], moid) for name, moid in managers.items()}
    return Record("PbmServiceInstanceContent", aboutInfo=about, **refs)


def _create(call: Call, args: Any) -> Record:
    """PbmCreate."""
    spec, kept, now = args["createSpec"], policies(call.inventory), call.inventory.clock.now()
    _named(kept, spec["name"])
    identifier = Record("PbmProfileId", uniqueId=call.inventory.clock.uuid())
    kept.profiles[identifier["uniqueId"]] = Record(
        "PbmCapabilityProfile",
        profileId=identifier,
        name=spec["name"],
        description=spec["description"] or "",
        creationTime=now,
        createdBy=call.user,
        lastUpdatedTime=now,
        lastUpdatedBy=call.user,
        profileCategory=spec["category"] or "REQUIREMENT",
        resourceType=spec["resourceType"],
        constraints=spec["constraints"],
        generationId=0,
        isDefault=False,
    )
    call.inventory.touch("pbm")
    return identifier


def _named(kept: Policies, name: str, other_than: Record | None = None) -> None:
    if not name.strip() or len(name) > 80:
        raise invalid_argument("name", "A profile needs a name of at most 80 characters.")
    if any(profile["name"] == name and profile is not other_than for profile in kept.profiles.values()):
        raise Fault("PbmDuplicateName", f"There is a profile {name!r} already.", name=name)


def _one(call: Call, identifier: Record) -> Record:
    found = policies(call.inventory).profiles.get(identifier["uniqueId"])
    if found is None:
        raise invalid_argument("profileId", f"There is no profile {identifier['uniqueId']}.")
    return found


def _update(call: Call, args: Any) -> None:
    """PbmUpdate."""
    profile, spec = _one(call, args["profileId"]), args["updateSpec"]
    if spec["name"] is not None:
        _named(policies(call.inventory), spec["name"], profile)
    for name in ("name", "description", "constraints"):
        if spec[name] is not None:
            profile[name] = spec[name]
    profile["generationId"] += 1
    profile["lastUpdatedTime"], profile["lastUpdatedBy"] = call.inventory.clock.now(), call.user
    call.inventory.touch("pbm")


def _delete(call: Call, args: Any) -> list[Record]:
    """PbmDelete: each on its own; what failed is listed with its reason."""
    outcomes = []
    for identifier in args["profileId"]:
        outcome = Record("PbmProfileOperationOutcome", profileId=identifier)
        try:
            _one(call, identifier)
            del policies(call.inventory).profiles[identifier["uniqueId"]]
        except Fault as fault:
            outcome["fault"] = fault.record()
        outcomes.append(outcome)
    call.inventory.touch("pbm")
    return outcomes


def _query(call: Call, args: Any) -> list[Record]:
    """PbmQueryProfile."""
    resource, category = args["resourceType"]["resourceType"], args.get("profileCategory")
    return [
        profile["profileId"]
        for profile in policies(call.inventory).profiles.values()
        if profile["resourceType"]["resourceType"] == resource and category in (None, profile["profileCategory"])
    ]


_OPERATIONS: dict[str, Callable[[Call, Any], Any]] = {
    "PbmRetrieveServiceContent": _content,
    "PbmCreate": _create,
    "PbmUpdate": _update,
    "PbmDelete": _delete,
    "PbmQueryProfile": _query,
    "PbmRetrieveContent": lambda call, args: [_one(call, identifier) for identifier in args["profileIds"]],
    "PbmFetchResourceType": lambda _call, _args: [Record("PbmProfileResourceType", resourceType=_STORAGE)],
}

"""LicenseManager and the assignment of licences."""

import re
from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter.entity import Property
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.records import Record, Ref, Typed

EVALUATION = "00000-00000-00000-00000-00000"
ASSIGNMENT = "LicenseAssignmentManager"
_KEY = re.compile(r"[A-Z0-9]{5}(-[A-Z0-9]{5}){4}")
_FEATURES = {
    "vmotion": "vMotion",
    "drs": "Distributed Resource Scheduler",
    "das": "vSphere HA",
    "replication": "vSphere Replication",
}


def _evaluation() -> Record:
    properties = [Record("KeyAnyValue", key="ProductName", value=Typed("xsd:string", "VMware vCenter Server"))]
    return Record(
        "LicenseManagerLicenseInfo",
        licenseKey=EVALUATION,
        editionKey="eval",
        name="Evaluation Mode",
        total=0,
        used=0,
        costUnit="",
        properties=properties,
    )


@dataclass(slots=True)
class Licenses:
    """Licences by key, and which one an entity has."""

    kind: str
    moid: str
    known: dict[str, Record] = field(default_factory=lambda: {EVALUATION: _evaluation()})
    assigned: dict[str, tuple[str, str]] = field(default_factory=dict)  #: entity id -> key and shown name
    cache: dict[str, Any] = field(default_factory=dict)


def _decoded(key: str) -> Record:
    if not _KEY.fullmatch(key):
        raise invalid_argument("licenseKey", f"{key!r} is not a licence key: five groups of five letters and digits.")
    name = "vSphere Enterprise Plus"
    return Record(
        "LicenseManagerLicenseInfo",
        licenseKey=key,
        editionKey="esx.enterprisePlus.cpuPackage",
        name=name,
        total=32,
        used=0,
        costUnit="cpuPackage",
    )


def _known(licenses: Licenses, key: str) -> Record:
    found = licenses.known.get(key)
    if found is None:
        raise Fault("NotFound", f"There is no licence {key}.")
    return found


def add(call: Call, licenses: Licenses, args: Any) -> Record:
    """AddLicense (again: the same licence), UpdateLicense."""
    made = licenses.known.get(args["licenseKey"]) or _decoded(args["licenseKey"])
    labels = args.get("labels")
    if labels:
        made["labels"] = list(labels)
    licenses.known[args["licenseKey"]] = made
    _changed(call, licenses)
    return made


def remove(call: Call, licenses: Licenses, args: Any) -> None:
    """RemoveLicense: not one that is in use."""
    _known(licenses, args["licenseKey"])
    if args["licenseKey"] == EVALUATION or any(key == args["licenseKey"] for key, _ in licenses.assigned.values()):
        raise invalid_argument("licenseKey", "The licence is in use.")
    del licenses.known[args["licenseKey"]]
    _changed(call, licenses)


def label(call: Call, licenses: Licenses, args: Any) -> None:
    """UpdateLicenseLabel, RemoveLicenseLabel."""
    found = _known(licenses, args["licenseKey"])
    kept = [one for one in found["labels"] or [] if one["key"] != args["labelKey"]]
    if "labelValue" in args:
        kept.append(Record("KeyValue", key=args["labelKey"], value=args["labelValue"]))
    elif len(kept) == len(found["labels"] or []):
        raise Fault("NotFound", f"There is no label {args['labelKey']}.")
    found["labels"] = kept
    _changed(call, licenses)


def _changed(call: Call, licenses: Licenses) -> None:
    for key, one in licenses.known.items():
        one["used"] = sum(used == key for used, _ in licenses.assigned.values())
    call.inventory.change(licenses, "licenses")


def _evaluation_info(_inventory: Inventory, _licenses: Licenses) -> Record:
    properties = [Record("KeyAnyValue", key="expirationHours", value=Typed("xsd:long", 1440))]
    return Record("LicenseManagerEvaluationInfo", properties=properties)


# assignment ----------------------------------------------------------------------------------------------------------


def _licenses(call: Call) -> Licenses:
    found: Licenses = call.inventory.find("LicenseManager")
    return found


def _assignment(licenses: Licenses, entity: str) -> Record:
    key, name = licenses.assigned.get(entity, (EVALUATION, entity))
    return Record(
        "LicenseAssignmentManagerLicenseAssignment", entityId=entity, entityDisplayName=name, assignedLicense=licenses.known[key]
    )


def _licensed(inventory: Inventory) -> list[str]:
    hosts = [one.moid for one in inventory.objects() if one.kind == "HostSystem"]
    return [inventory.instance_uuid, *hosts]


def query(call: Call, _assignments: Any, args: Any) -> list[Record]:
    """QueryAssignedLicenses: of vCenter and each host, or of one."""
    entities = _licensed(call.inventory)
    wanted = args.get("entityId")
    if wanted and wanted not in entities:
        return []
    return [_assignment(_licenses(call), entity) for entity in ([wanted] if wanted else entities)]


def assign(call: Call, _assignments: Any, args: Any) -> Record:
    """UpdateAssignedLicense."""
    licenses = _licenses(call)
    if args["entity"] not in _licensed(call.inventory):
        raise invalid_argument("entity", "Licences are for vCenter (its instance UUID) and hosts.")
    found = add(call, licenses, {"licenseKey": args["licenseKey"]})
    licenses.assigned[args["entity"]] = (args["licenseKey"], args.get("entityDisplayName") or args["entity"])
    _changed(call, licenses)
    return found


def unassign(call: Call, _assignments: Any, args: Any) -> None:
    """RemoveAssignedLicense: back to evaluation."""
    licenses = _licenses(call)
    if licenses.assigned.pop(args["entityId"], None) is None:
        raise Fault("NotFound", "The entity has no licence of its own.")
    _changed(call, licenses)


def features(_call: Call, _licenses: Licenses, _args: Any) -> list[Record]:
    """QuerySupportedFeatures."""
    return [Record("LicenseFeatureInfo", key=key, featureName=name, costUnit="cpuPackage") for key, name in _FEATURES.items()]


LICENSES_PROPERTIES: dict[str, Property] = {
    "licenses": lambda _inventory, licenses: list(licenses.known.values()),
    "licenseAssignmentManager": lambda _inventory, _licenses: Ref(ASSIGNMENT, ASSIGNMENT),
    "source": lambda inventory, _licenses: Record("LicenseServerSource", licenseServer=inventory.name),
    "sourceAvailable": lambda _inventory, _licenses: True,
    "licensedEdition": lambda _inventory, _licenses: "vc",
    "evaluation": _evaluation_info,
}
LICENSES_OPERATIONS = {
    "AddLicense": add,
    "UpdateLicense": lambda call, licenses, args: add(
        call, licenses, {**args, "licenseKey": _known(licenses, args["licenseKey"])["licenseKey"]}
    ),
    "RemoveLicense": remove,
    "DecodeLicense": lambda _call, licenses, args: licenses.known.get(args["licenseKey"]) or _decoded(args["licenseKey"]),
    "UpdateLicenseLabel": label,
    "RemoveLicenseLabel": label,
    "QuerySupportedFeatures": features,
    "CheckLicenseFeature": lambda _call, _licenses, args: args["featureKey"] in _FEATURES,
}
ASSIGNMENT_OPERATIONS = {"QueryAssignedLicenses": query, "UpdateAssignedLicense": assign, "RemoveAssignedLicense": unassign}

"""CustomizationSpecManager: named specifications of guest customization, and their XML."""

from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter import parse
from emulators.vcenter.entity import Property
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call
from emulators.vcenter.objects.virtual_machine import GUEST_NAMES, guest_family
from emulators.vcenter.records import Record
from emulators.vcenter.serialise import fragment

_KINDS = {"CustomizationLinuxPrep": "Linux", "CustomizationSysprep": "Windows", "CustomizationSysprepText": "Windows"}


@dataclass(slots=True)
class CustomizationSpecs:
    """Specifications by name."""

    kind: str
    moid: str
    items: dict[str, Record] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)


def _known(specs: CustomizationSpecs, name: str) -> Record:
    if name not in specs.items:
        raise Fault("NotFound", f"There is no customization specification {name}.")
    return specs.items[name]


def _free(specs: CustomizationSpecs, name: str) -> str:
    if not name.strip() or len(name) > 128:
        raise invalid_argument("item.info.name", "A name of 1 to 128 characters is required.")
    if name in specs.items:
        raise Fault("AlreadyExists", f"There is a customization specification {name}.", name=name)
    return name


def _kept(call: Call, specs: CustomizationSpecs, item: Record, version: int) -> None:
    kept = item.copy()
    kind = _KINDS.get(kept["spec"]["identity"].kind)
    if kind is None or kept["info"]["type"] != kind:
        raise invalid_argument("item.info.type", f"It does not fit {kept['spec']['identity'].kind}.")
    kept["info"].fields.update(changeVersion=str(version), lastUpdateTime=call.inventory.clock.now())
    specs.items[kept["info"]["name"]] = kept
    call.inventory.change(specs, "info")


def create(call: Call, specs: CustomizationSpecs, args: Any) -> None:
    """CreateCustomizationSpec."""
    _free(specs, args["item"]["info"]["name"])
    _kept(call, specs, args["item"], 1)


def overwrite(call: Call, specs: CustomizationSpecs, args: Any) -> None:
    """OverwriteCustomizationSpec: of the version that was read, if it is told."""
    info = args["item"]["info"]
    old = _known(specs, info["name"])["info"]["changeVersion"]
    if info["changeVersion"] and info["changeVersion"] != old:
        raise Fault("ConcurrentAccess", "The specification has been changed by somebody else.")
    _kept(call, specs, args["item"], int(old) + 1)


def delete(call: Call, specs: CustomizationSpecs, args: Any) -> None:
    """DeleteCustomizationSpec."""
    _known(specs, args["name"])
    del specs.items[args["name"]]
    call.inventory.change(specs, "info")


def _renamed(call: Call, specs: CustomizationSpecs, args: Any, *, keep: bool) -> None:
    found = _known(specs, args["name"])
    name = _free(specs, args["newName"])
    item = found.copy()
    item["info"]["name"] = name
    specs.items[name] = item
    if not keep:
        del specs.items[args["name"]]
    call.inventory.change(specs, "info")


def to_xml(_call: Call, _specs: CustomizationSpecs, args: Any) -> str:
    """CustomizationSpecItemToXml."""
    content = fragment("ConfigRoot", "CustomizationSpecItem", args["item"])
    spaces = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
    return content.replace("<ConfigRoot", f"<ConfigRoot {spaces}", 1)


def from_xml(_call: Call, _specs: CustomizationSpecs, args: Any) -> Record:
    """XmlToCustomizationSpecItem."""
    try:
        return parse.record(args["specItemXml"].encode(), "CustomizationSpecItem")
    except Fault as fault:
        raise Fault("CustomizationFault", f"It is no customization specification: {fault.message}") from None


def customizable(_call: Call, _specs: CustomizationSpecs, args: Any) -> bool:
    """IsGuestOsCustomizable."""
    return args["guestId"] in GUEST_NAMES and guest_family(args["guestId"]) != "otherGuestFamily"


def check_resources(_call: Call, _specs: CustomizationSpecs, args: Any) -> None:
    """CheckCustomizationResources: whether this server has what a guest needs."""
    if not customizable(_call, _specs, {"guestId": args["guestOs"]}):
        raise Fault("UncustomizableGuest", "The guest cannot be customized.", uncustomizableGuestOS=args["guestOs"])


SPECS_PROPERTIES: dict[str, Property] = {"info": lambda _inventory, specs: [one["info"] for one in specs.items.values()]}
SPECS_OPERATIONS = {
    "DoesCustomizationSpecExist": lambda _call, specs, args: args["name"] in specs.items,
    "GetCustomizationSpec": lambda _call, specs, args: _known(specs, args["name"]),
    "CreateCustomizationSpec": create,
    "OverwriteCustomizationSpec": overwrite,
    "DeleteCustomizationSpec": delete,
    "DuplicateCustomizationSpec": lambda call, specs, args: _renamed(call, specs, args, keep=True),
    "RenameCustomizationSpec": lambda call, specs, args: _renamed(call, specs, args, keep=False),
    "CustomizationSpecItemToXml": to_xml,
    "XmlToCustomizationSpecItem": from_xml,
    "IsGuestOsCustomizable": customizable,
    "CheckCustomizationResources": check_resources,
}

"""OVF descriptors (DSP0243 1.1): reading what others wrote, which may be anything, and writing our own."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from emulators.vcenter.faults import Fault

OVF = "http://schemas.dmtf.org/ovf/envelope/1"
RASD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
VSSD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
VMW = "http://www.vmware.com/schema/ovf"
_MOST, _MOST_ITEMS = 4 * 1024 * 1024, 1000
_UNITS = {"": 1, "byte": 1, "kilobytes": 1024, "megabytes": 1024**2, "gigabytes": 1024**3}
FORMAT = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
#: ResourceType of the devices that are understood.
CPU, MEMORY, IDE, SCSI, CARD, FLOPPY, CD, DVD, DISK, SATA = 3, 4, 5, 6, 10, 14, 15, 16, 17, 20


@dataclass(frozen=True, slots=True)
class File:
    """A file of the package."""

    id: str
    href: str
    size: int


@dataclass(frozen=True, slots=True)
class DiskEntry:
    """A disk: its capacity in bytes and the file with its content, if there is one."""

    id: str
    capacity: int
    file: str
    populated: int


@dataclass(frozen=True, slots=True)
class Item:
    """A device of a machine."""

    kind: int
    instance: str
    parent: str
    address: int | None
    quantity: int
    subtype: str
    connection: str
    host_resource: str
    name: str


@dataclass(slots=True)
class System:
    """A machine of the package."""

    id: str
    name: str
    os_type: str
    annotation: str
    version: str
    items: list[Item] = field(default_factory=list)


@dataclass(slots=True)
class Collection:
    """A vApp of the package: machines and further vApps."""

    id: str
    name: str
    annotation: str
    content: "list[System | Collection]" = field(default_factory=list)


@dataclass(slots=True)
class Package:
    """All that a descriptor says. Names in a table have no double."""

    files: dict[str, File]
    disks: dict[str, DiskEntry]
    networks: dict[str, str]
    content: System | Collection
    options: list[tuple[str, str, str]]  #: deployment options: id, label, description; the default first
    eula: list[str]
    product: dict[str, str]

    def systems(self) -> Iterator[System]:
        yield from _systems(self.content)

    def content_of(self, system: System) -> list[tuple[Item, DiskEntry]]:
        """The disks of a machine with their devices."""
        return [(item, self.disk_of(item)) for item in system.items if item.kind == DISK]

    def disk_of(self, item: Item) -> DiskEntry:
        """Raises `Fault("OvfInvalidValue")` when there is no such disk."""
        kind, _, name = item.host_resource.removeprefix("ovf:").strip("/").partition("/")
        found = self.disks.get(name) if kind == "disk" else None
        if found is None:
            raise invalid_value("HostResource", item.host_resource)
        return found


def _systems(content: System | Collection) -> Iterator[System]:
    if isinstance(content, System):
        yield content
        return
    for one in content.content:
        yield from _systems(one)


def invalid_value(element: str, value: str, attribute: str = "") -> Fault:
    text = f"'{value[:100]}' is no value for {attribute or element}."
    return Fault("OvfInvalidValue", text, lineNumber=0, elementName=element, attributeName=attribute, value=value[:100])


def _missing(name: str) -> Fault:
    return Fault("OvfMissingElement", f"The descriptor has no {name}.", lineNumber=0, name=name)


# reading -----------------------------------------------------------------------------------------------------------------


def parse(text: str) -> Package:
    """Read a descriptor. Raises a `Fault` of the Ovf family that says what is wrong."""
    raw = text.encode()
    if len(raw) > _MOST:
        raise Fault("OvfInvalidPackage", "The descriptor is too large.", lineNumber=0)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True)
    try:
        root = etree.fromstring(raw, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        line = getattr(error, "lineno", 0) or 0
        text_ = f"The descriptor is not well-formed XML: {error}"
        raise Fault("OvfXmlFormat", text_, lineNumber=line, description=str(error)) from None
    document: Any = root.getroottree().docinfo
    if document.doctype or root.tag != f"{{{OVF}}}Envelope":
        raise Fault("OvfInvalidPackage", "It is not an OVF 1.x envelope.", lineNumber=0)
    files = {one.id: one for one in map(_file, _all(root, "References/File"))}
    disks = {one.id: one for one in (_disk(element, files) for element in _all(root, "DiskSection/Disk"))}
    networks = {_told(one, "name"): _text(one, "Description") for one in _all(root, "NetworkSection/Network")}
    content = next((found for child in root if (found := _content(child, 0)) is not None), None)
    if content is None:
        raise _missing("VirtualSystem")
    options = sorted(_all(root, "DeploymentOptionSection/Configuration"), key=lambda one: _told(one, "default", "") != "true")
    product = next(iter(root.iter(f"{{{OVF}}}ProductSection")), None)
    return Package(
        files,
        disks,
        networks,
        content,
        [(_told(one, "id"), _text(one, "Label"), _text(one, "Description")) for one in options],
        [_text(one, "License") for one in root.iter(f"{{{OVF}}}EulaSection")],
        {name: _text(product, name) for name in ("Product", "Vendor", "Version", "FullVersion")} if product is not None else {},
    )


def _all(root: Any, path: str) -> list[Any]:
    found = root.findall("/".join(f"{{{OVF}}}{part}" for part in path.split("/")))
    if len(found) > _MOST_ITEMS:
        raise Fault("OvfInvalidPackage", f"The descriptor has too many of {path}.", lineNumber=0)
    return list(found)


def _text(element: Any, name: str, space: str = OVF) -> str:
    found = element.find(f"{{{space}}}{name}")
    return (found.text or "").strip() if found is not None else ""


def _told(element: Any, name: str, default: str | None = None) -> str:
    """An attribute, with its prefix or without."""
    value = element.get(f"{{{OVF}}}{name}", element.get(name, default))
    if value is None:
        raise invalid_value(etree.QName(element).localname, "", name)
    return str(value)


def _number(element: str, value: str, attribute: str = "") -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise invalid_value(element, value, attribute)
    return int(value)


def _file(element: Any) -> File:
    href = _told(element, "href")
    if "/" in href or "\\" in href or href in ("", ".", ".."):
        raise invalid_value("File", href, "href")
    return File(_told(element, "id"), href, _number("File", _told(element, "size", "0"), "size"))


def _disk(element: Any, files: dict[str, File]) -> DiskEntry:
    unit = _told(element, "capacityAllocationUnits", "byte").strip().lower().replace(" ", "")
    factor = _UNITS.get(unit)
    if factor is None and unit.startswith("byte*2^") and unit[7:] in ("10", "20", "30", "40"):
        factor = 2 ** int(unit[7:])
    if factor is None:
        raise invalid_value("Disk", unit, "capacityAllocationUnits")
    file = _told(element, "fileRef", "")
    if file and file not in files:
        raise invalid_value("Disk", file, "fileRef")
    capacity = _number("Disk", _told(element, "capacity"), "capacity") * factor
    if not 0 < capacity <= 62 * 1024**4:
        raise invalid_value("Disk", str(capacity), "capacity")
    populated = _number("Disk", _told(element, "populatedSize", "0"), "populatedSize")
    return DiskEntry(_told(element, "diskId"), capacity, file, populated)


def _content(element: Any, depth: int) -> System | Collection | None:
    name = etree.QName(element).localname if isinstance(element.tag, str) else ""
    if name not in ("VirtualSystem", "VirtualSystemCollection"):
        return None
    if depth > 8:
        raise Fault("OvfInvalidPackage", "The descriptor is nested too deeply.", lineNumber=0)
    annotation = next((_text(one, "Annotation") for one in element.findall(f"{{{OVF}}}AnnotationSection")), "")
    ident, shown = _told(element, "id"), _text(element, "Name")
    if name == "VirtualSystemCollection":
        inner = [found for child in element if (found := _content(child, depth + 1)) is not None]
        return Collection(ident, shown or ident, annotation, inner)
    hardware = element.find(f"{{{OVF}}}VirtualHardwareSection")
    if hardware is None:
        raise _missing("VirtualHardwareSection")
    system = element.find(f"{{{OVF}}}OperatingSystemSection")
    guest = system.get(f"{{{VMW}}}osType", "") if system is not None else ""
    version = next((_text(one, "VirtualSystemType", VSSD) for one in hardware.findall(f"{{{OVF}}}System")), "")
    items = [_item(one) for one in _all(hardware, "Item")]
    return System(ident, shown or ident, guest, annotation, version, items)


def _item(element: Any) -> Item:
    def read(name: str) -> str:
        return _text(element, name, RASD)

    kind = _number("ResourceType", read("ResourceType"))
    quantity = read("VirtualQuantity")
    address = read("AddressOnParent") or read("Address")
    return Item(
        kind,
        read("InstanceID"),
        read("Parent"),
        int(address) if address.isascii() and address.isdigit() and len(address) < 5 else None,
        _number("VirtualQuantity", quantity) if quantity else 1,
        read("ResourceSubType").split(" ")[0].lower(),
        read("Connection"),
        read("HostResource"),
        read("ElementName"),
    )


# writing -----------------------------------------------------------------------------------------------------------------


def element(parent: Any, name: str, text: str = "", space: str = OVF, /, **attributes: str) -> Any:
    """A new element below another; attributes are of OVF."""
    made = etree.SubElement(parent, f"{{{space}}}{name}", {f"{{{OVF}}}{key}": value for key, value in attributes.items()})
    if text:
        made.text = text
    return made


def envelope() -> Any:
    spaces: Any = {None: OVF, "ovf": OVF, "rasd": RASD, "vssd": VSSD, "vmw": VMW}
    return etree.Element(f"{{{OVF}}}Envelope", nsmap=spaces)


def item(parent: Any, **values: object) -> None:
    """A device: its values in the order of the alphabet, as the schema wants them."""
    made = element(parent, "Item")
    for name in sorted(values):
        element(made, name, str(values[name]), RASD)


def text_of(root: Any) -> str:
    raw: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return raw.decode()

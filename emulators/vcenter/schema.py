"""The type system of vim25, taken from pyVmomi's registry: types with their fields, managed types with methods and properties."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from pyVmomi import VmomiSupport, vim  # vim: importing it fills the registry

NAMESPACE = "urn:vim25"
#: Of storage policies: all its types have names that begin with `Pbm`.
PBM = "urn:pbm"
XSD = VmomiSupport.XMLNS_XSD
_FAULT = VmomiSupport.GetVmodlType("vmodl.MethodFault")
_TEXTS = (type, VmomiSupport.ManagedMethod, VmomiSupport.PropertyPath)
assert vim is not None


@dataclass(frozen=True, slots=True)
class Type:
    """One type. `category` is data, fault, enum, ref, list, any or scalar; scalars carry their xsd name."""

    name: str
    category: str
    python: Any

    @property
    def item(self) -> "Type":
        """Of a list: the type of its items."""
        return described(self.python.Item)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a data object, a property of a managed object, or a parameter of a method."""

    name: str
    type: Type
    optional: bool
    privilege: str | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """An operation of a managed type."""

    name: str
    params: tuple[Field, ...]
    result: Type | None
    privilege: str | None
    is_task: bool
    label: str  #: as in TaskInfo.descriptionId: VirtualMachine.powerOn


@cache
def described(python: Any) -> Type:
    """The `Type` of a pyVmomi type."""
    if python is object:
        return Type("xsd:anyType", "any", python)
    if python in _TEXTS:
        return Type("xsd:string", "scalar", python)
    if issubclass(python, list):
        return Type(_list_name(python.Item), "list", python)
    if issubclass(python, VmomiSupport.ManagedObject):
        return Type(VmomiSupport.GetWsdlName(python), "ref", python)
    if issubclass(python, _FAULT):
        return Type(VmomiSupport.GetWsdlName(python), "fault", python)
    if issubclass(python, VmomiSupport.DataObject):
        return Type(VmomiSupport.GetWsdlName(python), "data", python)
    if issubclass(python, VmomiSupport.Enum):
        return Type(VmomiSupport.GetWsdlName(python), "enum", python)
    if issubclass(python, datetime):
        return Type("xsd:dateTime", "scalar", python)
    return Type(f"xsd:{VmomiSupport.GetWsdlName(python)}", "scalar", python)


def _list_name(item: Any) -> str:
    if issubclass(item, VmomiSupport.ManagedObject):
        return "ArrayOfManagedObjectReference"
    if item in _TEXTS:
        return "ArrayOfString"
    name = VmomiSupport.GetWsdlName(item)
    return f"ArrayOf{name[0].upper()}{name[1:]}"


@cache
def named(name: str) -> Type:
    """The type of a wire name (`VirtualDisk`, `xsd:int`, `ArrayOfString`). Raises `KeyError`."""
    if name.startswith("xsd:"):
        return described(VmomiSupport.GetWsdlType(XSD, name[4:]))
    if name in ("ManagedObjectReference", "ArrayOfManagedObjectReference"):
        name = name.removesuffix("Reference")
    try:
        return described(VmomiSupport.GetWsdlType(_namespace_of(name), name))
    except KeyError:
        if name.startswith("ArrayOf"):  # made when first asked for
            item = _item_of(name[7:])
            return described(VmomiSupport.GetVmodlType(item.__name__ + "[]"))
        raise


def _namespace_of(name: str) -> str:
    return PBM if name.removeprefix("ArrayOf").startswith("Pbm") else NAMESPACE


def _item_of(name: str) -> Any:
    """The type that a list holds; the names of a few begin with a small letter, which the list's does not show."""
    try:
        return VmomiSupport.GetWsdlType(_namespace_of(name), name)
    except KeyError:
        return VmomiSupport.GetWsdlType(NAMESPACE, name[0].lower() + name[1:])


def _fields(properties: Any) -> tuple[Field, ...]:
    return tuple(
        Field(info.name, described(info.type), bool(info.flags & VmomiSupport.F_OPTIONAL), getattr(info, "privId", None))
        for info in properties
    )


@cache
def fields(name: str) -> tuple[Field, ...]:
    """The fields of a data object or fault in the order of the wire. Raises `KeyError`."""
    return _fields(named(name).python._GetPropertyList())


@cache
def field_names(name: str) -> frozenset[str]:
    return frozenset(field.name for field in fields(name))


@cache
def property_of(kind: str, name: str) -> Field | None:
    """A property of a managed type, or a field of a data type; None when it has none of that name."""
    return next((field for field in fields(kind) if field.name == name), None)


@cache
def ancestors(kind: str) -> frozenset[str]:
    """The wire names of a type and all its bases."""
    names = set()
    for base in named(kind).python.__mro__:
        try:
            names.add(VmomiSupport.GetWsdlName(base))
        except (KeyError, TypeError):
            continue
    return frozenset(names)


def is_a(kind: str, base: str) -> bool:
    """Whether `kind` is `base` or derived from it."""
    return base in ancestors(kind)


@cache
def exists(kind: str) -> bool:
    """Whether the wire knows a type of this name."""
    try:
        named(kind)
    except KeyError:
        return False
    return True


@cache
def methods(kind: str) -> dict[str, Method]:
    """The operations of a managed type by their wire names."""
    return {info.wsdlName: _method(kind, info) for info in named(kind).python._GetMethodList()}


def _method(kind: str, info: Any) -> Method:
    result = info.result
    empty = result is None or result is type(None)
    return Method(
        name=info.wsdlName,
        params=_fields(info.params),
        result=None if empty else described(result),
        privilege=info.privId,
        is_task=info.isTask,
        label=f"{_declared_in(kind, info)}.{info.name[0].lower()}{info.name[1:]}",
    )


def _declared_in(kind: str, info: Any) -> str:
    name: str = info.typeName if isinstance(info.typeName, str) else kind
    return name.rpartition(".")[2]


@cache
def privileges() -> tuple[str, ...]:
    """Every privilege id that an operation of the registry asks for, sorted."""
    found = {"System.Anonymous", "System.View", "System.Read"}
    for kind in managed_types():
        for method in methods(kind).values():
            found.update(p for p in (method.privilege, *(param.privilege for param in method.params)) if p)
    return tuple(sorted(found))


@cache
def managed_types() -> tuple[str, ...]:
    """The wire names of all managed types of vim25, sorted."""
    found = [VmomiSupport.GetVmodlType(name) for name in VmomiSupport.ListManagedTypes()]
    names = {VmomiSupport.GetQualifiedWsdlName(python) for python in found}
    return tuple(sorted(name for namespace, name in names if namespace == NAMESPACE and name != "ManagedObject"))


def versions(newest: str) -> list[str]:
    """The API versions up to `newest` as clients ask for them, newest first (`6.5`, `6.0`, ...)."""
    known = [VmomiSupport.versionIdMap[version] for version in VmomiSupport.GetServiceVersions("vim25")]
    plain = [version for version in known if version and version[0].isdigit()]
    if newest not in plain:
        raise ValueError(f"there is no API version {newest}; known are {', '.join(plain)}")
    return plain[plain.index(newest) :]

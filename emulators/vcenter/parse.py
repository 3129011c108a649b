"""SOAP requests to values, driven by the schema. Input is hostile: no entities, no network, bounded size and depth."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lxml import etree

from emulators.vcenter import schema
from emulators.vcenter.faults import invalid_argument, invalid_request
from emulators.vcenter.records import Record, Ref, Typed

MAX_BODY = 4 * 1024 * 1024
_MAX_DEPTH = 60
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


@dataclass(frozen=True, slots=True)
class Request:
    """One call: the operation's wire name, the object it is for, its arguments as XML (read when the method is known)."""

    method: str
    this: Ref
    arguments: Any
    header: Any = None


def document(body: bytes) -> Any:
    """The root of an XML document. Raises `Fault("InvalidRequest")`, also for a document type declaration."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise invalid_request(f"The request is not well-formed XML: {error}") from None
    info: Any = root.getroottree().docinfo
    if info.doctype:
        raise invalid_request("A document type declaration is not accepted")
    return root


def request(body: bytes, namespace: str = schema.NAMESPACE) -> Request:
    """Read an envelope with a call of a namespace. Raises `Fault("InvalidRequest")`."""
    root = document(body)
    content = root.find(f"{{{_SOAP}}}Body")
    if root.tag != f"{{{_SOAP}}}Envelope" or content is None or len(content) != 1:
        raise invalid_request("The request is not a SOAP 1.1 envelope with one call")
    call = content[0]
    this = next((child for child in call if etree.QName(child).localname == "_this"), None)
    if this is None or not this.get("type"):
        raise invalid_request("The request names no object (_this)")
    name = etree.QName(call)
    if name.namespace is None or not name.namespace.startswith(namespace):
        raise invalid_request(f"Namespace {name.namespace} is not served here")
    return Request(name.localname, _ref(this), call, root.find(f"{{{_SOAP}}}Header"))


def record(text: bytes, kind: str) -> Record:
    """The data object of a kind in a document of its own. Raises `Fault` for what does not fit."""
    if len(text) > MAX_BODY:
        raise invalid_request("The document is too long")
    return _record(document(text), schema.named(kind), 0)


def arguments(call: Any, params: tuple[schema.Field, ...]) -> dict[str, Any]:
    """The arguments of a call by name. Raises `Fault` for what does not fit."""
    known = {param.name: param for param in params}
    found: dict[str, Any] = {}
    for child in call:
        name = etree.QName(child).localname
        if name == "_this":
            continue
        param = known.get(name)
        if param is None:
            raise invalid_request(f"The operation has no parameter {name}")
        _put(found, param, child, 0)
    for param in params:
        if param.name not in found and not param.optional:
            if param.type.category != "list":
                raise invalid_argument(param.name, "It is required.")
            found[param.name] = []
    return found


def _put(found: dict[str, Any], field: schema.Field, element: Any, depth: int) -> None:
    if field.type.category == "list":
        found.setdefault(field.name, [])
        if _dynamic(element, field.type).category == "list" and element.get(_XSI_TYPE):
            found[field.name] += [_value(child, field.type.item, depth + 1) for child in element]
        else:
            found[field.name].append(_value(element, field.type.item, depth))
    elif field.name in found:
        raise invalid_request(f"{field.name} is given twice")
    else:
        found[field.name] = _value(element, field.type, depth)


def _dynamic(element: Any, declared: schema.Type) -> schema.Type:
    """The type an element says it has (`xsi:type`), which must be the declared one or derived from it."""
    told = element.get(_XSI_TYPE)
    if told is None:
        return declared
    prefix, _, name = told.rpartition(":")
    namespace = element.nsmap.get(prefix or None)
    try:
        found = schema.named(f"xsd:{name}" if namespace == schema.XSD else name)
    except KeyError:
        raise invalid_request(f"There is no type {told}") from None
    if declared.category in ("data", "fault") and not (
        found.category == declared.category and schema.is_a(found.name, declared.name)
    ):
        raise invalid_request(f"A {found.name} is not a {declared.name}")
    return found


def _value(element: Any, declared: schema.Type, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise invalid_request("The request is nested too deeply")
    kind = _dynamic(element, declared)
    if declared.category == "any":
        return _any(element, kind, depth)
    if declared.category == "ref":
        return _ref(element)
    if declared.category == "data":
        return _record(element, kind, depth)
    if declared.category == "fault":
        return _wrapped_fault(element, kind, depth)
    return _scalar(element, declared)


def _any(element: Any, kind: schema.Type, depth: int) -> Any:
    if kind.category == "any":
        raise invalid_request(f"The type of {etree.QName(element).localname} is missing")
    if kind.category == "list":
        return Typed(kind.name, [_value(child, kind.item, depth + 1) for child in element])
    if kind.category == "ref":
        return _ref(element)
    if kind.category in ("data", "fault"):
        return _record(element, kind, depth)
    return Typed(kind.name, _scalar(element, kind))


def _record(element: Any, kind: schema.Type, depth: int) -> Record:
    record = Record(kind.name)
    for child in element:
        name = etree.QName(child).localname
        field = schema.property_of(kind.name, name)
        if field is None:
            raise invalid_request(f"{kind.name} has no field {name}")
        _put(record.fields, field, child, depth + 1)
    for field in schema.fields(kind.name):
        if field.name not in record.fields and not field.optional and field.type.category != "list":
            raise invalid_argument(f"{kind.name}.{field.name}", "It is required.")
    return record


def _wrapped_fault(element: Any, kind: schema.Type, depth: int) -> Record:
    inner = next((child for child in element if etree.QName(child).localname == "fault"), None)
    if inner is None:
        return _record(element, kind, depth)
    return _record(inner, _dynamic(inner, schema.named("MethodFault")), depth + 1)


def _ref(element: Any) -> Ref:
    kind = (element.get("type") or "").rpartition(":")[2]
    if not schema.exists(kind):
        raise invalid_request(f"There is no managed type {kind!r}")
    return Ref(kind, (element.text or "").strip())


def _scalar(element: Any, kind: schema.Type) -> Any:
    if len(element):
        raise invalid_request(f"{etree.QName(element).localname} holds elements where a value is expected")
    content = element.text or ""
    if kind.category == "enum":
        if content not in kind.python.values:
            raise invalid_argument(etree.QName(element).localname, f"{content!r} is not one of {', '.join(kind.python.values)}.")
        return content
    try:
        return _READERS.get(kind.name, str)(content)
    except (ValueError, KeyError, binascii.Error):
        raise invalid_argument(
            etree.QName(element).localname, f"{content!r} is not a {kind.name.removeprefix('xsd:')}."
        ) from None


def _integer(bits: int) -> Callable[[str], int]:
    def read(content: str) -> int:
        value = int(content) if len(content) < 24 else 2**80
        if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise ValueError(content)
        return value

    return read


def _time(content: str) -> float:
    moment = datetime.fromisoformat(content.strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


_READERS: dict[str, Callable[[str], Any]] = {
    "xsd:boolean": lambda content: {"true": True, "1": True, "false": False, "0": False}[content.strip().lower()],
    "xsd:byte": _integer(8),
    "xsd:short": _integer(16),
    "xsd:int": _integer(32),
    "xsd:long": _integer(64),
    "xsd:float": float,
    "xsd:double": float,
    "xsd:dateTime": _time,
    "xsd:base64Binary": lambda content: base64.b64decode(content, validate=False),
}

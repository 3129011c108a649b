"""Services, operations, types and addresses of the vSphere Automation API, taken from the stubs of the vendor's SDK.

The SDK is imported when the API is first used: a vCenter that only speaks SOAP does not pay for it.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

_MODULES = (
    "com.vmware.cis_client",
    "com.vmware.cis.tagging_client",
    "com.vmware.content_client",
    "com.vmware.content.library_client",
    "com.vmware.content.library.item_client",
    "com.vmware.content.library.item.downloadsession_client",
    "com.vmware.content.library.item.updatesession_client",
    "com.vmware.vcenter_client",
    "com.vmware.vcenter.ovf_client",
    "com.vmware.vcenter.vm_client",
    "com.vmware.vcenter.vm.guest_client",
    "com.vmware.vcenter.vm.hardware_client",
    "com.vmware.vcenter.vm.hardware.adapter_client",
    "com.vmware.vcenter.vm.hardware.boot_client",
)
#: Where the SDK has its standard errors.
ERRORS = "com.vmware.vapi.std.errors_client"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `path` are the segments of its address, a variable as `{field}`; `takes` and `gives` are the SDK's types."""

    service: str
    name: str
    takes: Any
    gives: Any
    verb: str
    path: tuple[str, ...]
    action: str
    body: str  #: the parameter that is the body as a whole, in `/api`
    asked: str  #: the item of a query that tells it from another operation of the same address

    @property
    def id(self) -> str:
        return f"{self.service}.{self.name}"


@dataclass(frozen=True, slots=True)
class Match:
    """What an address means: the operation, and the values of its variables by the name of the parameter."""

    operation: Operation
    variables: dict[str, str]


@cache
def operations() -> dict[str, Operation]:
    """Every operation that the SDK has stubs for, by service and name (`com.vmware.vcenter.VM.list`)."""
    return {operation.id: operation for module in _MODULES for operation in _of_module(module)}


def _of_module(name: str) -> Iterator[Operation]:
    module = importlib.import_module(name)
    offline = SimpleNamespace(connector=SimpleNamespace(get_api_provider=lambda: None))
    for title, stub_class in sorted(vars(module).items()):
        if not title.startswith("_") or not title.endswith("Stub"):
            continue
        stub = stub_class(offline)
        service = stub.get_identifier().get_name()
        for operation, told in stub._operations.items():
            address = stub._rest_metadata.get(operation)
            if address is not None:
                yield _operation(service, operation, told, address)


def _operation(service: str, name: str, told: Any, address: Any) -> Operation:
    path, _, query = address._url_template.partition("?")
    fields = {f"{{{variable}}}": f"{{{field}}}" for field, variable in address._path_variables.items()}
    segments = tuple(fields.get(segment, segment) for segment in path.strip("/").split("/"))
    action = query.removeprefix("action=") if query.startswith("action=") else ""
    dashed = name.replace("_", "-")
    if address.http_method == "POST" and not action:
        if segments[-1] == dashed:  # `/power/start` is also `/power?action=start`
            segments, action = segments[: -2 if segments[-2:-1] == ("action",) else -1], dashed
        elif name != "create":
            action = dashed
    body = address.request_body_parameter or next((one for one in told["input_type"].get_field_names() if one == "spec"), "")
    asked = "" if action or "=" in query else query
    return Operation(service, name, told["input_type"], told["output_type"], address.http_method, segments, action, body, asked)


@cache
def _routes() -> dict[tuple[str, str, int], list[Operation]]:
    found: dict[tuple[str, str, int], list[Operation]] = {}
    for operation in operations().values():
        found.setdefault((operation.verb, operation.action, len(operation.path)), []).append(operation)
    for same in found.values():
        same.sort(key=lambda operation: not operation.asked)
    return found


def match(verb: str, segments: list[str], action: str, query: frozenset[str] = frozenset()) -> Match | None:
    """The operation of an address; the names in its query matter too. The last segment may be the action (`.../power/start`)."""
    found = _match(verb, segments, action, query)
    if found is None and verb == "POST" and not action and len(segments) > 1:
        rest = segments[:-2] if segments[-2] == "action" else segments[:-1]
        found = _match(verb, rest, segments[-1], query)
    return found


def _match(verb: str, segments: list[str], action: str, query: frozenset[str]) -> Match | None:
    for operation in _routes().get((verb, action, len(segments)), ()):
        if operation.asked and operation.asked not in query:
            continue
        variables = {}
        for told, given in zip(operation.path, segments, strict=True):
            if told.startswith("{"):
                variables[told[1:-1]] = given.removeprefix("id:")
            elif told != given:
                break
        else:
            return Match(operation, variables)
    return None


@cache
def guest_names() -> tuple[str, ...]:
    """The names of guests' operating systems."""
    found = importlib.import_module("com.vmware.vcenter.vm_client").GuestOS.get_values()
    return tuple(sorted(found))


@cache
def error_type(name: str) -> Any:
    """The type of a standard error by the last part of its name (`not_found`)."""
    title = "".join(word.capitalize() for word in name.split("_"))
    return getattr(importlib.import_module(ERRORS), title).get_binding_type()

"""The lookup service at `/lookupservice/sdk`: where the services of this vCenter are, for anybody who asks.

It lists what is served here and nothing else. Its types are not in pyVmomi's registry; they are few and written out.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lxml import etree

from emulators.vcenter import parse, soap
from emulators.vcenter.faults import Fault, invalid_request
from emulators.vcenter.http_body import bounded, plain
from emulators.vcenter.inventory import Inventory
from emulators.vcenter.serialise import text

_NAMESPACE = "urn:lookup"
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_LARGEST = 64 * 1024
_SITE = "default-site"
_KIND = "text/xml; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Registered:
    """A service: its id's last part, its product and type, and its endpoint: path, protocol and type."""

    name: str
    type: str
    version: str
    path: str
    protocol: str
    endpoint: str
    product: str = "com.vmware.cis"


_REGISTERED = (
    Registered("vcenterserver", "vcenterserver", "6.5", "/sdk", "vmomi", "com.vmware.vim"),
    Registered("sso", "cs.identity", "2.0", "/sts/STSService/vsphere.local", "wsTrust", "com.vmware.cis.cs.identity.sso"),
    Registered("pbm", "cs.storage", "2.0", "/pbm/sdk", "https", "com.vmware.vim.pbm"),
    Registered("vapi", "cs.vapi", "1.0", "/api", "vapi.json.https.public", "com.vmware.vapi.endpoint"),
)


def lookup(inventory: Inventory, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The door of `/lookupservice/sdk`."""
    if environ["REQUEST_METHOD"] != "POST" or environ.get("PATH_INFO", "").rstrip("/") != "/lookupservice/sdk":
        return plain(start_response, "404 Not Found", "There is nothing here.\n")
    body = bounded(environ, _LARGEST)
    if body is None:
        return plain(start_response, "413 Content Too Large", "The request is too large.\n")
    base = f"{environ.get('wsgi.url_scheme', 'https')}://{environ.get('HTTP_HOST') or inventory.name}"
    try:
        name, content = _answer(inventory, body, base)
    except Fault as fault:
        return plain(start_response, "500 Internal Server Error", soap.fault_text(fault), kind=_KIND)
    return plain(start_response, "200 OK", soap.enveloped(name, content, namespace=_NAMESPACE), kind=_KIND)


def _answer(inventory: Inventory, body: bytes, base: str) -> tuple[str, str]:
    root = parse.document(body)
    content = root.find(f"{{{_SOAP}}}Body")
    if content is None or len(content) != 1 or etree.QName(content[0]).namespace != _NAMESPACE:
        raise invalid_request("The request is no call of the lookup service.")
    name = etree.QName(content[0]).localname
    operation = _OPERATIONS.get(name)
    if operation is None:
        raise Fault("NotSupported", f"{name} of the lookup service is not supported by this emulator.")
    return name, operation(inventory, content[0], base)


def _content(_inventory: Inventory, _call: Any, _base: str) -> str:
    managers = {
        "lookupService": ("LookupLookupService", "lookupService"),
        "serviceRegistration": ("LookupServiceRegistration", "ServiceRegistration"),
        "deploymentInformationService": ("LookupDeploymentInformationService", "deploymentInformationService"),
        "l10n": ("LookupL10n", "l10n"),
    }
    written = [f'<{field} type="{kind}">{moid}</{field}>' for field, (kind, moid) in managers.items()]
    return f"<returnval>{''.join(written)}</returnval>"


def _list(inventory: Inventory, call: Any, base: str) -> str:
    """List: what passes the criteria that are given; those that are empty ask for nothing."""
    wanted = {
        "product": call.findtext(f".//{{{_NAMESPACE}}}serviceType/{{{_NAMESPACE}}}product"),
        "type": call.findtext(f".//{{{_NAMESPACE}}}serviceType/{{{_NAMESPACE}}}type"),
        "protocol": call.findtext(f".//{{{_NAMESPACE}}}endpointType/{{{_NAMESPACE}}}protocol"),
        "endpoint": call.findtext(f".//{{{_NAMESPACE}}}endpointType/{{{_NAMESPACE}}}type"),
    }
    asked = {field: value for field, value in wanted.items() if value}
    node, site = (call.findtext(f".//{{{_NAMESPACE}}}{field}") for field in ("nodeId", "siteId"))
    if node not in (None, "", inventory.instance_uuid) or site not in (None, "", _SITE):
        return ""
    found = [one for one in _REGISTERED if all(getattr(one, field) == value for field, value in asked.items())]
    return "".join(f"<returnval>{_info(inventory, one, base)}</returnval>" for one in found)


def _get(inventory: Inventory, call: Any, base: str) -> str:
    """Get: one service by its id. Raises `Fault("InvalidArgument")`."""
    asked = call.findtext(f"{{{_NAMESPACE}}}serviceId") or ""
    for one in _REGISTERED:
        if _identifier(inventory, one) == asked:
            return f"<returnval>{_info(inventory, one, base)}</returnval>"
    raise Fault("InvalidArgument", f"There is no service {asked!r}.", invalidProperty="serviceId")


def _identifier(inventory: Inventory, one: Registered) -> str:
    return f"{inventory.instance_uuid}:{one.name}"


def _info(inventory: Inventory, one: Registered, base: str) -> str:
    kind = f"<endpointType><protocol>{one.protocol}</protocol><type>{one.endpoint}</type></endpointType>"
    return (
        f"<serviceVersion>{one.version}</serviceVersion><ownerId>vsphere.local</ownerId>"
        f"<serviceType><product>{one.product}</product><type>{one.type}</type></serviceType>"
        f"<nodeId>{inventory.instance_uuid}</nodeId>"
        f"<serviceEndpoints><url>{text(base + one.path)}</url>{kind}</serviceEndpoints>"
        f"<serviceId>{_identifier(inventory, one)}</serviceId><siteId>{_SITE}</siteId>"
    )


_OPERATIONS: dict[str, Callable[[Inventory, Any, str], str]] = {
    "RetrieveServiceContent": _content,
    "List": _list,
    "Get": _get,
    "GetSiteId": lambda _inventory, _call, _base: f"<returnval>{_SITE}</returnval>",
}

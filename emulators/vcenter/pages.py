"""Pages beside the API that vcsim's users look at: `/about` and `/debug/vars`."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from emulators.vcenter.inventory import Inventory, is_entity
from emulators.vcenter.kinds import KINDS, coverage

#: Names of the counts in `.vcsim.model`, as vcsim has them.
_COUNTED = {
    "Datacenter": "Datacenter",
    "Datastore": "Datastore",
    "ClusterComputeResource": "Cluster",
    "ComputeResource": "Host",
    "HostSystem": "ClusterHost",
    "ResourcePool": "Pool",
    "VirtualApp": "App",
    "VirtualMachine": "Machine",
    "Folder": "Folder",
    "DistributedVirtualPortgroup": "Portgroup",
    "StoragePod": "Pod",
    "OpaqueNetwork": "OpaqueNetwork",
}


class Pages:
    """A WSGI application around a vCenter's own."""

    def __init__(self, vcenter: Any):
        self._vcenter = vcenter
        self._pages: dict[str, Callable[[Inventory], dict[str, Any]]] = {"/about": about, "/debug/vars": variables}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        page = self._pages.get(environ.get("PATH_INFO", ""))
        if page is None or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            answer: Iterable[bytes] = self._vcenter.wsgi(environ, start_response)
            return answer
        inventory: Inventory = self._vcenter.inventory
        with inventory.lock:
            body = json.dumps(page(inventory), indent=2).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def about(_inventory: Inventory) -> dict[str, Any]:
    """The methods that are answered, and the types that are known."""
    methods = {name for built, _ in coverage().values() for name in built}
    return {"Methods": sorted(methods), "Types": sorted(KINDS)}


def variables(inventory: Inventory) -> dict[str, Any]:
    """How many there are of what."""
    found = Counter(one.kind for one in inventory.objects() if is_entity(one))
    model = {name: found[kind] for kind, name in _COUNTED.items()}
    model["ClusterHost"] = found["HostSystem"] - found["ComputeResource"]
    return {"vcsim": {"model": model}}

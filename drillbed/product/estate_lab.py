"""An estate as the lab of the driver: what an operator would do in a data centre is done here."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from drillbed.estate import VCENTER_NAME, Estate
from drillbed.operator import Operator
from drillbed.product import observing
from drillbed.product.arm import NOBODY
from drillbed.product.words import EVENTS
from drillbed.product.world import EstateWorld, content_of
from drillbed.site import VCENTER_ACCOUNT
from drillbed.vault import Targets, Vault, WayBack
from harness import product as h
from reference_impl import stores
from reference_impl.replica.state import ReplicaState

PROCESS_SERVER_IN_AZURE = "process-server-azure"
PRIVATE_PATHS = frozenset({"vpn", "expressroute-private"})


@dataclass(frozen=True, slots=True)
class EstateLab:
    """The reference in one estate."""

    world: EstateWorld

    @property
    def estate(self) -> Estate:
        return self.world.estate

    @property
    def operator(self) -> Operator:
        return self.estate.operator

    @property
    def vault(self) -> Vault:
        return self.estate.vault

    @property
    def targets(self) -> Targets:
        return self.estate.targets

    def make_ready(self, key: str) -> None:
        self.register(key)
        self.vault.find_site()
        self.estate.add_vcenter()

    def register(self, key: str) -> None:
        self.estate.register_site(key)
        self.estate.start_worker()

    def add_vcenter(self) -> dict[str, Any]:
        if self.vault.fabric:
            return self.estate.add_vcenter()
        body = {"friendlyName": VCENTER_NAME, "ipAddress": "vcenter.drillbed", "port": "443", "runAsAccountId": VCENTER_ACCOUNT}
        path = f"{self.vault.path}/replicationFabrics/{NOBODY}/replicationvCenters/{VCENTER_NAME}"
        return self.operator.run("PUT", path, {"properties": body | {"processServerId": NOBODY}})

    def add_process_server(self, name: str) -> None:
        self.estate.add_process_server(name)

    def move_to_process_server(self, vm: str, name: str) -> dict[str, Any]:
        return self.estate.move_to_process_server(vm, name)

    def process_server_id(self) -> str:
        return self.estate.process_server_id()

    def run_as(self, vm: str) -> str:
        return self.estate.run_as(vm)

    def way_back(self) -> WayBack:
        """RPR-002: with a process server in Azure, set up now where there is a path and none yet; else with what there is."""
        wanted = PROCESS_SERVER_IN_AZURE not in self.world.gone and PRIVATE_PATHS & self.estate.network.links
        if wanted and self.estate.azure.process_server is None:
            self.estate.add_process_server_in_azure()
        return observing.way_back(self.vault, PROCESS_SERVER_IN_AZURE, "LocalDS_0")

    def undiscovered(self) -> list[str]:
        return []

    def replica(self, vm: str, point: str) -> tuple[h.Content, ...]:
        """The replica's page blobs as their snapshots of a recovery point have them, without the footers of the VHDs."""
        machine_id = self.estate.machines.software[vm].machine_id
        found = next((known for worker in self.estate.azure.workers if (known := worker.find(machine_id)) is not None), None)
        shown = observing.choose(self.vault.recovery_points(vm), point)
        if found is None or shown is None:
            raise h.UnobservableError(f"the replica of {vm}: nothing is replicated, or there is no such recovery point")
        said = stores.get_json(found.cache, found.container, stores.state_name(found.machine_id, found.generation))
        kept = ReplicaState.decode(said or {}).points
        snapshots = next((one.snapshots for one in kept if one.point_id == shown["name"]), None)
        if snapshots is None:
            raise h.UnobservableError(f"the replica of {vm}: its point {shown['name']} has no snapshots")
        return tuple(
            content_of(partial(_read, found.target, found.target_container, disk.blob, snapshots[disk.disk_id]), disk.size)
            for disk in found.disks
        )

    def events(self) -> list[h.Event]:
        """From the estate's event log: what the service did in Azure, and what the site's guests did."""
        names = {software.machine_id: name for name, software in self.estate.machines.software.items()}
        found = []
        for happened in list(self.estate.events):
            about = happened.particulars
            for kind, side in EVENTS.get(happened.kind, ()):
                if not about.get("test"):
                    found.append(h.Event(happened.when, kind, names.get(about["machine"], ""), side))
            if happened.kind in ("guest-started", "guest-ended") and about["side"] == "onprem":
                begun, done = ("starting", "started") if happened.kind == "guest-started" else ("shutting-down", "shut-down")
                found += [h.Event(happened.when, kind, happened.subject, "onprem") for kind in (begun, done)]
        return found


def _read(store: Any, container: str, blob: str, snapshot: str, offset: int, length: int) -> bytes:
    found: bytes = store.get_blob(container, blob, offset=offset, length=length, snapshot=snapshot)
    return found

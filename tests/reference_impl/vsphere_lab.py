"""A site with an emulated vCenter: two machines and the one the master target runs in, and guests that note what happens."""

from pathlib import Path
from typing import Any

from site_lab import SiteLab, Speaker

from emulators.guest.install_door import InstallDoor
from emulators.network import AZURE_VNET, ONPREM
from emulators.vcenter import DiskSpec, VCenter
from reference_impl.rules import Rules

MIB = 1 << 20
USERS = {
    "administrator@vsphere.local": ("secret", "Admin"),
    "reader@vsphere.local": ("reader", "ReadOnly"),
}
VCENTER = {"vCenterId": "vc-1", "friendlyName": "vcenter", "address": "vcenter", "port": 443, "runAsAccountId": "1"}
STORE = {"account": "cache", "blobEndpoint": "b", "queueEndpoint": "q", "key": "k", "container": "asr-logs", "queue": "asr-work"}


class VSphereLab(SiteLab):
    """`events` is the order of things: power of machines, contacts with the install door."""

    def __init__(self, folder: Path, *, rules: Rules | None = None, disk_size: int = MIB, sockets: bool = False):
        super().__init__(folder, rules=rules, sockets=sockets)
        self.disk_size = disk_size
        self.events: list[str] = []
        self.obedient = True
        self.vcenter = VCenter(self.clock, folder / "vcenter", users=USERS, hooks=self)
        self.place("vcenter", ONPREM).listen(443, self.vcenter.wsgi)
        self.web = self.add("web", "windows9Server64Guest", 2, {})
        self.app = self.add("app", "debian9_64Guest", 1, {})
        self.mt_vm = self.add("master-target", "windows9Server64Guest", 1, {"disk.EnableUUID": "TRUE"})
        self.agents: dict[str, Speaker] = {}
        self.doors: list[dict[str, Any]] = []
        self.clock.wait(5)

    def add(self, name: str, guest_id: str, disks: int, extra: dict[str, str]) -> Any:
        vm = self.vcenter.add_vm(
            name,
            guest_id=guest_id,
            cpus=2,
            memory_mb=1024,
            disks=[DiskSpec(self.disk_size, None) for _ in range(disks)],
            extra_config=extra,
            controller="VirtualLsiLogicController" if name == "master-target" else "ParaVirtualSCSIController",  # RPR-009
        )
        if name != "master-target":
            self.place(name, ONPREM)
        self.vcenter.power_on(vm)
        return vm

    # what the vCenter asks of guests ---------------------------------------------------------------------------------

    def power_on(self, vm: Any) -> None:
        self.events.append(f"{vm.name} on")
        self.vcenter.report_guest(vm, hostname=str(vm.name), addresses=[str(vm.name)])

    def shut_down(self, vm: Any) -> None:
        self.events.append(f"{vm.name} shut down")
        self.vcenter.report_guest(vm, running=False)

    def power_off(self, vm: Any) -> None:
        self.events.append(f"{vm.name} off")
        self.vcenter.report_guest(vm, running=False)

    def disks_changed(self, vm: Any) -> None:
        self.events.append(f"{vm.name} disks {len(self.vcenter.disks_of(vm))}")

    # common steps ----------------------------------------------------------------------------------------------------

    def machine_id(self, vm: Any) -> str:
        return str(vm.uuid).lower()

    def disk_ids(self, name: str) -> list[str]:
        """The disks of a machine as vCenter has them now, in the order of their units."""
        return [str(disk.uuid).lower() for disk in self.vcenter.disks_of(self.vcenter.find_vm(name))]

    def add_vcenter(self, **change: Any) -> dict[str, Any]:
        return self.service.succeed("add-vcenter", **VCENTER | change)

    def inventory(self, name: str) -> dict[str, Any] | None:
        machines = self.service.inventories[-1]["machines"]
        return next((machine for machine in machines if machine["name"] == name), None)

    def accounts_of_reader(self) -> None:
        """The configuration server's vCenter account may only read from now on (VCP-001)."""
        self.server.kill()
        self.accounts = dict(self.accounts) | {"1": ("vcenter", "reader@vsphere.local", "reader")}
        self.server = self.start()

    def open_door(self, name: str, os_type: str = "WINDOWS", user: str = "Administrator", password: str = "pw") -> None:
        """Let an agent be pushed to a machine; it registers as soon as it is installed."""
        host = self.network.find(name)
        assert host is not None
        vm = self.vcenter.find_vm(name)

        def install(settings: Any) -> dict[str, Any]:
            self.doors.append(dict(settings))
            self.events.append(f"{name} installed")
            self.agents[name] = Speaker(self, host, "agent", self.machine_id(vm), osType=os_type)
            return {"version": "9.13.0.0"}

        host.listen(135 if os_type == "WINDOWS" else 22, InstallDoor(user, password, install, install, install))

    def forward(self, name: str, server: Speaker, **change: Any) -> dict[str, Any]:
        """Input of a `protect`."""
        vm = self.vcenter.find_vm(name)
        disks = [{"diskId": disk, "unit": unit, "sizeBytes": MIB} for unit, disk in enumerate(self.disk_ids(name))]
        return {
            "machineId": self.machine_id(vm),
            "generation": 1,
            "direction": "forward",
            "processServerId": server.id,
            "runAsAccountId": "2",
            "policy": {"crashConsistentMinutes": 5},
            "group": None,
            "disks": disks,
            "cache": STORE,
            "dataKey": "AAAA",
            "install": True,
        } | change


class ReverseLab(VSphereLab):
    """`web` runs in Azure: its agent and a process server speak from there, a master target speaks on premises."""

    def __init__(self, folder: Path, **more: Any):
        super().__init__(folder, **more)
        self.add_vcenter()
        self.disks = [{"diskId": disk, "unit": unit, "sizeBytes": MIB} for unit, disk in enumerate(self.disk_ids("web"))]
        self.azure_server = self.process_server(zone="azure")
        self.agent = Speaker(self, self.place("web.azure", AZURE_VNET), "agent", self.machine_id(self.web), zone="azure")
        host = self.place("master-target", ONPREM)
        volumes = [{"volumeName": "R", "capacityInBytes": 1 << 30, "freeSpaceInBytes": 1 << 30, "thresholdPercentage": 25}]
        self.target = Speaker(self, host, "master-target", self.machine_id(self.mt_vm), retentionVolumes=volumes)
        self.target.follow = self._see
        self.applied, self.received, self.tag = 0, 0, None
        self.clock.wait(35)

    def _see(self, answer: dict[str, Any]) -> None:
        """The next heartbeat of the master target: the serials it sees, what it received, whether it has released."""
        shown = self.mt_vm.settings.extra.get("disk.enableuuid", ("", ""))[1].lower() == "true"
        machines = [
            {
                "machineId": entry["machineId"],
                "generation": entry["generation"],
                "receivedSequence": self.received,
                "appliedSequence": self.received if entry["settle"] or entry["release"] else self.applied,
                "lastTag": self.tag,
                "syncDone": self.tag is not None,
                "released": entry["release"],
            }
            for entry in answer["machines"]
            if not entry["commit"]
        ]
        self.target.state = {"diskSerials": self.disk_ids("master-target") if shown else [], "machines": machines}

    def wish(self, **change: Any) -> dict[str, Any]:
        """Input of `prepare-reverse` and `protect-reverse`."""
        return {
            "machineId": self.machine_id(self.web),
            "infrastructureId": self.web.moid,
            "name": "web",
            "osType": "WINDOWS",
            "masterTargetId": self.target.id,
            "processServerId": self.azure_server.id,
            "retentionVolume": "R",
            "datastore": "",
            "disks": self.disks,
            "generation": 2,
            "direction": "reverse",
            "policy": {"crashConsistentMinutes": 5},
            "dataKey": "AAAA",
        } | change

    def server_says(self, state: dict[str, Any]) -> None:
        self.azure_server.state = state

    def server_answer(self) -> list[dict[str, Any]]:
        return list(self.azure_server.answer["machines"])

    def speak_from_azure(self, name: str) -> None:
        host = self.place(f"{name}.azure", AZURE_VNET)
        Speaker(self, host, "agent", self.machine_id(self.vcenter.find_vm(name)), zone="azure")
        self.clock.wait(5)

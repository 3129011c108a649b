"""A vCenter in virtual time, and unmodified pyVmomi talking to it through the estate's network."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from pyVmomi import SoapStubAdapter, vim

from emulators.clock import Clock
from emulators.http.inprocess import InProcess
from emulators.network import ONPREM, Network
from emulators.vcenter import DiskSpec, VCenter, keeping, properties
from emulators.vcenter.inventory import Call
from emulators.vcenter.kept_values import Writer

USERS = {
    "administrator@vsphere.local": ("Secret1!", "Admin"),
    "reader": ("Reader1!", "ReadOnly"),
    "nobody": ("Nobody1!", "NoAccess"),
}
MIB = 1024 * 1024


def stub_over(
    host: Any, destination: str = "vcenter", port: int = 443, version: str = "vim.version.version11"
) -> SoapStubAdapter:
    """A pyVmomi stub whose connections come from `host`."""
    stub = SoapStubAdapter(host=destination, port=port, path="/sdk", version=version)
    stub.scheme = lambda host, port, **_: sender.connection(destination, port)
    stub.schemeArgs = {}
    sender = host
    return stub


@dataclass
class Guests:
    """A guest that only notes what happens to it, and reports like one with tools."""

    site: "Site"
    seen: list[tuple[str, str]] = field(default_factory=list)

    def power_on(self, vm: Any) -> None:
        self._note("power_on", vm)
        self.site.vcenter.report_guest(vm, hostname=f"{vm.name}.corp", addresses=["10.0.0.50"])

    def shut_down(self, vm: Any) -> None:
        self._note("shut_down", vm)

    def power_off(self, vm: Any) -> None:
        self._note("power_off", vm)

    def disks_changed(self, vm: Any) -> None:
        self._note("disks_changed", vm)

    def _note(self, what: str, vm: Any) -> None:
        lock = self.site.vcenter.inventory.lock
        assert not lock._is_owned(), "hooks run without the vCenter's lock"
        self.seen.append((what, vm.name))


class Site:
    """One vCenter with machines web (one disk) and db (two disks)."""

    def __init__(self, folder: Any, seed: int = 7, *, kept: bool = True, **options: Any):
        self.kept = kept  #: whether all that is read is held against what is kept, after each task
        self.clock = Clock(seed=seed)
        self.network = Network(self.clock, InProcess())
        self.client = self.network.host("configuration-server", ONPREM)
        self.vcenter = VCenter(self.clock, folder, users=USERS, **options)
        self.guests = Guests(self)
        self.vcenter.hooks = self.guests
        self.network.host("vcenter", ONPREM).listen(443, self.vcenter.wsgi)
        self.web = self.vcenter.add_vm("web", guest_id="windows8Server64Guest", disks=[DiskSpec(4 * MIB)])
        self.db = self.vcenter.add_vm("db", guest_id="ubuntu64Guest", disks=[DiskSpec(4 * MIB), DiskSpec(2 * MIB)])

    def login(self, user: str = "administrator@vsphere.local", password: str | None = None) -> Any:
        stub = stub_over(self.client)
        instance = vim.ServiceInstance("ServiceInstance", stub)
        instance.content.sessionManager.Login(user, USERS[user][0] if password is None else password)
        return instance

    def wait(self, task: Any, seconds: float = 600) -> Any:
        """Let time pass until the task ends; its result, or its fault raised."""
        assert self.clock.wait_until(lambda: task.info.state in ("success", "error"), seconds=seconds)
        if self.kept:
            self.check_kept()
        info = task.info
        if info.state == "error":
            raise info.error
        return info.result

    def check_kept(self) -> None:
        """No property is served from before a change: everything is read again after each task and at the end of a test."""
        found = stale(self.vcenter.inventory)
        assert not found, "\n".join(found)
        unwritten = unwritable(self.vcenter.inventory)
        assert not unwritten, "\n".join(unwritten)
        read_all(self.vcenter.inventory)

    def vm(self, instance: Any, name: str) -> Any:
        found = instance.content.searchIndex.FindByInventoryPath(f"DC0/vm/{name}")
        assert found is not None
        return found


def root_pool(si: Any, name: str = "DC0_C0") -> Any:
    """The root pool of a cluster."""
    return si.content.searchIndex.FindByInventoryPath(f"DC0/host/{name}/Resources")


def bytes_of(site: Site, vm: Any) -> list[str]:
    """The SHA-256 of each disk of a machine, as its guest reads it."""
    record = next(one for one in site.vcenter.vms() if one.moid == vm._moId)
    return [hashlib.sha256(disk.read(0, disk.size)).hexdigest() for disk in site.vcenter.disks_of(record)]


def events(si: Any, entity: Any) -> list[str]:
    """The classes of the events about an entity, oldest first."""
    about = vim.event.EventFilterSpec.ByEntity(entity=entity, recursion="self")
    return [
        type(one).__name__.rpartition(".")[2]
        for one in si.content.eventManager.QueryEvents(vim.event.EventFilterSpec(entity=about))
    ]


def macs(vm: Any) -> list[str]:
    """The addresses of a machine's network cards."""
    return [one.macAddress for one in vm.config.hardware.device if isinstance(one, vim.vm.device.VirtualEthernetCard)]


#: What goes on with time, whatever happens to the object.
_TIMES = re.compile(rb"<(timestamp|uptimeSeconds|overallCpuUsage|serverClock)>[^<]*<")


def stale(inventory: Any) -> list[str]:
    """The properties of which old XML would be served: what is kept of them is not what they are now."""
    found = []
    with inventory.lock:
        call = Call(inventory, None)
        for managed in inventory.objects():
            for path in list(managed.cache):
                kept = properties.prop_set(call, managed, path)
                managed.cache.pop(path, None)
                fresh = properties.prop_set(call, managed, path)
                if _TIMES.sub(b"", kept or b"") != _TIMES.sub(b"", fresh or b""):
                    found.append(f"{managed.moid} {path}:\n{kept!r}\n{fresh!r}")
    return found


def unwritable(inventory: Any) -> list[str]:
    """The objects that cannot be kept on disk (`vcsim -state`), with the reason."""
    found = []
    with inventory.lock:
        writer = Writer(inventory, inventory.folder.resolve())
        for managed in inventory.objects():
            if keeping.is_kept(managed):
                try:
                    json.dumps(writer.managed(managed))
                except (TypeError, ValueError) as error:
                    found.append(f"{managed.moid}: {error}")
    return found


def read_all(inventory: Any) -> None:
    """Read every property of every object once, so that `stale` knows of all of them."""
    with inventory.lock:
        call = Call(inventory, None)
        for managed in inventory.objects():
            for name in properties.every(call, managed):
                if name not in inventory.kinds[managed.kind].personal:
                    properties.prop_set(call, managed, name)

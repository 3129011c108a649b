"""What a person does in the vCenter during a drill: snapshots, settings, a look at the inventory. Unmodified pyVmomi does it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyVmomi import vim

from drillbed.operator import NotInTime
from drillbed.places import DOMAIN
from emulators.clock import Clock, Process
from emulators.network import Host
from reference_impl.vsphere import Machine, Session, all_machines, power_off, power_on, shut_down


@dataclass(slots=True)
class VSphereOperator:
    """An administrator of the vCenter, at the operator's host. Each call logs in, acts, and lets time pass until it is done."""

    host: Host
    clock: Clock
    administrator: tuple[str, str]  #: user and password
    address: str = f"vcenter.{DOMAIN}"
    port: int = 443

    def snapshot(self, machine: str) -> None:
        self._act(
            machine, lambda session, moid: session.run(moid, "CreateSnapshot_Task", "drill", "made by the drill", False, False)
        )

    def remove_snapshots(self, machine: str) -> None:
        self._act(machine, lambda session, moid: session.run(moid, "RemoveAllSnapshots_Task", True))

    def reconfigure_off(self, machine: str, settings: Mapping[str, str | None]) -> None:
        """Shut the machine down, change its extra configuration (None removes a key), start it again."""

        def change(session: Session, moid: str) -> Process:
            yield from shut_down(session, moid)
            yield from session.run(moid, "ReconfigVM_Task", _extra_config(settings))
            yield from power_on(session, moid)

        self._act(machine, change)

    def set_extra_config(self, machine: str, settings: Mapping[str, str | None]) -> None:
        """Change the extra configuration of a machine as it is."""
        self._act(machine, lambda session, moid: session.run(moid, "ReconfigVM_Task", _extra_config(settings)))

    def set_instance_uuid(self, machine: str, value: str) -> None:
        """Give a machine the instance UUID of another, as a copy made beside the vCenter has it (DIS-003)."""

        def change(session: Session, moid: str) -> Process:
            yield from power_off(session, moid)
            yield from session.run(moid, "ReconfigVM_Task", vim.vm.ConfigSpec(instanceUuid=value))
            yield from power_on(session, moid)

        self._act(machine, change)

    def rename(self, machine: str, name: str) -> None:
        """Give a machine another name."""
        self._act(machine, lambda session, moid: session.run(moid, "Rename_Task", name))

    def destroy(self, machine: str) -> None:
        """Switch a machine off and delete it with its files."""

        def end(session: Session, moid: str) -> Process:
            yield from power_off(session, moid)
            yield from session.run(moid, "Destroy_Task")

        self._act(machine, end)

    def power(self, machine: str, *, on: bool, orderly: bool = False) -> None:
        act = power_on if on else (shut_down if orderly else power_off)
        self._act(machine, act)

    def time(self) -> datetime:
        """The vCenter's own time."""
        with self._session() as session:
            return session.time()

    def machines(self) -> dict[str, Machine]:
        """Every machine of the inventory by name."""
        with self._session() as session:
            return {machine.name: machine for machine in all_machines(session)}

    def disk_count(self, machine: str) -> int:
        return len(self.machines()[machine].disks)

    def snapshot_count(self, machine: str) -> int:
        """Snapshots of a machine, in its whole tree."""
        with self._session() as session:
            found = session.read("VirtualMachine", self._moid(session, machine), ["snapshot"]).get("snapshot")
        return _count(found.rootSnapshotList) if found else 0

    def _act(self, machine: str, act: Any) -> None:
        def process() -> Process:
            with self._session() as session:
                yield from act(session, self._moid(session, machine))

        task = self.clock.spawn(process(), name=f"operator: {machine}")
        if not self.clock.wait_until(lambda: task.done, seconds=3600):
            raise NotInTime(f"the vCenter has not done what was asked of {machine} within an emulated hour")

    def _moid(self, session: Session, machine: str) -> str:
        found = next((known for known in all_machines(session) if known.name == machine), None)
        if found is None:
            raise LookupError(f"the vCenter has no machine named {machine}")
        return found.moid

    def _session(self) -> Session:
        return Session(self.host, self.address, self.port, *self.administrator)


def _extra_config(settings: Mapping[str, str | None]) -> Any:
    options = [vim.option.OptionValue(key=key, value=value or "") for key, value in settings.items()]
    return vim.vm.ConfigSpec(extraConfig=options)


def _count(snapshots: Any) -> int:
    return sum(1 + _count(snapshot.childSnapshotList) for snapshot in snapshots)

"""vSphere as the configuration server sees it: plain records and processes; pyVmomi stays inside.

with Session(host, "vcenter.drillbed", 443, user, password) as session:
    for found in all_machines(session): ...
    yield from power_off(session, found.moid)
"""

from reference_impl.vsphere.creation import NewMachine, create_machine
from reference_impl.vsphere.machines import (
    Attachment,
    DataStore,
    Machine,
    MachineDisk,
    MachineNic,
    all_machines,
    attach_disks,
    data_stores,
    detach_disks,
    machine,
    power_off,
    power_on,
    shut_down,
)
from reference_impl.vsphere.session import Session, VSphereError
from reference_impl.vsphere.snapshots import remove_snapshot, revert_to_snapshot, take_snapshot

__all__ = [
    "Attachment",
    "DataStore",
    "Machine",
    "MachineDisk",
    "MachineNic",
    "NewMachine",
    "Session",
    "VSphereError",
    "all_machines",
    "attach_disks",
    "create_machine",
    "data_stores",
    "detach_disks",
    "machine",
    "power_off",
    "power_on",
    "remove_snapshot",
    "revert_to_snapshot",
    "shut_down",
    "take_snapshot",
]

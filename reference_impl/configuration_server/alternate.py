"""Failback to a machine that is made for it: the old one is gone, or was a physical server (RPR-016, PHY-003)."""

from reference_impl.configuration_server.fields import rows
from reference_impl.configuration_server.prerequisites import Reverse, Virtual
from reference_impl.configuration_server.site import Document, Site, Work, WorkRefused
from reference_impl.outside import Process
from reference_impl.vsphere import NewMachine, Session, VSphereError, create_machine

#: The vendor's numbers for a datastore that cannot be used, and for a name that is taken on the master target's host.
DATASTORE_UNREACHABLE, NAME_TAKEN = "8061", "78052"


def vcenter_of(site: Site, reverse: Reverse) -> Document:
    """The vCenter of the machine; of a physical server that of the master target, whose host has to be discovered."""
    if reverse.machine.get("vCenterId") is not None:
        return site.vcenter_of(reverse.machine)
    target = site.machine(reverse.target["machineId"])
    if target is None:
        text = "a physical server comes back as a virtual machine: the master target's vCenter has not been discovered"
        raise WorkRefused("vcenter-unreachable", text)
    return site.vcenter_of(target)


def check_alternate(site: Site, item: Work, reverse: Reverse, virtual: Virtual) -> None:
    """Where the machine is made anew, the chosen datastore has to be one that the master target's host can write (RPR-017)."""
    if virtual.machine.moid:
        return
    target = site.machine(reverse.target["machineId"]) or {}
    known = [str(store.get("symbolicName")) for store in rows(target, "dataStores")]
    wanted = str(item.input.get("datastore") or "")
    if wanted not in known:
        listed = ", ".join(known) or "none"
        text = f"{reverse.machine['name']} is made anew: {wanted!r} is no datastore of the master target's host (it has {listed})"
        raise WorkRefused("datastore-unreachable", text, DATASTORE_UNREACHABLE)


def make_anew(site: Site, session: Session, item: Work, reverse: Reverse, virtual: Virtual) -> Process:
    """Make the machine with empty disks on the master target's host; from now on the inventory has it."""
    machine = reverse.machine
    new = NewMachine(
        name=machine["name"],
        machine_id=machine["machineId"],
        os_type=machine["osType"],
        cpu_count=int(machine["cpuCount"]),
        memory_mb=int(machine["memoryMB"]),
        firmware=machine["firmware"],
        datastore=str(item.input.get("datastore") or ""),
        disks=[(disk["diskId"], disk["sizeBytes"], disk["unit"]) for disk in reverse.disks],
    )
    try:
        moid = yield from create_machine(session, virtual.target.moid, new)
    except VSphereError as error:
        if error.fault != "DuplicateName":
            raise
        raise WorkRefused("disk-clash", f"another machine is named {machine['name']} on the host", NAME_TAKEN) from error
    with site.lock:
        made = {**machine, "infrastructureId": moid, "vCenterId": vcenter_of(site, reverse)["id"], "poweredOn": False}
        site.documents.put("inventory", machine["machineId"], made)

"""What has to be so before a machine's data can flow back (rows RPR-001 to RPR-014). Checks only; nothing is changed.

Each check is one function that returns nothing or raises `WorkRefused`; `CHECKS` is their order. First who can be spoken to, then
what vCenter says: without a way from Azure to here (NET-009) the agent is the first to be missed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from reference_impl.configuration_server.fields import rows
from reference_impl.configuration_server.site import (
    AZURE,
    MASTER_TARGET,
    ONPREM,
    PROCESS_SERVER,
    Document,
    Site,
    Work,
    WorkRefused,
)
from reference_impl.outside import Process
from reference_impl.vsphere import Machine, Session
from reference_impl.vsphere import machine as read_machine

#: The vendor's number for an agent in Azure that cannot reach its configuration server.
AGENT_UNREACHABLE = "95226"


@dataclass(frozen=True, slots=True)
class Reverse:
    """Who takes part in a way back: components as registered, the machine as discovered."""

    machine: Document
    target: Document
    server: Document
    retention_volume: str
    disks: list[Document]


def check_components(site: Site, item: Work) -> Process:
    """Rest until all who take part have spoken once more; returns `Reverse`. `WorkRefused` names the first that is missing."""
    machine = site.machine(item.machine_id)
    if machine is None:
        raise WorkRefused("machine-missing", f"the configuration server does not know machine {item.machine_id}")
    target = yield from _master_target(site, item)
    yield from _agent(site, item.machine_id, machine)
    server = yield from _process_server(site, item)
    return Reverse(machine, target, server, str(item.input.get("retentionVolume") or ""), item.disks)


def _master_target(site: Site, item: Work) -> Process:
    """RPR-001, RPR-014: registered, speaking, of the machine's OS family, with the retention volume that was chosen."""
    target = site.component(MASTER_TARGET, item.need("masterTargetId"))
    if target is None or not (yield from site.heard_again(target, target["zone"])):
        raise WorkRefused("master-target-missing", f"master target {item.input['masterTargetId']} does not speak")
    seat = target["seats"][target["zone"]]
    wanted = item.need("osType").upper()
    if site.rules.match_os_family and seat["osType"].upper() != wanted:
        raise WorkRefused(
            "master-target-os-mismatch", f"master target {seat['name']} is {seat['osType']}, the machine is {wanted}"
        )
    heard = site.report(target, target["zone"])
    volumes = (rows(heard.body, "retentionVolumes") if heard else []) or rows(seat, "retentionVolumes")
    names = {str(volume.get("volumeName")) for volume in volumes}
    if site.rules.need_retention_volume and item.input.get("retentionVolume") not in names:
        listed = ", ".join(sorted(names)) or "none"
        chosen = item.input.get("retentionVolume")
        raise WorkRefused("retention-volume-missing", f"{chosen!r} is no retention volume of {seat['name']} (it has {listed})")
    return target


def _agent(site: Site, machine_id: str, machine: Document) -> Process:
    """RPR-012, NET-009: the agent of the Azure VM has registered here and speaks."""
    if not site.rules.need_agent_in_azure:
        return
    if not (yield from site.heard_again(site.agent_of(machine_id), AZURE)):
        message = f"the mobility agent of {machine['name']} in Azure cannot reach the configuration server"
        raise WorkRefused("agent-unreachable", message, AGENT_UNREACHABLE)


def _process_server(site: Site, item: Work) -> Process:
    """RPR-002: a process server in Azure that speaks."""
    server = site.component(PROCESS_SERVER, item.need("processServerId"))
    zones = (AZURE,) if site.rules.process_server_in_azure else (AZURE, ONPREM)
    if server is None or server["zone"] not in zones:
        raise WorkRefused("process-server-missing", "the machine runs in Azure: a process server in Azure is needed")
    if not (yield from site.heard_again(server, server["zone"])):
        name = server["seats"][server["zone"]]["name"]
        raise WorkRefused("process-server-unreachable", f"process server {name} does not speak to the configuration server")
    return server


# vCenter -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Virtual:
    """The two virtual machines as vCenter has them now."""

    machine: Machine
    target: Machine


def read_virtual(session: Session, reverse: Reverse) -> Virtual:
    """Both virtual machines; the machine's is empty where it is gone or physical, and will be made anew (RPR-016, PHY-003).

    `WorkRefused` `master-target-missing` when the master target is no machine of this vCenter.
    """
    moid = session.find_machine(reverse.target["machineId"])
    if moid is None:
        raise WorkRefused("master-target-missing", "the master target is no virtual machine of the machine's vCenter")
    target = read_machine(session, moid)
    present = session.find_machine(reverse.machine["machineId"])
    return Virtual(read_machine(session, present) if present else _absent(reverse.machine, target), target)


def _absent(machine: Document, target: Machine) -> Machine:
    """A machine that no vCenter has, as it will be made on the master target's host."""
    return Machine(
        moid="",
        machine_id=machine["machineId"],
        instance_id="",
        name=machine["name"],
        powered_on=False,
        os_type=machine["osType"],
        os_name=machine["osName"],
        host_name=machine["hostName"],
        ip_addresses=(),
        cpu_count=int(machine["cpuCount"]),
        memory_mb=int(machine["memoryMB"]),
        firmware=machine["firmware"],
        has_snapshots=False,
        template=False,
        nics=(),
        disks=(),
        controllers=(),
        host=target.host,
        tools_running=False,
    )


def check_virtual(site: Site, reverse: Reverse, virtual: Virtual) -> None:
    """What vCenter says. `WorkRefused` names the first thing that is not as it has to be."""
    for check in CHECKS:
        check(site, reverse, virtual)


def check_target_snapshots(site: Site, reverse: Reverse, virtual: Virtual) -> None:
    """RPR-005."""
    if site.rules.refuse_target_snapshots and virtual.target.has_snapshots:
        raise WorkRefused("snapshot-present", f"master target {virtual.target.name} has a snapshot: delete it first")


def check_machine_snapshots(site: Site, reverse: Reverse, virtual: Virtual) -> None:
    """RPR-006, as the article reads it."""
    if site.rules.refuse_machine_snapshots and virtual.machine.has_snapshots:
        raise WorkRefused("snapshot-present", f"{virtual.machine.name} has a snapshot: delete it first")


def check_disk_uuid(site: Site, reverse: Reverse, virtual: Virtual) -> None:
    """RPR-007: without it the master target cannot tell which disk is which. Neither key nor value is case-sensitive."""
    if site.rules.need_disk_uuid and virtual.target.extra_config.get("disk.enableuuid", "").lower() != "true":
        raise WorkRefused("disk-uuid-disabled", f"disk.EnableUUID of master target {virtual.target.name} is not TRUE")


def check_controllers(site: Site, reverse: Reverse, virtual: Virtual) -> None:
    """RPR-009: the master target's controllers are LSI Logic; Paravirtual is refused."""
    wrong = [name for name in virtual.target.controllers if name.startswith("ParaVirtual")]
    if site.rules.need_lsi_controller and wrong:
        raise WorkRefused("controller-unsupported", f"master target {virtual.target.name} has a paravirtual SCSI controller")


def check_room(site: Site, reverse: Reverse, virtual: Virtual) -> None:
    """RPR-010: disks of the machine that are attached already count once."""
    coming = sum(virtual.target.disk(disk["diskId"]) is None for disk in reverse.disks)
    held = len(virtual.target.disks)
    if held + coming > site.rules.target_disk_limit:
        limit = site.rules.target_disk_limit
        raise WorkRefused("too-many-disks", f"{virtual.target.name} holds {held} disks; {coming} more are over its {limit}")


CHECKS: tuple[Callable[[Site, Reverse, Virtual], None], ...] = (
    check_target_snapshots,
    check_machine_snapshots,
    check_disk_uuid,
    check_controllers,
    check_room,
)

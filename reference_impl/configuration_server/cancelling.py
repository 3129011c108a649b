"""FB-008: a failback that is not committed is taken back; what was written on premises meanwhile is dropped."""

from reference_impl.configuration_server.prerequisites import read_virtual
from reference_impl.configuration_server.reverse import (
    BEFORE_FAILBACK,
    move_to_target,
    resumed,
    reverse_protection,
    seen_by_target,
)
from reference_impl.configuration_server.service import Service
from reference_impl.configuration_server.site import Site, Work
from reference_impl.outside import Process
from reference_impl.vsphere import power_off, remove_snapshot, revert_to_snapshot


def cancel_failback(site: Site, service: Service, item: Work) -> Process:
    """The machine goes off and back to its snapshot, its disks go to the appliance again, replication from Azure goes on.

    A failback that ended in the middle is taken back from where it stands.
    """
    protection = reverse_protection(site, item)
    reverse = resumed(site, protection)
    with site.vcenter(site.vcenter_of(reverse.machine)) as session:
        moid = reverse.machine["infrastructureId"]
        yield from power_off(session, moid)
        if site.rules.cancel_drops_changes:
            yield from revert_to_snapshot(session, moid, BEFORE_FAILBACK)
        yield from remove_snapshot(session, moid, BEFORE_FAILBACK)
        service.running(item, 40)
        yield from move_to_target(site, session, protection, read_virtual(session, reverse))
    site.change_protection(item.machine_id, stage="replicating", settle=False, release=False, delivered=[])
    yield from seen_by_target(site, protection)
    return {}

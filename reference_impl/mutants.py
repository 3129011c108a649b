"""Wrong products and legal variants: the components' rules with one entry replaced. Data only.

A name that stands in the service's table too (`emulators/azure/site_recovery/mutants.py`) is one product with both changes.
"""

from collections.abc import Mapping
from typing import Any

#: Name to (requirement that is broken, what is wrong, rules replaced).
MUTANTS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "twins-both-listed": ("DIS-003", "two machines with one instance UUID are both listed", {"first_of_twins_only": False}),
    "discovery-once-an-hour": ("DIS-002", "new machines are looked for once an hour", {"discovery_minutes": 60.0}),
    "pushed-to-again": ("DSB-003", "a machine that has the agent is pushed to again", {"push_once": False}),
    "data-on-another-port": ("NET-002", "agents send data to another port", {"data_port": 9444}),
    "data-on-443": ("NET-002", "agents send data to the port of the management", {"data_port": 443}),
    "group-on-another-port": ("NET-006", "members of a group meet on another port", {"group_port": 20005}),
    "no-shared-points": ("MVM-002", "members of a group take their points alone", {"shared_points": False}),
    "changes-in-batches": ("REP-006", "changes leave once in five minutes", {"ship_at_once": False}),
    "not-compressed": ("REP-012", "logs are not compressed", {"compress": False}),
    "not-encrypted": ("REP-012", "logs are uploaded as they are", {"encrypt": False}),
    "copy-without-tracking": ("REP-004", "writes during the initial copy are lost", {"track_during_copy": False}),
    "power-loss-forgotten": ("REP-014", "a cut of power asks for no resynchronisation", {"resync_after_power_loss": False}),
    "resync-sends-everything": ("REP-014", "a resynchronisation sends the whole disk", {"send_only_differences": False}),
    "no-app-consistent-points": ("RPT-002", "no application-consistent point is ever made", {"app_points": False}),
    "points-never-thinned": ("RPT-007", "all recovery points of the retention are kept", {"thin_points": False}),
    "any-master-target": ("RPR-001", "a master target of the other family is taken", {"match_os_family": False}),
    "process-server-anywhere": ("RPR-002", "no process server in Azure is needed", {"process_server_in_azure": False}),
    "target-snapshots-ignored": ("RPR-005", "snapshots of the master target are ignored", {"refuse_target_snapshots": False}),
    "machine-snapshots-ignored": ("RPR-006", "the machine's snapshots stay under its disks", {"refuse_machine_snapshots": False}),
    "disk-uuid-ignored": ("RPR-007", "disks are written although they cannot be told apart", {"need_disk_uuid": False}),
    "azure-agent-not-needed": ("RPR-012", "the agent in Azure need not be there", {"need_agent_in_azure": False}),
    "runs-while-written": ("RPR-013", "the machine runs while its disks are written", {"power_off_before_reverse": False}),
    "failback-of-a-half-copy": ("FB-001", "a failback uses a copy that has not ended", {"need_reverse_point": False}),
    "commit-keeps-points": ("FO-016", "commit keeps the recovery points", {"remove_points_at_commit": False}),
}  # fmt: skip

#: Mutant to why no requirement can find it.
EQUIVALENT: Mapping[str, str] = {
    "not-encrypted": "seen only in the payload, which no judgement looks at; tests/reference_impl reads it",
}

#: Name to (what it does in another way, rules replaced): right too.
VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "discovers-every-five-minutes": ("looks for machines more often than the documents promise", {"discovery_minutes": 5.0}),
    "five-disks-at-once": ("copies more disks at once; the number is advice", {"disks_copying_at_once": 5}),
    "components-silent-early": ("calls a component silent after three minutes", {"silent_minutes": 3.0}),
    "target-disks-up-to-forty": ("takes fewer disks at the master target", {"target_disk_limit": 40}),
}

"""How the reference behaves, as one frozen table: each value with the requirement it implements.

A component is given a `Rules` and asks it; a mutant of the product is the same table with one value changed.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """The reference as the documents have it. Units are in the names."""

    # data plane ----------------------------------------------------------------------------------------------------------
    data_port: int = 9443  #: NET-002: agent to process server, process server to master target
    group_port: int = 20004  #: NET-006, MVM-002: between members of a replication group
    control_port: int = 443  #: NET-001
    crash_minutes: float = 5.0  #: RPT-001: where the policy names no other value
    disks_copying_at_once: int = 3  #: REP-005
    track_during_copy: bool = True  #: REP-004: writes during the copy are in the stream
    send_only_differences: bool = True  #: REP-014, RPR-015: a sync compares checksums first
    resync_after_power_loss: bool = True  #: REP-013
    compress: bool = True  #: REP-012
    encrypt: bool = True  #: REP-012
    ship_at_once: bool = True  #: REP-006: no replication interval
    shared_points: bool = True  #: MVM-001: tags by a barrier between the members
    app_points: bool = True  #: RPT-002, RPT-003
    point_needs_all_disks: bool = True  #: REP-011
    thin_points: bool = True  #: RPT-007, RPT-008
    remove_points_at_commit: bool = True  #: RPT-011

    # configuration server and master target ------------------------------------------------------------------------------
    discovery_minutes: float = 15.0  #: DIS-002
    first_of_twins_only: bool = True  #: DIS-003: two machines with one instance UUID make one item
    push_once: bool = True  #: DIS-007: a machine that has the agent is not pushed to
    silent_minutes: float = 5.0  #: a component that has not spoken for so long is silent
    match_os_family: bool = True  #: RPR-001
    process_server_in_azure: bool = True  #: RPR-002
    refuse_target_snapshots: bool = True  #: RPR-005: also at failback
    refuse_machine_snapshots: bool = True  #: RPR-006: the reading of the article
    need_disk_uuid: bool = True  #: RPR-007
    need_lsi_controller: bool = True  #: RPR-009
    target_disk_limit: int = 60  #: RPR-010
    need_agent_in_azure: bool = True  #: RPR-012, NET-009
    power_off_before_reverse: bool = True  #: RPR-013
    need_retention_volume: bool = True  #: RPR-014
    need_reverse_point: bool = True  #: FB-001
    detach_before_power_on: bool = True  #: FB-004
    credentials_for_each_machine: bool = False  #: DIS-011: an appliance issues each machine its own
    snapshot_before_start: bool = False  #: FB-008: appliances take one, so that a failback can be cancelled
    cancel_drops_changes: bool = True  #: FB-008: what was written on premises since the failback is dropped
    apply_up_to_tags: bool = True  #: the disks of a machine are written up to a recovery point, never beyond

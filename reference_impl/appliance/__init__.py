"""The replication appliance of the modernized architecture: one machine with every role on premises (TOP-016).

`ReplicationAppliance(host, guest, clock, folder, ...)`: proxy and control of agents, discovery, process server, reprotect agent
and provider. It is put together from `configuration_server`, `process_server` and `master_target`, which it calls.
"""

from reference_impl.appliance.appliance import ReplicationAppliance, VCenterLogin, appliance_rules

__all__ = ["ReplicationAppliance", "VCenterLogin", "appliance_rules"]

"""Azure Site Recovery, classic and modernized: the resource provider, and the service its components speak to.

::

    site_recovery = SiteRecovery(arm, check_key=vaults.check_registration_key, rules=Rules(), observer=log)
    host.listen(443, site_recovery.components)      # the component protocol (docs/component-protocol.md, section 1)

`SiteRecovery` registers its operations with `arm`. `check_key` gives the vault of a registration key or raises `Refusal` 401.
Everything runs under `arm.lock`; jobs are processes on the clock.
"""

from collections.abc import Callable

from emulators.azure.arm import Arm, Resource
from emulators.azure.offazure import VMwareSites
from emulators.azure.site_recovery import health, replication
from emulators.azure.site_recovery.appliance_moves import ApplianceMoves
from emulators.azure.site_recovery.components import Components
from emulators.azure.site_recovery.containers import Containers, ProtectableItems, Providers
from emulators.azure.site_recovery.fabric_upkeep import FabricUpkeep
from emulators.azure.site_recovery.fabrics import Fabrics
from emulators.azure.site_recovery.item_upkeep import ItemUpkeep
from emulators.azure.site_recovery.job_export import JobExport
from emulators.azure.site_recovery.job_routes import Jobs
from emulators.azure.site_recovery.other_scenarios import OtherScenarios
from emulators.azure.site_recovery.policies import Mappings, Policies
from emulators.azure.site_recovery.process_servers import ProcessServers
from emulators.azure.site_recovery.protected_items import ProtectedItems
from emulators.azure.site_recovery.reasons import REASONS
from emulators.azure.site_recovery.recovery_plans import RecoveryPlans
from emulators.azure.site_recovery.recovery_points import RecoveryPoints
from emulators.azure.site_recovery.refusals import reason_of, refuse
from emulators.azure.site_recovery.rules import Rules
from emulators.azure.site_recovery.service import Observer, Service
from emulators.azure.site_recovery.vault_information import VaultInformation
from emulators.azure.site_recovery.vcenters import VCenters

__all__ = ["REASONS", "Observer", "Rules", "SiteRecovery", "reason_of"]

_PROVIDERS: tuple[Callable[[Service], object], ...] = (
    Fabrics,
    ProcessServers,
    Containers,
    Providers,
    ProtectableItems,
    VCenters,
    Policies,
    Mappings,
    ProtectedItems,
    RecoveryPoints,
    RecoveryPlans,
    Jobs,
    FabricUpkeep,
    ItemUpkeep,
    ApplianceMoves,
    JobExport,
    OtherScenarios,
    VaultInformation,
    VMwareSites,
)

#: How often health is looked at besides each heartbeat, in emulated seconds.
HEALTH_SECONDS = 60.0


class SiteRecovery:
    """All of Site Recovery in one estate. `components` is the WSGI application for host `site-recovery`, port 443.

    `observer(time, kind, subject, particulars)` is told of every change, in order: the estate's event log. It is called under
    `arm.lock` and must only take note. Kind `azure-vm` comes before a machine is made in Azure and says whose disks it gets.
    """

    def __init__(
        self,
        arm: Arm,
        *,
        check_key: Callable[[str], Resource],
        rules: Rules | None = None,
        observer: Observer | None = None,
    ):
        self.service = Service(arm, rules or Rules(), observer)
        self.components = Components(self.service, check_key)
        for provider in _PROVIDERS:
            arm.register(provider(self.service))
        self.service.scope.every(HEALTH_SECONDS, self._look, name="health")
        self.service.scope.every(self.service.rules.target_look_seconds, self._look_at_targets, name="targets")

    def refuse_deletion(self, vault: Resource) -> None:
        """For `Vaults.before_delete`: a vault that still has servers is not deleted."""
        found = self.service.vaults.get(vault.id.lower())
        if found is not None and found.fabrics:
            raise refuse("still-in-use", "The vault has registered servers; remove them first.")

    def forget(self, vault: Resource) -> None:
        """For `Vaults.after_delete`."""
        key = vault.id.lower()
        self.service.vaults.pop(key, None)
        self.service.components = {one: c for one, c in self.service.components.items() if c.vault != key}

    def _look_at_targets(self) -> None:
        with self.service.lock:
            for vault in self.service.vaults.values():
                health.look_at_targets(self.service, vault)

    def _look(self) -> None:
        with self.service.lock:
            health.evaluate_all(self.service)
            replication.resynchronize(self.service)

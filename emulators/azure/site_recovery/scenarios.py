"""Jobs by scenario: their names and the tasks they show, to the letter of recorded ones (asr-wire section 7)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaskName:
    id: str
    name: str
    friendly: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """`target` is targetInstanceType, `details` the instanceType of customDetails, `cancel` whether a running job offers
    Cancel.
    """

    friendly: str
    target: str
    details: str
    tasks: tuple[TaskName, ...]
    cancel: bool = True


def _tasks(*rows: tuple[str, str, str]) -> tuple[TaskName, ...]:
    return tuple(TaskName(*row) for row in rows)


_ITEM, _PROFILE, _PLAN = "ProtectionEntity", "ProtectionProfile", "RecoveryPlan"
_ASR, _TEST, _FAILOVER, _SWITCH = "AsrJobDetails", "TestFailoverJobDetails", "FailoverJobDetails", "SwitchProtectionJobDetails"

SCENARIOS: dict[str, Scenario] = {
    "EnableDr": Scenario(
        "Enable replication",
        _ITEM,
        _ASR,
        _tasks(
            (
                "EnableProtectionPreflightChecksTask",
                "EnableProtectionPrerequisitesCheck",
                "Prerequisites check for enabling protection",
            ),
            ("CreateProtectionTargetTask", "CreateProtectionTarget", "Installing Mobility Service and preparing target"),
            ("EnableProtectionTask", "EnableProtection", "Enable replication"),
            ("StartInitialReplicationTask", "VmStartInitialReplication", "Starting initial replication"),
            ("UpdateDraStateTask", "UpdateDraState", "Updating the provider states"),
        ),
    ),
    "PrimaryIrCompletion": Scenario("Finalize protection on the primary virtual machine", _ITEM, _ASR, ()),
    "SecondaryIrCompletion": Scenario("Finalize protection on the recovery virtual machine", _ITEM, _ASR, ()),
    "TestFailover": Scenario(
        "Test failover",
        _ITEM,
        _TEST,
        _tasks(
            ("TestFailoverPreflightChecksTask", "VmTfoPrerequisitesCheck", "Prerequisites check for test failover"),
            ("BeginTestFailoverTask", "VmTfoInitiateFailover", "Starting test failover"),
            ("PrepareTestProtectedEntitiesTask", "VmTfoPrepareTestVm", "Creating test virtual machine"),
            ("BootTestProtectedEntitiesTask", "VmTfoBootTestVm", "Start the virtual machine"),
        ),
    ),
    "TestFailoverCleanup": Scenario(
        "Test failover cleanup",
        _ITEM,
        _TEST,
        _tasks(
            (
                "TestFailoverCleanupPreflightChecksTask",
                "VmTfoCleanupPreflightsCheck",
                "Prerequisites check for test failover cleanup",
            ),
            ("EndTestFailoverTask", "VmTfoEndFailover", "Ending test failover"),
            ("CleanupTestProtectedEntitiesTask", "VmTfoDeleteTestVm", "Clean up the test virtual machine"),
        ),
    ),
    "UnplannedFailover": Scenario(
        "Failover",
        _ITEM,
        _FAILOVER,
        _tasks(
            ("UnplannedFailoverPreflightChecksTask", "VmUfoPrerequisitesCheck", "Prerequisites check for failover"),
            ("ShutdownVmOnPrimaryForUFO", "VmShutdownVmOnPrimary", "Shut down the virtual machine"),
            ("PrepareForUnPlannedFailoverTask", "VmPrepareForUnPlannedFailover", "Synchronizing the latest changes"),
            ("FailoverTask", "VmFailover", "Start failover"),
            ("StartVmOnSecondary", "VmFoStartVmOnSecondary", "Start the replica virtual machine"),
        ),
    ),
    "PlannedFailover": Scenario(
        "Planned failover",
        _ITEM,
        _FAILOVER,
        _tasks(
            ("PlannedFailoverPreflightChecksTask", "VmPfoPrerequisitesCheck", "Prerequisites check for planned failover"),
            ("PrepareForFailoverTask", "VmPrepareForFailover", "Start failover"),
            ("FailoverTask", "VmFailover", "Shut down the Azure virtual machine"),
            ("PrepareProtectedEntitiesTask", "VmPrepareProtectedEntitiesTask", "Preparing on-premise virtual machine"),
            ("StartVmOnSecondary", "VmFoStartVmOnSecondary", "Starting on-premise virtual machine"),
        ),
    ),
    "ChangePit": Scenario(
        "Change recovery point",
        _ITEM,
        _FAILOVER,
        _tasks(
            (
                "ChangePitPreflightChecksTask",
                "VmChangePitPrerequisitesCheck",
                "Prerequisites check for changing the recovery point",
            ),
            ("ChangePitTask", "VmChangePit", "Changing the recovery point"),
            ("StartVmOnSecondary", "VmFoStartVmOnSecondary", "Start the replica virtual machine"),
        ),
    ),
    "CommitFailover": Scenario(
        "Commit",
        _ITEM,
        _ASR,
        _tasks(
            ("CommitPreflightChecksTask", "VmCommitPrerequisitesCheck", "Prerequisite check"),
            ("CommitTask", "VmCommit", "Commit"),
        ),
    ),
    "SwitchReplicationGroupProtection": Scenario(
        "Reprotect",
        _ITEM,
        _SWITCH,
        _tasks(
            (
                "SwitchReplicationGroupProtectionPreflightTask",
                "SwitchReplicationGroupProtectionPreflightTask",
                "Prerequisite check",
            ),
            ("CommitFailoverTask", "VmCommitFailover", "Committing failover"),
            ("DiscoverReplicaTask", "DiscoverReplicaTask", "Discovering replica virtual machine"),
            ("GetSwitchProtectionRequirementsTask", "GetSwitchProtectionRequirementsTask", "Getting reprotection requirements"),
            ("ProtectReplicaTask", "ProtectReplicaTask", "Reprotecting virtual machine"),
        ),
    ),
    "DisableDr": Scenario(
        "Disable replication",
        _ITEM,
        _ASR,
        _tasks(
            (
                "DisableProtectionPreflightChecksTask",
                "DisableProtectionPrerequisitesCheck",
                "Prerequisites check for disabling protection",
            ),
            ("DisableProtectionTask", "DisableProtection", "Disabling replication"),
        ),
    ),
    "CompleteMigration": Scenario(
        "Complete migration",
        _ITEM,
        _ASR,
        _tasks(
            ("CompleteMigrationTask", "CompleteMigration", "Completing the migration"),
        ),
    ),
    "RepairVMReplication": Scenario(
        "Resynchronize the virtual machine",
        _ITEM,
        _ASR,
        _tasks(
            ("RepairVmReplicationTask", "RepairVmReplicationTask", "Starting resynchronization for the virtual machine"),
        ),
    ),
    "UpdateVmProperties": Scenario(
        "Update the virtual machine",
        _ITEM,
        _ASR,
        _tasks(
            ("UpdateVmPropertiesTask", "UpdateVmPropertiesTask", "Update the virtual machine properties"),
        ),
        cancel=False,
    ),
    "RestartJob": Scenario("Restart job", _ITEM, _ASR, _tasks(("RemediateWfTask", "RemediateTask", "Restarting job"))),
    "DiscoverVCenter": Scenario(
        "Add vCenter server",
        "VCenter",
        _ASR,
        _tasks(
            ("DiscoverVCenterTask", "DiscoverVCenterTask", "Adding vCenter server"),
        ),
        cancel=False,
    ),
    "RemoveVCenter": Scenario(
        "Remove vCenter server",
        "VCenter",
        _ASR,
        _tasks(
            ("RemoveVCenterTask", "RemoveVCenterTask", "Removing vCenter server"),
        ),
        cancel=False,
    ),
    "ProcessServerFailover": Scenario(
        "Changing Process server",
        "Server",
        _ASR,
        _tasks(("ProcessServerFailoverTask", "ProcessServerFailoverTask", "Changing Process server")),
        cancel=True,
    ),
    "RefreshFabricLayout": Scenario(
        "Refresh server details",
        "Server",
        _ASR,
        _tasks(
            (
                "RefreshFabricLayoutPreflightChecksTask",
                "RefreshFabricLayoutPreflightChecksTask",
                "Prerequisites check for refresh",
            ),
            ("RefreshFabricLayoutTask", "RefreshFabricLayoutTask", "Getting details from server"),
        ),
    ),
    "RemoveFabric": Scenario(
        "Remove server", "Server", _ASR, _tasks(("RemoveFabricTask", "RemoveFabricTask", "Removing server"))
    ),
    "AddProtectionProfile": Scenario(
        "Create replication policy",
        _PROFILE,
        _ASR,
        _tasks(
            (
                "AddProtectionProfilePreflightsCheckTask",
                "AddProtectionProfilePreflightsCheckTask",
                "Prerequisites check for creating the replication policy",
            ),
            ("AddProtectionProfileTask", "AddProtectionProfileTask", "Creating the replication policy"),
        ),
    ),
    "ModifyProtectionProfile": Scenario(
        "Modify settings of the replication policy",
        _PROFILE,
        _ASR,
        _tasks(
            ("ModifyProtectionProfileTask", "ModifyProtectionProfileTask", "Modifying settings of the replication policy"),
        ),
    ),
    "RemoveProtectionProfile": Scenario(
        "Remove the replication policy",
        _PROFILE,
        _ASR,
        _tasks(
            (
                "RemoveProtectionProfilePreflightsCheckTask",
                "RemoveProtectionProfilePreflightsCheckTask",
                "Checking prerequisites for replication policy removal",
            ),
            ("RemoveProtectionProfileTask", "RemoveProtectionProfileTask", "Removing the replication policy"),
        ),
    ),
    "AssociateProtectionProfile": Scenario(
        "Associate replication policy",
        _PROFILE,
        _ASR,
        _tasks(
            ("CloudPairingWfPreflightChecksTask", "CloudPairingPrerequisitesCheck", "Check protection prerequisites"),
            ("CloudPairingWfPrepareSiteTask", "CloudPairingPrepareSite", "Prepare the server"),
            ("CloudPairingWfPrepareCloudForPairingTask", "CloudPairingPrepareCloud", "Prepare for configuring protection"),
            ("CloudPairingWfPairCloudsTask", "CloudPairingPairClouds", "Configure the protection settings"),
        ),
    ),
    "DissociateProtectionProfile": Scenario(
        "Dissociate replication policy",
        _PROFILE,
        _ASR,
        _tasks(
            ("CloudUnpairingTask", "CloudUnpairing", "Removing the protection settings"),
        ),
    ),
    "SaveRecoveryPlan": Scenario(
        "Save a recovery plan",
        _PLAN,
        _ASR,
        _tasks(
            ("SaveRecoveryPlanTask", "SaveRecoveryPlanTask", "Save a recovery plan task"),
        ),
    ),
    "DeleteRecoveryPlan": Scenario(
        "Delete a recovery plan",
        _PLAN,
        _ASR,
        _tasks(
            ("DeleteRecoveryPlanTask", "DeleteRecoveryPlanTask", "Delete a recovery plan task"),
        ),
    ),
    "RefreshVaultHealth": Scenario(
        "Refresh vault health",
        "Vault",
        _ASR,
        _tasks(
            ("RefreshFailoverHealthTask", "RefreshFailoverHealthTask", "Refreshing failover health"),
        ),
    ),
    "CancelFailover": Scenario(
        "Cancel failover and resume replication",
        _ITEM,
        _ASR,
        _tasks(
            ("CancelFailoverPreflightChecksTask", "CancelFailoverPreflightChecksTask", "Prerequisites check for cancel failover"),
            ("CancelFailoverRecovery", "CancelFailoverRecovery", "Cancel failover recovery"),
            ("CancelFailoverPrimary", "CancelFailoverPrimaryTask", "Cancel failover primary"),
            ("StartVmOnPrimary", "StartVmOnPrimary", "Starting the virtual machine"),
        ),
        cancel=False,
    ),
    "UpdateApplianceForRPI": Scenario(
        "Update appliance for protected item",
        _ITEM,
        _ASR,
        _tasks(
            (
                "UpdateAppliancePreflightChecksTask",
                "UpdateAppliancePreflightChecksTask",
                "Prerequisites check for updating the appliance",
            ),
            (
                "UpdateApplianceForProtectedItemTask",
                "UpdateApplianceForProtectedItemTask",
                "Updating the appliance of the protected item",
            ),
        ),
        cancel=False,
    ),
    "UpdateMobilityService": Scenario(
        "Update Mobility Service",
        _ITEM,
        _ASR,
        _tasks(("UpdateMobilityServiceTask", "UpdateMobilityServiceTask", "Updating Mobility Service")),
        cancel=True,
    ),
    "ResolveHealthErrors": Scenario(
        "Resolve health errors",
        _ITEM,
        _ASR,
        _tasks(("ResolveHealthErrorsTask", "ResolveHealthErrorsTask", "Resolving health errors")),
        cancel=False,
    ),
    "CheckConsistency": Scenario(
        "Check consistency",
        "Server",
        _ASR,
        _tasks(("CheckConsistencyTask", "CheckConsistencyTask", "Checking consistency with the server")),
        cancel=False,
    ),
    "MigrateToAad": Scenario(
        "Migrate to Azure Active Directory",
        "Server",
        _ASR,
        _tasks(("MigrateToAadTask", "MigrateToAadTask", "Migrating the server's credentials")),
        cancel=False,
    ),
    "RenewCertificate": Scenario(
        "Renew certificate",
        "Server",
        _ASR,
        _tasks(("RenewCertificateTask", "RenewCertificateTask", "Renewing the server's certificate")),
        cancel=False,
    ),
    "UpdateVCenter": Scenario(
        "Update vCenter server",
        "VCenter",
        _ASR,
        _tasks(("UpdateVCenterTask", "UpdateVCenterTask", "Updating vCenter server")),
        cancel=False,
    ),
    "DiscoverProtectableItem": Scenario(
        "Add physical server",
        "Server",
        _ASR,
        _tasks(("DiscoverProtectableItemTask", "DiscoverProtectableItemTask", "Discovering the physical server")),
        cancel=False,
    ),
    "ModifyContainerMapping": Scenario(
        "Modify container mapping",
        _PROFILE,
        _ASR,
        _tasks(("ModifyContainerMappingTask", "ModifyContainerMappingTask", "Modifying the protection settings")),
        cancel=False,
    ),
    "ExportJobs": Scenario(
        "Export jobs", "Vault", "ExportJobDetails", _tasks(("ExportJobsTask", "ExportJobsTask", "Exporting jobs")), cancel=False
    ),
}

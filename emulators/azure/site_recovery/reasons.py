"""Why Site Recovery says no: one table from reason to what is seen on the wire.

A reason is a word of the harness (`failover-kind-unsupported`), or finer than one. On the wire it is the documented number
where there is one, else the reason in PascalCase. Codes are unique, so that the way back can be found.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One refusal. `status` and `arm_code` are those of an immediate answer; `code` identifies the reason also in jobs.

    `word` is the harness's word where that is coarser than the reason here.
    """

    code: str
    message: str
    causes: str
    action: str
    status: int = 400
    arm_code: str = "BadRequest"
    word: str = ""


def _reason(
    code: str, message: str, causes: str, action: str, status: int = 400, arm_code: str = "BadRequest", word: str = ""
) -> Reason:
    return Reason(code, message, causes, action, status, arm_code, word)


def _state(code: str, message: str, action: str) -> Reason:
    """The state of the object does not offer the operation."""
    causes = "The protected item is in a state that does not offer this operation; see its allowedOperations."
    return Reason(code, message, causes, action, word="operation-not-allowed")


_WAIT = "Wait until the running operation has ended and retry."
REASONS: dict[str, Reason] = {
    # the request
    "resource-missing": _reason(
        "ArmResourceDoesNotExist",
        "Specified resource does not exist.",
        "Ensure correct resource name was specified.",
        "Verify ARM resource name details.",
        404,
        "NotFound",
    ),
    "malformed": _reason(
        "InvalidInput", "The request is not valid.", "A value is missing or of the wrong kind.", "Correct the request."
    ),
    "scenario-unsupported": _reason(
        "ScenarioNotSupported",
        "The operation belongs to a replication scenario that this vault does not serve.",
        "It exists for Azure to Azure, Hyper-V, VMM, migration or clusters; this vault replicates VMware and physical machines.",
        "Use the operations of VMware and physical machines.",
    ),
    "move-unsupported": _reason(
        "MoveToModernizedNotSupported",
        "Protected items are not moved from a classic to a modernized vault here.",
        "This vault's service does not offer the move.",
        "Disable replication here, then enable it in the modernized vault.",
    ),
    "made-by-registration": _reason(
        "MadeByRegistration",
        "Fabrics and their providers are made when a server registers with the vault.",
        "A configuration server or replication appliance makes them; they cannot be created by a call.",
        "Register a configuration server or a replication appliance with a registration key of the vault.",
    ),
    "certificate-expired": _reason(
        "CertificateExpired",
        "The certificate of the configuration server has expired.",
        "It was not renewed in time.",
        "Renew it with the tool on the configuration server.",
    ),
    "unknown-health-error": _reason(
        "HealthErrorUnknown",
        "The health error does not stand on the item.",
        "It has cleared by itself, or its id is wrong.",
        "Read the item's healthErrors again.",
    ),
    # kinds and states of failover
    "failover-kind-unsupported": _reason(
        "FailoverKindUnsupported",
        "Planned failover is not supported for VMware virtual machines and physical servers.",
        "Only unplanned failover exists for this replication provider.",
        "Run an unplanned failover.",
    ),
    "appliance-missing": _reason(
        "ApplianceNotFound",
        "The replication appliance does not exist.",
        "No appliance with this id is registered with the vault.",
        "Name an appliance of the vault's fabric.",
        word="process-server-missing",
    ),
    "appliance-unhealthy": _reason(
        "ApplianceUnhealthy",
        "The replication appliance is not healthy.",
        "The appliance, or a program on it, has not been heard of.",
        "Bring the appliance back and retry.",
        word="configuration-server-disconnected",
    ),
    "appliance-mixed": _reason(
        "ApplianceInMixedState",
        "Some programs of the machine's appliance are heard of and some are not.",
        "Machines are moved from an appliance that is healthy, or from one that is silent altogether.",
        "Bring all programs of the appliance back, or stop it.",
    ),
    "vault-kind-fixed": _reason(
        "VaultArchitectureFixed",
        "The architecture of a vault cannot be changed any more.",
        "The vault was switched to classic, or an appliance is registered with it.",
        "Use another vault.",
    ),
    "cancel-unsupported": _reason(
        "CancelFailoverUnsupported",
        "A failover of this replication provider cannot be cancelled.",
        "Cancelling exists only for failback of the modernized architecture.",
        "Commit the failover, or change the recovery point.",
    ),
    "already-committed": _reason(
        "FailoverAlreadyCommitted",
        "The failover is already committed.",
        "See allowedOperations of the item.",
        "Reprotect the machine to replicate it again.",
    ),
    "already-failed-over": _state(
        "AlreadyFailedOver", "The machine is already failed over.", "Commit the failover, then reprotect the machine."
    ),
    "not-failed-over": _state("NotFailedOver", "The machine is not failed over.", "Fail the machine over first."),
    "not-committed": _state("FailoverNotCommitted", "The failover is not committed.", "Commit the failover, then reprotect."),
    "already-reprotected": _state(
        "AlreadyReprotected", "The machine is already replicating to the on-premises site.", "Fail the machine back."
    ),
    "clean-up-pending": _reason(
        "TestFailoverCleanupPending",
        "A test failover waits for its cleanup.",
        "See allowedOperations of the item.",
        "Clean the test failover up first.",
    ),
    "no-test-failover": _state("NoTestFailover", "No test failover waits for a cleanup.", "Nothing has to be done."),
    "test-failover-unsupported": _state(
        "TestFailoverUnsupported", "A test failover exists only towards Azure.", "Fail the machine back and reprotect it first."
    ),
    "change-point-unsupported": _state(
        "ChangePitUnsupported", "The recovery point of a failback cannot be changed.", "Commit the failback."
    ),
    "not-replicating": _state("NotReplicating", "The machine is not replicating.", "Protect or reprotect the machine first."),
    "still-protecting": _state(
        "ProtectionInProgress", "Protection of the machine is still being enabled.", "Wait until it is protected and retry."
    ),
    "protection-failed": _reason(
        "310056",
        "Protection couldn't be enabled for the machine.",
        "Enabling protection failed or was cancelled.",
        "Disable replication, mend the cause and enable replication again.",
    ),
    "failover-cancelled": _state(
        "FailoverCancelled",
        "A failover of the machine was cancelled; it has no replication any more.",
        "Disable replication and enable it again.",
    ),
    "resync-not-required": _state("ResyncNotRequired", "The machine needs no resynchronization.", "Nothing has to be done."),
    "operation-in-progress": _reason(
        "OperationInProgress",
        "Another operation is in progress on this object.",
        "Operations run one at a time.",
        _WAIT,
        409,
        "Conflict",
        "operation-not-allowed",
    ),
    "still-in-use": _reason(
        "ObjectInUse",
        "The object is used by others.",
        "Protected items or mappings refer to it.",
        "Remove those first.",
        409,
        "Conflict",
    ),
    "job-action-unsupported": _reason(
        "JobActionNotAllowed",
        "The job does not allow this action.",
        "See allowedActions of the job.",
        "Use an action the job offers.",
    ),
    # enable
    "not-registered": _reason(
        "SubscriptionIdNotRegisteredWithSrs",
        "No configuration server is registered with the vault.",
        "The resource isn't registered with the service.",
        "Register a configuration server with the vault.",
    ),
    "no-vcenter": _reason(
        "NoVCenter", "No vCenter server was added.", "Discovery has found nothing yet.", "Add the vCenter server."
    ),
    "configuration-server-disconnected": _reason(
        "ConfigurationServerDisconnected",
        "The configuration server is not connected.",
        "It is off or cannot reach the service on 443.",
        "Bring the configuration server back and retry.",
    ),
    "component-silent": _reason(
        "ComponentDidNotReport",
        "A component did not report on its work in time.",
        "It is off, or busy for too long.",
        "Check the component and restart the job.",
    ),
    "replica-worker-missing": _reason(
        "ReplicaWorkerMissing",
        "No replica worker serves this vault.",
        "None is registered or none is alive.",
        "Start one and retry.",
    ),
    "policy-not-mapped": _reason(
        "78253",
        "No valid policy is associated with the protection container.",
        "The policy has no container mapping.",
        "Associate the policy with the container.",
    ),
    "policy-wrong-kind": _reason(
        "PolicyKindMismatch",
        "The policy is of the wrong kind for this direction.",
        "Forward and failback need policies of their own.",
        "Name a policy of the right replication provider.",
    ),
    "policy-invalid": _reason(
        "PolicyInvalid", "The policy is not valid.", "A value is outside its limits.", "Correct the value."
    ),
    "unknown-machine": _reason(
        "MachineUnknown",
        "The machine was not discovered.",
        "It does not exist, or the last discovery is older.",
        "Refresh the provider.",
    ),
    "machine-unsupported": _reason(
        "MachineConfigurationNotSupported",
        "The machine cannot be replicated as it is.",
        "Its system, firmware or disks are outside what is supported.",
        "Compare the machine with the support matrix.",
    ),
    "storage-account-unsupported": _reason(
        "StorageAccountNotSupported",
        "The storage account cannot hold replicas or logs.",
        "It is of the wrong kind, cool, or premium where logs go.",
        "Use a general-purpose account in the hot tier.",
    ),
    "uefi-failback-unsupported": _reason(
        "UefiFailbackNotSupported",
        "Machines that boot by UEFI are not reprotected to the site.",
        "The classic architecture fails such machines over only.",
        "Keep the machine in Azure, or use a modernized vault.",
        word="operation-not-allowed",
    ),
    "vcenter-version": _reason(
        "VCenterVersionNotSupported",
        "The version of the vCenter server is not supported.",
        "It is older or newer than what the configuration server speaks to.",
        "Use a supported version.",
    ),
    "not-protectable": _reason(
        "MachineNotProtectable",
        "The machine cannot be protected.",
        "See its protection readiness errors.",
        "Mend them and refresh.",
    ),
    "already-protected": _reason(
        "MachineAlreadyProtected",
        "The machine is already protected.",
        "It is protected or failed over, possibly from another vault.",
        "Disable replication there first.",
    ),
    "item-exists": _reason(
        "ItemExists", "The protected item exists already.", "Its name is taken.", "Use another name.", 409, "Conflict"
    ),
    "target-missing": _reason(
        "TargetResourceMissing", "A resource of the target does not exist.", "Its id is wrong.", "Create it and retry."
    ),
    "network-missing": _reason(
        "TargetNetworkMissing", "The target network does not exist.", "Network or subnet is missing.", "Create it and retry."
    ),
    "storage-account-missing": _reason(
        "TargetStorageAccountMissing", "The storage account does not exist.", "Its id is wrong.", "Create it and retry."
    ),
    "network-in-other-region": _reason(
        "TargetNetworkRegionMismatch", "The network is not in the vault's region.", "It must be there.", "Use one in that region."
    ),
    "storage-account-in-other-region": _reason(
        "TargetStorageRegionMismatch", "The account is not in the vault's region.", "It must be there.", "Use one in that region."
    ),
    "name-invalid": _reason(
        "TargetNameInvalid",
        "The name of the Azure virtual machine is not valid.",
        "1 to 63 letters, digits and hyphens are allowed.",
        "Set another target name.",
    ),
    "group-fixed": _reason(
        "ReplicationGroupFixed",
        "Membership of a replication group is fixed when protection is enabled.",
        "The item exists already.",
        "Disable replication and enable it with the group.",
    ),
    "push-install-failed": _reason(
        "95117",
        "The Mobility Service could not be installed on the machine.",
        "Port 135 or 22 is unreachable.",
        "Check firewall and services of the machine.",
    ),
    "credentials-refused": _reason(
        "95107",
        "The account may not install the Mobility Service.",
        "Wrong password, or not an administrator.",
        "Correct the account.",
    ),
    "machine-powered-off": _reason(
        "MachinePoweredOff", "The machine is powered off.", "It must run to be protected.", "Power it on."
    ),
    "agent-silent": _reason(
        "78174",
        "No heartbeat from the Mobility Service of the source machine.",
        "The agent is stopped or cannot reach 443.",
        "Check the agent and its network.",
    ),
    # vCenter
    "vcenter-unreachable": _reason(
        "VCenterUnreachable",
        "The vCenter server cannot be reached.",
        "It is off or port 443 is blocked.",
        "Check the vCenter server.",
    ),
    "vcenter-login-failed": _reason(
        "VCenterLoginFailed", "The vCenter server refused the account.", "User name or password is wrong.", "Correct the account."
    ),
    # recovery points
    "no-recovery-point": _reason(
        "NoRecoveryPoint",
        "There is no recovery point of the kind asked for.",
        "None was made yet, or it was pruned.",
        "Wait for one, or choose another kind.",
    ),
    "recovery-point-unknown": _reason(
        "RecoveryPointUnknown",
        "The recovery point does not exist for this machine.",
        "It was pruned or belongs to another machine.",
        "Choose a recovery point of the machine.",
    ),
    "custom-point-in-plan": _reason(
        "CustomPointInPlan",
        "A recovery plan cannot fail over to a named recovery point.",
        "Custom is for single machines.",
        "Choose a recovery point type.",
    ),
    # Azure virtual machine (ERR-006)
    "azure-vm-not-created": _reason(
        "28031",
        "The virtual machine could not be created in Azure.",
        "Quota, size or policy of the subscription.",
        "See the inner error.",
    ),
    "azure-nic-not-created": _reason(
        "28092",
        "The network interface could not be created in Azure.",
        "Subnet full, address taken, or policy.",
        "See the inner error.",
    ),
    "azure-vm-not-running": _reason(
        "78093",
        "The Azure virtual machine is not running or hangs.",
        "It was stopped or deleted.",
        "Start the virtual machine and retry.",
    ),
    # reprotect
    "group-only-by-plan": _reason(
        "ReplicationGroupNeedsPlan",
        "A machine of a replication group is reprotected only through a recovery plan.",
        "The machine shares its recovery points with others.",
        "Reprotect a recovery plan that holds the whole group.",
    ),
    "group-incomplete": _reason(
        "ReplicationGroupIncomplete",
        "The recovery plan holds only a part of a replication group.",
        "Members are missing in it.",
        "Use a plan with every member of the group.",
    ),
    "group-master-targets-differ": _reason(
        "ReplicationGroupMasterTargets",
        "A replication group needs one master target for all.",
        "Members name different ones.",
        "Name one master target.",
    ),
    "agent-unreachable": _reason(
        "95226",
        "The Azure virtual machine cannot reach the configuration server.",
        "No VPN or private peering, or the agent is not up yet.",
        "Check the connection to the site; allow 15 minutes after the boot.",
    ),
    "snapshot-present": _reason(
        "SnapshotPresent",
        "The machine or the master target has snapshots.",
        "Disks cannot be attached below a snapshot.",
        "Delete the snapshots and retry.",
    ),
    "disk-uuid-disabled": _reason(
        "DiskUuidDisabled",
        "disk.EnableUUID is not set to true on the master target.",
        "Its disks cannot be identified.",
        "Add disk.EnableUUID = TRUE to the configuration parameters.",
    ),
    "process-server-missing": _reason(
        "ProcessServerMissing",
        "The process server is not known.",
        "It is not registered with the configuration server.",
        "Deploy and register a process server, and name it.",
    ),
    "process-server-unreachable": _reason(
        "806", "No heartbeat from the process server.", "It is off or its network is cut.", "Check the process server."
    ),
    "master-target-missing": _reason(
        "78022", "No heartbeat from the master target server.", "It is off or not registered.", "Check the master target."
    ),
    "master-target-os-mismatch": _reason(
        "MasterTargetOsMismatch",
        "The master target has the wrong operating system.",
        "Windows machines need a Windows one, Linux a Linux one.",
        "Choose another master target.",
    ),
    "retention-volume-missing": _reason(
        "RetentionVolumeMissing",
        "The retention volume does not exist on the master target.",
        "It is not listed there.",
        "Name a retention volume of the master target.",
    ),
    "too-many-disks": _reason(
        "MasterTargetDiskLimit",
        "The master target would hold more than 60 disks.",
        "Its limit is 60.",
        "Use another master target.",
    ),
    "datastore-unreachable": _reason(
        "8061", "The datastore is not accessible from the master target.", "Its host has no access.", "Give the host access."
    ),
    "disk-detach-failed": _reason(
        "DiskDetachFailed",
        "A disk could not be detached from the master target.",
        "It was moved or has a snapshot.",
        "Mend it and retry.",
    ),
    "power-on-failed": _reason("8038", "The machine could not be started.", "The host lacks resources.", "Free them and retry."),
    "controller-unsupported": _reason(
        "ControllerUnsupported",
        "The master target has a SCSI controller that is not supported.",
        "It is not LSI Logic.",
        "Change it.",
    ),
    "disk-missing": _reason(
        "DiskMissing", "A disk of the machine does not exist.", "It was removed.", "Disable and enable replication."
    ),
    "disk-clash": _reason(
        "78052", "Name or disk of the machine exists on the master target's host.", "A clone.", "Remove the clone."
    ),
    "no-permission": _reason(
        "VCenterPermission",
        "The vCenter account lacks a privilege.",
        "Its role is too small.",
        "Extend the role, refresh and retry.",
    ),
    "vcenter-fault": _reason(
        "VCenterFault", "The vCenter server refused an operation.", "See the message.", "Mend it and retry."
    ),
    "logs-missing": _reason(
        "ReplicationLogsMissing",
        "Replication logs are missing in the cache account.",
        "They were deleted or not uploaded.",
        "Resynchronize.",
    ),
    # plans
    "plan-invalid": _reason("RecoveryPlanInvalid", "The recovery plan is not valid.", "See the message.", "Correct the plan."),
    "plan-group-conflict": _reason(
        "RecoveryPlanGroupConflict", "A machine is in two groups of the plan.", "See the message.", "Correct the plan."
    ),
    "plan-too-large": _reason(
        "RecoveryPlanTooLarge", "The plan has too many groups or machines.", "See the message.", "Split the plan."
    ),
    "plan-empty": _reason("RecoveryPlanEmpty", "The plan holds no machines.", "They were disabled.", "Add machines."),
    "runbook-failed": _reason(
        "RecoveryPlanRunbookFailed",
        "A runbook of the recovery plan has failed.",
        "The runbook, its automation account or its job has an error; see the output of the job.",
        "Correct the runbook and run it by hand if its work is still needed.",
    ),
    # anything a component says that is not in this table
    "provider-error": _reason(
        "559",
        "The operation could not be completed.",
        "See the provider errors for more information.",
        "Resolve the issue and retry the operation.",
    ),
}

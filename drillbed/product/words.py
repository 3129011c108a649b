"""How Site Recovery's words are called in the harness: states, operations, healths, reasons, events. Data only."""

CAPABILITIES = frozenset(
    {
        "observe-flows",
        "observe-content",
        "observe-components",
        "multi-vm-consistency",
        "recovery-plans",
        "process-servers",
        "migration",
        "target-settings",
    }
)

#: The state of protection by provider and `protectionState`.
STATES = {
    ("InMageAzureV2", "UnprotectedStatesBegin"): "copying",
    ("InMageAzureV2", "EnablingFailed"): "enabling-failed",
    ("InMageAzureV2", "InitialReplicationInProgress"): "copying",
    ("InMageAzureV2", "InitialReplicationRecoveryCompletionPending"): "waiting-first-point",
    ("InMageAzureV2", "Protected"): "protected",
    ("InMageAzureV2", "UnplannedFailoverCommitPendingStatesBegin"): "failed-over",
    ("InMageAzureV2", "UnplannedFailoverCommitted"): "committed",
    ("InMage", "InitialReplicationInProgress"): "reverse-copying",
    ("InMage", "Protected"): "reprotected",
    ("InMage", "UnplannedFailoverCommitPendingStatesBegin"): "failed-back",
    ("InMage", "UnplannedFailoverCommitted"): "failback-committed",
}

#: Words of `allowedOperations`.
OPERATIONS = {
    "UnplannedFailover": "failover",
    "PlannedFailover": "planned-failover",
    "TestFailover": "test-failover",
    "TestFailoverCleanup": "clean-up",
    "ChangePit": "change-recovery-point",
    "Commit": "commit",
    "SwitchProtection": "reprotect",
    "CompleteMigration": "complete-migration",
    "CancelFailover": "cancel",
    "DisableProtection": "unprotect",
    "RepairReplication": "resynchronize",
}

HEALTHS = {"Normal": "healthy", "None": "none", "Warning": "warning", "Critical": "critical"}

#: Codes of health errors that are no refusals.
PROBLEMS = {"78026": "rpo-threshold"}

#: Codes that a component is refused with when it registers.
REGISTRATION = {
    "RegistrationKeyExpired": "registration-key-expired",
    "ClockSkew": "clock-skew",
}

#: Kind of an entry of the estate's event log to what the harness calls it: (kind, side) in order.
EVENTS = {
    "azure-vm": (("creating", "azure"), ("starting", "azure")),
    "azure-vm-running": (("created", "azure"), ("started", "azure")),
    "azure-vm-removed": (("deleted", "azure"),),
}

"""The life of a protected item as data: its states, what each allows, where that leads, and why anything else is refused.

Strings of the wire are those of behaviours.md, "State machines". The state of an item is the key; its provider follows from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from emulators.azure.site_recovery.profiles import MODERNIZED, Profile
from emulators.azure.site_recovery.wire import FORWARD, REVERSE


@dataclass(frozen=True, slots=True)
class State:
    """How a state is read. `operations` is `allowedOperations` while no job runs on the item."""

    provider: str
    wire: str
    description: str
    active: str
    operations: tuple[str, ...]


STATES: dict[str, State] = {
    # forward: on premises to Azure
    "enabling": State(FORWARD, "UnprotectedStatesBegin", "Enabling protection", "Primary", ()),
    "enabling-failed": State(FORWARD, "EnablingFailed", "Protection couldn't be enabled", "Primary", ("DisableProtection",)),
    "replicating": State(
        FORWARD, "InitialReplicationInProgress", "Initial replication is in progress", "Primary", ("DisableProtection",)
    ),
    "protected": State(FORWARD, "Protected", "Protected", "Primary", ("UnplannedFailover", "DisableProtection", "TestFailover")),
    "cleanup-pending": State(FORWARD, "Protected", "Cleanup test failover pending", "Primary", ("TestFailoverCleanup",)),
    "failed-over": State(
        FORWARD,
        "UnplannedFailoverCommitPendingStatesBegin",
        "Failover completed",
        "Recovery",
        ("CompleteMigration", "Commit", "DisableProtection", "ChangePit"),
    ),
    "committed": State(
        FORWARD,
        "UnplannedFailoverCommitted",
        "Failover committed",
        "Recovery",
        ("CompleteMigration", "DisableProtection", "SwitchProtection"),
    ),
    "failover-cancelled": State(FORWARD, "UnplannedFailoverFailed", "Failover was cancelled", "Primary", ("DisableProtection",)),
    # reverse: Azure to on premises
    "reverse-replicating": State(
        REVERSE, "InitialReplicationInProgress", "Initial replication is in progress", "Primary", ("DisableProtection",)
    ),
    "reverse-protected": State(REVERSE, "Protected", "Protected", "Primary", ("UnplannedFailover", "DisableProtection")),
    "failed-back": State(
        REVERSE, "UnplannedFailoverCommitPendingStatesBegin", "Failover completed", "Recovery", ("Commit", "DisableProtection")
    ),
    "failback-committed": State(
        REVERSE,
        "UnplannedFailoverCommitted",
        "Failover committed",
        "Recovery",
        ("CompleteMigration", "DisableProtection", "SwitchProtection"),
    ),
}

OPERATIONS = (
    "test-failover",
    "test-failover-cleanup",
    "unplanned-failover",
    "planned-failover",
    "commit",
    "cancel-failover",
    "change-point",
    "reprotect",
    "repair",
    "disable",
    "complete-migration",
    "update-agent",
    "update-appliance",
)

#: (state, operation) -> state after success. What is not here is refused. "" means the item is gone.
TRANSITIONS: Mapping[tuple[str, str], str] = {
    ("protected", "test-failover"): "cleanup-pending",
    ("cleanup-pending", "test-failover-cleanup"): "protected",
    ("protected", "unplanned-failover"): "failed-over",
    ("failed-over", "change-point"): "failed-over",  # FO-017
    ("failed-over", "commit"): "committed",  # FO-016
    ("committed", "reprotect"): "reverse-replicating",  # RPR-011
    ("reverse-protected", "unplanned-failover"): "failed-back",  # FB-001, FB-002
    ("failed-back", "commit"): "failback-committed",  # FB-005
    ("failback-committed", "reprotect"): "replicating",  # RRP-001
    ("protected", "repair"): "protected",
    ("reverse-protected", "repair"): "reverse-protected",
    ("replicating", "update-agent"): "replicating",  # DIS-012
    ("protected", "update-agent"): "protected",
    **{(state, "disable"): "" for state in STATES if "DisableProtection" in STATES[state].operations},
    **{(state, "complete-migration"): "" for state in STATES if "CompleteMigration" in STATES[state].operations},  # FO-020
}

#: Why an operation is refused whatever the state is.
NEVER: Mapping[str, str] = {
    "planned-failover": "failover-kind-unsupported",  # FO-002
    "cancel-failover": "cancel-unsupported",  # FO-018, FB-009
}

#: Why a state refuses an operation; "" is any other operation of that state.
REFUSED: Mapping[tuple[str, str], str] = {
    **{(state, "test-failover-cleanup"): "no-test-failover" for state in STATES},
    **{(state, "commit"): "not-failed-over" for state in STATES},
    **{(state, "change-point"): "not-failed-over" for state in STATES},
    **{(state, "complete-migration"): "not-failed-over" for state in STATES},
    **{(state, "reprotect"): "not-failed-over" for state in STATES},
    **{(state, operation): "not-replicating" for state in STATES for operation in ("repair", "update-agent", "update-appliance")},
    **{
        (state, operation): "still-protecting"
        for state in ("enabling", "replicating")
        for operation in ("test-failover", "unplanned-failover", "repair")
    },  # REP-003, TFO-002
    **{("enabling", operation): "still-protecting" for operation in ("disable", "update-agent", "update-appliance")},
    **{
        ("enabling-failed", operation): "protection-failed"
        for operation in ("test-failover", "unplanned-failover", "repair", "update-agent", "update-appliance")
    },  # DSB-005
    **{
        ("failover-cancelled", operation): "failover-cancelled"
        for operation in ("test-failover", "unplanned-failover", "repair", "commit", "change-point", "reprotect", "update-agent")
    },  # FO-018
    **{
        ("cleanup-pending", operation): "clean-up-pending" for operation in OPERATIONS if operation != "test-failover-cleanup"
    },  # TFO-003
    **{
        (state, operation): "already-failed-over"
        for state in ("failed-over", "committed", "failed-back", "failback-committed")
        for operation in ("test-failover", "unplanned-failover")
    },
    **{
        (state, operation): "already-committed"
        for state in ("committed", "failback-committed")
        for operation in ("commit", "change-point")
    },  # FO-016
    ("failed-over", "reprotect"): "not-committed",
    ("failed-back", "reprotect"): "not-committed",
    ("failed-back", "complete-migration"): "not-committed",
    ("failed-back", "change-point"): "change-point-unsupported",
    **{(state, "reprotect"): "already-reprotected" for state in ("reverse-replicating", "reverse-protected")},
    **{(state, "test-failover"): "test-failover-unsupported" for state in ("reverse-replicating", "reverse-protected")},
    ("reverse-replicating", "unplanned-failover"): "no-recovery-point",  # FB-001
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What a state says to an operation: where it leads, or why not."""

    next: str = ""
    reason: str = ""

    @property
    def allowed(self) -> bool:
        return not self.reason


def decide(transitions: Mapping[tuple[str, str], str], state: str, operation: str) -> Decision:
    """What `state` says to `operation` under a table of transitions."""
    if (state, operation) in transitions:
        return Decision(next=transitions[state, operation])
    return Decision(reason=NEVER.get(operation) or REFUSED.get((state, operation)) or "not-replicating")


# the modernized architecture ------------------------------------------------------------------------------------------

_MIGRATE = ("CompleteMigration", "Commit", "DisableProtection")

#: States that are read differently there, and the one that only exists there.
MODERNIZED_STATES: Mapping[str, State] = {
    "enabling": State(FORWARD, "InitialReplicationStartInProgress", "Initial replication is in progress", "Primary", ()),
    "awaiting-point": State(
        FORWARD,
        "InitialReplicationRecoveryCompletionPending",
        "Waiting for first recovery point",
        "Primary",
        ("DisableProtection",),
    ),
    "failed-over": State(
        FORWARD,
        "UnplannedFailoverCommitPendingStatesBegin",
        "Failover completed",
        "Recovery",
        (*_MIGRATE, "ChangePit", "SwitchProtection"),
    ),
    "reverse-protected": State(REVERSE, "Protected", "Protected", "Primary", ("PlannedFailover", "DisableProtection")),
    "failed-back": State(
        REVERSE,
        "CommitPendingStatesBegin",
        "Planned failover finished",
        "Recovery",
        (*_MIGRATE, "SwitchProtection", "CancelFailover"),
    ),
}

#: What is allowed there besides `TRANSITIONS`.
MODERNIZED_TRANSITIONS: Mapping[tuple[str, str], str] = {
    ("reverse-protected", "planned-failover"): "failed-back",  # FB-003
    ("failed-over", "reprotect"): "reverse-replicating",  # commits first
    ("failed-back", "reprotect"): "replicating",
    ("failed-back", "complete-migration"): "",
    ("failed-back", "cancel-failover"): "reverse-protected",  # FB-008
    ("awaiting-point", "disable"): "",
    ("awaiting-point", "update-agent"): "awaiting-point",
    **{(state, "update-appliance"): "replicating" for state in ("protected", "replicating", "awaiting-point")},  # TOP-017
}

#: What is refused there although the classic architecture allows it, and why what only exists there is refused.
MODERNIZED_REFUSED: Mapping[tuple[str, str], str] = {
    ("reverse-protected", "unplanned-failover"): "failover-kind-unsupported",  # FB-003
    ("reverse-replicating", "unplanned-failover"): "failover-kind-unsupported",  # FB-003
    ("reverse-replicating", "planned-failover"): "no-recovery-point",  # FB-001
    **{("awaiting-point", operation): "still-protecting" for operation in ("test-failover", "unplanned-failover", "repair")},
    **{
        ("awaiting-point", operation): "not-failed-over"
        for operation in ("commit", "change-point", "reprotect", "complete-migration")
    },
    ("awaiting-point", "test-failover-cleanup"): "no-test-failover",
}


class Replicating(Protocol):
    """What the state of an item is read from."""

    state: str
    profile: Profile


def state_of(item: Replicating) -> State:
    """How the state of an item is read in its architecture."""
    own = MODERNIZED_STATES.get(item.state) if item.profile is MODERNIZED else None
    return own or STATES[item.state]


def is_forward(item: Replicating) -> bool:
    """Whether an item replicates, or failed over, towards Azure."""
    return state_of(item).provider == FORWARD


def provider_of(item: Replicating) -> str:
    """The replication provider of an item, as the wire spells it."""
    return item.profile.forward if is_forward(item) else item.profile.reverse


def decide_for(item: Replicating, transitions: Mapping[tuple[str, str], str], operation: str) -> Decision:
    """What the state of an item says to `operation` in its architecture."""
    if item.profile is MODERNIZED:
        key = (item.state, operation)
        if key in MODERNIZED_TRANSITIONS:
            return Decision(next=MODERNIZED_TRANSITIONS[key])
        if key in MODERNIZED_REFUSED:
            return Decision(reason=MODERNIZED_REFUSED[key])
    return decide(transitions, item.state, operation)

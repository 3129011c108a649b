"""The two architectures as data: what differs between classic and modernized in one place.

`CLASSIC` is a configuration server with process servers and master targets, `MODERNIZED` a replication appliance.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from emulators.azure.site_recovery.wire import FORWARD, RCM, RCM_FAILBACK, REVERSE, last_segment, stable_guid


def _classic_container(vault: str, internal: str) -> str:
    return f"cloud_{internal}"


def _classic_provider(vault: str, internal: str) -> str:
    return internal


def _container(vault: str, internal: str) -> str:
    """`<vault><4 hex>replicationcontainer` (asr-wire section 3)."""
    return f"{last_segment(vault)}{stable_guid(vault, 'container')[:4]}replicationcontainer"


def _provider(vault: str, internal: str) -> str:
    return f"{last_segment(vault)}{stable_guid(vault, 'provider', internal)[:4]}dra"


@dataclass(frozen=True, slots=True)
class Profile:
    """Words of one architecture. `failback` is the operation that brings a machine home (FB-002, FB-003)."""

    name: str
    fabric_type: str
    fabric_provider: str
    forward: str
    reverse: str
    role: str  #: of the component that makes its fabric
    failback: str
    failback_scenario: str
    failback_choices: tuple[str, ...]
    container: Callable[[str, str], str]
    provider: Callable[[str, str], str]
    #: Field of the recovery point history in its forward policies, as the wire calls it.
    history: str
    #: Policies that the vault has as soon as the fabric is made: name -> (provider, minutes by field).
    ready_made: Mapping[str, tuple[str, Mapping[str, int]]] = field(default_factory=dict)


CLASSIC = Profile(
    name="classic",
    fabric_type="VMware",
    fabric_provider="InMageFabric",
    forward=FORWARD,
    reverse=REVERSE,
    role="configuration-server",
    failback="unplanned-failover",
    failback_scenario="UnplannedFailover",
    failback_choices=("LatestTime", "LatestTag", "Custom"),
    container=_classic_container,
    provider=_classic_provider,
    history="recoveryPointHistory",
)

MODERNIZED = Profile(
    name="modernized",
    fabric_type="InMageRcm",
    fabric_provider="InMageRcmFabric",
    forward=RCM,
    reverse=RCM_FAILBACK,
    role="appliance",
    failback="planned-failover",
    failback_scenario="PlannedFailover",
    failback_choices=("CrashConsistent", "ApplicationConsistent"),
    container=_container,
    provider=_provider,
    history="recoveryPointHistoryInMinutes",
    ready_made={
        "24-hour-replication-policy": (RCM, {}),
        "appconsistency-policy-failback": (RCM_FAILBACK, {"appConsistentFrequencyInMinutes": 60}),
        "crashconsistency-policy-failback": (RCM_FAILBACK, {"appConsistentFrequencyInMinutes": 0}),
    },
)

PROFILES: Mapping[str, Profile] = {profile.role: profile for profile in (CLASSIC, MODERNIZED)}
BY_PROVIDER: Mapping[str, Profile] = {
    name: profile for profile in PROFILES.values() for name in (profile.forward, profile.reverse)
}

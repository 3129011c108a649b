"""What differs between the two architectures for whoever operates a vault: words, policies and verbs, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Dialect:
    """`failback_verb` brings machines home; `latest` is the recovery point it is asked for.

    `host` is where agents send to, `site_details` are the lists of a fabric that show its parts.
    """

    name: str
    forward: str
    reverse: str
    failback_verb: str
    latest: str
    forward_policy: Mapping[str, Any]
    failback_policy: Mapping[str, Any]
    map_failback: bool
    host: str
    registers: str
    site_details: tuple[str, str]


#: Crash-consistent points every 5 minutes, application-consistent ones hourly, kept for a day; both ways (POL-001).
CLASSIC = Dialect(
    name="classic",
    forward="InMageAzureV2",
    reverse="InMage",
    failback_verb="unplannedFailover",
    latest="LatestTime",
    forward_policy={
        "instanceType": "InMageAzureV2",
        "recoveryPointThresholdInMinutes": 15,
        "recoveryPointHistory": 1440,
        "appConsistentFrequencyInMinutes": 60,
        "crashConsistentFrequencyInMinutes": 5,
        "multiVmSyncStatus": "Enable",
    },
    failback_policy={
        "instanceType": "InMage",
        "recoveryPointThresholdInMinutes": 15,
        "recoveryPointHistory": 1440,
        "appConsistentFrequencyInMinutes": 60,
        "multiVmSyncStatus": "Enable",
    },
    map_failback=True,
    host="process-server",
    registers="configuration server",
    site_details=("processServers", "masterTargetServers"),
)

MODERNIZED = Dialect(
    name="modernized",
    forward="InMageRcm",
    reverse="InMageRcmFailback",
    failback_verb="plannedFailover",
    latest="CrashConsistent",
    forward_policy={
        "instanceType": "InMageRcm",
        "recoveryPointHistoryInMinutes": 1440,
        "appConsistentFrequencyInMinutes": 60,
        "crashConsistentFrequencyInMinutes": 5,
        "enableMultiVmSync": "true",
    },
    failback_policy={
        "instanceType": "InMageRcmFailback",
        "appConsistentFrequencyInMinutes": 60,
        "crashConsistentFrequencyInMinutes": 5,
    },
    map_failback=False,
    host="appliance",
    registers="replication appliance",
    site_details=("processServers", "reprotectAgents"),
)

DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (CLASSIC, MODERNIZED)}

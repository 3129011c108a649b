"""What is read about a whole vault: events, alert and vault settings, health, appliances, supported systems."""

from collections.abc import Callable
from typing import Any

from emulators.azure.arm import Answer, Call, operation, read
from emulators.azure.site_recovery import health
from emulators.azure.site_recovery.appliances import appliance_json
from emulators.azure.site_recovery.fabric_making import is_classic
from emulators.azure.site_recovery.filters import chosen, conditions
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.profiles import MODERNIZED
from emulators.azure.site_recovery.records import Vault
from emulators.azure.site_recovery.refusals import missing, refuse
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import FORWARD, RCM, REVERSE, TYPE, VAULT, Json, last_segment, listing, parse_time, same

_ALERT = "defaultAlertSetting"

#: Values of `vmwareToAzureProviderType`: null or the appliance's provider is modernized, `Vmware` classic (TOP-015).
_KINDS = (None, MODERNIZED.fabric_type, "Vmware")

_NAMESPACE = "Microsoft.RecoveryServices"
_PROVIDER = f"/subscriptions/{{subscriptionId}}/resourceGroups/{{resourceGroupName}}/providers/{_NAMESPACE}"

_WINDOWS = ("Windows", "Windows Server", "2008 R2 SP1, 2012, 2012 R2, 2016")
_LINUX = (
    ("Linux", "Red Hat Enterprise Linux", "5.2-5.11, 6.1-6.10, 7.0-7.7"),
    ("Linux", "CentOS", "5.2-5.11, 6.1-6.10, 7.0-7.7"),
    ("Linux", "Ubuntu", "14.04, 16.04"),
    ("Linux", "Debian", "7, 8"),
    ("Linux", "SUSE Linux Enterprise Server", "11 SP3, 11 SP4, 12 SP1-SP4"),
    ("Linux", "Oracle Linux", "6.4-6.10, 7.0-7.6"),
)
#: What agents run on (CFG-001, CFG-002), by replication provider: operating system, name, versions.
_SUPPORTED = {
    FORWARD: (_WINDOWS, *_LINUX),
    REVERSE: (_WINDOWS, *_LINUX),
    RCM: (
        ("Windows", "Windows Server", "2008 R2 SP1, 2012, 2012 R2, 2016, 2019, 2022"),
        ("Linux", "Red Hat Enterprise Linux", "6.1-6.10, 7.0-7.9, 8.0-8.8, 9.0, 9.1"),
        ("Linux", "Ubuntu", "14.04, 16.04, 18.04, 20.04, 22.04"),
        *_LINUX[1:2],
        *_LINUX[3:],
    ),
}

#: What `$filter` may name in the list of events.
_EVENT_FIELDS: dict[str, Callable[[Json], Any]] = {
    "eventcode": lambda event: event["properties"]["eventCode"],
    "severity": lambda event: event["properties"]["severity"],
    "eventtype": lambda event: event["properties"]["eventType"],
    "fabricname": lambda event: [event["properties"]["fabricId"], last_segment(event["properties"]["fabricId"])],
    "affectedobjectfriendlyname": lambda event: event["properties"]["affectedObjectFriendlyName"],
    "affectedobjectcorrelationid": lambda event: event["properties"]["affectedObjectCorrelationId"],
    "starttime": lambda event: parse_time(event["properties"]["timeOfOccurrence"]),
    "endtime": lambda event: parse_time(event["properties"]["timeOfOccurrence"]),
}


class VaultInformation:
    """replicationEvents, replicationAlertSettings, replicationVaultSettings, replicationVaultHealth and two lists."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    @operation("GET", VAULT + "/replicationEvents")
    def list_events(self, call: Call) -> Answer:
        return Answer(200, listing(chosen(call, self.service.vault(call).events[::-1], _EVENT_FIELDS)))

    @operation("GET", VAULT + "/replicationEvents/{eventName}")
    def get_event(self, call: Call) -> Answer:
        event = next(
            (event for event in self.service.vault(call).events if event["name"].lower() == call["eventName"].lower()), None
        )
        if event is None:
            raise missing(call["eventName"])
        return Answer(200, event)

    # settings ----------------------------------------------------------------------------------------------------------

    @operation("GET", VAULT + "/replicationAlertSettings")
    def list_alerts(self, call: Call) -> Answer:
        return Answer(200, listing([_alert(self.service.vault(call))]))

    @operation("GET", VAULT + "/replicationAlertSettings/{alertSettingName}")
    def get_alert(self, call: Call) -> Answer:
        if call["alertSettingName"].lower() != _ALERT.lower():
            raise missing(call["alertSettingName"])
        return Answer(200, _alert(self.service.vault(call)))

    @operation("PUT", VAULT + "/replicationAlertSettings/{alertSettingName}")
    def put_alert(self, call: Call) -> Answer:
        """Synchronous: 200 with the setting (asr-wire section 13)."""
        if call["alertSettingName"].lower() != _ALERT.lower():
            raise missing(call["alertSettingName"])
        vault, given = self.service.vault(call), read(call.content(), "properties", dict, required=True)
        vault.alerts = {
            "sendToOwners": read(given, "sendToOwners", str, vault.alerts["sendToOwners"]),
            "customEmailAddresses": read(given, "customEmailAddresses", list, []),
            "locale": read(given, "locale", str, vault.alerts["locale"]),
        }
        return Answer(200, _alert(vault))

    @operation("GET", VAULT + "/replicationVaultSettings")
    def list_settings(self, call: Call) -> Answer:
        return Answer(200, listing([_setting(self.service.vault(call))]))

    @operation("GET", VAULT + "/replicationVaultSettings/{vaultSettingName}")
    def get_setting(self, call: Call) -> Answer:
        if call["vaultSettingName"].lower() != "default":
            raise missing(call["vaultSettingName"])
        return Answer(200, _setting(self.service.vault(call)))

    @operation("PUT", VAULT + "/replicationVaultSettings/{vaultSettingName}")
    def put_setting(self, call: Call) -> Answer:
        if call["vaultSettingName"].lower() != "default":
            raise missing(call["vaultSettingName"])
        vault, given = self.service.vault(call), read(call.content(), "properties", dict, required=True)
        wanted = {name: read(given, name, str, value) for name, value in vault.settings.items()}
        if "vmwareToAzureProviderType" in given and given["vmwareToAzureProviderType"] is None:
            wanted["vmwareToAzureProviderType"] = None
        kind = wanted["vmwareToAzureProviderType"]
        if kind not in _KINDS:
            raise refuse("malformed", f"'{kind}' is not one of {', '.join(filter(None, _KINDS))}.", activity=call.correlation_id)
        present = next((fabric.profile for fabric in vault.fabrics.values()), None)
        classic = kind == "Vmware"
        if (is_classic(vault) and not classic) or (present is MODERNIZED and classic):  # TOP-015
            raise refuse("vault-kind-fixed", activity=call.correlation_id)
        vault.settings = wanted
        return Answer(200, _setting(vault))

    # health ------------------------------------------------------------------------------------------------------------

    @operation("GET", VAULT + "/replicationVaultHealth")
    def get_health(self, call: Call) -> Answer:
        return Answer(200, self._health(self.service.vault(call)))

    @operation("POST", VAULT + "/replicationVaultHealth/default/refresh")
    def refresh_health(self, call: Call) -> Answer:
        service, vault = self.service, self.service.vault(call)

        def work(job: Job) -> Work:
            with job.task(0):
                yield from job.rest(1.0)
                health.look_at_targets(service, vault)
                health.evaluate_all(service)

        return service.start(
            call, vault, "RefreshVaultHealth", ("", ""), work, resource=f"{vault.id}/replicationVaultHealth",
            result=lambda: Answer(200, self._health(vault)),
        )  # fmt: skip

    def _health(self, vault: Vault) -> Json:
        items = vault.items()
        counts: dict[str, int] = {}
        for item in items:
            level = health.replication_health(item)
            counts[level] = counts.get(level, 0) + 1
        connected = sum(all(map(self.service.connected, self.service.servers(fabric))) for fabric in vault.fabrics.values())
        fabrics = {"Normal": connected, "Critical": len(vault.fabrics) - connected}
        return {
            "id": f"{vault.id}/replicationVaultHealth/Default",
            "name": "Default",
            "type": TYPE + "replicationVaultHealth",
            "properties": {
                "vaultErrors": [],
                "protectedItemsHealth": {"resourceCount": len(items), "issues": [], "categorizedResourceCounts": counts},
                "fabricsHealth": {"resourceCount": len(vault.fabrics), "issues": [], "categorizedResourceCounts": fabrics},
                "containersHealth": {"resourceCount": len(vault.fabrics), "issues": [], "categorizedResourceCounts": fabrics},
            },
        }

    @operation("GET", VAULT + "/replicationUsages")
    def usages(self, call: Call) -> Answer:
        """What the vault holds and what needs looking at, in numbers."""
        vault = self.service.vault(call)
        items, states = vault.items(), [job.state for job in vault.jobs.values()]
        servers = [server for fabric in vault.fabrics.values() for server in self.service.servers(fabric)]
        monitoring = {
            "unHealthyVmCount": sum(health.replication_health(item) != "Normal" for item in items),
            "unHealthyProviderCount": sum(not self.service.connected(server) for server in servers),
            "eventsCount": len(vault.events),
            "deprecatedProviderCount": 0,
            "supportedProviderCount": len(servers),
            "unsupportedProviderCount": 0,
        }
        usage = {
            "monitoringSummary": monitoring,
            "jobsSummary": {
                "failedJobs": states.count("Failed"),
                "suspendedJobs": states.count("Suspended"),
                "inProgressJobs": states.count("InProgress"),
            },
            "protectedItemCount": len(items),
            "recoveryPlanCount": len(vault.plans),
            "registeredServersCount": len(servers),
            "recoveryServicesProviderAuthType": 1,
        }
        return Answer(200, {"value": [usage]})

    # lists -------------------------------------------------------------------------------------------------------------

    @operation("GET", VAULT + "/replicationAppliances")
    def list_appliances(self, call: Call) -> Answer:
        """The replication appliances; a classic vault has none."""
        vault = self.service.vault(call)
        wanted = [value for name, _, value in conditions(call) if name == "providertype"]
        fabrics = [fabric for fabric in vault.fabrics.values() if fabric.profile is MODERNIZED]
        fits = wanted in ([], [MODERNIZED.fabric_type])
        found = [appliance_json(self.service, fabric, one) for fabric in fabrics if fits for one in self.service.servers(fabric)]
        details = {"instanceType": MODERNIZED.fabric_type, "appliances": found}
        return Answer(200, {"value": [{"properties": {"providerSpecificDetails": details}}] if found else []})

    @operation("GET", VAULT + "/replicationSupportedOperatingSystems")
    def supported(self, call: Call) -> Answer:
        vault = self.service.vault(call)
        wanted = call.query.get("instancetype") or "A2A"  # without a name only that one came back (asr-wire section 10)
        systems = _SUPPORTED.get(next((kind for kind in _SUPPORTED if same(kind, wanted)), ""), ())
        shown = [{"osName": name, "osType": kind, "osVersions": _versions(versions)} for kind, name, versions in systems]
        return Answer(200, {
            "id": f"{vault.id}/replicationSupportedOperatingSystems/Default",
            "name": "Default",
            "type": TYPE + "replicationSupportedOperatingSystems",
            "properties": {"supportedOsList": [{"instanceType": wanted, "supportedOs": shown}]},
        })  # fmt: skip

    @operation("GET", _PROVIDER + "/operations")
    def operations(self, call: Call) -> Answer:
        """What a role may name of this provider, read off the operations that are built."""
        actions = sorted({one.action for one in self.service.arm.router.endpoints if one.action.startswith(f"{_NAMESPACE}/")})
        return Answer(200, listing([_discovery(action) for action in actions]))


def _versions(text: str) -> list[Json]:
    return [{"version": version.strip(), "servicePack": None} for version in text.split(",") if version.strip()]


def _discovery(action: str) -> Json:
    kind, verb = action.split("/", 1)[1].rsplit("/", 1)
    words = {"provider": "Microsoft Recovery Services", "resource": kind, "operation": verb, "description": action}
    return {"name": action, "display": words, "origin": "user", "properties": None}


def _alert(vault: Vault) -> Json:
    return {
        "name": _ALERT,
        "type": TYPE + "replicationAlertSettings",
        "id": f"{vault.id}/replicationAlertSettings/{_ALERT}",
        "properties": vault.alerts,
    }


def _setting(vault: Vault) -> Json:
    return {
        "id": f"{vault.id}/replicationVaultSettings/default",
        "name": "default",
        "type": TYPE + "replicationVaultSettings",
        "properties": vault.settings,
    }

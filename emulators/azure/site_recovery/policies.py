"""replicationPolicies and the mappings that make a policy usable in a container."""

from emulators.azure.arm import Answer, Call, operation, read
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.profiles import CLASSIC
from emulators.azure.site_recovery.records import Fabric, Mapping, Policy, Vault
from emulators.azure.site_recovery.refusals import missing, refuse
from emulators.azure.site_recovery.service import Service, policy_path
from emulators.azure.site_recovery.wire import (
    AZURE,
    AZURE_CONTAINER,
    AZURE_VMM,
    CONTAINER,
    FORWARD,
    RCM,
    RCM_FAILBACK,
    REVERSE,
    TYPE,
    VAULT,
    Json,
    listing,
    same,
    stable_guid,
    truth,
)

_POLICY = VAULT + "/replicationPolicies/{policyName}"
_MAPPINGS = CONTAINER + "/replicationProtectionContainerMappings"
_MAPPING = _MAPPINGS + "/{mappingName}"

#: Fields of a policy by provider, with the value a client gets that leaves one out (POL-006, POL-007). Minutes.
_FIELDS: dict[str, dict[str, int]] = {
    FORWARD: {
        "crashConsistentFrequencyInMinutes": 5, "recoveryPointThresholdInMinutes": 60, "recoveryPointHistory": 1440,
        "appConsistentFrequencyInMinutes": 60,
    },
    REVERSE: {"recoveryPointThresholdInMinutes": 15, "recoveryPointHistory": 1440, "appConsistentFrequencyInMinutes": 60},
    RCM: {"recoveryPointHistoryInMinutes": 4320, "crashConsistentFrequencyInMinutes": 5, "appConsistentFrequencyInMinutes": 0},
    RCM_FAILBACK: {"crashConsistentFrequencyInMinutes": 5, "appConsistentFrequencyInMinutes": 60},
}  # fmt: skip


class Policies:
    """A policy is named for its provider: InMageAzureV2 forward, InMage for failback. One call makes one policy (POL-001)."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    @operation("GET", VAULT + "/replicationPolicies")
    def list(self, call: Call) -> Answer:
        vault = self.service.vault(call)
        return Answer(200, listing([policy_json(vault, policy) for policy in vault.policies.values()]))

    @operation("GET", _POLICY)
    def get(self, call: Call) -> Answer:
        return Answer(200, policy_json(*self._need(call)))

    @operation("PUT", _POLICY)
    def create(self, call: Call) -> Answer:
        service, vault, name = self.service, self.service.vault(call), call["policyName"]
        given = read(call.content(), "properties.providerSpecificInput", dict, required=True)
        provider = str(read(given, "instanceType", str, required=True))
        if provider not in _FIELDS:
            raise refuse(
                "policy-invalid", f"Policies of '{provider}' are not served by this vault.", activity=call.correlation_id
            )
        existing = vault.policies.get(name.lower())
        if existing is not None and existing.provider != provider:
            raise refuse("policy-invalid", "The provider of a policy cannot be changed.", activity=call.correlation_id)
        policy = Policy(name, provider, self._settings(call, provider, given), stable_guid(vault.id, "policy", name))

        def work(job: Job) -> Work:
            with job.task(0):
                yield from job.rest(0.5)
            with job.task(1):
                yield from job.rest(0.5)
                vault.policies[name.lower()] = policy

        return service.start(
            call, vault, "AddProtectionProfile", (policy.guid, name), work, details={"affectedObjectDetails": {}},
            resource=policy_path(vault, policy), result=lambda: Answer(200, policy_json(vault, policy)),
        )  # fmt: skip

    @operation("PATCH", _POLICY)
    def update(self, call: Call) -> Answer:
        """Change a policy; the threshold holds for its items at once, the rest from their next protection on (POL-005)."""
        service = self.service
        vault, policy = self._need(call)
        given = read(call.content(), "properties.replicationProviderSettings", dict, required=True)
        settings = self._settings(call, policy.provider, {**policy.settings, **given})

        def work(job: Job) -> Work:
            with job.task(0):
                yield from job.rest(1.0)
                policy.settings = settings

        return service.start(
            call, vault, "ModifyProtectionProfile", (policy.guid, policy.name), work, details={"affectedObjectDetails": {}},
            resource=policy_path(vault, policy), result=lambda: Answer(200, policy_json(vault, policy)),
        )  # fmt: skip

    @operation("DELETE", _POLICY)
    def remove(self, call: Call) -> Answer:
        service = self.service
        vault, policy = self._need(call)
        path = policy_path(vault, policy)
        if any(same(mapping.policy, path) for fabric in vault.fabrics.values() for mapping in fabric.mappings.values()):
            raise refuse(
                "still-in-use", "Dissociate the policy from its container first.", activity=call.correlation_id
            )  # POL-004

        def work(job: Job) -> Work:
            with job.task(0):
                yield from job.rest(0.5)
            with job.task(1):
                yield from job.rest(0.5)
                vault.policies.pop(policy.name.lower(), None)

        details: Json = {"affectedObjectDetails": {}}
        return service.start(
            call, vault, "RemoveProtectionProfile", (policy.guid, policy.name), work, details=details, resource=path, dated=True
        )

    def _need(self, call: Call) -> tuple[Vault, Policy]:
        vault = self.service.vault(call)
        policy = vault.policies.get(call["policyName"].lower())
        if policy is None:
            raise missing(call["policyName"])
        return vault, policy

    def _settings(self, call: Call, provider: str, given: Json) -> Json:
        settings: Json = {field: read(given, field, int, default) for field, default in _FIELDS[provider].items()}
        faults = self.service.rules.policy_faults(provider, settings)
        if faults:
            raise refuse("policy-invalid", "; ".join(faults) + ".", activity=call.correlation_id)
        if provider == RCM_FAILBACK:
            return settings  # it knows the two frequencies only (POL-006)
        if provider == RCM:
            settings["enableMultiVmSync"] = str(truth(given.get("enableMultiVmSync", "true"))).lower()
            return settings
        status = str(read(given, "multiVmSyncStatus", str, "Enable"))
        if status not in ("Enable", "Disable", "Enabled", "Disabled"):
            raise refuse("policy-invalid", "multiVmSyncStatus must be Enable or Disable.", activity=call.correlation_id)
        settings["multiVmSyncStatus"] = status.rstrip("d") + "d"  # MVM-004: Enable is read back as Enabled
        return settings


def policy_json(vault: Vault, policy: Policy) -> Json:
    return {
        "id": policy_path(vault, policy),
        "name": policy.name,
        "type": TYPE + "replicationPolicies",
        "properties": {
            "friendlyName": policy.name,
            "providerSpecificDetails": {"instanceType": policy.provider, **policy.settings},
        },
    }


class Mappings:
    """replicationProtectionContainerMappings: forward ones target Azure, failback ones the container itself (POL-003)."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    @operation("GET", VAULT + "/replicationProtectionContainerMappings")
    def list_all(self, call: Call) -> Answer:
        vault = self.service.vault(call)
        values = [self.json(vault, fabric, one) for fabric in vault.fabrics.values() for one in fabric.mappings.values()]
        return Answer(200, listing(values))

    @operation("GET", _MAPPINGS)
    def list(self, call: Call) -> Answer:
        vault, fabric = self.service.vault(call), self.service.container(call)
        return Answer(200, listing([self.json(vault, fabric, mapping) for mapping in fabric.mappings.values()]))

    @operation("GET", _MAPPING)
    def get(self, call: Call) -> Answer:
        fabric, mapping = self._need(call)
        return Answer(200, self.json(self.service.vault(call), fabric, mapping))

    @operation("PUT", _MAPPING)
    def create(self, call: Call) -> Answer:
        service, vault, fabric = self.service, self.service.vault(call), self.service.container(call)
        body, name = call.content(), call["mappingName"]
        policy = service.policy_at(vault, str(read(body, "properties.policyId", str, required=True)))
        if policy is None:
            raise refuse("policy-invalid", "The policy of the mapping does not exist.", activity=call.correlation_id)
        target = str(read(body, "properties.targetProtectionContainerId", str, required=True))
        if policy.provider not in (fabric.profile.forward, fabric.profile.reverse):
            raise refuse("policy-wrong-kind", activity=call.correlation_id)
        wanted = AZURE if policy.provider == fabric.profile.forward else fabric.container_id
        if not same(target, wanted):
            text = f"A policy of {policy.provider} is mapped to '{wanted}'."
            raise refuse("policy-wrong-kind", text, activity=call.correlation_id)
        upgrade = truth(read(body, "properties.providerSpecificInput", dict, {}).get("enableAgentAutoUpgrade", "true"))
        mapping = Mapping(name, policy_path(vault, policy), wanted, upgrade=upgrade)

        def work(job: Job) -> Work:
            for index in range(4):
                with job.task(index):
                    yield from job.rest(1.0)
            fabric.mappings[name.lower()] = mapping

        details = {"affectedObjectDetails": _affected(fabric, same(target, AZURE))}
        return service.start(
            call, vault, "AssociateProtectionProfile", (policy.guid, policy.name), work, details=details,
            resource=mapping_id(fabric, mapping), result=lambda: Answer(200, self.json(vault, fabric, mapping)),
        )  # fmt: skip

    @operation("PATCH", _MAPPING)
    def update(self, call: Call) -> Answer:
        """Whether agents are upgraded by themselves (DIS-012): a modernized mapping has nothing else to change."""
        service, vault = self.service, self.service.vault(call)
        fabric, mapping = self._need(call)
        given = read(call.content(), "properties.providerSpecificInput", dict, required=True)
        kind = read(given, "instanceType", str, required=True)
        if fabric.profile is CLASSIC or kind != fabric.profile.forward:
            text = f"Mappings of '{kind}' cannot be updated in this vault."
            raise refuse("scenario-unsupported", text, activity=call.correlation_id)
        wanted = truth(read(given, "enableAgentAutoUpgrade", str, required=True))

        def work(job: Job) -> Work:
            with job.task(0):
                yield from job.rest(1.0)
                mapping.upgrade = wanted

        policy = service.policy_at(vault, mapping.policy)
        target = (policy.guid, policy.name) if policy is not None else ("", mapping.name)
        return service.start(
            call, vault, "ModifyContainerMapping", target, work,
            resource=mapping_id(fabric, mapping), result=lambda: Answer(200, self.json(vault, fabric, mapping)),
        )  # fmt: skip

    @operation("POST", _MAPPING + "/remove")
    @operation("DELETE", _MAPPING)
    def remove(self, call: Call) -> Answer:
        service = self.service
        fabric, mapping = self._need(call)
        if any(same(mapping.policy, policy) for item in fabric.items.values() for policy in (item.policy, item.forward_policy)):
            raise refuse("still-in-use", "Protected items use the policy.", activity=call.correlation_id)  # POL-004

        def work(job: Job) -> Work:
            with job.task(0):
                yield from job.rest(2.0)
                fabric.mappings.pop(mapping.name.lower(), None)

        policy = service.policy_at(service.vault(call), mapping.policy)
        target = (policy.guid, policy.name) if policy is not None else ("", mapping.name)
        path = mapping_id(fabric, mapping)
        return service.start(call, service.vault(call), "DissociateProtectionProfile", target, work, resource=path)

    def _need(self, call: Call) -> tuple[Fabric, Mapping]:
        fabric = self.service.container(call)
        mapping = fabric.mappings.get(call["mappingName"].lower())
        if mapping is None:
            raise missing(call["mappingName"])
        return fabric, mapping

    def json(self, vault: Vault, fabric: Fabric, mapping: Mapping) -> Json:
        policy = self.service.policy_at(vault, mapping.policy)
        target = AZURE if mapping.target == AZURE else fabric.friendly
        return {
            "id": mapping_id(fabric, mapping),
            "name": mapping.name,
            "type": TYPE + "replicationFabrics/replicationProtectionContainers/replicationProtectionContainerMappings",
            "properties": {
                "targetProtectionContainerId": mapping.target,
                "targetProtectionContainerFriendlyName": target,
                "providerSpecificDetails": _mapping_details(fabric, mapping),
                "health": mapping.health,
                "healthErrorDetails": [],
                "policyId": mapping.policy,
                "state": "Paired",
                "sourceProtectionContainerFriendlyName": fabric.friendly,
                "sourceFabricFriendlyName": fabric.friendly,
                "targetFabricFriendlyName": target,
                "policyFriendlyName": policy.name if policy is not None else None,
            },
        }


def _affected(fabric: Fabric, azure: bool) -> Json:
    """Clouds and servers of a mapping, as its job names them."""
    kind = fabric.profile.fabric_type
    return {
        "primaryCloudId": fabric.container,
        "primaryCloudName": fabric.friendly,
        "recoveryCloudId": AZURE_CONTAINER if azure else fabric.container,
        "recoveryCloudName": AZURE if azure else fabric.friendly,
        "primaryVmmId": fabric.internal,
        "primaryVmmName": fabric.friendly,
        "recoveryVmmId": AZURE_VMM if azure else fabric.internal,
        "recoveryVmmName": AZURE if azure else fabric.friendly,
        "primaryFabricProviderId": kind,
        "recoveryFabricProviderId": "Azure" if azure else kind,
    }


def _mapping_details(fabric: Fabric, mapping: Mapping) -> Json | None:
    """Null in the classic architecture, the agents' upgrade in the modernized one (asr-wire section 11)."""
    if fabric.profile is CLASSIC:
        return None
    return {"instanceType": fabric.profile.forward, "enableAgentAutoUpgrade": str(mapping.upgrade).lower()}


def mapping_id(fabric: Fabric, mapping: Mapping) -> str:
    return f"{fabric.container_id}/replicationProtectionContainerMappings/{mapping.name}"

"""What a registration makes: a fabric of the component's architecture; a vault is of one architecture for good (TOP-015)."""

from collections.abc import Sequence

from emulators.azure.arm import Refusal
from emulators.azure.site_recovery.profiles import CLASSIC, MODERNIZED, PROFILES, Profile
from emulators.azure.site_recovery.records import Component, Fabric, Policy, Vault
from emulators.azure.site_recovery.wire import last_segment, stable_guid

#: Minutes of a ready-made policy where it names none, by field.
_READY_MADE = {
    "recoveryPointHistoryInMinutes": 1440,
    "crashConsistentFrequencyInMinutes": 5,
    "appConsistentFrequencyInMinutes": 0,
}


def check_kind(vault: Vault, role: str, known: Component | None) -> None:
    """Raises `Refusal` 409 for a component of the other architecture."""
    wanted = PROFILES.get(role)
    if wanted is None:
        return
    present = next((fabric.profile for fabric in vault.fabrics.values()), None)
    classic = present is CLASSIC or is_classic(vault)
    if wanted is MODERNIZED and classic:
        raise Refusal(409, "VaultIsClassic", "An appliance needs a vault that was never used with a configuration server.")
    if wanted is CLASSIC and present is MODERNIZED:
        raise Refusal(
            409, "VaultIsModernized", "The vault has a replication appliance: a configuration server needs another one."
        )


def check_turn(servers: Sequence[Component], known: Component | None) -> None:
    """TOP-016: one appliance after the other. Raises `Refusal` 409 while one has registered and its programs have not shown."""
    for other in servers:
        complete = all(other.heartbeat.get(role) for role in ("processServers", "masterTargets"))
        if other is not known and not complete:
            text = f"The registration of the appliance '{other.name}' has not ended yet; retry when its programs show."
            raise Refusal(409, "ApplianceRegistrationInProgress", text)


def is_classic(vault: Vault) -> bool:
    """Whether the vault was switched to classic. A new one is modernized: its setting is null, or the modernized provider."""
    return vault.settings["vmwareToAzureProviderType"] not in (None, MODERNIZED.fabric_type)


def make_fabric(vault: Vault, component: Component, profile: Profile, now: float) -> None:
    """The fabric, container and provider of a configuration server or appliance; nothing else makes them (TOP-008)."""
    internal = stable_guid(vault.id, component.machine_id)
    if profile is MODERNIZED:
        name, friendly = f"{last_segment(vault.id)}-vmwarefabric".lower(), f"{last_segment(vault.id)}-vmwarefabric"
        _ready_made(vault)
    else:
        parts = stable_guid(vault.id, component.machine_id, "1") + stable_guid(vault.id, component.machine_id, "2")
        name, friendly = parts.replace("-", ""), component.name
    present = vault.fabrics.get(name)
    if present is not None:  # TOP-016: a further appliance
        present.further.append(component.id)
        component.fabric = name
        return
    vault.fabrics[name] = Fabric(vault.id, name, friendly, internal, component.id, now, profile=profile)
    component.fabric = name


def _ready_made(vault: Vault) -> None:
    """Policies that a modernized vault brings along."""
    for name, (provider, minutes) in MODERNIZED.ready_made.items():
        settings = {**_READY_MADE, **minutes}
        if provider == MODERNIZED.reverse:
            del settings["recoveryPointHistoryInMinutes"]
        more = {"enableMultiVmSync": "true"} if provider == MODERNIZED.forward else {}
        vault.policies.setdefault(name, Policy(name, provider, {**settings, **more}, stable_guid(vault.id, "policy", name)))

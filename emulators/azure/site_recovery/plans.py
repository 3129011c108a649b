"""A recovery plan as a thing: reading its groups from a request, and how it is read itself (PLAN-001 to PLAN-004, PLAN-016)."""

from typing import Any

from emulators.azure.arm import Call, Refusal, read
from emulators.azure.site_recovery.plan_actions import runbook_id
from emulators.azure.site_recovery.records import Fabric, Item, Plan, Vault
from emulators.azure.site_recovery.refusals import refuse
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.states import decide_for, provider_of
from emulators.azure.site_recovery.wire import AZURE, NEVER_STARTED, TYPE, Json, same
from emulators.clock import iso

_ACTIONS = ("ManualActionDetails", "ScriptActionDetails", "AutomationRunbookActionDetails")
_OPERATIONS = (
    ("PlannedFailover", "planned-failover"),
    ("UnplannedFailover", "unplanned-failover"),
    ("TestFailover", "test-failover"),
    ("TestFailoverCleanup", "test-failover-cleanup"),
    ("Commit", "commit"),
    ("SwitchProtection", "reprotect"),
    ("CancelFailover", "cancel-failover"),
)


def plan_id(vault: Vault, plan: Plan) -> str:
    return f"{vault.id}/replicationRecoveryPlans/{plan.name}"


def members_of(service: Service, plan: Plan) -> list[Item]:
    """The machines of a plan in the order of its groups."""
    found = [service.item_at(entry["id"]) for group in plan.groups for entry in group["items"]]
    return [item for item in found if item is not None]


def read_groups(service: Service, call: Call, vault: Vault, fabric: Fabric, given: list[Any]) -> list[Json]:
    """Shutdown, Failover and the Boot groups of a request; raises `Refusal` with what is wrong with them."""
    rules, boots, fixed = service.rules, [], {"Shutdown": _empty("Shutdown"), "Failover": _empty("Failover")}
    for entry in given:
        kind = read(entry, "groupType", str, required=True) if isinstance(entry, dict) else ""
        if kind not in ("Shutdown", "Failover", "Boot"):
            raise _invalid(call, f"'{kind}' is not a group type.")
        items = [_entry(service, call, vault, fabric, one) for one in read(entry, "replicationProtectedItems", list, [])]
        group: Json = {
            "groupType": kind,
            "items": items if kind == "Boot" else [],
            "startGroupActions": [_action(call, action) for action in read(entry, "startGroupActions", list, [])],
            "endGroupActions": [_action(call, action) for action in read(entry, "endGroupActions", list, [])],
        }
        if kind == "Boot":
            boots.append(group)
        else:
            fixed[kind] = group
    ids = [entry["id"].lower() for group in boots for entry in group["items"]]
    if not boots or len(boots) > rules.plan_groups:  # PLAN-002
        text = f"A plan has 1 to {rules.plan_groups} boot groups, not {len(boots)}."
        raise refuse("plan-too-large" if boots else "plan-invalid", text, activity=call.correlation_id)
    if len(ids) > rules.plan_items:
        text = f"A plan holds at most {rules.plan_items} machines, not {len(ids)}."
        raise refuse("plan-too-large", text, activity=call.correlation_id)
    if len(set(ids)) != len(ids):  # PLAN-003
        raise refuse("plan-group-conflict", activity=call.correlation_id)
    return [fixed["Shutdown"], fixed["Failover"], *boots]


def _empty(kind: str) -> Json:
    return {"groupType": kind, "items": [], "startGroupActions": [], "endGroupActions": []}


def _entry(service: Service, call: Call, vault: Vault, fabric: Fabric, given: Any) -> Json:
    item_id = read(given, "id", str, required=True) if isinstance(given, dict) else ""
    item = service.item_at(item_id)
    if item is None or not same(item.vault, vault.id) or not same(item.fabric, fabric.name):  # PLAN-004
        raise _invalid(call, f"'{item_id}' is not a protected item of the plan's fabric.")
    if item.state in ("enabling", "enabling-failed", "replicating", "awaiting-point", "failover-cancelled"):  # PLAN-016
        raise _invalid(call, f"{item.friendly} is not protected yet.")
    return {"id": item.id, "virtualMachineId": given.get("virtualMachineId")}


def _action(call: Call, given: Any) -> Json:
    name = read(given, "actionName", str, required=True) if isinstance(given, dict) else ""
    details = read(given, "customDetails", dict, required=True) if isinstance(given, dict) else {}
    if not name or details.get("instanceType") not in _ACTIONS:
        raise _invalid(call, f"The action '{name}' has no kind that is known: {', '.join(_ACTIONS)}.")
    if details["instanceType"] == "AutomationRunbookActionDetails":
        _check_runbook(call, name, details.get("runbookId"))
    return {
        "actionName": name,
        "failoverTypes": [str(kind) for kind in read(given, "failoverTypes", list, [])],
        "failoverDirections": [str(direction) for direction in read(given, "failoverDirections", list, [])],
        "customDetails": details,
    }


def _check_runbook(call: Call, name: str, given: Any) -> None:
    """The automation account may be in any region, but in the vault's subscription (PLAN-010)."""
    parsed = runbook_id(given)
    if parsed is None:
        raise _invalid(call, f"The action '{name}': '{given}' is not the id of a runbook.")
    if not same(parsed.subscription, call.subscription):
        raise _invalid(call, f"The action '{name}': the runbook must be in the subscription of the vault.")


def _invalid(call: Call, message: str) -> Refusal:
    return refuse("plan-invalid", message, activity=call.correlation_id)


def plan_json(service: Service, vault: Vault, plan: Plan, *, thin: bool = False) -> Json:
    """A plan as read singly, or as an element of a list (`thin`: groups empty)."""
    items = members_of(service, plan)
    fabric = next((fabric for fabric in vault.fabrics.values() if same(fabric.id, plan.fabric_id)), None)
    job = plan.job or plan.test_job
    groups = [
        {
            "groupType": group["groupType"],
            "replicationProtectedItems": group["items"],
            "startGroupActions": group["startGroupActions"],
            "endGroupActions": group["endGroupActions"],
        }
        for group in plan.groups
    ]
    properties: Json = {
        "friendlyName": plan.friendly,
        "primaryFabricId": plan.fabric_id,
        "primaryFabricFriendlyName": fabric.friendly if fabric is not None else None,
        "recoveryFabricId": AZURE,
        "recoveryFabricFriendlyName": AZURE,
        "failoverDeploymentModel": "ResourceManager",
        "replicationProviders": sorted({provider_of(item) for item in items}),
        "allowedOperations": _allowed(service, plan, items),
        **{name: iso(when) for name, when in plan.times.items()},
        "currentScenario": {
            "scenarioName": (job.scenario if job is not None else plan.scenario) or "None",
            "jobId": job.arm_id if job is not None else f"{vault.id}/replicationJobs/None",
            "startTime": iso(job.start) if job is not None and job.start is not None else NEVER_STARTED,
        },
        "currentScenarioStatus": plan.status[0],
        "currentScenarioStatusDescription": plan.status[1],
        "groups": [] if thin else groups,
        "providerSpecificDetails": [],
    }
    return {
        "id": plan_id(vault, plan),
        "name": plan.name,
        "type": TYPE + "replicationRecoveryPlans",
        "properties": properties,
    }


def _allowed(service: Service, plan: Plan, items: list[Item]) -> list[str]:
    if plan.job is not None:
        return []
    if plan.test_job is not None:
        return ["TestFailoverCleanup"]
    free = [item for item in items if item.job is None]
    return [name for name, op in _OPERATIONS if any(decide_for(item, service.rules.transitions, op).allowed for item in free)]

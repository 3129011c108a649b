"""The configuration of clusters: HA, DRS, rules, groups, and what is said of single machines."""

from typing import Any

from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects.cluster import ClusterComputeResource
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.records import Record, Ref, Typed
from emulators.vcenter.tasks import Work

SECONDS = 2.0
_PLAIN = ("vmSwapPlacement", "spbmEnabled", "defaultHardwareVersionKey", "maximumHardwareVersionKey")
_BUILT = {*_PLAIN, "dasConfig", "drsConfig", "rulesSpec", "groupSpec", "dasVmConfigSpec", "drsVmConfigSpec"}
#: What the older ClusterConfigSpec calls them.
_OLDER = {"rulesSpec": "rulesSpec", "dasVmConfigSpec": "dasVmConfigSpec", "drsVmConfigSpec": "drsVmConfigSpec"}


def reconfigure(call: Call, cluster: ClusterComputeResource, args: Any) -> Work:
    """ReconfigureComputeResource_Task, ReconfigureCluster_Task: `modify` adds to what is there, else it is replaced."""
    spec: Record = args["spec"]
    unknown = next((name for name, value in spec.fields.items() if value is not None and name not in _BUILT), None)
    if unknown:
        raise Fault("NotSupported", f"Configuring {unknown} is not supported by this emulator.")
    yield SECONDS
    inventory = call.inventory
    fresh = _Draft(inventory, cluster, modify=bool(args["modify"]))
    fresh.apply(spec)
    fresh.commit()
    inventory.change(cluster, "configuration", "configurationEx", "summary")
    if cluster.kind == "ClusterComputeResource":
        argument = Record("ComputeResourceEventArgument", name=cluster.name, computeResource=ref(cluster))
        text = f"Reconfigured cluster {cluster.name}"
        inventory.events.post("ClusterReconfiguredEvent", text, user=call.user, chain=call.task.chain, computeResource=argument)


class _Draft:
    """A configuration in the making: it becomes true as a whole."""

    __slots__ = ("_cluster", "_inventory", "_modify", "das", "das_vms", "drs", "drs_vms", "groups", "more", "rules")

    def __init__(self, inventory: Inventory, cluster: ClusterComputeResource, *, modify: bool):
        self._inventory, self._cluster, self._modify = inventory, cluster, modify
        self.das, self.drs = cluster.das.copy(), cluster.drs.copy()
        self.more = dict(cluster.more)
        self.rules = [rule.copy() for rule in cluster.rules]
        self.groups = [group.copy() for group in cluster.groups]
        self.das_vms, self.drs_vms = dict(cluster.das_vms), dict(cluster.drs_vms)

    def apply(self, spec: Record) -> None:
        """Raises a fault, and then nothing has happened."""
        self.more.update({name: spec[name] for name in _PLAIN if spec[name] is not None})
        for attribute, name in (("das", "dasConfig"), ("drs", "drsConfig")):
            if spec[name] is not None:
                old = getattr(self, attribute) if self._modify else Record(spec[name].kind, enabled=False)
                told = {key: value for key, value in spec[name].fields.items() if value is not None}
                setattr(self, attribute, Record(old.kind, **{**old.fields, **told}))
        for change in spec["groupSpec"] or []:
            self._group(change)
        for change in spec["rulesSpec"] or []:
            self._rule(change)
        for name, kept in (("dasVmConfigSpec", self.das_vms), ("drsVmConfigSpec", self.drs_vms)):
            for change in spec[name] or []:
                self._machine(name, change, kept)

    def commit(self) -> None:
        for name in ("das", "drs", "rules", "groups", "das_vms", "drs_vms", "more"):
            setattr(self._cluster, name, getattr(self, name))

    def _group(self, change: Record) -> None:
        operation, info = change["operation"], change["info"]
        name = info["name"] if info is not None else _plain(change["removeKey"])
        known = next((group for group in self.groups if group["name"] == name), None)
        if operation == "add":
            if known is not None:
                raise Fault("DuplicateName", f"The name '{name}' already exists.", name=name, object=ref(self._cluster))
            self.groups.append(self._checked(info))
            return
        if known is None:
            raise invalid_argument("spec.groupSpec", f"There is no group '{name}'.")
        if operation == "remove":
            if any(name in _groups_of(rule) for rule in self.rules):
                raise Fault("ResourceInUse", f"A rule needs the group '{name}'.", type="ClusterGroupInfo", name=name)
            self.groups.remove(known)
        else:
            self.groups[self.groups.index(known)] = self._checked(info)

    def _checked(self, group: Record) -> Record:
        for one in [*(group["vm"] or []), *(group["host"] or [])]:
            self._of_cluster(one)
        return group.copy()

    def _of_cluster(self, one: Ref) -> Any:
        """The machine or host of a reference. Raises `InvalidArgument` when it is not in this cluster."""
        found = self._inventory.find(one.moid)
        host = self._inventory.find(found.host.moid) if isinstance(found, VirtualMachine) else found
        if host is None or host.kind != "HostSystem" or host.parent != ref(self._cluster):
            raise invalid_argument("spec", f"{one.moid} is not in the cluster {self._cluster.name}.")
        return found

    def _rule(self, change: Record) -> None:
        operation, info = change["operation"], change["info"]
        key = _plain(change["removeKey"]) if operation == "remove" else info["key"]
        known = next((rule for rule in self.rules if rule["key"] == key), None)
        if operation == "add":
            self.rules.append(self._checked_rule(info, max((rule["key"] for rule in self.rules), default=0) + 1))
            return
        if known is None:
            raise invalid_argument("spec.rulesSpec", f"There is no rule {key}.")
        if operation == "remove":
            self.rules.remove(known)
        else:
            merged = Record(known.kind, **{**known.fields, **{k: v for k, v in info.fields.items() if v is not None}})
            self.rules.remove(known)
            self.rules.append(self._checked_rule(merged, known["key"]))

    def _checked_rule(self, rule: Record, key: int) -> Record:
        name = rule["name"] or ""
        if not name.strip():
            raise invalid_argument("spec.rulesSpec.info.name", "A rule needs a name.")
        if any(other["name"] == name for other in self.rules):
            raise Fault("DuplicateName", f"The name '{name}' already exists.", name=name, object=ref(self._cluster))
        for one in rule["vm"] or []:
            self._of_cluster(one)
        if rule.kind in ("ClusterAffinityRuleSpec", "ClusterAntiAffinityRuleSpec") and len(rule["vm"] or []) < 2:
            raise invalid_argument("spec.rulesSpec.info.vm", "A rule is about at least two machines.")
        missing = _groups_of(rule) - {group["name"] for group in self.groups}
        if missing:
            raise invalid_argument("spec.rulesSpec.info", f"There is no group '{min(missing)}'.")
        made = rule.copy()
        made.fields.update(key=key, enabled=rule["enabled"] is not False, status="green", userCreated=True)
        made.fields.setdefault("mandatory", False)
        made.fields.setdefault("ruleUuid", self._inventory.clock.uuid())
        return made

    def _machine(self, name: str, change: Record, kept: dict[str, Record]) -> None:
        info = change["info"]
        one: Ref = _plain(change["removeKey"]) if change["operation"] == "remove" else info["key"]
        self._of_cluster(one)
        if change["operation"] == "add" and one.moid in kept:
            raise invalid_argument(f"spec.{name}", f"{one.moid} has one already: edit it.")
        if change["operation"] != "add" and one.moid not in kept:
            raise invalid_argument(f"spec.{name}", f"There is none for {one.moid}.")
        if change["operation"] == "remove":
            del kept[one.moid]
        else:
            kept[one.moid] = info.copy()


def _plain(key: Any) -> Any:
    return key.value if isinstance(key, Typed) else key


def _groups_of(rule: Record) -> set[str]:
    names = ("vmGroupName", "affineHostGroupName", "antiAffineHostGroupName", "vmGroup", "dependsOnVmGroup")
    return {rule[name] for name in names if rule[name]}


def rules_for(call: Call, cluster: ClusterComputeResource, args: Any) -> list[Record]:
    """FindRulesForVm: those that name the machine, or a group it is in."""
    vm: Ref = args["vm"]
    groups = {group["name"] for group in cluster.groups if vm in (group["vm"] or [])}
    return [rule for rule in cluster.rules if vm in (rule["vm"] or []) or _groups_of(rule) & groups]


def stamp_rules(call: Call, cluster: ClusterComputeResource, _args: Any) -> Work:
    """StampAllRulesWithUuid_Task."""
    yield SECONDS
    for rule in cluster.rules:
        if not rule["ruleUuid"]:
            rule["ruleUuid"] = call.inventory.clock.uuid()
    call.inventory.change(cluster, "configuration", "configurationEx")


SETTING_OPERATIONS = {"ReconfigureComputeResource_Task": reconfigure}
RULE_OPERATIONS = {
    **SETTING_OPERATIONS,
    "ReconfigureCluster_Task": reconfigure,
    "FindRulesForVm": rules_for,
    "StampAllRulesWithUuid_Task": stamp_rules,
}

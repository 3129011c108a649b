"""Alarms: definitions on entities, states that follow the power of machines, acknowledging and clearing."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from emulators.vcenter import schema
from emulators.vcenter.entity import Property, descendants
from emulators.vcenter.events import above
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.records import Record, Ref


@dataclass(slots=True)
class Alarm:
    """One alarm, defined on an entity for everything below it."""

    moid: str
    owner: Ref
    spec: Record
    user: str
    modified: float
    #: moids of entities on which it is switched off
    disabled: set[str] = field(default_factory=set)
    #: what was acknowledged: entity -> who and when
    acknowledged: dict[str, tuple[str, float]] = field(default_factory=dict)
    #: since when it has its status: entity -> status and time
    since: dict[str, tuple[str, float]] = field(default_factory=dict)
    #: statuses of event alarms, which stay until cleared
    fired: dict[str, str] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "Alarm"


@dataclass(slots=True)
class Alarms:
    """The alarm manager: entities on which alarm actions are off."""

    kind: str
    moid: str
    quiet: set[str] = field(default_factory=set)
    cache: dict[str, Any] = field(default_factory=dict)


# states --------------------------------------------------------------------------------------------------------------


def _matching(expression: Record, entity: Any) -> list[str]:
    """The statuses that an expression gives to an entity."""
    if expression.kind in ("OrAlarmExpression", "AndAlarmExpression"):
        parts = [_matching(one, entity) for one in expression["expression"] or []]
        if expression.kind == "AndAlarmExpression" and not all(parts):
            return []
        return [status for part in parts for status in part]
    if expression.kind == "StateAlarmExpression" and schema.is_a(entity.kind, expression["type"]):
        value = {"runtime.powerState": "power", "runtime.connectionState": "connection"}.get(expression["statePath"])
        now = getattr(entity, value, None) if value else None
        same = expression["operator"] == "isEqual"
        for status in ("red", "yellow"):
            if now is not None and expression[status] is not None and (now == expression[status]) is same:
                return [status]
    return []


def status(alarm: Alarm, entity: Any) -> str:
    """`red`, `yellow`, `green`, or `gray` where the alarm does not look at the entity."""
    found = [*_matching(alarm.spec["expression"], entity), *filter(None, [alarm.fired.get(entity.moid)])]
    return next((one for one in ("red", "yellow") if one in found), "green")


def _of(inventory: Inventory, entity: Any) -> list[Alarm]:
    places = {entity.moid, *above(inventory, entity.moid)}
    return [alarm for alarm in inventory.all_of(Alarm) if alarm.owner.moid in places and alarm.spec["enabled"]]


def _state(inventory: Inventory, alarm: Alarm, entity: Any) -> Record:
    now, since = status(alarm, entity), alarm.since.get(entity.moid)
    record = Record(
        "AlarmState",
        key=f"{alarm.moid}.{entity.moid}",
        entity=ref(entity),
        alarm=ref(alarm),
        overallStatus=now,
        time=since[1] if since is not None else alarm.modified,
        acknowledged=entity.moid in alarm.acknowledged,
        disabled=entity.moid in alarm.disabled,
    )
    if entity.moid in alarm.acknowledged:
        record["acknowledgedByUser"], record["acknowledgedTime"] = alarm.acknowledged[entity.moid]
    return record


def declared(inventory: Inventory, entity: Any) -> list[Record]:
    """`declaredAlarmState`: every alarm that looks at the entity."""
    return [_state(inventory, alarm, entity) for alarm in _of(inventory, entity) if entity.moid not in alarm.disabled]


def triggered(inventory: Inventory, entity: Any) -> list[Record]:
    """`triggeredAlarmState`: what is not green, on the entity and below it."""
    if not inventory.count_of(Alarm):
        return []
    places = [entity, *descendants(inventory, entity)]
    return [state for one in places for state in declared(inventory, one) if state["overallStatus"] in ("red", "yellow")]


def overall(inventory: Inventory, entity: Any) -> str:
    """`overallStatus`: the worst of its own alarms."""
    if not inventory.count_of(Alarm):
        return "green"
    found = {state["overallStatus"] for state in declared(inventory, entity)}
    return next((one for one in ("red", "yellow") if one in found), "green")


def actions_enabled(inventory: Inventory, entity: Any) -> bool:
    """`alarmActionsEnabled`."""
    alarms: Alarms = inventory.find("AlarmManager")
    return entity.moid not in alarms.quiet


def on_event(inventory: Inventory, event: Record) -> None:
    """Let alarms that wait for an event of this class fire, and tell of those over a state that it has changed."""
    if not inventory.count_of(Alarm) or event.kind.startswith("Alarm"):
        return
    for alarm in [one for one in inventory.all_of(Alarm) if one.spec["enabled"]]:
        for expression in _event_expressions(alarm.spec["expression"]):
            if schema.is_a(event.kind, expression["eventType"]):
                for entity in _subjects(inventory, event, expression["objectType"] or "VirtualMachine"):
                    if alarm.owner.moid in (entity.moid, *above(inventory, entity.moid)):
                        alarm.fired[entity.moid] = expression["status"] or "red"
                        _changed(inventory, entity)
    for entity in _subjects(inventory, event, "ManagedEntity"):
        for alarm in _of(inventory, entity):
            _observe(inventory, alarm, entity)


def _observe(inventory: Inventory, alarm: Alarm, entity: Any) -> tuple[str, float]:
    """The status of an alarm on an entity and since when; a change of it is an event."""
    now, known = status(alarm, entity), alarm.since.get(entity.moid)
    if known is not None and known[0] == now:
        return known
    before = known[0] if known is not None else "green"
    fresh = alarm.since[entity.moid] = (now, inventory.clock.now())
    if now == "green":
        alarm.acknowledged.pop(entity.moid, None)
    if before != now:
        source = inventory.find(alarm.owner.moid)
        text = f"Alarm '{alarm.spec['name']}' on {entity.name} changed from {before} to {now}"
        about: dict[str, Any] = {"alarm": _argument(alarm), "source": _entity(source), "entity": _entity(entity)}
        about.update({"from": before, "to": now})
        inventory.events.post("AlarmStatusChangedEvent", text, **about)
        _changed(inventory, entity)
    return fresh


def _event_expressions(expression: Record) -> list[Record]:
    if expression.kind == "EventAlarmExpression":
        return [expression]
    return (
        [found for one in expression["expression"] or [] for found in _event_expressions(one)]
        if "expression" in expression.fields
        else []
    )


def _subjects(inventory: Inventory, event: Record, kind: str) -> list[Any]:
    refs = [
        inner
        for value in event.fields.values()
        if isinstance(value, Record)
        for inner in value.fields.values()
        if isinstance(inner, Ref)
    ]
    found = [inventory.find(one.moid) for one in refs]
    return [one for one in found if one is not None and schema.is_a(one.kind, kind)]


def _changed(inventory: Inventory, entity: Any) -> None:
    inventory.change(entity, "triggeredAlarmState", "declaredAlarmState", "overallStatus")


# operations ----------------------------------------------------------------------------------------------------------


def _must_be_free(inventory: Inventory, name: str, but: Alarm | None = None) -> None:
    for other in inventory.all_of(Alarm):
        if other is not but and other.spec["name"] == name:
            raise Fault("DuplicateName", f"The name '{name}' already exists.", name=name, object=ref(other))


def create(call: Call, _alarms: Alarms, args: Any) -> Ref:
    """CreateAlarm."""
    inventory, spec = call.inventory, args["spec"]
    if not spec["name"].strip():
        raise Fault("InvalidName", "An alarm needs a name.", name=spec["name"])
    _must_be_free(inventory, spec["name"])
    alarm = Alarm(inventory.new_moid("alarm-"), args["entity"], spec.copy(), call.user, inventory.clock.now())
    inventory.add(alarm)
    entity = inventory.find(args["entity"].moid)
    text = f"Created alarm '{spec['name']}' on {entity.name}"
    inventory.events.post("AlarmCreatedEvent", text, user=call.user, alarm=_argument(alarm), entity=_entity(entity))
    _all_changed(inventory, alarm)
    return ref(alarm)


def _argument(alarm: Alarm) -> Record:
    return Record("AlarmEventArgument", name=alarm.spec["name"], alarm=ref(alarm))


def _entity(entity: Any) -> Record:
    return Record("ManagedEntityEventArgument", name=entity.name, entity=ref(entity))


def _all_changed(inventory: Inventory, alarm: Alarm) -> None:
    owner = inventory.find(alarm.owner.moid)
    if owner is not None:
        for entity in (owner, *descendants(inventory, owner)):
            entity.cache.clear()
        _changed(inventory, owner)


def remove(call: Call, alarm: Alarm, _args: Any) -> None:
    """RemoveAlarm."""
    inventory = call.inventory
    inventory.remove(alarm)
    entity = inventory.find(alarm.owner.moid)
    text = f"Removed alarm '{alarm.spec['name']}'"
    inventory.events.post("AlarmRemovedEvent", text, user=call.user, alarm=_argument(alarm), entity=_entity(entity))
    _all_changed(inventory, alarm)


def reconfigure(call: Call, alarm: Alarm, args: Any) -> None:
    """ReconfigureAlarm."""
    _must_be_free(call.inventory, args["spec"]["name"], but=alarm)
    alarm.spec, alarm.user, alarm.modified = args["spec"].copy(), call.user, call.inventory.clock.now()
    call.inventory.change(alarm, "info")
    _all_changed(call.inventory, alarm)


def listed(call: Call, _alarms: Alarms, args: Any) -> list[Ref]:
    """GetAlarm: those defined on an entity, or all."""
    entity = args.get("entity")
    return [ref(alarm) for alarm in call.inventory.all_of(Alarm) if entity is None or alarm.owner.moid == entity.moid]


def _looks_at(call: Call, args: Any) -> tuple[Alarm, Any]:
    alarm, entity = call.inventory.get(args["alarm"], Alarm), call.inventory.find(args["entity"].moid)
    if alarm.owner.moid not in (entity.moid, *above(call.inventory, entity.moid)):
        raise invalid_argument("entity", "The alarm does not look at it.")
    return alarm, entity


def acknowledge(call: Call, _alarms: Alarms, args: Any) -> None:
    """AcknowledgeAlarm."""
    alarm, entity = _looks_at(call, args)
    if status(alarm, entity) == "green":
        raise Fault("InvalidState", "The alarm is not triggered there.")
    alarm.acknowledged[entity.moid] = (call.user, call.inventory.clock.now())
    text = f"Acknowledged alarm '{alarm.spec['name']}' on {entity.name}"
    source = call.inventory.find(alarm.owner.moid)
    call.inventory.events.post(
        "AlarmAcknowledgedEvent", text, user=call.user, alarm=_argument(alarm), source=_entity(source), entity=_entity(entity)
    )
    _changed(call.inventory, entity)


def clear(call: Call, _alarms: Alarms, args: Any) -> None:
    """ClearTriggeredAlarms: event alarms of the wanted statuses become green; those over a state follow the state."""
    wanted = args["filter"]["status"]
    for alarm in call.inventory.all_of(Alarm):
        for moid, was in list(alarm.fired.items()):
            if wanted and was not in wanted:
                continue
            del alarm.fired[moid]
            entity = call.inventory.find(moid)
            if entity is None:
                continue
            text = f"Manually cleared alarm '{alarm.spec['name']}' on {entity.name} from {was}"
            source = call.inventory.find(alarm.owner.moid)
            about: dict[str, Any] = {"alarm": _argument(alarm), "source": _entity(source), "entity": _entity(entity)}
            about["from"] = was
            call.inventory.events.post("AlarmClearedEvent", text, user=call.user, **about)
            _observe(call.inventory, alarm, entity)
            _changed(call.inventory, entity)


def _switch(call: Call, args: Any, *, off: bool) -> None:
    alarm, entity = _looks_at(call, args)
    (alarm.disabled.add if off else alarm.disabled.discard)(entity.moid)
    _changed(call.inventory, entity)


def _enable_actions(call: Call, alarms: Alarms, args: Any) -> None:
    """EnableAlarmActions."""
    (alarms.quiet.discard if args["enabled"] else alarms.quiet.add)(args["entity"].moid)
    call.inventory.change(call.inventory.find(args["entity"].moid), "alarmActionsEnabled")


def _info(_inventory: Inventory, alarm: Alarm) -> Record:
    return Record(
        "AlarmInfo",
        **alarm.spec.fields,
        key=alarm.moid,
        alarm=ref(alarm),
        entity=alarm.owner,
        lastModifiedTime=alarm.modified,
        lastModifiedUser=alarm.user,
        creationEventId=0,
    )


def _element(key: str) -> Record:
    return Record("ElementDescription", key=key, label=key, summary=key)


_WORDS = {
    "stateOperator": ("isEqual", "isUnequal"),
    "metricOperator": ("isAbove", "isBelow"),
    "hostSystemConnectionState": ("connected", "disconnected", "notResponding"),
    "virtualMachinePowerState": ("poweredOn", "poweredOff", "suspended"),
    "datastoreConnectionState": ("connected", "disconnected"),
    "hostSystemPowerState": ("poweredOn", "poweredOff", "standBy", "unknown"),
    "virtualMachineGuestHeartbeatStatus": ("gray", "green", "yellow", "red"),
    "entityStatus": ("gray", "green", "yellow", "red"),
}


def _description(_inventory: Inventory, _alarms: Alarms) -> Record:
    """The words alarms are made of."""
    types = {"expr": ("StateAlarmExpression", "EventAlarmExpression"), "action": ("SendEmailAction", "RunScriptAction")}
    described = {
        name: [Record("TypeDescription", key=key, label=key, summary=key) for key in keys] for name, keys in types.items()
    }
    return Record("AlarmDescription", **{name: [_element(key) for key in keys] for name, keys in _WORDS.items()}, **described)


ALARMS_PROPERTIES: dict[str, Property] = {
    "description": _description,
    "defaultExpression": lambda _inventory, _alarms: [],
}
ALARM_PROPERTIES: dict[str, Property] = {"info": _info}
ALARM_OPERATIONS = {"RemoveAlarm": remove, "ReconfigureAlarm": reconfigure}
ALARMS_OPERATIONS = {
    "CreateAlarm": create,
    "GetAlarm": listed,
    "GetAlarmState": lambda call, _alarms, args: declared(call.inventory, call.inventory.find(args["entity"].moid)),
    "AcknowledgeAlarm": acknowledge,
    "ClearTriggeredAlarms": clear,
    "AreAlarmActionsEnabled": lambda call, _alarms, args: actions_enabled(
        call.inventory, call.inventory.find(args["entity"].moid)
    ),
    "EnableAlarmActions": _enable_actions,
    "DisableAlarm": lambda call, _alarms, args: _switch(call, args, off=True),
    "EnableAlarm": lambda call, _alarms, args: _switch(call, args, off=False),
}

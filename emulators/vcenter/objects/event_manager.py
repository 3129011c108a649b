"""EventManager and its history collectors."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from emulators.vcenter import schema
from emulators.vcenter.entity import Property
from emulators.vcenter.events import involves
from emulators.vcenter.faults import invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.records import Record, Ref, copied

_MOST = 1000


@dataclass(slots=True)
class EventHistoryCollector:
    """A cursor over the events that a filter lets through; `position` is the key of the last one read."""

    moid: str
    spec: Record
    position: int = 0
    page: int = 10
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "EventHistoryCollector"


def matches(inventory: Inventory, spec: Record, event: Record) -> bool:
    """Whether an event passes an EventFilterSpec."""
    entity, time, user = spec["entity"], spec["time"], spec["userName"]
    if entity is not None and not involves(inventory, event, entity["entity"], entity["recursion"]):
        return False
    if time is not None:
        begin, end = time["beginTime"], time["endTime"]
        if (begin is not None and event["createdTime"] < begin) or (end is not None and event["createdTime"] > end):
            return False
    if user is not None and not user["systemUser"] and user["userList"] and event["userName"] not in user["userList"]:
        return False
    kinds = [kind.rpartition(".")[2] for kind in [*(spec["eventTypeId"] or []), *(spec["type"] or [])]]
    if kinds and not any(schema.exists(kind) and schema.is_a(event.kind, kind) for kind in kinds):
        return False
    return not (spec["eventChainId"] and event["chainId"] != spec["eventChainId"])


def query(call: Call, _manager: Any, args: Any) -> list[Record]:
    """QueryEvents: the newest that match, oldest first."""
    spec: Record = args["filter"]
    limit = min(spec["maxCount"] or _MOST, _MOST)
    found = [event for event in call.inventory.events.events if matches(call.inventory, spec, event)]
    return found[-limit:]


def log_user_event(call: Call, _manager: Any, args: Any) -> None:
    """LogUserEvent."""
    entity = call.inventory.find(args["entity"].moid)
    argument = Record("ManagedEntityEventArgument", name=entity.name, entity=ref(entity))
    call.inventory.events.post("GeneralUserEvent", args["msg"], user=call.user, message=args["msg"], entity=argument)


def post(call: Call, _manager: Any, args: Any) -> None:
    """PostEvent: an event of a client, with the class that it chose; who, when and its number are told by the server."""
    told: Record = args["eventToPost"]
    own = ("key", "chainId", "createdTime", "userName", "fullFormattedMessage")
    fields = {name: copied(value) for name, value in told.fields.items() if name not in own and value is not None}
    task = args.get("taskInfo")
    chain = task["eventChainId"] if task is not None else 0
    text = told["fullFormattedMessage"] or told["message"] or told.kind
    call.inventory.events.post(told.kind, text, user=call.user, chain=chain, **fields)


def arguments(_call: Call, _manager: Any, args: Any) -> list[Record]:
    """RetrieveArgumentDescription: what events of a class tell beside what all tell."""
    kind = args["eventTypeId"].rpartition(".")[2]
    if not schema.exists(kind) or not schema.is_a(kind, "Event"):
        raise invalid_argument("eventTypeId", f"{args['eventTypeId']} is no class of events.")
    every = schema.field_names("Event")
    own = [one for one in schema.fields(kind) if one.name not in every]
    return [Record("EventArgDesc", name=one.name, type=one.type.name.removeprefix("xsd:")) for one in own]


def create_collector(call: Call, _manager: Any, args: Any) -> Ref:
    """CreateCollectorForEvents."""
    assert call.session is not None, "the registry asks for a session"
    if len(call.session.objects) > _MOST:
        raise invalid_argument("filter", "The session has too many collectors.")
    moid = f"session[{call.session.key}]{call.inventory.clock.uuid()}"
    collector = EventHistoryCollector(moid, args["filter"])
    call.session.objects[moid] = collector
    return ref(collector)


def read_next(call: Call, collector: EventHistoryCollector, args: Any) -> list[Record]:
    """ReadNextEvents."""
    found = _after(call.inventory, collector)[: _count(args)]
    if found:
        collector.position = found[-1]["key"]
    return found


def read_previous(call: Call, collector: EventHistoryCollector, args: Any) -> list[Record]:
    """ReadPreviousEvents."""
    log = call.inventory.events.events
    found = [e for e in log if e["key"] <= collector.position and matches(call.inventory, collector.spec, e)][-_count(args) :]
    if found:
        collector.position = found[0]["key"] - 1
    return found


def _after(inventory: Inventory, collector: EventHistoryCollector) -> list[Record]:
    log = inventory.events.events
    return [event for event in log if event["key"] > collector.position and matches(inventory, collector.spec, event)]


def _count(args: Any) -> int:
    count: int = args["maxCount"]
    if not 0 < count <= _MOST:
        raise invalid_argument("maxCount", f"1 to {_MOST}.")
    return count


def _rewind(_call: Call, collector: EventHistoryCollector, _args: Any) -> None:
    collector.position = 0


def _reset(call: Call, collector: EventHistoryCollector, _args: Any) -> None:
    collector.position = call.inventory.events.last_key


def _page(_call: Call, collector: EventHistoryCollector, args: Any) -> None:
    collector.page = _count(args)


def _destroy(call: Call, collector: EventHistoryCollector, _args: Any) -> None:
    if call.session is not None:
        call.session.objects.pop(collector.moid, None)


def _latest_page(inventory: Inventory, collector: EventHistoryCollector) -> list[Record]:
    found = [event for event in inventory.events.events if matches(inventory, collector.spec, event)]
    return found[: -collector.page - 1 : -1]


def _description(_inventory: Inventory, _manager: Any) -> Record:
    categories = [Record("ElementDescription", key=key, label=key, summary=key) for key in ("info", "warning", "error", "user")]
    details = [
        Record(
            "EventDescriptionEventDetail",
            key=key,
            category="info",
            description=key,
            formatOnDatacenter="",
            formatOnComputeResource="",
            formatOnHost="",
            formatOnVm="",
            fullFormat="{fullFormattedMessage}",
        )
        for key in ("VmPoweredOnEvent", "VmPoweredOffEvent", "VmReconfiguredEvent", "VmCreatedEvent", "VmRemovedEvent")
    ]
    return Record("EventDescription", category=categories, eventInfo=details)


EVENT_PROPERTIES: dict[str, Property] = {
    "latestEvent": lambda inventory, _manager: inventory.events.events[-1] if inventory.events.events else None,
    "maxCollector": lambda _inventory, _manager: _MOST,
    "description": _description,
}
EVENT_OPERATIONS = {
    "QueryEvents": query,
    "LogUserEvent": log_user_event,
    "PostEvent": post,
    "RetrieveArgumentDescription": arguments,
    "CreateCollectorForEvents": create_collector,
}
COLLECTOR_PROPERTIES: dict[str, Property] = {
    "latestPage": _latest_page,
    "filter": lambda _inventory, collector: collector.spec,
}
COLLECTOR_OPERATIONS = {
    "ReadNextEvents": read_next,
    "ReadPreviousEvents": read_previous,
    "RewindCollector": _rewind,
    "ResetCollector": _reset,
    "SetCollectorPageSize": _page,
    "DestroyCollector": _destroy,
}

"""Tasks of the past: collectors that go back and forth in them, and tasks that clients make and drive themselves."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from emulators.vcenter import schema
from emulators.vcenter.authorization import may_read
from emulators.vcenter.events import above
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.tasks import Task, info

_MOST = 1000


@dataclass(slots=True)
class TaskHistoryCollector:
    """A cursor over the tasks that a filter lets through; `position` is how many of all it has left behind."""

    moid: str
    spec: Record
    position: int = 0
    page: int = 10
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "TaskHistoryCollector"


def matches(inventory: Inventory, spec: Record, task: Task) -> bool:
    """Whether a task passes a TaskFilterSpec."""
    if spec["state"] and task.state not in spec["state"]:
        return False
    if spec["eventChainId"] and task.chain not in spec["eventChainId"]:
        return False
    user = spec["userName"]
    if user is not None and not user["systemUser"] and user["userList"] and task.user not in user["userList"]:
        return False
    if spec["activationId"] and task.activation not in spec["activationId"]:
        return False
    if spec["parentTaskKey"] and task.parent not in spec["parentTaskKey"]:
        return False
    return _in_time(spec["time"], task) and _about(inventory, spec["entity"], task)


def _in_time(time: Record | None, task: Task) -> bool:
    if time is None:
        return True
    when = {"queuedTime": task.queued, "startedTime": task.started, "completedTime": task.completed}[time["timeType"]]
    if when is None:
        return False
    return (time["beginTime"] is None or when >= time["beginTime"]) and (time["endTime"] is None or when <= time["endTime"])


def _about(inventory: Inventory, told: Record | None, task: Task) -> bool:
    if told is None:
        return True
    if task.entity is None:
        return False
    own = task.entity == told["entity"]
    below = told["entity"].moid in above(inventory, task.entity.moid)
    return bool({"self": own, "children": below, "all": own or below}[told["recursion"]])


def _found(call: Call, spec: Record) -> list[Task]:
    tasks = [task for task in call.inventory.tasks.recent if matches(call.inventory, spec, task)]
    return [task for task in tasks if may_read(call.inventory, call.user, task)]


def create_collector(call: Call, _service: Any, args: Any) -> Ref:
    """CreateCollectorForTasks, CreateCollectorWithInfoFilterForTasks."""
    assert call.session is not None, "the registry asks for a session"
    if len(call.session.objects) >= _MOST:
        raise Fault("InvalidState", "The session has too many collectors.")
    collector = TaskHistoryCollector(f"session[{call.session.key}]{call.inventory.clock.uuid()}", args["filter"])
    call.session.objects[collector.moid] = collector
    return ref(collector)


def _count(args: Any) -> int:
    count: int = args["maxCount"]
    if not 0 < count <= _MOST:
        raise invalid_argument("maxCount", f"1 to {_MOST}.")
    return count


def read_next(call: Call, collector: TaskHistoryCollector, args: Any) -> list[Record]:
    """ReadNextTasks: the next ones, oldest first."""
    found = _found(call, collector.spec)[collector.position :][: _count(args)]
    collector.position += len(found)
    return [info(call.inventory, task) for task in found]


def read_previous(call: Call, collector: TaskHistoryCollector, args: Any) -> list[Record]:
    """ReadPreviousTasks: those before, oldest first."""
    start = max(0, collector.position - _count(args))
    found = _found(call, collector.spec)[start : collector.position]
    collector.position = start
    return [info(call.inventory, task) for task in found]


def _rewind(_call: Call, collector: TaskHistoryCollector, _args: Any) -> None:
    collector.position = 0


def _reset(call: Call, collector: TaskHistoryCollector, _args: Any) -> None:
    collector.position = len(_found(call, collector.spec))


def _page(_call: Call, collector: TaskHistoryCollector, args: Any) -> None:
    collector.page = _count(args)


def _destroy(call: Call, collector: TaskHistoryCollector, _args: Any) -> None:
    if call.session is not None:
        call.session.objects.pop(collector.moid, None)


def _latest(inventory: Inventory, collector: TaskHistoryCollector) -> list[Record]:
    found = [task for task in inventory.tasks.recent if matches(inventory, collector.spec, task)]
    return [info(inventory, task) for task in found[: -collector.page - 1 : -1]]


def read_by_view(call: Call, _service: Any, args: Any) -> list[Record]:
    """ReadNextTasksByViewSpec: the newest first, without a collector."""
    return [info(call.inventory, task) for task in _found(call, args["filterSpec"])[: -_MOST - 1 : -1]]


# tasks of clients ----------------------------------------------------------------------------------------------------


def create_task(call: Call, _service: Any, args: Any) -> Record:
    """CreateTask: it waits until its client says that it runs."""
    inventory = call.inventory
    if not args["taskTypeId"].strip():
        raise invalid_argument("taskTypeId", "A type is required.")
    if args.get("parentTaskKey") and inventory.find(args["parentTaskKey"]) is None:
        raise invalid_argument("parentTaskKey", "There is no such task.")
    method = schema.Method(args["taskTypeId"], (), None, None, True, args["taskTypeId"])
    task = inventory.tasks.foreign(call, inventory.find(args["obj"].moid), method)
    task.cancelable = args["cancelable"]
    task.activation, task.parent = args.get("activationId") or "", args.get("parentTaskKey") or ""
    return info(inventory, task)


def _own(task: Task) -> None:
    """Raises `Fault("InvalidState")` for a task that no client drives, or that has ended."""
    if not task.foreign or not task.open:
        raise Fault("InvalidState", "The task has completed, or is carried out by the server.")


def set_state(call: Call, task: Task, args: Any) -> None:
    """SetTaskState: from queued to running to its end; nothing goes back."""
    _own(task)
    state, now = args["state"], call.inventory.clock.now()
    if state == "queued" or (state == "running" and task.state == "running"):
        raise Fault("InvalidState", f"The task is {task.state}.")
    if state == "error" and args.get("fault") is None:
        raise invalid_argument("fault", "A task that failed has a fault.")
    task.state = state
    task.started = task.started if task.started is not None else now
    if state == "running":
        task.progress = 0
    else:
        task.completed, task.result, task.error = now, args.get("result"), args.get("fault")
    call.inventory.change(task, "info")


def update_progress(call: Call, task: Task, args: Any) -> None:
    """UpdateProgress."""
    _own(task)
    if task.state != "running":
        raise Fault("InvalidState", "The task does not run.")
    if not 0 <= args["percentDone"] <= 100:
        raise invalid_argument("percentDone", "0 to 100.")
    task.progress = args["percentDone"]
    call.inventory.change(task, "info.progress")


def set_description(call: Call, task: Task, args: Any) -> None:
    """SetTaskDescription."""
    _own(task)
    task.description = args["description"].copy()
    call.inventory.change(task, "info.description")


HISTORY_PROPERTIES = {"filter": lambda _inventory, collector: collector.spec, "latestPage": _latest}
HISTORY_OPERATIONS = {
    "ReadNextTasks": read_next,
    "ReadPreviousTasks": read_previous,
    "RewindCollector": _rewind,
    "ResetCollector": _reset,
    "SetCollectorPageSize": _page,
    "DestroyCollector": _destroy,
}
SERVICE_OPERATIONS = {
    "CreateCollectorForTasks": create_collector,
    "CreateCollectorWithInfoFilterForTasks": create_collector,
    "ReadNextTasksByViewSpec": read_by_view,
    "CreateTask": create_task,
}
FOREIGN_OPERATIONS = {
    "SetTaskState": set_state,
    "UpdateProgress": update_progress,
    "SetTaskDescription": set_description,
}

"""Scheduled tasks: an operation on an object, at times of the estate's clock, with the rights of who made it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from emulators.vcenter import authorization, schema
from emulators.vcenter.entity import Property
from emulators.vcenter.faults import Fault, invalid_argument, not_found
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.records import Record, Ref, Typed
from emulators.vcenter.sessions import Session
from emulators.vcenter.tasks import Task

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SCHEDULERS = {
    "OnceTaskScheduler": "once",
    "AfterStartupTaskScheduler": "after startup",
    "HourlyTaskScheduler": "hourly",
    "DailyTaskScheduler": "daily",
    "WeeklyTaskScheduler": "weekly",
}
#: How often it is looked whether a task that was started has ended, seconds.
_LOOK = 1.0


@dataclass(slots=True, eq=False)
class ScheduledTask:
    """A scheduled task. `_timer` is the next run on the clock."""

    moid: str
    target: Ref
    spec: Record
    user: str
    modified: float
    next_run: float | None = None
    previous: float | None = None
    state: str = "queued"
    error: Record | None = None
    active: Ref | None = None
    _timer: Any = None
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "ScheduledTask"

    @property
    def owner(self) -> Ref:
        return self.target


def _next(scheduler: Record, now: float) -> float | None:
    """When it runs next, after `now`; None for never."""
    limit = scheduler["expireTime"]
    found = _after(scheduler, max(now, scheduler["activeTime"] or now))
    return None if found is None or (limit is not None and found > limit) else found


def _after(scheduler: Record, start: float) -> float | None:
    if scheduler.kind == "OnceTaskScheduler":
        told: float | None = scheduler["runAt"]
        return start if told is None else told if told >= start else None
    if scheduler.kind == "AfterStartupTaskScheduler":
        return None
    interval: int = scheduler["interval"]
    base = datetime.fromtimestamp(start, UTC).replace(second=0, microsecond=0)
    if scheduler.kind == "HourlyTaskScheduler":
        first, step = base.replace(minute=scheduler["minute"]), timedelta(hours=1)
        while first.timestamp() <= start:
            first += step
        return (first + (interval - 1) * step).timestamp()
    first, step = base.replace(hour=scheduler["hour"], minute=scheduler["minute"]), timedelta(days=1)
    while first.timestamp() <= start or (scheduler.kind == "WeeklyTaskScheduler" and not scheduler[_DAYS[first.weekday()]]):
        first += step
    return (first + (interval - 1) * (7 if scheduler.kind == "WeeklyTaskScheduler" else 1) * step).timestamp()


def _check(call: Call, target: Any, spec: Record, but: ScheduledTask | None = None) -> None:
    scheduler, action = spec["scheduler"], spec["action"]
    if not spec["name"].strip():
        raise Fault("InvalidName", "A scheduled task needs a name.", name=spec["name"])
    for other in call.inventory.all_of(ScheduledTask):
        if other is not but and other.spec["name"] == spec["name"]:
            raise Fault("DuplicateName", f"The name '{spec['name']}' already exists.", name=spec["name"], object=ref(other))
    if scheduler.kind not in _SCHEDULERS:
        raise Fault("NotSupported", f"{scheduler.kind} is not supported by this emulator.")
    ranges = {"minute": range(60), "hour": range(24), "interval": range(1, 1000)}
    for name, allowed in ranges.items():
        if scheduler[name] is not None and scheduler[name] not in allowed:
            raise invalid_argument(f"spec.scheduler.{name}", f"{scheduler[name]} is out of range.")
    if scheduler.kind == "WeeklyTaskScheduler" and not any(scheduler[day] for day in _DAYS):
        raise invalid_argument("spec.scheduler", "At least one day is required.")
    if action.kind != "MethodAction":
        raise Fault("NotSupported", f"{action.kind} is not supported by this emulator.")
    method = schema.methods(target.kind).get(action["name"])
    if method is None or not method.is_task or action["name"] not in call.inventory.kinds[target.kind].operations:
        raise invalid_argument("spec.action.name", f"{target.kind} has no task {action['name']}.")
    _arguments(method, action)


def _arguments(method: schema.Method, action: Record) -> dict[str, Any]:
    """The arguments of an action by the names of the method's parameters."""
    values = [one["value"] for one in action["argument"] or []]
    if len(values) > len(method.params):
        raise invalid_argument("spec.action.argument", f"{method.name} takes {len(method.params)} arguments.")
    found: dict[str, Any] = {}
    for param, value in zip(method.params, [*values, *[None] * len(method.params)], strict=False):
        plain = value.value if isinstance(value, Typed) else value
        if plain is None and not param.optional and param.type.category != "list":
            raise invalid_argument("spec.action.argument", f"{method.name} needs {param.name}.")
        if plain is not None or not param.optional:
            found[param.name] = plain if plain is not None else []
    return found


def create(call: Call, _service: Any, args: Any) -> Ref:
    """CreateScheduledTask, CreateObjectScheduledTask."""
    inventory = call.inventory
    target = inventory.find((args.get("entity") or args["obj"]).moid)
    _check(call, target, args["spec"])
    made = ScheduledTask(inventory.new_moid("schedule-"), ref(target), args["spec"].copy(), call.user, inventory.clock.now())
    inventory.add(made)
    _arm(inventory, made)
    inventory.change(inventory.find("ScheduledTaskManager"), "scheduledTask")
    _tell(inventory, made, "ScheduledTaskCreatedEvent", "Created task {task} on {entity}", call.user)
    return ref(made)


def _arm(inventory: Inventory, task: ScheduledTask) -> None:
    """Set the next run on the clock."""
    if task._timer is not None:
        task._timer.cancel()
        task._timer = None
    now = inventory.clock.now()
    task.next_run = _next(task.spec["scheduler"], now) if task.spec["enabled"] else None
    if task.next_run is not None:
        run = _runner(inventory, task)
        task._timer = inventory.clock.call_later(task.next_run - now, run, name=f"vcenter {task.moid}")
    inventory.change(task, "info")


def resume(inventory: Inventory) -> None:
    """Set the next runs after an inventory was restored. What was due meanwhile is not made up for."""
    for task in inventory.all_of(ScheduledTask):
        if task.state == "running":
            task.state, task.active = "queued", None
        _arm(inventory, task)


def _runner(inventory: Inventory, task: ScheduledTask) -> Any:
    def run() -> None:
        with inventory.lock:
            if inventory.find(task.moid) is task and task.spec["enabled"]:
                task._timer = None
                _run(inventory, task)
                if task.spec["scheduler"].kind != "OnceTaskScheduler":
                    _arm(inventory, task)
                else:
                    task.next_run = None
                    inventory.change(task, "info")

    return run


def _run(inventory: Inventory, task: ScheduledTask) -> None:
    """Start the action as the task's user. What it may not do, or what is gone, is the task's error."""
    task.previous = inventory.clock.now()
    _tell(inventory, task, "ScheduledTaskStartedEvent", "Running task {task} on {entity}", task.user)
    session = Session("scheduled", "", task.user, task.previous, task.previous, "en", "", "scheduled task")
    call = Call(inventory, session)
    try:
        target = inventory.find(task.target.moid)
        if target is None:
            raise Fault("ManagedObjectNotFound", "The object has already been deleted.", obj=task.target)
        name = task.spec["action"]["name"]
        method = schema.methods(target.kind)[name]
        args = _arguments(method, task.spec["action"])
        if method.privilege is not None:
            authorization.check(inventory, task.user, target, method.privilege)
        needed = inventory.kinds[target.kind].privileges.get(name)
        for one in needed(target, args) if needed is not None else ():
            where, privilege = (target, one) if isinstance(one, str) else (inventory.find(one[0].moid), one[1])
            authorization.check(inventory, task.user, where, privilege)
        _check_references(inventory, task.user, method, args)
        begun = inventory.tasks.begin(call, target, name, args)
    except Fault as fault:
        _ended(inventory, task, fault.record())
        return
    task.state, task.error, task.active = "running", None, ref(begun)
    inventory.change(task, "info")
    inventory.clock.spawn(_follow(inventory, task, begun), name=f"vcenter {task.moid} follows {begun.moid}")


def _check_references(inventory: Inventory, user: str, method: schema.Method, args: dict[str, Any]) -> None:
    """Objects that are handed in must be there, of their kind, and open to the user, as when they come with a request."""
    for param in method.params:
        value = args.get(param.name)
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, Ref):
                continue
            found = inventory.find(one.moid)
            if found is None:
                raise not_found(one)
            if param.type.category == "ref" and not schema.is_a(found.kind, param.type.name):
                raise invalid_argument(param.name, f"It is a {found.kind}.")
            authorization.check(inventory, user, found, param.privilege or "System.Read")


def _follow(inventory: Inventory, task: ScheduledTask, begun: Task) -> Any:
    while begun.open:
        yield _LOOK
    with inventory.lock:
        if inventory.find(task.moid) is task:
            _ended(inventory, task, begun.error)


def _ended(inventory: Inventory, task: ScheduledTask, error: Record | None) -> None:
    task.state, task.error, task.active = ("error", error, None) if error is not None else ("success", None, None)
    inventory.change(task, "info")
    if error is None:
        _tell(inventory, task, "ScheduledTaskCompletedEvent", "Task {task} on {entity} completed successfully", task.user)
    else:
        text = "Task {task} on {entity} cannot be completed: " + error["localizedMessage"]
        _tell(inventory, task, "ScheduledTaskFailedEvent", text, task.user, reason=error)


def _tell(inventory: Inventory, task: ScheduledTask, kind: str, text: str, user: str, **more: Any) -> None:
    entity = inventory.find(task.target.moid)
    name = getattr(entity, "name", "")
    words = text.replace("{task}", task.spec["name"], 1).replace("{entity}", name, 1)
    about = Record("ManagedEntityEventArgument", name=name, entity=task.target)
    argument = Record("ScheduledTaskEventArgument", name=task.spec["name"], scheduledTask=ref(task))
    if schema.is_a(task.target.kind, "ManagedEntity"):
        inventory.events.post(kind, words, user=user, scheduledTask=argument, entity=about, **more)


def reconfigure(call: Call, task: ScheduledTask, args: Any) -> None:
    """ReconfigureScheduledTask."""
    target = call.inventory.find(task.target.moid)
    if target is None:
        raise Fault("InvalidState", "The object of the task has been deleted.")
    _check(call, target, args["spec"], but=task)
    task.spec, task.user, task.modified = args["spec"].copy(), call.user, call.inventory.clock.now()
    _arm(call.inventory, task)
    _tell(call.inventory, task, "ScheduledTaskReconfiguredEvent", "Reconfigured task {task} on {entity}", call.user)


def remove(call: Call, task: ScheduledTask, _args: Any) -> None:
    """RemoveScheduledTask."""
    if task.state == "running":
        raise Fault("InvalidState", "The task runs.")
    if task._timer is not None:
        task._timer.cancel()
    call.inventory.remove(task)
    call.inventory.change(call.inventory.find("ScheduledTaskManager"), "scheduledTask")
    _tell(call.inventory, task, "ScheduledTaskRemovedEvent", "Removed task {task} on {entity}", call.user)


def run_now(call: Call, task: ScheduledTask, _args: Any) -> None:
    """RunScheduledTask."""
    if task.state == "running":
        raise Fault("InvalidState", "The task runs already.")
    _run(call.inventory, task)


def retrieve(call: Call, _service: Any, args: Any) -> list[Ref]:
    """RetrieveEntityScheduledTask, RetrieveObjectScheduledTask."""
    told = args.get("entity") or args.get("obj")
    return [ref(one) for one in call.inventory.all_of(ScheduledTask) if told is None or one.target == told]


def _info(_inventory: Inventory, task: ScheduledTask) -> Record:
    optional = {"nextRunTime": task.next_run, "prevRunTime": task.previous, "error": task.error, "activeTask": task.active}
    return Record(
        "ScheduledTaskInfo",
        **task.spec.fields,
        scheduledTask=ref(task),
        entity=task.target,
        lastModifiedTime=task.modified,
        lastModifiedUser=task.user,
        state=task.state,
        taskObject=task.target,
        **{name: value for name, value in optional.items() if value is not None},
    )


def _description(_inventory: Inventory, _service: Any) -> Record:
    def element(key: str, kind: str = "ElementDescription", **more: str) -> Record:
        return Record(kind, key=key, label=key, summary=key, **more)

    return Record(
        "ScheduledTaskDescription",
        action=[element("MethodAction", "TypeDescription")],
        schedulerInfo=[element(key, "ScheduledTaskDetail", frequency=text) for key, text in _SCHEDULERS.items()],
        state=[element(state) for state in ("queued", "running", "success", "error")],
        dayOfWeek=[element(day) for day in _DAYS],
        weekOfMonth=[element(week) for week in ("first", "second", "third", "fourth", "last")],
    )


SCHEDULER_PROPERTIES: dict[str, Property] = {
    "scheduledTask": lambda inventory, _service: [ref(one) for one in inventory.all_of(ScheduledTask)],
    "description": _description,
}
SCHEDULER_OPERATIONS = {
    "CreateScheduledTask": create,
    "CreateObjectScheduledTask": create,
    "RetrieveEntityScheduledTask": retrieve,
    "RetrieveObjectScheduledTask": retrieve,
}
SCHEDULED_PROPERTIES: dict[str, Property] = {"info": _info}
SCHEDULED_OPERATIONS = {
    "ReconfigureScheduledTask": reconfigure,
    "RemoveScheduledTask": remove,
    "RunScheduledTask": run_now,
}

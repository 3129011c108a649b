"""Tasks: operations that take emulated time on the clock.

The work of a task is a generator. It yields seconds to rest, or a callable that is to run without the vCenter's lock (a guest's
hook); everything between runs with the lock held. Its return value is the task's result; a `Fault` it raises is its error.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from emulators.clock import Process
from emulators.vcenter import schema
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.records import Record, Ref, Typed

Work = Generator[float | Callable[[], None], None, Any]
_KEPT = 500


@dataclass(slots=True, eq=False)
class Task:
    """One task. `result` may be a `Typed` value or a reference."""

    moid: str
    method: schema.Method
    entity: Ref | None
    entity_name: str
    user: str
    queued: float
    chain: int
    state: str = "queued"
    progress: int | None = None
    started: float | None = None
    completed: float | None = None
    result: Any = None
    error: Record | None = None
    cancelable: bool = True
    cancelled: bool = False
    foreign: bool = False  #: a client carries it out
    description: Record | None = None
    activation: str = ""
    parent: str = ""  #: key of the task that it is part of
    under: "list[Task]" = field(default_factory=list)  #: held tasks that it is part of: they do not keep it off the machine
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "Task"

    @property
    def owner(self) -> Ref | None:
        return self.entity

    @property
    def open(self) -> bool:
        return self.state in ("queued", "running")


def info(inventory: Inventory, task: Task) -> Record:
    """The TaskInfo of a task."""
    record = Record(
        "TaskInfo",
        key=task.moid,
        task=ref(task),
        name=task.method.name,
        descriptionId=task.method.label,
        entity=task.entity,
        entityName=task.entity_name,
        state=task.state,
        cancelled=task.cancelled,
        cancelable=task.cancelable and task.open,
        reason=Record("TaskReasonUser", userName=task.user),
        queueTime=task.queued,
        eventChainId=task.chain,
    )
    optional = {
        "description": task.description,
        "activationId": task.activation or None,
        "parentTaskKey": task.parent or None,
        "startTime": task.started,
        "completeTime": task.completed,
        "result": task.result,
        "error": task.error,
    }
    record.fields.update({name: value for name, value in optional.items() if value is not None})
    if task.state == "running" and task.progress is not None:
        record["progress"] = task.progress
    return record


class Tasks:
    """The tasks of one vCenter, the newest last. They take `pace` times the emulated time that they usually take."""

    def __init__(self, inventory: Inventory, pace: float = 1.0):
        self._inventory = inventory
        self.pace = pace
        self.recent: list[Task] = []

    def start(self, call: Call, managed: Any, method: schema.Method, work: Callable[[Call], Work]) -> Task:
        """Queue a task; it begins at the clock's next turn."""
        task, process = self.prepare(call, managed, method, work)
        self._inventory.clock.spawn(process, name=f"vcenter {task.moid} {method.name}")
        return task

    def prepare(self, call: Call, managed: Any, method: schema.Method, work: Callable[[Call], Work]) -> tuple[Task, Process]:
        """A task, and the process that carries it out."""
        task, entity = self._new(call, managed, method)
        own = Call(self._inventory, call.session, call.peer, call.agent, task)
        self._changed(task, entity)
        return task, self._run(own, task, entity, work(own))

    def hold(self, call: Call, entity: Any, method: schema.Method) -> Task:
        """A task without work of its own, for what a client does: it runs, and keeps others off its machine, until `release`.

        Raises `Fault("TaskInProgress")`."""
        self.must_be_idle(ref(entity))
        task, _ = self._new(call, entity, method)
        task.started, task.state, task.progress, task.cancelable = self._inventory.clock.now(), "running", 0, False
        self._changed(task, entity)
        return task

    def release(self, task: Task, error: Fault | None = None) -> None:
        """End a task that was held."""
        task.state, task.error = ("error", error.record()) if error is not None else ("success", None)
        task.completed = self._inventory.clock.now()
        self._inventory.change(task, "info")

    def foreign(self, call: Call, managed: Any, method: schema.Method) -> Task:
        """A task that its client carries out: it stays queued until that says otherwise."""
        task, entity = self._new(call, managed, method)
        task.foreign = True
        self._changed(task, entity)
        return task

    def _new(self, call: Call, managed: Any, method: schema.Method) -> tuple[Task, Any]:
        inventory = self._inventory
        entity = inventory.find(managed.owner.moid) if getattr(managed, "owner", None) else managed
        has_name = hasattr(entity, "name") and schema.is_a(entity.kind, "ManagedEntity")
        task = Task(
            inventory.new_moid("task-"),
            method,
            ref(entity) if has_name else None,
            entity.name if has_name else "",
            call.user,
            inventory.clock.now(),
            0,
        )
        task.under = list(getattr(managed, "tasks", ()))  # a lease has such
        inventory.add(task)
        self._remember(task)
        event = inventory.events.post("TaskEvent", f"Task: {_title(method)}", user=task.user, info=info(inventory, task))
        task.chain = event["chainId"]
        event.fields["info"] = info(inventory, task)
        return task, entity

    def begin(self, call: Call, managed: Any, name: str, args: Mapping[str, Any]) -> Task:
        """Start an operation of an object by its name, as if a client had asked for it."""
        operation = self._inventory.kinds[managed.kind].operations[name]

        def work(own: Call) -> Work:
            return (yield from operation(own, managed, args))

        return self.start(call, managed, schema.methods(managed.kind)[name], work)

    def _run(self, call: Call, task: Task, entity: Any, work: Work) -> Process:
        while True:
            with self._inventory.lock:
                rest = self._step(task, entity, work)
            if rest is None:
                return
            if callable(rest):
                rest()
            else:
                yield rest * self.pace

    def _step(self, task: Task, entity: Any, work: Work) -> float | Callable[[], None] | None:
        """One step of the work: what comes before the next; None when the task has ended."""
        try:
            if task.cancelled:
                work.close()
                raise Fault("RequestCanceled", "The task was canceled by a user.")
            if task.state == "queued":
                self._admit(task, entity, work)
            return next(work)
        except StopIteration as end:
            task.state, task.result = "success", end.value
        except Fault as fault:
            task.state, task.error = "error", fault.record()
        task.completed = self._inventory.clock.now()
        self._changed(task, entity)
        return None

    def _admit(self, task: Task, entity: Any, work: Work) -> None:
        """Start a task. Raises `Fault("TaskInProgress")`: machines do one thing at a time."""
        task.started = self._inventory.clock.now()
        try:
            self.must_be_idle(task.entity, task.under)
        except Fault:
            work.close()
            raise
        task.state, task.progress = "running", 0
        self._changed(task, entity)

    def must_be_idle(self, entity: Ref | None, under: Sequence[Task] = ()) -> None:
        """Raises `Fault("TaskInProgress")` while another task has a machine."""
        if entity is None or entity.kind != "VirtualMachine":
            return
        for other in self.recent:
            if other.state == "running" and other.entity == entity and other not in under:
                raise Fault("TaskInProgress", "The operation is not allowed: another task is in progress.", task=ref(other))

    def progress(self, call: Call, percent: int) -> None:
        """Show how far a task is."""
        task = call.task
        if task is not None and task.open and percent != task.progress:
            task.progress = percent
            self._inventory.change(task, "info.progress")

    def cancel(self, task: Task) -> None:
        """Ask a task to stop at its next rest. Raises `Fault("NotSupported")` where it cannot."""
        if not task.open:
            raise Fault("InvalidState", "The task has already completed.")
        if not task.cancelable:
            raise Fault("NotSupported", f"{task.method.name} cannot be canceled.")
        task.cancelled = True
        self._inventory.change(task, "info.cancelled")

    def of(self, managed: Any) -> list[Ref]:
        """The recent tasks of an entity."""
        return [ref(task) for task in self.recent[-100:] if task.entity is not None and task.entity.moid == managed.moid]

    def _remember(self, task: Task) -> None:
        self.recent.append(task)
        while len(self.recent) > _KEPT and not self.recent[0].open:
            self._inventory.remove(self.recent.pop(0))
        manager = self._inventory.find("TaskManager")
        if manager is not None:
            self._inventory.change(manager, "recentTask")

    def _changed(self, task: Task, entity: Any) -> None:
        self._inventory.change(task, "info")
        if self._inventory.find(entity.moid) is entity and task.entity is not None:
            self._inventory.change(entity, "recentTask")


def _title(method: schema.Method) -> str:
    return _TITLES.get(method.name, method.name.removesuffix("_Task"))


_TITLES = {
    "PowerOnVM_Task": "Power On virtual machine",
    "PowerOffVM_Task": "Power Off virtual machine",
    "ResetVM_Task": "Reset virtual machine",
    "SuspendVM_Task": "Suspend virtual machine",
    "ReconfigVM_Task": "Reconfigure virtual machine",
    "CreateVM_Task": "Create virtual machine",
    "CreateSnapshot_Task": "Create virtual machine snapshot",
    "RemoveAllSnapshots_Task": "Remove all snapshots",
    "RemoveSnapshot_Task": "Remove snapshot",
    "RevertToSnapshot_Task": "Revert snapshot",
    "RevertToCurrentSnapshot_Task": "Revert virtual machine to current snapshot",
    "Destroy_Task": "Delete",
    "Rename_Task": "Rename",
}


def text_result(value: str) -> Typed:
    """A string as a task's result."""
    return Typed("xsd:string", value)

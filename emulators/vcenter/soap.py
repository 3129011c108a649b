"""vim25 over SOAP: from the bytes of a request to the bytes of its answer.

Which methods there are, what they take, give, and need as privilege is read from the registry; what they do, from `KINDS`.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter import authorization, parse, properties, schema
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.filters import Raw, Waiting
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.kind import Kind
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.selection import find
from emulators.vcenter.serialise import any_fragment, fragment, text, write_fields
from emulators.vcenter.sessions import Session

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/"'
    ' xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n<soapenv:Body>\n'
)
_TAIL = "\n</soapenv:Body>\n</soapenv:Envelope>"
_ANONYMOUS = "System.Anonymous"


#: Operations that only read and are asked with the same bytes again and again: their parsed requests are kept.
_KEPT = frozenset({"CurrentTime", "Fetch", "RetrieveProperties", "RetrievePropertiesEx", "RetrieveServiceContent"})
_MOST_PLANS = 4096
_LONGEST_KEPT = 16 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body in pieces and, after a login, the cookie. `waiting` gives a later answer instead, asked for with the lock."""

    status: int
    parts: list[bytes]
    set_cookie: str | None = None
    waiting: "Callable[[], Answer | None] | None" = None
    deadline: float = 0.0
    otherwise: list[bytes] = field(default_factory=list)
    method: str = ""


@dataclass(slots=True)
class Plan:
    """A parsed request. `args` are read once it is known what the object is; session and privileges are checked every time."""

    request: parse.Request
    kind: str = ""
    args: dict[str, Any] | None = None


@dataclass(slots=True)
class Plans:
    """Requests seen before, by their bytes. Bounded: the oldest go first."""

    known: dict[bytes, Plan] = field(default_factory=dict)

    def of(self, body: bytes) -> Plan:
        """Raises `Fault("InvalidRequest")`."""
        return self.known.get(body) or Plan(parse.request(body))

    def keep(self, body: bytes, plan: Plan) -> None:
        if plan.args is not None and len(body) <= _LONGEST_KEPT and body not in self.known:
            if len(self.known) >= _MOST_PLANS:
                self.known.pop(next(iter(self.known)))
            self.known[body] = plan

    def quick(self, body: bytes) -> bool:
        """Whether the request has been seen before and is about one object."""
        plan = self.known.get(body)
        if plan is None or plan.args is None:
            return False
        specs = plan.args.get("specSet") or ()
        return all(len(spec["objectSet"]) == 1 and not spec["objectSet"][0]["selectSet"] for spec in specs)


def answer(
    inventory: Inventory, body: bytes, token: str, *, peer: str, agent: str, plans: Plans | None = None, patient: bool = False
) -> Answer:
    """Serve one call. A `patient` caller gets `Answer.waiting` where it has to wait."""
    with inventory.lock:
        session = inventory.sessions.find(token) if token else None
        call = Call(inventory, session, peer, agent, patient=patient)
        plan: Plan | None = None
        try:
            plan = plans.of(body) if plans is not None else Plan(parse.request(body))
            content = _serve(call, plan)
        except Fault as fault:
            return Answer(500, [_fault(fault)], call.set_cookie, method=plan.request.method if plan is not None else "")
        if plans is not None:
            plans.keep(body, plan)
    method = plan.request.method
    if isinstance(content, Waiting):
        otherwise = _enveloped(method, content.otherwise.parts)
        return Answer(200, [], None, _later(content, method), content.deadline, otherwise, method)
    return Answer(200, _enveloped(method, content), call.set_cookie, method=method)


def enveloped(method: str, content: str, *, namespace: str) -> str:
    """An answer of another service than vim25."""
    return f'{_HEAD}<{method}Response xmlns="{namespace}">{content}</{method}Response>{_TAIL}'


def fault_text(fault: Fault) -> str:
    """A fault as the answer of another service."""
    return _fault(fault).decode()


def _enveloped(method: str, content: list[bytes]) -> list[bytes]:
    head = f'{_HEAD}<{method}Response xmlns="{schema.NAMESPACE}">'.encode()
    return [head, *content, f"</{method}Response>{_TAIL}".encode()]


def _later(waiting: Waiting, method: str) -> Callable[[], Answer | None]:
    def again() -> Answer | None:
        try:
            found = waiting.again()
        except Fault as fault:
            return Answer(500, [_fault(fault)], method=method)
        return Answer(200, _enveloped(method, found.parts), method=method) if found is not None else None

    return again


def _fault(fault: Fault) -> bytes:
    out: list[str] = []
    write_fields(out, Record(fault.kind, **fault.fields))
    namespace = schema.PBM if fault.kind.startswith("Pbm") else schema.NAMESPACE
    detail = f'<{fault.kind}Fault xmlns="{namespace}" xsi:type="{fault.kind}">{"".join(out)}</{fault.kind}Fault>'
    content = f"<faultcode>ServerFaultCode</faultcode><faultstring>{text(fault.message)}</faultstring><detail>{detail}</detail>"
    return f"{_HEAD}<soapenv:Fault>{content}</soapenv:Fault>{_TAIL}".encode()


def _serve(call: Call, plan: Plan) -> list[bytes] | Waiting:
    request = plan.request
    call.header = request.header
    managed = _object(call, request)
    if request.method == "Fetch":
        return _fetch(call, managed, plan)
    method = _method(call, managed, request.method)
    args = _arguments(plan, managed, method.params)
    operation = _operation(call, managed, method, args)
    if method.is_task:
        task = call.inventory.tasks.start(call, managed, method, lambda own: _work(operation, own, managed, args))
        return [fragment("returnval", "Task", ref(task)).encode()]
    return _result(method, operation(call, managed, args))


def carry_out(call: Call, managed: Any, name: str, args: dict[str, Any]) -> Any:
    """Do what the operation `name` does, with the same checks, events and task, and answer at its end: emulated time stays.

    The lock must not be held: hooks of guests run in between. Raises the `Fault` that the operation or its task ends with.
    """
    tasks = call.inventory.tasks
    with call.inventory.lock:
        method = _method(call, managed, name)
        operation = _operation(call, managed, method, args)
        if not method.is_task:
            return operation(call, managed, args)
        task, process = tasks.prepare(call, managed, method, lambda own: _work(operation, own, managed, args))
    for _rest in process:
        pass
    if task.error is not None:
        fault = task.error["fault"]
        raise Fault(fault.kind, task.error["localizedMessage"], **fault.fields)
    return task.result


def _method(call: Call, managed: Any, name: str) -> schema.Method:
    """A method of an object that the caller may use. Raises `Fault`."""
    method = schema.methods(managed.kind).get(name)
    if method is None:
        raise Fault("MethodNotFound", f"{managed.kind} has no method {name}.", receiver=ref(managed), method=name)
    _authorise(call, managed, method.privilege or "System.Read")
    return method


def _operation(call: Call, managed: Any, method: schema.Method, args: dict[str, Any]) -> Any:
    """What carries out a method, once its arguments are allowed as well. Raises `Fault`."""
    kind = call.inventory.kinds[managed.kind]
    _authorise_arguments(call, managed, kind, method, args)
    operation = kind.operations.get(method.name)
    if operation is None:
        raise Fault("NotSupported", f"{managed.kind}.{method.name} is not supported by this emulator.")
    return operation


def _arguments(plan: Plan, managed: Any, params: tuple[schema.Field, ...]) -> dict[str, Any]:
    if plan.args is not None and plan.kind == managed.kind:
        return plan.args
    args = parse.arguments(plan.request.arguments, params)
    if plan.request.method in _KEPT:
        plan.args, plan.kind = args, managed.kind
    return args


def _work(operation: Any, call: Call, managed: Any, args: Any) -> Generator[Any, None, Any]:
    """The generator of a task; what an operation refuses before its first rest is the task's error as well."""
    return (yield from operation(call, managed, args))


def _result(method: schema.Method, result: Any) -> list[bytes] | Waiting:
    if isinstance(result, Raw):
        return result.parts
    if isinstance(result, Waiting):
        return result
    if result is None or method.result is None:
        return []
    return [fragment("returnval", method.result.name, result).encode()]


def _object(call: Call, request: parse.Request) -> Any:
    try:
        managed = find(call, request.this)
    except Fault:
        if call.session is None and request.this.kind != "ServiceInstance":
            raise _not_authenticated(request.this, "System.View") from None
        raise
    if managed.kind not in call.inventory.kinds:
        raise Fault("NotSupported", f"{managed.kind} is not supported by this emulator.")
    return managed


_PROP = (schema.Field("prop", schema.named("xsd:string"), False),)


def _fetch(call: Call, managed: Any, plan: Plan) -> list[bytes]:
    """Fetch: one property. Not in the registry, but how pyVmomi and others read every property."""
    anonymous = managed.kind == "ServiceInstance"
    _authorise(call, managed, _ANONYMOUS if anonymous else "System.Read")
    args = _arguments(plan, managed, _PROP)
    value = properties.read(call, managed, args["prop"])
    return [any_fragment("returnval", value.type, value.value).encode()] if value is not None else []


def _not_authenticated(one: Ref, privilege: str) -> Fault:
    return Fault("NotAuthenticated", "The session is not authenticated.", object=one, privilegeId=privilege)


def _authorise(call: Call, managed: Any, privilege: str) -> None:
    if privilege == _ANONYMOUS:
        return
    session: Session | None = call.session
    if session is None:
        raise _not_authenticated(ref(managed), privilege)
    authorization.check(call.inventory, session.user, managed, privilege)


def _authorise_arguments(call: Call, managed: Any, kind: Kind, method: schema.Method, args: dict[str, Any]) -> None:
    """Privileges on what is handed in (a pool to create in, say), and those that depend on what is asked."""
    if method.privilege == _ANONYMOUS and call.session is None:
        return
    if method.name in kind.privileges:
        for needed in kind.privileges[method.name](managed, args):
            where, privilege = (managed, needed) if isinstance(needed, str) else (find(call, needed[0]), needed[1])
            authorization.check(call.inventory, call.user, where, privilege)
    for param in method.params:
        value = args.get(param.name)
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, Ref):
                continue
            target = find(call, one)
            if param.type.category == "ref" and not schema.is_a(target.kind, param.type.name):
                raise invalid_argument(param.name, f"It is a {target.kind}.")
            if param.privilege:
                authorization.check(call.inventory, call.user, target, param.privilege)

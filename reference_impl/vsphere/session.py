"""A session with a vCenter: unmodified pyVmomi over connections of the component's host.

pyVmomi objects stay in this package. Everything that fails is a `VSphereError` whose `reason` is one of `REASONS`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.client import HTTPException
from typing import Any, Self
from xml.parsers.expat import ExpatError

from pyVmomi import SoapStubAdapter, vim, vmodl

from reference_impl.outside import Host, Process

#: Why a call to vCenter failed. `vcenter-fault` is every other fault; its message names it.
REASONS = ("vcenter-unreachable", "vcenter-login-failed", "no-permission", "machine-missing", "vcenter-fault")

#: The API version spoken: vSphere 6.5, the vCenter of the time of the article this project starts from.
API = "vim25/6.5"

#: Seconds between two looks at a task.
TASK_POLL_SECONDS = 2.0

#: How many objects one page of a property read may hold.
PAGE = 500


class VSphereError(Exception):
    """A call to vCenter failed; `reason` is one of `REASONS`, `fault` the name of the vim25 fault or empty."""

    def __init__(self, reason: str, message: str, fault: str = ""):
        super().__init__(message)
        self.reason = reason
        self.fault = fault


@contextmanager
def translated(address: str) -> Iterator[None]:
    """Turn what pyVmomi raises in a call to the vCenter at `address` into `VSphereError`."""
    try:
        yield
    except vim.fault.InvalidLogin:
        raise VSphereError("vcenter-login-failed", f"vCenter {address} refused the account", "InvalidLogin") from None
    except vmodl.MethodFault as fault:
        raise as_error(address, fault) from None
    except (OSError, HTTPException, ExpatError) as error:
        raise VSphereError("vcenter-unreachable", f"vCenter {address} does not answer: {error}") from error


def as_error(address: str, fault: Any) -> VSphereError:
    """The `VSphereError` of a vim25 fault, raised or carried by a task."""
    name = type(fault).__name__.rsplit(".", 1)[-1]
    said = str(getattr(fault, "msg", None) or name)
    if isinstance(fault, vim.fault.NoPermission):
        needed = f" ({fault.privilegeId} is missing)" if fault.privilegeId else ""
        return VSphereError("no-permission", f"the account may not do this on vCenter {address}{needed}", name)
    if isinstance(fault, vmodl.fault.ManagedObjectNotFound):
        return VSphereError("machine-missing", f"vCenter {address} does not know the object: {said}", name)
    return VSphereError("vcenter-fault", f"vCenter {address} answered {name}: {said}", name)


class Session:
    """A logged-in session. Use it as a context: leaving it logs out.

    Raises `VSphereError` with `vcenter-unreachable` or `vcenter-login-failed` when it cannot be opened.
    """

    def __init__(self, host: Host, address: str, port: int, user: str, password: str, *, timeout: float = 60.0):
        self.address = address
        # No pool: in emulated time a kept connection may be long dead when it is used again.
        stub = SoapStubAdapter(host=address, port=port, ns=API, poolSize=0, connectionPoolTimeout=-1)
        # pyVmomi makes a connection by calling `scheme`: here it comes from the component's own host.
        stub.scheme = lambda **to: host.connection(to["host"], to["port"], tls=True, timeout=timeout)
        self._stub = stub
        with translated(address):
            service: Any = vim.ServiceInstance("ServiceInstance", stub)
            self._service = service
            self._content = service.RetrieveContent()
            self._content.sessionManager.Login(user, password)

    @property
    def instance_uuid(self) -> str:
        return str(self._content.about.instanceUuid or "")

    @property
    def version(self) -> str:
        return str(self._content.about.version or "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None and issubclass(kind, GeneratorExit):
            return  # killed in the middle of its work: nobody is there to say good-bye
        try:
            with translated(self.address):
                self._content.sessionManager.Logout()
        except VSphereError:
            return  # an unreachable vCenter ends the session on its own

    def time(self) -> datetime:
        """The vCenter's own time."""
        with translated(self.address):
            found: datetime = self._service.CurrentTime()
        return found

    # reading ---------------------------------------------------------------------------------------------------------

    def read(self, kind: str, moid: str, paths: list[str]) -> dict[str, Any]:
        """Properties of one object. `VSphereError` `machine-missing` when it is gone."""
        vim_type = getattr(vim, kind)
        spec = vmodl.query.PropertyCollector.ObjectSpec(obj=vim_type(moid, self._stub))
        found = self._collect(vim_type, paths, spec)
        if not found:
            raise VSphereError("machine-missing", f"vCenter {self.address} does not know {moid}")
        return found[0][1]

    def read_all(self, kind: str, paths: list[str]) -> list[tuple[str, dict[str, Any]]]:
        """(moid, properties) of every object of a kind that the account may see, through a container view."""
        vim_type = getattr(vim, kind)
        with translated(self.address):
            view = self._content.viewManager.CreateContainerView(self._content.rootFolder, [vim_type], True)
        collector = vmodl.query.PropertyCollector
        walk = collector.TraversalSpec(name="view", path="view", skip=False, type=vim.view.ContainerView)
        found = self._collect(vim_type, paths, collector.ObjectSpec(obj=view, skip=True, selectSet=[walk]))
        with translated(self.address):
            view.DestroyView()
        return found

    def _collect(self, vim_type: Any, paths: list[str], objects: Any) -> list[tuple[str, dict[str, Any]]]:
        collector = vmodl.query.PropertyCollector
        wanted = collector.PropertySpec(type=vim_type, pathSet=paths, all=False)
        query = collector.FilterSpec(objectSet=[objects], propSet=[wanted])
        found: list[tuple[str, dict[str, Any]]] = []
        with translated(self.address):
            service = self._content.propertyCollector
            page = service.RetrievePropertiesEx([query], collector.RetrieveOptions(maxObjects=PAGE))
            while page is not None:
                for entry in page.objects:
                    found.append((entry.obj._GetMoId(), {prop.name: prop.val for prop in entry.propSet}))
                page = service.ContinueRetrievePropertiesEx(page.token) if page.token else None
        return found

    # machines --------------------------------------------------------------------------------------------------------

    def find_machine(self, bios_uuid: str) -> str | None:
        """The moid of the machine with a BIOS UUID."""
        with translated(self.address):
            found = self._content.searchIndex.FindByUuid(None, bios_uuid, True, False)
        return None if found is None else str(found._GetMoId())

    def call(self, moid: str, method: str, *arguments: Any) -> Any:
        """Call a method of a machine; returns the moid of its task, or None when it has none."""
        return self._call(vim.VirtualMachine, moid, method, *arguments)

    def _call(self, kind: Any, moid: str, method: str, *arguments: Any) -> Any:
        with translated(self.address):
            result = getattr(kind(moid, self._stub), method)(*arguments)
        return result._GetMoId() if isinstance(result, vim.Task) else None

    def run(self, moid: str, method: str, *arguments: Any) -> Process:
        """Call a method of a machine that returns a task and rest until it has ended; its result, or its error is raised."""
        return (yield from self.run_on(vim.VirtualMachine, moid, method, *arguments))

    def run_on(self, kind: Any, moid: str, method: str, *arguments: Any) -> Process:
        """The same of an object of another type of pyVmomi's."""
        task = self._call(kind, moid, method, *arguments)
        while True:
            info = self.read("Task", task, ["info"])["info"]
            if info.state == vim.TaskInfo.State.success:
                return info.result
            if info.state == vim.TaskInfo.State.error:
                raise as_error(self.address, info.error)
            yield TASK_POLL_SECONDS

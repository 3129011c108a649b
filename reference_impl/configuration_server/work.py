"""Work of the service by kind, and how one item is done and reported on."""

from collections.abc import Callable
from typing import TypeAlias

from reference_impl.configuration_server import cancelling, forward, installation, moving, physical, reverse, vcenters
from reference_impl.configuration_server.service import Service
from reference_impl.configuration_server.site import Document, Site, Work, WorkRefused
from reference_impl.outside import Process
from reference_impl.vsphere import VSphereError

Doer: TypeAlias = Callable[[Site, Service, Work], Process]

#: What each kind does. A doer is a process that returns the output, or raises `WorkRefused` or `VSphereError`.
KINDS: dict[str, Doer] = {
    "add-vcenter": vcenters.add_vcenter,
    "remove-vcenter": vcenters.remove_vcenter,
    "refresh": vcenters.refresh,
    "protect": forward.protect,
    "resynchronize": forward.resynchronize,
    "change-process-server": moving.change_process_server,
    "shut-down": forward.shut_down,
    "sync": forward.sync,
    "stop": forward.stop,
    "unprotect": forward.unprotect,
    "prepare-reverse": reverse.prepare_reverse,
    "protect-reverse": reverse.protect_reverse,
    "settle-reverse": reverse.settle_reverse,
    "fail-back": reverse.fail_back,
    "commit-reverse": reverse.commit_reverse,
    "cancel-failback": cancelling.cancel_failback,
    "update-agent": installation.update_agent,
    "discover-physical": physical.discover_physical,
}


def do(site: Site, service: Service, item: Work) -> Process:
    """Do an item and report its end. Work of one machine is done one after the other."""
    with site.lock:
        site.documents.put("work", item.work_id, {"kind": item.kind, "input": item.input})
    machine = f"machine {item.input.get('machineId')}" if item.input.get("machineId") else f"work {item.work_id}"
    yield from site.alone_with(machine)
    try:
        result = yield from _result(site, service, item)
    finally:
        site.done_with(machine)
    service.heartbeat()  # the service knows the new facts before it hears that the work is done
    yield from service.ended(item, result)
    with site.lock:
        site.documents.delete("work", item.work_id)


def _result(site: Site, service: Service, item: Work) -> Process:
    doer = KINDS.get(item.kind)
    if doer is None:
        return _failed("unknown-kind", f"this configuration server does not know work {item.kind!r}")
    service.running(item, 5)
    try:
        output = yield from doer(site, service, item)
    except WorkRefused as refused:
        return _failed(refused.reason, refused.message, refused.code)
    except VSphereError as error:
        return _failed(error.reason, str(error))
    return {"state": "succeeded", "progress": 100, "output": output or {}}


def _failed(reason: str, message: str, code: str = "") -> Document:
    error = {"reason": reason, "message": message} | ({"code": code} if code else {})
    return {"state": "failed", "output": {}, "error": error}


def unfinished(site: Site) -> list[Work]:
    """Work that was taken before a kill and not reported on."""
    with site.lock:
        return [Work(name, entry["kind"], entry["input"]) for name, entry in site.documents.all("work").items()]

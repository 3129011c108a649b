"""Snapshots of a machine by name."""

from collections.abc import Iterable
from typing import Any

from pyVmomi import vim

from reference_impl.outside import Process
from reference_impl.vsphere.session import Session


def take_snapshot(session: Session, moid: str, name: str) -> Process:
    """Take a snapshot of the disks unless there is one of this name."""
    if _find(session, moid, name) is None:
        yield from session.run(moid, "CreateSnapshot_Task", name, "", False, False)


def revert_to_snapshot(session: Session, moid: str, name: str) -> Process:
    """Go back to the snapshot of this name and stay off; nothing happens when there is none."""
    found = _find(session, moid, name)
    if found is not None:
        yield from session.run_on(vim.vm.Snapshot, found, "RevertToSnapshot_Task", None, True)


def remove_snapshot(session: Session, moid: str, name: str) -> Process:
    """Delete the snapshot of this name and merge its disks; nothing happens when there is none."""
    found = _find(session, moid, name)
    if found is not None:
        yield from session.run_on(vim.vm.Snapshot, found, "RemoveSnapshot_Task", False, True)


def _find(session: Session, moid: str, name: str) -> str | None:
    held = session.read("VirtualMachine", moid, ["snapshot"]).get("snapshot")
    return next((tree.snapshot._GetMoId() for tree in _trees(held.rootSnapshotList if held else []) if tree.name == name), None)


def _trees(trees: Iterable[Any]) -> Iterable[Any]:
    for tree in trees:
        yield tree
        yield from _trees(tree.childSnapshotList or [])

"""Holds every answer of the emulated Resource Manager, in every test, against the contract of its SDKs.

At the end it says which operations of Site Recovery nobody exercised: all of them after a run of the whole suite or with
`DRILLBED_CONTRACT=1`, else how many.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from azure_contract import Contract
from azure_recorder import Recorder
from requests.adapters import HTTPAdapter

from emulators.azure.arm.service import Arm

_RECORDER = pytest.StashKey[Recorder]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_RECORDER] = Recorder(Contract())


@pytest.fixture(scope="session", autouse=True)
def azure_recorder(pytestconfig: pytest.Config) -> Iterator[Recorder]:
    """Watches Resource Manager from before the first estate to after the last."""
    recorder = pytestconfig.stash[_RECORDER]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Arm, "__call__", recorder.application(Arm.__call__))
        patch.setattr(HTTPAdapter, "send", recorder.transport(HTTPAdapter.send))
        yield recorder


@pytest.fixture(autouse=True)
def azure_contract(azure_recorder: Recorder) -> Iterator[None]:
    """Fails a test during which something was answered that the contract does not know."""
    yield
    found = azure_recorder.taken()
    assert not found, "outside the contract:\n" + "\n".join(found)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["azure_operations"] = sorted(session.config.stash[_RECORDER].seen)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: Any) -> None:
    node.config.stash[_RECORDER].seen.update(getattr(node, "workeroutput", {}).get("azure_operations", ()))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    recorder = config.stash[_RECORDER]
    if not any("replication" in name for name in recorder.seen):
        return  # nothing of Site Recovery was asked for
    operations = recorder.contract.operations("microsoft.recoveryservices")
    known = {one.name for one in operations if "/replication" in one.template}
    idle = sorted(known - recorder.seen)
    terminalreporter.write_line(f"Site Recovery: {len(known) - len(idle)} of {len(known)} operations of the contract exercised")
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS and not config.getoption("keyword")
    if whole or os.environ.get("DRILLBED_CONTRACT"):
        terminalreporter.write_line("\n".join(f"  not exercised: {name}" for name in idle))

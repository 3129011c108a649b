"""Set-up by the product: `given` and `but`. Each word makes what is missing; a refusal makes the scenario inconclusive."""

from typing import Literal

from harness.product import MachineSpec
from harness.run import Run, SetupFailedError
from harness.vocabulary.word import SETUP, Word

#: After its start a machine's agent may take this long to register again (RPR-012); set-up waits for it, scenarios need not.
AGENT_SECONDS = 15 * 60.0
_ON_ITS_WAY = ("copying", "waiting-first-point")
_IN_AZURE = ("failed-over", "committed", "reverse-copying", "reprotected")


def prepared(run: Run) -> None:
    """The site is ready to protect machines: components registered, vCenter added and discovered, policies in place."""
    run.must(run.session.prepare(), "preparing the site")


def protected(run: Run, vms: list[str], group: str | None = None) -> None:
    """The machines exist and are protected, with a recovery point; as members of a replication group where one is named."""
    for vm in vms:
        run.world.add_machine(MachineSpec(vm))
    prepared(run)
    for vm in vms:
        if run.machine(vm).state not in (*_ON_ITS_WAY, "protected"):
            run.must(run.session.protect(vm, group), f"protecting {vm}")
    run.settle(vms, "protected")


def failed_over(run: Run, vms: list[str], point: str = "latest") -> None:
    """The machines were failed over to Azure, unplanned, and are not committed."""
    fresh = [vm for vm in vms if run.machine(vm).state not in ("protected", *_IN_AZURE)]
    if fresh:
        protected(run, fresh)
    for vm in vms:
        if run.machine(vm).state == "protected":
            answer = run.session.failover(vm, "azure", "unplanned", point, shut_down=True)
            run.must(answer, f"failing over {vm}")
    run.settle(vms, "failed-over")


def committed(run: Run, vms: list[str]) -> None:
    """The failover (to Azure, or back) of the machines was committed, and their agents had time to register again."""
    waiting = [vm for vm in vms if run.machine(vm).state not in ("failed-over", "failed-back")]
    if waiting:
        failed_over(run, waiting)
    for vm in vms:
        back = run.machine(vm).state == "failed-back"
        run.must(run.session.commit(vm), f"committing {vm}")
        run.settle([vm], "failback-committed" if back else "committed")
    run.wait(AGENT_SECONDS)


def reprotected(run: Run, vms: list[str]) -> None:
    """The machines run in Azure and are replicated to the site, with a reverse recovery point."""
    early = [vm for vm in vms if run.machine(vm).state != "committed"]
    if early:
        committed(run, early)
    for vm in vms:
        run.must(run.session.reprotect(vm), f"reprotecting {vm}")
    run.settle(vms, "reprotected")


def failed_back(run: Run, vms: list[str]) -> None:
    """The machines run on premises again; their failback is not committed."""
    early = [vm for vm in vms if run.machine(vm).state != "reprotected"]
    if early:
        reprotected(run, early)
    kind = "planned" if run.setup.profile == "modernized" else "unplanned"
    for vm in vms:
        run.must(run.session.failover(vm, "onprem", kind), f"failing back {vm}")
    run.settle(vms, "failed-back")


def tested(run: Run, vms: list[str]) -> None:
    """A test failover of the machines was done; its clean-up is due."""
    for vm in vms:
        if run.machine(vm).state != "protected":
            protected(run, [vm])
        run.must(run.session.test_failover(vm), f"test failover of {vm}")


def recovery_points(run: Run, vm: str, count: int) -> None:
    """Time passes until the machine has at least that many recovery points."""

    def enough() -> bool:
        return len(run.machine(vm).points) >= count

    if not run.wait_until(enough, (count + 2) * 3600.0):
        have = len(run.machine(vm).points)
        raise SetupFailedError(f"{vm} has {have} recovery points and gets no more, {count} were wanted")


def plan(run: Run, name: str, groups: list[list[str]], manual_action_before: int | None = None) -> None:
    """A recovery plan with these groups of protected machines. A manual action may stand before group 1, 2, ..."""
    machines = [vm for group in groups for vm in group]
    protected(run, [vm for vm in machines if run.machine(vm).state != "protected"])
    run.must(run.session.create_plan(name, groups, manual_action_before), f"creating the plan {name}")


def registration_key(run: Run) -> None:
    """The operator has taken a fresh registration key from the vault; `register` will use it."""
    run.must(run.session.registration_key(), "taking a registration key")


def component(run: Run, kind: Literal["process-server", "master-target-linux"], name: str) -> None:
    """A further component is installed and registered."""
    run.must(run.session.add_component(kind, name), f"adding {name}")


WORDS = (
    Word("prepared", SETUP, prepared),
    Word("protected", SETUP, protected, "{vms: [web, db], group: shop}"),
    Word("failed_over", SETUP, failed_over, "{vms: [web]}"),
    Word("committed", SETUP, committed, "{vms: [web]}"),
    Word("reprotected", SETUP, reprotected, "{vms: [web]}"),
    Word("failed_back", SETUP, failed_back, "{vms: [web]}"),
    Word("tested", SETUP, tested, "{vms: [web]}"),
    Word("recovery_points", SETUP, recovery_points, "{vm: web, count: 6}"),
    Word("plan", SETUP, plan, "{name: shop, groups: [[db], [app], [web]]}"),
    Word("registration_key", SETUP, registration_key),
    Word("component", SETUP, component, "{kind: process-server, name: process-server-2}"),
)

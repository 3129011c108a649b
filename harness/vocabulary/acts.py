"""What an operator asks of the product: `when`. The last answer is kept and judged by `accepted` and `refused`."""

from typing import Literal

from harness.run import Run
from harness.vocabulary.word import WHEN, Word


def register(run: Run) -> None:
    """The configuration server (or appliance) registers with the vault."""
    run.asked(run.session.register())


def add_vcenter(run: Run) -> None:
    """The site's vCenter is added."""
    run.asked(run.session.add_vcenter())


def discover(run: Run) -> None:
    """The vCenter is looked at now, not at the next round."""
    run.asked(run.session.discover())


def protect(run: Run, vm: str, group: str | None = None) -> None:
    """Protection of a machine is enabled, alone or into a replication group. Returns with the job; the copy goes on."""
    run.asked(run.session.protect(vm, group))


def unprotect(run: Run, vm: str) -> None:
    """Protection is disabled."""
    run.asked(run.session.unprotect(vm))


def failover(
    run: Run,
    vm: str,
    to: Literal["azure", "onprem"],
    kind: Literal["unplanned", "planned"] = "unplanned",
    point: str = "latest",
    shut_down: bool = False,
) -> None:
    """The machine is failed over. `point`: `latest`, `oldest`, `latest-processed`, `latest-app-consistent`."""
    run.asked(run.session.failover(vm, to, kind, point, shut_down))


def try_failover(run: Run, vm: str, point: str = "latest") -> None:
    """A test failover, up to where it waits for its clean-up."""
    run.asked(run.session.test_failover(vm, point))


def clean_up(run: Run, vm: str) -> None:
    """The test failover is cleaned up."""
    run.asked(run.session.clean_up(vm))


def change_recovery_point(run: Run, vm: str, point: str = "oldest") -> None:
    """A failed-over machine is made anew from another point."""
    run.asked(run.session.change_recovery_point(vm, point))


def commit(run: Run, vm: str) -> None:
    """The failover is committed."""
    run.asked(run.session.commit(vm))


def reprotect(run: Run, vm: str) -> None:
    """Replication in the other direction. Returns with the job; the copy goes on."""
    run.asked(run.session.reprotect(vm))


def resynchronize(run: Run, vm: str) -> None:
    """A resynchronisation is started by hand."""
    run.asked(run.session.resynchronize(vm))


def cancel(run: Run, vm: str) -> None:
    """The failover that was done is cancelled."""
    run.asked(run.session.cancel(vm))


def complete_migration(run: Run, vm: str) -> None:
    """The failover is completed as a migration."""
    run.asked(run.session.complete_migration(vm))


def move(run: Run, vm: str, to: str) -> None:
    """The machine is moved to another process server."""
    run.asked(run.session.move(vm, to))


def target(run: Run, vm: str, key: Literal["name", "size"], value: str) -> None:
    """A setting of the Azure machine that a failover will make."""
    run.asked(run.session.set_target(vm, key, value))


def run_plan(
    run: Run, plan: str, to: Literal["azure", "onprem"] = "azure", kind: Literal["unplanned", "test"] = "unplanned"
) -> None:
    """A recovery plan is run, to its end or to where it waits for a person."""
    run.asked(run.session.run_plan(plan, to, kind))


def create_plan(run: Run, name: str, groups: list[list[str]]) -> None:
    """A recovery plan is created."""
    run.asked(run.session.create_plan(name, groups, None))


def resume(run: Run, plan: str) -> None:
    """A person has done the manual action a plan waits for."""
    run.asked(run.session.resume_plan(plan))


WORDS = (
    Word("register", WHEN, register),
    Word("add_vcenter", WHEN, add_vcenter),
    Word("discover", WHEN, discover),
    Word("protect", WHEN, protect, "{vm: web}"),
    Word("unprotect", WHEN, unprotect, "{vm: web}"),
    Word("failover", WHEN, failover, "{vm: web, to: azure, kind: unplanned}"),
    Word("test_failover", WHEN, try_failover, "{vm: web}"),
    Word("clean_up", WHEN, clean_up, "{vm: web}"),
    Word("change_recovery_point", WHEN, change_recovery_point, "{vm: web}"),
    Word("commit", WHEN, commit, "{vm: web}"),
    Word("reprotect", WHEN, reprotect, "{vm: web}"),
    Word("resynchronize", WHEN, resynchronize, "{vm: web}"),
    Word("cancel", WHEN, cancel, "{vm: web}"),
    Word("complete_migration", WHEN, complete_migration, "{vm: web}"),
    Word("move", WHEN, move, "{vm: web, to: process-server-2}"),
    Word("target", WHEN, target, "{vm: web, key: name, value: web-dr}"),
    Word("run", WHEN, run_plan, "{plan: shop, to: azure}"),
    Word("create_plan", WHEN, create_plan, "{name: shop, groups: [[db], [web]]}"),
    Word("resume", WHEN, resume, "{plan: shop}"),
)

"""Runs one case against a product: opens a world, sets up, acts, judges, closes. Knows nothing of pytest.

    result = run_case(case, product, worlds, setup)

An `Attempt` is the same in three steps, for callers that need them apart.
"""

import hashlib
import traceback
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace

from harness.cases import Case
from harness.product import Description, Product, Setup, UnobservableError, Unsupported, WorldFactory
from harness.run import (
    DriverError,
    Judgement,
    OutOfBudgetError,
    Run,
    SetupFailedError,
    Step,
    UnsupportedError,
    show,
)
from harness.verdict import ERROR, FAIL, INCONCLUSIVE, PASS, UNOBSERVABLE, UNSUPPORTED, Result, StepRecord


def case_seed(seed: int, case: str) -> int:
    """A case's own seed: the same for every run with one seed, whatever else is run."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{case}".encode()).digest()[:4], "big")


def missing_capability(needs: Iterable[str], description: Description) -> tuple[str, str] | None:
    """(verdict, capability) where the product does not declare what a case needs."""
    for need in needs:
        if need not in description.capabilities:
            return (UNOBSERVABLE if need.startswith("observe-") else UNSUPPORTED), need
    return None


def run_case(case: Case, product: Product, worlds: WorldFactory, setup: Setup) -> Result:
    """One case, from an empty world to its verdict."""
    attempt = Attempt(case, product, worlds, setup)
    try:
        if attempt.prepare():
            attempt.judge()
    finally:
        attempt.close()
    return attempt.result


class Attempt:
    """One case in three steps: `prepare` (given, but), `judge` (when, then), `close`. `result` holds the verdict."""

    def __init__(self, case: Case, product: Product, worlds: WorldFactory, setup: Setup):
        self.case = case
        self.product = product
        self.worlds = worlds
        self.setup = replace(setup, seed=case_seed(setup.seed, case.id), case=case.id)
        # Until everything was judged the verdict is an error: whatever ends an attempt early, it cannot look like a pass.
        self.result = Result(case.id, ERROR, seed=self.setup.seed, seen="the attempt did not reach its end")
        self._open = ExitStack()
        self._run: Run | None = None
        self._opened = 0.0
        self._step: Step | None = None

    # the three steps -------------------------------------------------------------------------------------------------

    def prepare(self) -> bool:
        """Opens the world and sets up. False where the verdict stands already."""
        try:
            description = self.product.describe()
            missing = missing_capability(self.case.needs, description)
            if missing is not None:
                return self._decide(missing[0], seen=f"the product does not declare {missing[1]}")
            self._run = self._begin(description)
            self._do("given", self.case.given)
            self._do("but", self.case.but)
            self._remember()
        except Exception as problem:
            return self._explain(problem, setting_up=True)
        return True

    def judge(self) -> None:
        """Acts and judges."""
        assert self._run is not None
        try:
            self._do("when", self.case.when)
            self._judge("then", self.case.then)
        except Exception as problem:
            self._explain(problem, setting_up=False)

    def close(self) -> None:
        """Ends the session and the world. If that fails nothing may be concluded."""
        self._step = None
        self._keep_evidence()
        try:
            self._open.close()
        except Exception as problem:
            self._decide(ERROR, judgement="closing", seen=_broken(problem))

    # inside ----------------------------------------------------------------------------------------------------------

    def _begin(self, description: Description) -> Run:
        world = self._open.enter_context(self.worlds.open(self.setup))
        session = self._open.enter_context(self.product.open(world, self.setup))
        self._opened = world.now()
        return Run(session, world, self.setup, description, self._opened)

    def _do(self, part: str, steps: tuple[Step, ...]) -> None:
        run = self._running
        for step in steps:
            self._step = step
            run.session.mark(part, step.text)
            began = run.world.now()
            before = run.answer
            step.function(run, **step.arguments)
            self._note(part, step, began, show(run.answer) if run.answer is not before else "")
            if isinstance(run.answer, Unsupported):
                raise UnsupportedError(run.answer.what)

    def _keep_evidence(self) -> None:
        """Traffic and events as they were at the end. A driver that cannot show them, or any more, leaves none."""
        if self._run is None or self.result.verdict == ERROR:
            return
        run, since = self._run, self._opened
        with suppress(Exception):
            self.result.flows = [
                {**asdict(flow), "first": round(flow.first - since, 3), "last": round(flow.last - since, 3)}
                for flow in run.flows()
            ]
        with suppress(Exception):
            self.result.events = [{**asdict(event), "time": round(event.time - since, 3)} for event in run.session.events()]

    def _judge(self, part: str, steps: tuple[Step, ...]) -> None:
        run = self._running
        for step in steps:
            self._step = step
            run.session.mark(part, step.text)
            began = run.world.now()
            judgement: Judgement = step.function(run, **step.arguments)
            self._note(part, step, began, judgement.seen)
            if not judgement.holds:
                self._decide(FAIL, seen=judgement.seen)
                return
        self.result.verdict, self.result.seen = PASS, ""

    def _remember(self) -> None:
        run = self._running
        for name in sorted(self.case.compared):
            run.before[name] = run.look(name)
        run.remember_flows()

    @property
    def _running(self) -> Run:
        assert self._run is not None
        return self._run

    def _note(self, part: str, step: Step, began: float, seen: str) -> None:
        ended = self._running.world.now()
        self.result.steps.append(
            StepRecord(part, step.text, step.place, round(began - self._opened, 3), round(ended - self._opened, 3), seen)
        )

    def _decide(self, verdict: str, *, judgement: str | None = None, seen: str = "") -> bool:
        self.result.verdict = verdict
        self.result.seen = seen
        if judgement is not None:
            self.result.judgement = judgement
        elif self._step is not None:
            self.result.judgement, self.result.place = self._step.text, self._step.place
        return False

    def _explain(self, problem: Exception, *, setting_up: bool) -> bool:
        """A verdict for what was raised instead of an answer."""
        declared = ", ".join(need for need in self.case.needs if not need.startswith("observe-"))
        match problem:
            case UnobservableError():
                return self._decide(UNOBSERVABLE, seen=f"cannot be observed: {problem}")
            case UnsupportedError() if declared:
                return self._decide(FAIL, seen=f"{declared} is declared, yet the product answers unsupported: {problem}")
            case UnsupportedError():
                return self._decide(UNSUPPORTED, seen=f"the product has no {problem}")
            case SetupFailedError() if setting_up:
                return self._decide(INCONCLUSIVE, seen=str(problem))
            case OutOfBudgetError():
                return self._decide(INCONCLUSIVE, seen=f"the budget ran out: {problem}")
            case DriverError():
                return self._decide(ERROR, seen=str(problem))
        return self._decide(ERROR, seen=_broken(problem))


def _broken(problem: Exception) -> str:
    """An exception of the driver, the world or the harness on one line: what, and the last places it went through."""
    frames = traceback.extract_tb(problem.__traceback__)[-3:]
    places = " > ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in frames)
    return f"{type(problem).__name__}: {problem} (at {places})"

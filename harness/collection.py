"""How pytest sees specifications: a file, a collector for each requirement, an item for each case.

Ids are `specs/failover/kinds.yaml::FO-002::planned-is-refused`. Every item opens a world of its own, so any distribution over
processes is correct. What the controller needs to write the record crosses as one user property of the report.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.baseline import Baseline
from harness.cases import Case
from harness.exemptions import Exemptions, load_exemptions
from harness.kill_report import SPECS, read_score, stamp_of
from harness.loading import Loaded, UsageError, load_product
from harness.product import Setup
from harness.record import Axes, Recorder, RecordError, read_record, requirement_record
from harness.scenario import Attempt
from harness.spec import NOT_REQUIREMENTS, Requirement, load_file, load_specs
from harness.strict_yaml import SpecError
from harness.terms import terms
from harness.today import today
from harness.verdict import ERROR, EXEMPT, EXEMPT_BUT_PASSES, FAIL, INCONCLUSIVE, UNOBSERVABLE, UNSUPPORTED, Result

RECORD = "drillbed.record"
REQUIREMENT = "requirement"
MARKS = (
    "must: the documents state it as a fact",
    "should: advice",
    "may: optional",
    "claim(name): what a vendor claims as a whole",
    "profile(name): classic, modernized or both",
    "requirement(id): the requirement a case checks",
)


class Conformance:
    """The plugin of one run that judges a product."""

    def __init__(self, config: pytest.Config):
        self.config = config
        self.loaded: Loaded = load_product(
            config.getoption("product"), world=config.getoption("world"), patience=config.getoption("driver_seconds")
        )
        self.axes = _axes(config, self.loaded)
        self.controls = not hasattr(config, "workerinput")
        folder = config.getoption("conformance")
        self.exemptions = _exemptions(config, self.axes)
        self.baseline = _baseline(config)
        self.cases: set[str] = set()
        self.recorder = Recorder(
            Path(folder) if folder else None,
            self.loaded.description,
            self.axes,
            exemptions=self.exemptions.plain(),
            remarks=[f"the exemption of {one.what} ended on {one.until} ({one.place})" for one in self.exemptions.ended],
            baseline=self.baseline is not None,
        )
        if self.controls:
            self.recorder.open()
        for mark in MARKS:
            config.addinivalue_line("markers", mark)

    @property
    def setup(self) -> Setup:
        return Setup(self.axes.seed, self.axes.profile, self.axes.era, self.axes.way)

    def asks(self, requirement: Requirement) -> bool:
        return requirement.claim in self.axes.claims and requirement.applies(self.axes.profile, self.axes.era)

    def pytest_unconfigure(self) -> None:
        self.loaded.close()

    # hooks -----------------------------------------------------------------------------------------------------------

    def pytest_report_header(self) -> list[str]:
        axes = self.axes
        what = self.loaded.description
        return [
            f"product: {what.name} {what.version}; claims: {', '.join(axes.claims)}",
            f"profile: {axes.profile}; era: {axes.era}; seed: {axes.seed}; way: {axes.way}",
            f"the suite {axes.sharpness}",
        ]

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> "SpecFile | None":
        if file_path.suffix != ".yaml" or file_path.name in NOT_REQUIREMENTS:
            return None
        root = next((folder for folder in file_path.parents if (folder / "sources.yaml").is_file()), None)
        if root is None:
            return None
        found: SpecFile = SpecFile.from_parent(parent, path=file_path)
        found.root, found.conformance = root, self
        return found

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self._check_exemptions()
        places: dict[str, str] = {}
        for item in items:
            if isinstance(item, CaseItem):
                first = places.setdefault(item.requirement.id, item.requirement.where)
                if first != item.requirement.where:
                    raise pytest.UsageError(f"{item.requirement.where}: {item.requirement.id} stands already in {first}")

    def _check_exemptions(self) -> None:
        """An entry for a case that does not exist exempts nothing: somebody believes that it does."""
        if any("::" in str(argument) for argument in self.config.args):
            return
        for entry in self.exemptions.unknown(self.cases):
            raise pytest.UsageError(f"{entry.place}: there is no case {entry.what}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not self.controls:
            return
        texts = [value for name, value in report.user_properties if name == RECORD]
        if texts:
            # Taken out again: it is for the record, not for JUnit's properties.
            report.user_properties = [(name, value) for name, value in report.user_properties if name != RECORD]
            self.recorder.case(json.loads(str(texts[0])))
        elif report.when not in ("setup", "call") and (report.failed or _is_case(report)):
            # A worker died, or the harness broke outside of the scenario: nothing may turn green by that.
            self.recorder.lost(report.nodeid, str(report.longrepr or "no result came"))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if self.controls and report.failed:
            self.recorder.unread += 1

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self.controls:
            option = self.config.option
            self.recorder.stopped = bool(session.shouldfail or session.shouldstop)
            self.recorder.partial = bool(option.keyword or option.markexpr or any("::" in str(a) for a in self.config.args))
            session.exitstatus = self.recorder.close(int(exitstatus))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.controls:
            return
        terminalreporter.section("conformance")
        for line in self.recorder.summary():
            terminalreporter.write_line(line)


def _is_case(report: pytest.TestReport) -> bool:
    return any(name == REQUIREMENT for name, _ in report.user_properties)


def _axes(config: pytest.Config, loaded: Loaded) -> Axes:
    what = loaded.description
    claims = tuple(filter(None, (config.getoption("claim") or ",".join(what.claims)).split(",")))
    for claim in claims:
        if claim not in terms()["claims"]:
            raise UsageError(f"{claim!r} is not a claim ({', '.join(terms()['claims'])})")
    profile = config.getoption("profile") or what.profiles[0]
    if profile not in what.profiles:
        raise UsageError(f"{what.name} is not of the profile {profile} ({', '.join(what.profiles)})")
    workers = config.getoption("numprocesses", None)
    if what.estates and isinstance(workers, int) and workers > what.estates:
        raise UsageError(f"{what.name} serves {what.estates} estates at once, -n {workers} is too many")
    era = config.getoption("era") or what.eras[0]
    command = " ".join(config.invocation_params.args)
    return Axes(
        config.getoption("seed"), profile, str(era), config.getoption("way"), claims, command, _stamp(config), read_score(SPECS)
    )


def _stamp(config: pytest.Config) -> str:
    """The stamp of the specifications that are asked, of those of the harness where none were named."""
    named = [Path(argument.split("::")[0]) for argument in config.args]
    folder = next((path for path in named if (path / "sources.yaml").is_file()), SPECS)
    try:
        return stamp_of(load_specs(folder))
    except SpecError:
        return ""  # the mistake is said when the file is collected


def _exemptions(config: pytest.Config, axes: Axes) -> Exemptions:
    path = config.getoption("exemptions")
    if path is None:
        return Exemptions()
    try:
        return load_exemptions(Path(path), axes, today())
    except (SpecError, OSError) as problem:
        raise UsageError(str(problem)) from problem


def _baseline(config: pytest.Config) -> Baseline | None:
    path = config.getoption("baseline")
    if path is None:
        return None
    try:
        return Baseline.of(read_record(Path(path)))
    except RecordError as problem:
        raise UsageError(f"--baseline: {problem}") from problem


class SpecFile(pytest.File):
    """One specification file."""

    root: Path
    conformance: Conformance

    def collect(self) -> "Iterator[RequirementNode]":
        try:
            requirements = load_file(self.path, self.root)
        except SpecError as problem:
            raise self.CollectError(str(problem)) from problem
        for requirement in requirements:
            self.conformance.cases |= {case.id for case in requirement.cases}
            if self.conformance.asks(requirement):
                node: RequirementNode = RequirementNode.from_parent(self, name=requirement.id)
                node.requirement, node.conformance = requirement, self.conformance
                yield node


class RequirementNode(pytest.Collector):
    """One requirement."""

    requirement: Requirement
    conformance: Conformance

    def collect(self) -> "Iterator[CaseItem]":
        requirement = self.requirement
        self.add_marker(getattr(pytest.mark, requirement.level))
        self.add_marker(pytest.mark.claim(name=requirement.claim))
        self.add_marker(pytest.mark.profile(name=requirement.profile))
        self.add_marker(pytest.mark.requirement(id=requirement.id))
        for case in requirement.cases:
            item: CaseItem = CaseItem.from_parent(self, name=case.name)
            item.requirement, item.case, item.conformance = requirement, case, self.conformance
            profile = self.conformance.axes.profile
            item.user_properties += [(REQUIREMENT, requirement.id), ("level", requirement.level)]
            item.user_properties += [("claim", requirement.claim), ("profile", profile)]
            yield item


class VerdictError(Exception):
    """Carries a verdict to pytest."""


class CaseItem(pytest.Item):
    """One case."""

    requirement: Requirement
    case: Case
    conformance: Conformance
    attempt: Attempt | None = None

    def setup(self) -> None:
        loaded = self.conformance.loaded
        self.attempt = Attempt(self.case, loaded.product, loaded.worlds, self.conformance.setup)
        if not self.attempt.prepare():
            self.conformance.exemptions.judge(self.attempt.result)
            self._raise(self.attempt.result)

    def runtest(self) -> None:
        assert self.attempt is not None
        self.attempt.judge()
        self.conformance.exemptions.judge(self.attempt.result)
        self._raise(self.attempt.result)

    def teardown(self) -> None:
        if self.attempt is None:
            return
        before = self.attempt.result.verdict
        self.attempt.close()
        result = self.attempt.result
        record = {
            "case": result.plain() | {"known": self.known(result)},
            "requirement": requirement_record(self.requirement),
            "name": self.case.name,
        }
        self.user_properties += [("verdict", result.verdict), (RECORD, json.dumps(record))]
        if result.verdict == ERROR and before != ERROR:
            raise VerdictError(result.summary)

    def known(self, result: Result) -> bool:
        """Whether the baseline was no better."""
        baseline = self.conformance.baseline
        return baseline is not None and baseline.known(self.case.id, result.verdict)

    def _raise(self, result: Result) -> None:
        if result.verdict in (UNSUPPORTED, UNOBSERVABLE):
            pytest.skip(f"{result.verdict}: {result.seen}")
        if result.verdict in (FAIL, INCONCLUSIVE) and not self.requirement.counted:
            pytest.xfail(f"a note, not a lost claim ({self.requirement.level}, {self.requirement.status}): {result.summary}")
        if result.verdict == EXEMPT:
            pytest.xfail(f"exempt: {result.summary}")
        if result.verdict in (FAIL, INCONCLUSIVE) and self.known(result):
            pytest.xfail(f"no worse than in the baseline: {result.summary}")
        if result.verdict in (FAIL, INCONCLUSIVE, EXEMPT_BUT_PASSES, ERROR):
            raise VerdictError(result.summary)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if not isinstance(excinfo.value, VerdictError) or self.attempt is None:
            return super().repr_failure(excinfo, style)
        return explain(self.requirement, self.attempt.result)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.case.line - 1, self.case.id


def explain(requirement: Requirement, result: Result) -> str:
    """A failed case for people: what was required, by which page, what was done, what was seen."""
    lines = [f"{requirement.id} ({requirement.level}): {requirement.statement}"]
    lines += [f"  source: {source.page.title} ({source.page.dated}): {source.says}" for source in requirement.source]
    lines += [""]
    for step in result.steps:
        seen = f"   -> {step.seen}" if step.seen else ""
        lines.append(f"  {step.ended:>10.0f} s  {step.part:<6} {step.step}{seen}")
    lines += ["", f"{result.verdict} at {result.place or 'no step'}: {result.judgement}", f"  seen: {result.seen}"]
    return "\n".join(lines)

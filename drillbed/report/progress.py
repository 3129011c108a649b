"""Live progress of a drill: one moving line on a terminal, plain lines everywhere else, and the table at the end."""

from pathlib import Path
from typing import Self, TypedDict, Unpack

from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from drillbed.report.result import DrillResult
from drillbed.report.units import size_text, span_text

#: Width of tables where the terminal does not say.
PLAIN_WIDTH = 120


class Facts(TypedDict, total=False):
    """Bytes moved so far, bytes a second, recovery points, RPO in seconds. None says nothing."""

    bytes: int | None
    rate: float | None
    points: int | None
    rpo: float | None


class Progress:
    """What the drill tells about itself while it runs. Use it as a context; `quiet` says nothing at all."""

    def __init__(self, *, quiet: bool = False, console: Console | None = None):
        self._console = console or Console(highlight=False, quiet=quiet)
        if not self._console.is_terminal:
            self._console.width = max(self._console.width, PLAIN_WIDTH)
        self._live = self._console.is_terminal and not self._console.is_dumb_terminal and not quiet
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("[bold]{task.description}"),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._live,
        )
        self._task: TaskID | None = None
        self._name = ""
        self._count = 0
        self._facts: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end_task()
        self._bars.stop()

    def step(self, name: str) -> None:
        """A step begins."""
        self._end_task()
        self._count += 1
        self._name, self._facts = self._safe(name), {}
        self._task = self._bars.add_task(self._name, total=None, facts="")
        if not self._live:
            self._console.print(Text(f"{self._count:2d}. {self._name} ..."), soft_wrap=True)

    def update(self, **told: Unpack[Facts]) -> None:
        """What can be said of the step at this moment. A rate that is not given is worked out from the bytes."""
        moved, rate = told.get("bytes"), told.get("rate")
        if moved is not None:
            self._facts["bytes"] = size_text(moved)
            rate = rate if rate is not None else self._rate(moved)
        if rate is not None:
            self._facts["rate"] = f"{size_text(rate)}/s"
        points, rpo = told.get("points"), told.get("rpo")
        if points is not None:
            self._facts["points"] = f"{points} recovery points"
        if rpo is not None:
            self._facts["rpo"] = f"RPO {span_text(rpo)}"
        if self._task is not None and self._live:
            self._bars.update(self._task, facts="  ".join(self._facts.values()))

    def done(self, ok: bool, detail: str = "") -> None:
        """The step that began last has ended."""
        elapsed = self._elapsed()
        self._end_task()
        mark, style = (self._safe("✓", "ok"), "green") if ok else (self._safe("✗", "FAILED"), "bold red")
        facts = [fact for fact in (detail, *self._facts.values()) if fact]
        line = Text.assemble(
            (f"{mark:>2} ", style), (self._name if self._live else "", "bold"), " " if self._live else "", span_text(elapsed)
        )
        if facts:
            line.append(self._safe("  " + "; ".join(facts)), style="" if not ok else "dim")
        self._console.print(line, soft_wrap=True)

    def conclude(self, result: DrillResult, out: Path) -> None:
        """The closing table, the verdict, and where the reports are."""
        table = Table(title=None, header_style="bold", show_edge=False, pad_edge=False)
        table.add_column("Step", overflow="fold")
        for heading in ("Emulated", "Real", "Bytes"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("Verdict")
        for number, step in enumerate(result.steps, 1):
            table.add_row(
                self._safe(f"{number:2d}. {step.name}"),
                span_text(step.emulated_s),
                span_text(step.real_s),
                size_text(step.bytes),
                Text("held", "green") if step.ok else Text("NOT HELD", "bold red"),
            )
        self._console.print()
        self._console.print(table)
        self._console.print()
        equal = sum(check.equal for check in result.disks)
        self._console.print(
            f"{len(result.points)} recovery points; {equal} of {len(result.disks)} disk comparisons equal; "
            f"{span_text(result.ended - result.started)} of emulated time in {span_text(result.real_s)}; seed {result.seed}"
        )
        for step in result.steps:
            if not step.ok:
                self._console.print(Text(self._safe(f"{step.name}: {step.detail}"), "red"), soft_wrap=True)
        words, style = ("The drill held.", "bold green") if result.ok else ("The drill did not hold.", "bold red")
        self._console.print(Text.assemble((words, style), f" Report: {out / 'report.html'}"), soft_wrap=True)

    def _rate(self, moved: int) -> float | None:
        elapsed = self._elapsed()
        return moved / elapsed if elapsed > 0.5 else None

    def _elapsed(self) -> float:
        task = next((task for task in self._bars.tasks if task.id == self._task), None)
        return (task.elapsed or 0.0) if task else 0.0

    def _end_task(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None

    def _safe(self, text: str, otherwise: str | None = None) -> str:
        """`text`, or what the terminal's encoding can show of it."""
        try:
            text.encode(self._console.encoding)
        except (UnicodeEncodeError, LookupError):
            return otherwise or text.encode("ascii", "replace").decode()
        return text

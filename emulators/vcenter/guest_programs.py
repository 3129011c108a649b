"""Programs that run in an emulated guest: a few commands that really act on its files and its clock. Nothing runs on the machine
that serves this."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

from emulators.vcenter.faults import Fault
from emulators.vcenter.guest_files import FileTree

_LONGEST = 16 * 1024
_DEEPEST = 4
_LONGEST_REST = 1e6
#: Exit codes of a shell: a file that cannot be run, and a command that is not known.
CANNOT_RUN, UNKNOWN = 126, 127


@dataclass(slots=True)
class Run:
    """One program at work: what it may see, and what came of it. `seconds` is how long it takes."""

    files: FileTree
    user: str
    now: float
    hostname: str
    directory: str
    environment: dict[str, str]
    output: list[str] = field(default_factory=list)
    seconds: float = 0.0
    depth: int = 0

    def path(self, name: str) -> str:
        absolute = name.startswith("/") if not self.files.windows else name[1:2] == ":"
        return name if absolute else self.files.join(self.directory, name)


def _echo(run: Run, words: list[str]) -> int:
    run.output.append(" ".join(words) + "\n")
    return 0


def _cat(run: Run, words: list[str]) -> int:
    for word in words:
        run.output.append(run.files.get(run.path(word), "file").data.decode("utf-8", "replace"))
    return 0


def _touch(run: Run, words: list[str]) -> int:
    for word in words:
        path = run.path(word)
        run.files.write(run.user, path, run.files.get(path, "file").data if run.files.has(path) else b"", run.now)
    return 0


def _mkdir(run: Run, words: list[str]) -> int:
    for word in (one for one in words if one != "-p"):
        if not (run.files.has(run.path(word)) and "-p" in words):
            run.files.make_directory(run.user, run.path(word), run.now, parents="-p" in words)
    return 0


def _rm(run: Run, words: list[str]) -> int:
    flags = "".join(word[1:] for word in words if word.startswith("-"))
    for word in (one for one in words if not one.startswith("-")):
        path = run.path(word)
        if "f" in flags and not run.files.has(path):
            continue
        recursive = "r" in flags and run.files.get(path).kind == "directory"
        run.files.remove(run.user, path, "directory" if recursive else "file", recursive=recursive)
    return 0


def _cp(run: Run, words: list[str]) -> int:
    source, target = words
    run.files.write(run.user, run.path(target), run.files.get(run.path(source), "file").data, run.now)
    return 0


def _mv(run: Run, words: list[str]) -> int:
    source, target = words
    kind = run.files.get(run.path(source)).kind
    run.files.move(run.user, run.path(source), run.path(target), kind, overwrite=True)
    return 0


def _ls(run: Run, words: list[str]) -> int:
    named = [word for word in words if not word.startswith("-")] or [run.directory]
    for word in named:
        run.output += [f"{node.path.replace(chr(92), '/').rpartition('/')[2]}\n" for node in run.files.inside(run.path(word))]
    return 0


def _sleep(run: Run, words: list[str]) -> int:
    seconds = float(words[-1])
    if not 0 <= seconds <= _LONGEST_REST:
        return 1
    run.seconds += seconds
    return 0


def _hostname(run: Run, _words: list[str]) -> int:
    run.output.append(f"{run.hostname}\n")
    return 0


def _whoami(run: Run, _words: list[str]) -> int:
    run.output.append(f"{run.user}\n")
    return 0


def _env(run: Run, _words: list[str]) -> int:
    run.output += [f"{name}={value}\n" for name, value in run.environment.items()]
    return 0


def _shell(run: Run, words: list[str]) -> int:
    """`sh -c LINE`, `cmd /c LINE`, or a script."""
    if words[:1] in (["-c"], ["/c"], ["/C"]):
        return run_line(run, words[1] if words[0] == "-c" else " ".join(words[1:]))
    return _script(run, run.path(words[0])) if words else 0


Command = Callable[[Run, list[str]], int]
COMMANDS: dict[str, Command] = {
    "cat": _cat,
    "cp": _cp,
    "echo": _echo,
    "env": _env,
    "false": lambda _run, _words: 1,
    "hostname": _hostname,
    "ls": _ls,
    "mkdir": _mkdir,
    "mv": _mv,
    "rm": _rm,
    "sh": _shell,
    "bash": _shell,
    "sleep": _sleep,
    "touch": _touch,
    "true": lambda _run, _words: 0,
    "whoami": _whoami,
}
#: What Windows calls them.
WINDOWS: dict[str, Command] = {
    "cmd": _shell,
    "copy": _cp,
    "del": _rm,
    "dir": _ls,
    "echo": _echo,
    "hostname": _hostname,
    "mkdir": _mkdir,
    "move": _mv,
    "set": _env,
    "timeout": _sleep,
    "type": _cat,
    "whoami": _whoami,
}


def commands(windows: bool) -> dict[str, Command]:
    return WINDOWS if windows else COMMANDS


def start(run: Run, program: str, arguments: str) -> int:
    """Run a program of the guest; returns its exit code. Raises `Fault("FileNotFound")` when there is no such file."""
    node = run.files.get(program, "file")
    if len(arguments) > _LONGEST:
        raise Fault("InvalidArgument", "The arguments are too long.", invalidProperty="spec.arguments")
    name = node.path.replace("\\", "/").rpartition("/")[2].removesuffix(".exe")
    known = commands(run.files.windows)
    if name not in known or node.data:
        return _script(run, program)
    return run_line(run, f"{name} {arguments}")


def run_line(run: Run, line: str) -> int:
    """One command, with `>` or `>>` into a file."""
    try:
        words = shlex.split(line, posix=not run.files.windows, comments=False)
    except ValueError:
        return 2
    words = [word.strip('"') for word in words if word != "2>&1"] if run.files.windows else [w for w in words if w != "2>&1"]
    target, append = "", False
    for sign in (">>", ">"):
        if sign in words[:-1]:
            at = words.index(sign)
            target, append, words = words[at + 1], sign == ">>", words[:at]
    command = commands(run.files.windows).get(words[0].rpartition("/")[2]) if words else None
    if command is None:
        return UNKNOWN if words else 0
    before = len(run.output)
    try:
        code = command(run, words[1:])
        if target:
            text = "".join(run.output[before:]).encode()
            del run.output[before:]
            old = run.files.get(run.path(target), "file").data if append and run.files.has(run.path(target)) else b""
            run.files.write(run.user, run.path(target), old + text, run.now)
    except (Fault, ValueError, IndexError):  # as a program says it: what it was given is not there or not right
        return 1
    return code


def _script(run: Run, path: str) -> int:
    """A text file of commands, one a line."""
    data = run.files.get(path, "file").data
    run.depth += 1
    if run.depth > _DEEPEST or b"\0" in data or len(data) > _LONGEST:
        return CANNOT_RUN
    if not run.files.windows and not data.startswith(b"#!"):
        return CANNOT_RUN
    code = 0
    for line in data.decode("utf-8", "replace").splitlines():
        if line.strip() and not line.startswith(("#", "rem ", "@")):
            code = run_line(run, line)
    return code

"""`vcsim`: a stand-in for VMware's simulator, with its flags, its one line of output and its inventory, over real bytes.

    vcsim [-l 127.0.0.1:8989] [-E FIFO] [-dc 1] [-cluster 1] [-host 3] [-standalone-host 1] [-vm 2] ...    (vcsim -h lists all)
    vcsim uuidgen

Imports stay in functions: `vcsim uuidgen` is asked for often, and has to be quick.
"""

import sys

_COUNTS = {
    "-dc": ("datacenters", "Number of datacenters"),
    "-cluster": ("clusters", "Number of clusters in each datacenter"),
    "-host": ("hosts", "Number of hosts in each cluster"),
    "-standalone-host": ("standalone_hosts", "Number of standalone hosts in each datacenter"),
    "-pool": ("pools", "Number of further resource pools in each cluster"),
    "-app": ("apps", "Number of vApps in each cluster"),
    "-vm": ("machines", "Number of virtual machines in each pool, vApp and standalone host"),
    "-ds": ("datastores", "Number of local datastores in each datacenter"),
    "-pg": ("portgroups", "Number of distributed port groups in each datacenter"),
}
#: Whole machines with all their files: more than this is a slip of the keyboard.
_MOST = 10_000
_VERSION = "6.5.0"


class WrongUse(Exception):
    """A command line that cannot be followed; the text says why."""


def main() -> None:
    """The console script `vcsim`."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Carry out a command line; the exit code is 0 when it served and was asked to end, 2 for wrong use, 3 for trouble."""
    if arguments == ["uuidgen"]:
        from uuid import UUID

        from emulators.clock import Clock

        sys.stdout.write(f"{UUID(bytes=Clock(flow=1.0).random_bytes(16), version=4)}\n")
        return 0
    try:
        options = _options(arguments)
    except WrongUse as error:
        sys.stderr.write(f"vcsim: {error}\n")
        return 2
    if options is None:
        return 0
    from drillbed.vcsim_server import serve

    return serve(options)


def _flag(text: str) -> bool:
    words = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}
    if text.lower() not in words:
        raise WrongUse(f"{text!r} is neither true nor false")
    return words[text.lower()]


def _count(text: str) -> int:
    if not text.isdigit() or int(text) > _MOST:
        raise WrongUse(f"{text!r} is not a number from 0 to {_MOST}")
    return int(text)


def _options(arguments: list[str]) -> dict[str, object] | None:
    """The options of a command line as Go's flags are written (`-vm 3`, `-vm=3`, `--vm=3`); None after printing help."""
    known: dict[str, object] = {
        "-l": "127.0.0.1:8989",
        "-E": "",
        "-username": "",
        "-password": "",
        "-tls": True,
        "-autostart": True,
    }
    known |= dict.fromkeys(_COUNTS) | {"-api-version": _VERSION, "-capacity-gb": 10_240}
    options = dict(known)
    rest = list(arguments)
    while rest:
        name, has_value, value = rest.pop(0).partition("=")
        name = f"-{name.lstrip('-')}"
        if name in ("-h", "-help"):
            sys.stdout.write(_help())
            return None
        if name not in known:
            raise WrongUse(f"{name} is not known here (vcsim -h lists what is)")
        if isinstance(known[name], bool):
            options[name] = _flag(value) if has_value else True
            continue
        if not has_value:
            if not rest:
                raise WrongUse(f"{name} needs a value")
            value = rest.pop(0)
        numeric = name in _COUNTS or isinstance(known[name], int)
        options[name] = _count(value) if numeric else value
    return options


def _help() -> str:
    lines = ["Usage: vcsim [flags] | vcsim uuidgen\n"]
    lines += [f"  {name:<18} {text}\n" for name, (_, text) in _COUNTS.items()]
    more = {
        "-l ADDRESS:PORT": "Where to listen (127.0.0.1:8989); port 0 takes a free one",
        "-E FILE": "Write the line of environment variables to this file or FIFO, not to standard output",
        "-username, -password": "The only login (a value, or a file that holds it); without them everybody may log in",
        "-tls=false": "Plain HTTP",
        "-autostart=false": "Leave the machines powered off",
        "-api-version": f"API version ({_VERSION})",
        "-capacity-gb": "Size of each datastore (10240)",
    }
    return "".join(lines + [f"  {name:<18} {text}\n" for name, text in more.items()])


def counts(options: dict[str, object]) -> dict[str, int]:
    """The counts a command line gave, by the names of the model."""
    return {name: value for flag, (name, _) in _COUNTS.items() if isinstance(value := options[flag], int)}


if __name__ == "__main__":
    main()

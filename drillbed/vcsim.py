"""`vcsim`: a stand-in for VMware's simulator, with its flags, its one line of output and its inventory, over real bytes.

    vcsim [-l 127.0.0.1:8989] [-E FIFO] [-dc 1] [-cluster 1] [-host 3] [-standalone-host 1] [-vm 2] ...    (vcsim -h lists all)
    vcsim uuidgen

Imports stay in functions: `vcsim uuidgen` is asked for often, and has to be quick.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: More machines than this are a slip of the keyboard.
_MOST = 100_000
_VERSION = "6.5.0"


class WrongUse(Exception):
    """A command line that cannot be followed; the text says why."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag: what it is without being given (None: as the model has it), how its value is read, what it means.

    `model` is the field of the model that it sets."""

    default: Any
    read: Callable[[str], Any]
    text: str
    model: str = ""


def _truth(text: str) -> bool:
    words = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}
    if text.lower() not in words:
        raise WrongUse(f"{text!r} is neither true nor false")
    return words[text.lower()]


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > _MOST:
        raise WrongUse(f"{text!r} is not a number from 0 to {_MOST}")
    return int(text)


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 10.0:
        raise WrongUse(f"{text!r} is not a number from 0 to 10")
    return value


def _delays(text: str) -> dict[str, int]:
    found = {}
    for pair in filter(None, text.split(",")):
        method, colon, number = pair.strip().partition(":")
        if not method or not colon:
            raise WrongUse(f"{pair!r} does not have the form METHOD:MILLISECONDS")
        found[method] = _count(number)
    return found


_FLAGS: dict[str, Flag] = {
    "-l": Flag("127.0.0.1:8989", str, "Where to listen, ADDRESS:PORT; port 0 takes a free one"),
    "-E": Flag("-", str, "Write the line of environment variables to this file or FIFO; - is standard output"),
    "-dc": Flag(None, _count, "Number of datacenters", "datacenters"),
    "-folder": Flag(None, _count, "Number of datacenters that lie, with all they have, in folders of their own", "folders"),
    "-cluster": Flag(None, _count, "Number of clusters in each datacenter", "clusters"),
    "-host": Flag(None, _count, "Number of hosts in each cluster", "hosts"),
    "-standalone-host": Flag(None, _count, "Number of standalone hosts in each datacenter", "standalone_hosts"),
    "-pool": Flag(None, _count, "Number of further resource pools in each cluster", "pools"),
    "-app": Flag(None, _count, "Number of vApps in each cluster", "apps"),
    "-vm": Flag(None, _count, "Number of virtual machines in each pool, vApp and standalone host", "machines"),
    "-ds": Flag(None, _count, "Number of local datastores in each datacenter", "datastores"),
    "-pod": Flag(None, _count, "Number of datastore clusters in each datacenter", "pods"),
    "-pg": Flag(None, _count, "Number of distributed port groups in each datacenter", "portgroups"),
    "-pg-nsx": Flag(None, _count, "Number of port groups of NSX in each datacenter", "nsx_portgroups"),
    "-nsx": Flag(None, _count, "Number of opaque networks of NSX in each datacenter", "opaque_networks"),
    "-esx": Flag(False, _truth, "One ESXi host instead of a vCenter", "esx"),
    "-site": Flag(False, _truth, "Machines as a site has them: names, sizes, disks, cards and addresses by what they do", "site"),
    "-autostart": Flag(True, _truth, "Power the machines on", "autostart"),
    "-username": Flag("", str, "The only login name (a value, or a file that holds it); without it everybody may log in"),
    "-password": Flag("", str, "Its password (a value, or a file that holds it)"),
    "-tls": Flag(True, _truth, "Serve TLS"),
    "-tlscert": Flag("", str, "File of the certificate chain to serve with"),
    "-tlskey": Flag("", str, "File of its key"),
    "-api-version": Flag(_VERSION, str, "API version"),
    "-delay": Flag(0, _count, "Milliseconds by which every answer to a method is held back"),
    "-delay-jitter": Flag(0.0, _fraction, "By how much those vary: their standard deviation divided by the delay"),
    "-method-delay": Flag({}, _delays, "The same for single methods: METHOD:MILLISECONDS,..."),
    "-trace": Flag(False, _truth, "Write what is asked and answered to standard error"),
    "-trace-file": Flag("", str, "Write it to this file"),
    "-stdinexit": Flag(False, _truth, "End when something is written to standard input, or when it ends"),
    "-state": Flag("", str, "Folder that keeps the inventory and its files: what is in it is taken up, whatever else is told"),
    "-nbd": Flag("", str, "Show the disks of running machines over NBD on this ADDRESS:PORT, as MACHINE/NUMBER"),
    "-capacity-gb": Flag(10_240, _count, "Size of each datastore"),
}


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


def _options(arguments: list[str]) -> dict[str, Any] | None:
    """The options of a command line as Go's flags are written (`-vm 3`, `-vm=3`, `--vm=3`); None after printing help."""
    options = {name: flag.default for name, flag in _FLAGS.items()}
    rest = list(arguments)
    while rest:
        name, has_value, value = rest.pop(0).partition("=")
        name = f"-{name.lstrip('-')}"
        if name in ("-h", "-help"):
            sys.stdout.write(_help())
            return None
        flag = _FLAGS.get(name)
        if flag is None:
            raise WrongUse(f"{name} is not known here (vcsim -h lists what is)")
        if flag.read is _truth and not has_value:
            value = "true"
        elif not has_value:
            if not rest:
                raise WrongUse(f"{name} needs a value")
            value = rest.pop(0)
        options[name] = flag.read(value)
    if bool(options["-tlscert"]) is not bool(options["-tlskey"]):
        raise WrongUse("-tlscert and -tlskey are given together")
    return options


def _help() -> str:
    lines = ["Usage: vcsim [flags] | vcsim uuidgen\n"]
    for name, flag in _FLAGS.items():
        told = {True: "true", False: "false"}.get(flag.default, flag.default) if isinstance(flag.default, bool) else flag.default
        lines.append(f"  {name:<18} {flag.text}{f' (default {told})' if told else ''}\n")
    return "".join(lines)


def model_fields(options: dict[str, Any]) -> dict[str, Any]:
    """What a command line says about the model, by the names of its fields."""
    given = {flag.model: options[name] for name, flag in _FLAGS.items() if flag.model}
    return {name: value for name, value in given.items() if value is not None}


if __name__ == "__main__":
    main()

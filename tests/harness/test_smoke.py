"""A driver is judged before it judges: sound ones, and some with one fault each."""

import sys

import pytest
import toy
from test_remote_drivers import TOY, spoilt

from harness.loading import Loaded, UsageError
from harness.product import Machine, UnobservableError
from harness.smoke import command, smoke


def found(product: toy.Toy) -> tuple[int, str]:
    lines: list[str] = []
    loaded = Loaded(product, product.describe(), toy.Worlds())
    return smoke(loaded, toy.Setup(1, "classic", "2018"), lines.append), "\n".join(lines)


def by_command(*options: str) -> tuple[int, str]:
    lines: list[str] = []
    return command(options, lines.append), "\n".join(lines)


def test_sound_drivers() -> None:
    code, text = by_command("python:toy:Toy")
    assert (code, text.splitlines()[-1]) == (0, "the driver is sound")
    assert "has what it declares: observe-flows" in text
    code, text = by_command("exec:" + " ".join(TOY), "--seed", "3")
    assert (code, text.splitlines()[-1]) == (0, "the driver is sound")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("refuse-everything", "not pass: accepted; seen: refused: operation-not-allowed (no)"),
        ("accept-everything", "error, not fail: commit"),
        ("breaks", "RuntimeError: the driver broke"),
        ("breaks-at-close", "RuntimeError: cannot close"),
        ("unknown-state", "'quite-fine' is not one of the states"),
        ("never-copies", "not pass: eventually"),
    ],
)
def test_a_fault_of_the_driver_is_named(wrong: str, says: str) -> None:
    code, text = found(toy.wrong(wrong))
    assert code == 1
    assert says in text
    assert "the driver is not sound" in text
    assert "Traceback" not in text


class Restless(toy.ToySession):
    looks = 0

    def machine(self, vm: str) -> Machine:
        self.looks += 1
        return Machine(vm, "protected" if self.looks % 2 else "copying")


def test_a_capability_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(self: toy.ToySession, role: str) -> list[str]:
        raise UnobservableError("components")

    monkeypatch.setattr(toy.ToySession, "components", nothing)
    code, text = found(toy.Toy())
    assert code == 1
    assert text.count("NOT SOUND") == 1
    assert "cannot be observed: components" in text


def test_a_driver_whose_looking_changes_what_is_seen_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy, "ToySession", Restless)
    code, text = found(toy.Toy())
    assert code == 1
    assert "looking changes what is seen" in text


def test_a_driver_that_dies_is_named_and_the_rest_is_asked() -> None:
    code, text = by_command(spoilt("dies", "protect"))
    assert code == 1
    assert "the driver ended with exit code 7; its last words: out of memory, they say" in text
    assert "sound      shows: A machine that nobody asked to protect is unprotected." in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "takes one product"),
        (["python:toy:Toy", "--colour"], "takes one product"),
        (["python:toy:Toy", "--way", "sideways"], "invalid choice"),
        (["python:toy:Toy", "--profile", "modernized"], "is not of the profile modernized"),
        (["nobody"], "there is no product 'nobody'"),
        ([f"exec:{sys.executable} -c pass"], "the driver ended with exit code 0"),
    ],
)
def test_wrong_use(options: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        by_command(*options)

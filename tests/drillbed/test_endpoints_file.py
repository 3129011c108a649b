"""The file that says where a laboratory is: every mistake is one line with its place."""

from pathlib import Path

import pytest

from drillbed.errors import UsageError
from drillbed.product.endpoints import load_endpoints, product, worlds
from harness.loading import UsageError as WrongProduct
from harness.loading import load_product
from harness.product import Setup

LAB = """\
arm:
  management: https://127.0.0.1:1
  login: https://127.0.0.1:1
  tenant: t
  client: c
  secret_variable: LAB_SECRET
vault:
  group: /subscriptions/s/resourceGroups/g
  name: v
  run_as: "2"
target:
  group: /g
  network: /n
  subnet: default
  storage: /s
  cache: /c
vcenter:
  url: https://127.0.0.1:1/sdk
  user: u
  password_variable: LAB_PASSWORD
lab:
  machines: [web, db]
"""
TRAFFIC = """\
traffic:
  capture: lab.pcap
  hosts: {web: 10.0.0.21, process-server: 10.0.0.11}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lab.yaml"
    path.write_text(LAB)
    return path


def test_a_lab_says_what_it_can_show(file: Path) -> None:
    bare = product(str(file)).describe()
    assert (bare.estates, bare.world) == (1, f"endpoints:{file}")
    assert "observe-flows" not in bare.capabilities
    file.write_text(LAB + TRAFFIC)
    assert "observe-flows" in product(str(file)).describe().capabilities
    read = load_endpoints(file)
    assert (read.machines, read.speed) == (("web", "db"), 1.0)
    assert read.hosts == {"10.0.0.21": "web", "10.0.0.11": "process-server"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("vault:\n", "volt:\n", r"lab\.yaml:\d+: there is no section 'volt'"),
        ("  tenant: t\n", "", r"lab\.yaml:1: `arm` needs `tenant`"),
        ("  tenant: t\n", "  tenant: t\n  tennant: t\n", "`arm` has no 'tennant'"),
        ("  machines: [web, db]\n", "  machines: web\n", "machines must be a list"),
        ("  machines: [web, db]\n", "  machines: [web]\n  speed: 0\n", "`speed` is how many seconds"),
        ("  machines: [web, db]\n", "  machines: [web]\n  speed: fast\n", "`speed` is how many seconds"),
        ("lab:\n  machines: [web, db]\n", "", "the section `lab` is missing"),
        ("  user: u\n", "  user: u\n  user: v\n", "user"),
    ],
)
def test_mistakes_have_their_place(file: Path, old: str, new: str, message: str) -> None:
    file.write_text(LAB.replace(old, new))
    with pytest.raises(UsageError, match=message):
        load_endpoints(file)
    with pytest.raises(WrongProduct, match=message):
        load_product(f"arm:{file}")


def test_a_file_that_is_not_there_and_a_secret_that_is_not_set(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_endpoints(file.with_name("other.yaml"))
    monkeypatch.delenv("LAB_PASSWORD", raising=False)
    with (
        pytest.raises(UsageError, match=r"the variable LAB_PASSWORD \(vcenter\.password_variable\) is not set"),
        worlds(str(file)).open(Setup(1, "classic", "2018")),
    ):
        raise AssertionError("it must not open")

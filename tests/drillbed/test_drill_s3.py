"""The whole drill with its blobs on S3: another kind of store, the same outcome."""

from pathlib import Path
from random import Random

import pytest

from drillbed.drill import Options, run_drill
from drillbed.drill.run import STEPS
from drillbed.errors import UsageError
from drillbed.report import Progress
from drillbed.storage import kind_of


def test_the_drill_holds_on_s3(tmp_path: Path) -> None:
    image = tmp_path / "given.img"
    image.write_bytes(Random(3).randbytes(3 << 20) + bytes(2 << 20))
    result = run_drill(Options(tmp_path, image, 5, way="virtual", storage="s3"), Progress(quiet=True), tmp_path)
    assert result.ok, f"{result.steps[-1].name}: {result.steps[-1].detail}"
    assert [step.name for step in result.steps] == [name for name, _ in STEPS]
    assert all(disk.equal for disk in result.disks)


def test_each_way_has_its_kinds_of_storage() -> None:
    assert (kind_of(None, sockets=False), kind_of(None, sockets=True)) == ("memory", "azurite")
    with pytest.raises(UsageError, match="in virtual time has its storage in memory or s3, not 'azurite'"):
        kind_of("azurite", sockets=False)
    with pytest.raises(UsageError, match="over sockets has its storage in azurite or s3, not 'tape'"):
        kind_of("tape", sockets=True)

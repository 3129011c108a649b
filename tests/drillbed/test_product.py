"""The reference's driver and its world, apart from the specifications: what looking must not do, and what is refused."""

from collections.abc import Iterator

import pytest

from drillbed.operator import Refused as NotDone
from drillbed.product import ArmSession, EstateWorld, EstateWorlds, Reference
from harness import product as h
from harness.product import Accepted, Refused, Unsupported

PROTECTED_SECONDS = 3600.0


@pytest.fixture
def world() -> Iterator[EstateWorld]:
    with EstateWorlds().open(h.Setup(11, "classic", "2018")) as opened:
        yield opened


@pytest.fixture
def session(world: EstateWorld) -> Iterator[ArmSession]:
    with Reference().open(world, h.Setup(11, "classic", "2018")) as opened:
        yield opened


def protect(session: ArmSession, *vms: str) -> None:
    world = session.lab.world
    for vm in vms:
        world.add_machine(h.MachineSpec(vm))
    assert session.prepare() == Accepted()
    for vm in vms:
        assert isinstance(session.protect(vm), Accepted)
    end = world.now() + PROTECTED_SECONDS
    while any(session.machine(vm).state != "protected" for vm in vms):
        assert world.now() < end, [session.machine(vm) for vm in vms]
        world.wait(30)


def test_looking_at_the_replica_changes_nothing(session: ArmSession) -> None:
    protect(session, "web")
    world, vault = session.lab.world, session.vault
    early = world.content("web", "onprem")
    world.wait(360)  # a point of the machine as it is
    world.write("web", "onprem", 0, 65536, "random")
    world.wait(900)
    seen, item = session.machine("web"), vault.item("web")
    jobs = session.operator.list(f"{vault.path}/replicationJobs")
    now, events = world.now(), session.events()
    assert session.content("web", "oldest") == early
    assert session.content("web", "latest") == world.content("web", "onprem") != early
    assert (world.now(), session.events(), session.machine("web")) == (now, events, seen)
    assert vault.item("web") == item
    assert session.operator.list(f"{vault.path}/replicationJobs") == jobs
    assert world.machine("web-test", "azure") is None


def test_a_replica_that_is_not_there_cannot_be_seen(session: ArmSession) -> None:
    session.lab.world.add_machine(h.MachineSpec("web"))
    session.prepare()
    with pytest.raises(NotDone) as refused:
        session.content("web", "latest")
    assert refused.value.status == 404


def test_a_machine_that_nobody_knows_is_unprotected_and_refused(session: ArmSession) -> None:
    session.prepare()
    assert session.machine("nobody").state == "unprotected"
    for answer in (session.failover("nobody", "azure", "unplanned"), session.protect("nobody"), session.reprotect("nobody")):
        assert isinstance(answer, Refused)
        assert answer.reason == "unknown-machine", answer


def test_a_deleted_machine_is_gone_after_the_next_look(session: ArmSession) -> None:
    world = session.lab.world
    for vm in ("web", "db"):
        world.add_machine(h.MachineSpec(vm))
    session.prepare()
    assert {"web", "db"} <= set(session.protectable())
    world.delete_machine("web")
    assert world.machine("web", "onprem") is None
    session.discover()
    assert "web" not in session.protectable()


def test_a_write_goes_round_the_disk_and_is_seen(session: ArmSession) -> None:
    world = session.lab.world
    world.add_machine(h.MachineSpec("web", disks=2))
    first = world.content("web", "onprem")
    for pattern in ("random", "zeros", "abc"):
        assert world.write("web", "onprem", 1, 5 << 20, pattern) == h.Written(0.0)
    after = world.content("web", "onprem")
    assert after[0] == first[0]
    assert after[1] != first[1]
    disk = world.estate.onprem_disks("web")[1]
    begins = [disk.read(mebibytes << 20, 3) for mebibytes in (0, 2, 5, 7)]
    assert begins == [bytes(3), b"abc", b"abc", bytes(3)], "each began where the one before ended, at the start after the end"


def test_moving_is_refused_where_it_makes_no_sense(session: ArmSession) -> None:
    protect(session, "web", "db")
    assert session.add_component("process-server", "process-server-2") == Accepted()
    assert session.add_component("master-target-linux", "another") == Unsupported("a further master-target-linux")
    estate, vault = session.lab.world.estate, session.vault
    other = estate.process_server_ids()["process-server-2"]
    built_in = estate.process_server_id()

    def ask(**changed: object) -> None:
        said = {"sourceProcessServerId": built_in, "targetProcessServerId": other, "updateType": "SystemLevel"}
        body = {"properties": said | {"containerName": "x", "vmsToMigrate": ["web"]} | changed}
        session.operator.run("POST", f"{vault.fabric}/reassociateGateway", body)

    for changed, reason in (
        ({"targetProcessServerId": built_in}, "malformed"),
        ({"targetProcessServerId": "none"}, "process-server-missing"),
        ({"sourceProcessServerId": other, "targetProcessServerId": built_in}, "resource-missing"),
        ({"vmsToMigrate": ["nobody"]}, "resource-missing"),
        ({"vmsToMigrate": []}, "malformed"),
        ({"updateType": "all of it"}, "malformed"),
    ):
        with pytest.raises(NotDone) as refused:
            ask(**changed)
        assert estate.reason_of(refused.value) == reason, changed
    assert {vault.item(vm)["providerSpecificDetails"]["processServerId"] for vm in ("web", "db")} == {built_in}
    ask(updateType="ServerLevel", vmsToMigrate=[])
    assert {vault.item(vm)["providerSpecificDetails"]["processServerId"] for vm in ("web", "db")} == {other}


def test_worlds_of_one_seed_are_equal_and_leave_nothing() -> None:
    def happenings() -> list[object]:
        with EstateWorlds().open(h.Setup(12, "classic", "2018")) as world:
            folder = world.estate.folder
            with Reference().open(world, h.Setup(12, "classic", "2018")) as session:
                protect(session, "web")
            found = [(one.when, one.kind, one.subject) for one in world.estate.events]
        assert not folder.exists()
        return found

    assert happenings() == happenings()


def test_what_an_estate_cannot_do_is_said(world: EstateWorld) -> None:
    with pytest.raises(h.UnobservableError, match="physical"):
        world.add_machine(h.MachineSpec("box", kind="physical"))
    with pytest.raises(h.UnobservableError, match="clock"):
        world.skew_clock("web", 60)

"""Several replica workers of one vault: all are told of every machine, and nothing depends on one of them."""

from typing import Any

from scripted_components import CS_ID, MACHINES, ReplicaWorker, Silence
from scripted_site import Site, failover_body

from emulators.network import AZURE_PUBLIC


def another(site: Site, number: int) -> ReplicaWorker:
    """One more worker. What the workers know of replicas lies in storage, so they have it in common."""
    host = site.network.host(f"worker-{number}", AZURE_PUBLIC)
    worker = ReplicaWorker(host, "replica-worker", f"worker-{number}", CS_ID[:-1] + "abcde"[number])
    worker.replicas, worker.made = site.worker.replicas, 1000 * number
    worker.script |= {"replicate": lambda _: {}, "forget": lambda _: {}}
    assert worker.register(site.key())[0] == 200
    worker.begin()
    return worker


def told(worker: ReplicaWorker, kind: str) -> list[dict[str, Any]]:
    return [given for done, given in worker.done if done == kind]


def test_every_worker_is_told_of_every_machine_and_only_one_lays_it_out(site: Site) -> None:
    second = another(site, 1)
    site.worker.script["replicate"] = second.script["replicate"] = site.worker.replicate
    site.enable("web")
    late = another(site, 2)
    site.clock.wait(30)
    every = (site.worker, second, late)
    wishes = [told(worker, "replicate") for worker in every]
    assert [len(given) for given in wishes] == [1, 1, 1]
    assert sorted(bool(given[0].get("prepared")) for given in wishes) == [False, True, True]
    assert len({given[0]["dataKey"] for given in wishes}) == 1
    site.good("POST", f"{site.item('web')}/remove", {"properties": {}})
    site.clock.wait(30)
    forgets = [told(worker, "forget") for worker in every]
    assert sorted(len(given) for given in forgets) == [1, 1, 2]
    assert [sum(bool(wish.get("dataDeleted")) for wish in given) for given in forgets] == [1, 1, 1]
    newest = another(site, 3)
    site.clock.wait(30)
    assert told(newest, "replicate") == []


def test_what_a_silent_worker_was_given_another_one_does(site: Site) -> None:
    site.enable("web")
    second = another(site, 1)
    site.worker.point(MACHINES["web"])
    second.alive = False
    site.clock.wait(60)

    def dies(_: dict[str, Any]) -> dict[str, Any]:
        site.worker.alive = False
        raise Silence

    site.worker.script["promote"] = dies
    status, _, headers = site.request("POST", f"{site.item('web')}/unplannedFailover", failover_body())
    assert status == 202
    where = headers["azure-asyncoperation"]
    assert site.until(lambda: not site.worker.alive, seconds=600)
    second.alive = True
    site.clock.wait(120)
    assert site.get(where)["status"] == "InProgress", "a worker that was heard of lately keeps its work"
    assert site.until(lambda: site.get(where)["status"] != "InProgress", seconds=1200)
    assert site.get(where)["status"] == "Succeeded"
    assert len(told(second, "promote")) == 1


def test_a_heartbeat_is_answered_with_the_time(site: Site) -> None:
    answer = site.worker.post("heartbeat", {"time": "2018-01-01T00:00:00Z"})
    assert answer["time"].startswith("20")

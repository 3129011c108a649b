"""What appears and clears with its cause: late points, missing targets, newer components, mail; how long a conversion takes."""

from typing import Any

from scripted_appliance import ModernSite
from scripted_components import ConfigurationServer
from scripted_site import Site, failover_body

MINUTE, HOUR = 60.0, 3600.0


def codes(site: Site) -> dict[str, str]:
    shown = site.get(site.item("web"))["properties"]
    return {error["errorCode"]: error["errorLevel"] for error in shown["healthErrors"]}


def mails(site: Site) -> list[str]:
    return [particulars["text"] for _, kind, _, particulars in site.events if kind == "mail"]


def test_no_application_consistent_point_for_long(site: Site) -> None:
    """EVT-005: clearly longer than the policy's hour; it clears with the next one."""
    site.enable("web")
    site.clock.wait(95 * MINUTE)
    assert "78144" not in codes(site)
    site.clock.wait(10 * MINUTE)
    assert codes(site)["78144"] == "Warning"
    site.worker.point(next(iter(site.worker.replicas)), kind="ApplicationConsistent")
    site.clock.wait(2 * MINUTE)
    assert "78144" not in codes(site)


def test_application_consistency_that_is_off_is_not_missed() -> None:
    """EVT-005, ERR-007."""
    for minutes, expected in ((0, False), (60, True)):
        site = ModernSite()
        site.set_up()
        if minutes:
            given = {
                "instanceType": "InMageRcm",
                "recoveryPointHistoryInMinutes": 1440,
                "appConsistentFrequencyInMinutes": minutes,
            }
            site.good("PATCH", site.policy("fwd"), {"properties": {"replicationProviderSettings": given}})
        site.enable("web")
        site.clock.wait(2 * HOUR)
        assert ("325092" in codes(site)) is expected
        site.close()


def test_a_target_that_was_deleted_is_a_matter_of_the_failover(site: Site) -> None:
    """AVM-011: found by the look of every twelve hours, or on demand."""
    site.enable("web")
    network = site.get(f"{site.net('net')}?api-version=2024-05-01")
    site.good("DELETE", site.net("net"))
    site.good("POST", f"{site.vault}/replicationVaultHealth/default/refresh")
    shown = site.get(site.item("web"))["properties"]
    assert (shown["replicationHealth"], shown["failoverHealth"]) == ("Normal", "Warning")
    assert "TargetResourceMissing" in codes(site)
    body = {"location": "westeurope", "properties": {"addressSpace": network["properties"]["addressSpace"]}}
    site.good("PUT", site.net("net"), body)
    site.good("POST", f"{site.vault}/replicationVaultHealth/default/refresh")
    assert "TargetResourceMissing" not in codes(site)


def test_mail_is_for_three_things_only(site: Site) -> None:
    """EVT-010."""
    setting = {"sendToOwners": "DoNotSend", "customEmailAddresses": ["dr@example.com"], "locale": "en-US"}
    path = f"{site.vault}/replicationAlertSettings/defaultAlertSetting"
    assert site.request("PUT", path, {"properties": setting})[0] == 200
    site.enable("web")
    site.clock.wait(2 * HOUR)  # a warning: no application-consistent point
    assert mails(site) == []
    site.server.machines[next(iter(site.server.machines))]["extra"] = {"resyncRequired": True, "stage": "delta"}
    site.clock.wait(2 * MINUTE)
    assert mails(site) == ["Replication health of web is critical."]
    undo = site.worker.refuse("promote", "no-recovery-point")
    assert site.run("POST", f"{site.item('web')}/unplannedFailover", failover_body())["status"] == "Failed"
    undo()
    assert mails(site)[1:] == ["Failover of web failed."]
    site.server.alive = False
    site.clock.wait(10 * MINUTE)
    assert mails(site)[2:] == ["The connection to cs1 is lost."]


def test_failed_jobs_are_events(site: Site) -> None:
    """EVT-009."""
    site.enable("web")
    undo = site.worker.refuse("promote", "no-recovery-point")
    body = {"networkType": "VmNetworkAsInput", "networkId": site.net("testnet"), "providerSpecificDetails": {}}
    assert site.run("POST", f"{site.item('web')}/testFailover", {"properties": body})["status"] == "Failed"
    undo()
    event = site.get(f"{site.vault}/replicationEvents")["value"][0]["properties"]
    assert (event["description"], event["severity"], event["eventType"]) == ("TestFailover - Failed", "Critical", "JobStatus")


def test_a_master_target_that_is_too_new_lets_the_reprotect_succeed_and_no_more(site: Site) -> None:
    """TOP-013."""
    beat = site.server.heartbeat

    def newer() -> Any:
        said = beat()
        said["masterTargets"][0]["version"] = "9.14.0.0"
        return said

    site.enable("web")
    site.fail_over("web")
    site.commit("web")
    site.server.heartbeat = newer
    site.clock.wait(70.0)
    site.good("POST", f"{site.item('web')}/reProtect", site.reverse_body())
    site.clock.wait(HOUR)
    assert site.state("web") == "InitialReplicationInProgress"
    assert codes(site)["ComponentVersionNewer"] == "Critical"
    site.server.heartbeat = beat
    assert "ComponentVersionNewer" not in {error["errorCode"] for error in site.reach("web", "Protected")["healthErrors"]}


def test_linux_machines_take_longer() -> None:
    """FO-019: eight to ten minutes more, for their conversion."""
    took = {}
    for os_type in ("WINDOWS", "LINUX"):
        site = Site()
        site.server = _of_system(site, os_type)
        site.set_up()
        site.enable("web")
        since = site.clock.now()
        site.fail_over("web")
        took[os_type] = site.clock.now() - since
        site.close()
    assert 8 * MINUTE <= took["LINUX"] - took["WINDOWS"] <= 10 * MINUTE


def _of_system(site: Site, os_type: str) -> ConfigurationServer:
    """The site's configuration server, whose machines run another system."""
    posted = site.server.post

    def post(what: str, body: Any) -> Any:
        for machine in body.get("machines", []) if what == "inventory" else []:
            machine["osType"] = os_type
        return posted(what, body)

    site.server.post = post
    return site.server

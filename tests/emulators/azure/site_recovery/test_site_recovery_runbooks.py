"""Runbooks in recovery plans: when they run, what they are told, and what their failure means."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from scripted_site import Site
from test_site_recovery_plans import group, plan_body, run_body

from emulators.azure.outside import RunbookCall, RunbookFailed, Say

Json = dict[str, Any]


class Books:
    """Runs every runbook: notes when and with which context, takes a minute, fails when its name says so."""

    def __init__(self, site: Site):
        self.site = site
        self.seen: list[tuple[str, set[str], Json]] = []  # name, machines that run, context

    def known(self, account: str, runbook: str) -> bool:
        return True

    def run(self, call: RunbookCall, say: Say) -> Iterator[float]:
        self.seen.append((call.runbook, set(self.site.world.running), orjson.loads(call.parameters["RecoveryPlanContext"])))
        say("Output", f"{call.runbook} began")
        yield 60.0 if call.runbook != "Forever" else 1e6
        if call.runbook == "Broken":
            raise RunbookFailed("it does not work")


@pytest.fixture
def books(site: Site) -> Books:
    made = Books(site)
    site.azure.runbook_jobs.programs = made
    account = {"location": "northeurope", "properties": {"sku": {"name": "Basic"}}}
    assert site.request("PUT", f"{site.group}/providers/Microsoft.Automation/automationAccounts/drills", account)[0] == 201
    for name in ("Before", "After", "Broken", "Forever"):
        assert site.request("PUT", book(site, name), {"properties": {"runbookType": "Python3"}})[0] == 201
    site.enable("db", "web")
    return made


def book(site: Site, name: str) -> str:
    return f"{site.group}/providers/Microsoft.Automation/automationAccounts/drills/runbooks/{name}"


def action(site: Site, name: str, *kinds: str, runbook: str = "", **more: Any) -> Json:
    details = {
        "instanceType": "AutomationRunbookActionDetails",
        "runbookId": runbook or book(site, name),
        "fabricLocation": "Recovery",
    }
    return {
        "actionName": name.lower(),
        "failoverTypes": list(kinds or ("UnplannedFailover", "TestFailover")),
        "failoverDirections": ["PrimaryToRecovery"],
        "customDetails": {**details, **more},
    }


def make_plan(site: Site, *groups: Json) -> None:
    site.good("PUT", site.plan, plan_body(site, *groups))


def tasks(site: Site, job: str) -> dict[str, Json]:
    return {
        task["name"]: task for task in site.get(job)["properties"]["tasks"] if task["taskType"] == "AutomationRunbookTaskDetails"
    }


def test_a_runbook_runs_around_its_group_and_knows_the_machines(site: Site, books: Books) -> None:
    """PLAN-006, PLAN-007, PLAN-009."""
    only_planned = action(site, "After", "PlannedFailover")
    make_plan(
        site,
        group(site, "db", before=(action(site, "Before"),), after=(action(site, "After"), only_planned)),
        group(site, "web"),
    )
    _, _, headers = site.request("POST", f"{site.plan}/unplannedFailover", run_body())
    assert site.until(lambda: site.get(headers["azure-asyncoperation"])["status"] == "Succeeded", seconds=7200.0)
    (first, running_first, early), (second, running_second, late) = books.seen
    assert (first, running_first) == ("Before", set())
    assert (second, running_second) == ("After", {"db-az"}), "web starts when the runbook has ended"
    (machine,) = early["VmMap"]
    assert early == {
        "RecoveryPlanName": "plan",
        "FailoverType": "Unplanned",
        "FailoverDirection": "PrimaryToSecondary",
        "GroupId": "1",
        "VmMap": {
            machine: {
                "SubscriptionId": site.azure.subscription,
                "ResourceGroupName": "",
                "CloudServiceName": "",
                "RoleName": "",
                "RecoveryPointId": early["VmMap"][machine]["RecoveryPointId"],
            }
        },
    }
    filled = late["VmMap"][machine]
    assert (filled["ResourceGroupName"], filled["RoleName"]) == ("dr", "db-az")
    assert filled["RecoveryPointId"]
    job = headers["x-ms-request-id"]
    shown = tasks(site, job)["after"]["customDetails"]
    assert (shown["accountName"], shown["runbookName"], shown["jobOutput"]) == ("drills", "After", "After began")
    assert site.get(shown["jobId"])["properties"]["status"] == "Completed"
    assert site.get(job)["properties"]["stateDescription"] == "Completed"


def test_a_test_failover_says_so(site: Site, books: Books) -> None:
    make_plan(site, group(site, "db", after=(action(site, "After"),)))
    body = run_body()
    body["properties"] |= {"networkType": "VmNetworkAsInput", "networkId": site.net("testnet")}
    _, _, headers = site.request("POST", f"{site.plan}/testFailover", body)
    assert site.until(lambda: site.get(headers["x-ms-request-id"])["properties"]["state"] == "Suspended", seconds=7200.0)
    ((_, _, context),) = books.seen
    assert context["FailoverType"] == "Test"
    assert [one["RoleName"] for one in context["VmMap"].values()] == ["db-az-test"]


@pytest.mark.parametrize(
    ("name", "words"), [("Broken", "it does not work"), ("Forever", "has not ended"), ("Gone", "does not exist")]
)
def test_a_runbook_that_fails_does_not_stop_the_run(site: Site, books: Books, name: str, words: str) -> None:
    """PLAN-012."""
    make_plan(site, group(site, "db", before=(action(site, name, timeout="PT10M"),)), group(site, "web"))
    _, _, headers = site.request("POST", f"{site.plan}/unplannedFailover", run_body())
    assert site.until(lambda: site.get(headers["azure-asyncoperation"])["status"] == "Succeeded", seconds=7200.0)
    assert site.world.running == {"db-az", "web-az"}
    job = site.get(headers["x-ms-request-id"])["properties"]
    assert (job["state"], job["stateDescription"]) == ("Succeeded", "PartiallySucceeded")
    (error,) = [error["serviceErrorDetails"] for error in job["errors"]]
    assert words in error["message"]
    assert (error["code"], job["errors"][0]["providerErrorDetails"]) == ("RecoveryPlanRunbookFailed", None)
    assert tasks(site, headers["x-ms-request-id"])[name.lower()]["state"] == "Failed"


def test_cancelling_the_run_stops_the_runbook(site: Site, books: Books) -> None:
    make_plan(site, group(site, "db", before=(action(site, "Forever"),)))
    _, _, headers = site.request("POST", f"{site.plan}/unplannedFailover", run_body())
    job = headers["x-ms-request-id"]
    assert site.until(lambda: bool(books.seen), seconds=7200.0)
    where = tasks(site, job)["forever"]["customDetails"]["jobId"]
    assert site.get(where)["properties"]["status"] == "Running"
    site.good("POST", f"{job}/cancel")
    assert site.until(lambda: site.get(job)["properties"]["state"] == "Cancelled", seconds=7200.0)
    assert site.get(where)["properties"]["status"] == "Stopped"


def test_only_runbooks_of_the_vaults_subscription(site: Site, books: Books) -> None:
    """PLAN-010."""
    foreign = book(site, "After").replace(site.azure.subscription, "99999999-0000-0000-0000-000000000000")
    for wrong in (foreign, "nonsense", site.item("db")):
        body = plan_body(site, group(site, "db", after=(action(site, "After", runbook=wrong),)))
        assert site.code("PUT", site.plan, body) == "RecoveryPlanInvalid"
    make_plan(site, group(site, "db", after=(action(site, "After"),)))

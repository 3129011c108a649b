"""Automation accounts, runbooks, jobs and their streams through the vendor's SDK."""

from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.automation import AutomationClient

from drillbed.runbooks import Programs

WEST = {"location": "westeurope"}


@pytest.fixture
def programs(cloud: Any) -> Programs:
    made = Programs(cloud.azure.clock)
    cloud.azure.runbook_jobs.programs = made
    return made


@pytest.fixture
def automation(cloud: Any) -> Any:
    """A client, and the account `drills` in group `rg`."""
    cloud.azure.add_group("rg")
    client = cloud.client(AutomationClient)
    made = client.automation_account.create_or_update("rg", "drills", {**WEST, "properties": {"sku": {"name": "Basic"}}})
    assert (made.state, made.sku.name) == ("Ok", "Basic")
    return client


def publish(client: Any, name: str, text: str, kind: str = "Python3") -> Any:
    body = {**WEST, "properties": {"runbookType": kind, "draft": {}}}
    assert client.runbook.create_or_update("rg", "drills", name, body).state == "New"
    client.runbook_draft.begin_replace_content("rg", "drills", name, text.encode()).result()
    client.runbook.begin_publish("rg", "drills", name).result()
    return client.runbook.get("rg", "drills", name)


def run(cloud: Any, client: Any, job: str, runbook: str, **parameters: str) -> Any:
    made = client.job.create("rg", "drills", job, {"properties": {"runbook": {"name": runbook}, "parameters": parameters}})
    assert (made.status, made.parameters) == ("New", parameters)
    cloud.azure.clock.wait(30)
    return client.job.get("rg", "drills", job)


def said(client: Any, job: str) -> list[tuple[str, str]]:
    streams = [
        client.job_stream.get("rg", "drills", job, one.job_stream_id)
        for one in client.job_stream.list_by_job("rg", "drills", job)
    ]
    return [(one.stream_type, one.stream_text) for one in streams]


def test_an_account_lives(cloud: Any, automation: Any) -> None:
    assert [one.name for one in automation.automation_account.list()] == ["drills"]
    assert [one.name for one in automation.automation_account.list_by_resource_group("rg")] == ["drills"]
    changed = automation.automation_account.update("rg", "drills", {"tags": {"a": "b"}, "properties": {"description": "ours"}})
    assert (changed.tags, changed.description) == ({"a": "b"}, "ours")
    keys = automation.keys.list_by_automation_account("rg", "drills").keys_property
    assert {key.key_name for key in keys} == {"Primary", "Secondary"}
    assert cloud.statuses("PUT", "/drills") == [201]
    publish(automation, "Nothing", "pass")
    automation.automation_account.delete("rg", "drills")
    with pytest.raises(ResourceNotFoundError):
        automation.runbook.get("rg", "drills", "Nothing")
    assert len(cloud.azure.store) == 1


def test_drafts_become_what_jobs_run(cloud: Any, automation: Any, programs: Programs) -> None:
    programs.uploaded = True
    book = publish(automation, "Greet", "import sys; print('hello', sys.argv[1])")
    assert (book.state, book.runbook_type) == ("Published", "Python3")
    assert "".join(automation.runbook.get_content("rg", "drills", "Greet")) == "import sys; print('hello', sys.argv[1])"
    automation.runbook_draft.begin_replace_content("rg", "drills", "Greet", b"raise SystemExit(3)").result()
    assert automation.runbook_draft.get("rg", "drills", "Greet").in_edit
    assert automation.runbook.get("rg", "drills", "Greet").state == "Edit"
    job = run(cloud, automation, "one", "Greet", Name="world")
    assert (job.status, job.provisioning_state, job.exception) == ("Completed", "Succeeded", None)
    assert job.creation_time < job.start_time <= job.end_time
    assert automation.job.get_output("rg", "drills", "one") == "hello world"
    assert said(automation, "one") == [("Output", "hello world")]
    automation.runbook.begin_publish("rg", "drills", "Greet").result()
    job = run(cloud, automation, "two", "Greet")
    assert (job.status, job.exception) == ("Failed", "The script ended with exit code 3.")
    assert [
        one.name for one in automation.job.list_by_automation_account("rg", "drills", filter="properties/status eq 'Failed'")
    ] == ["two"]
    assert automation.runbook.get("rg", "drills", "Greet").job_count == 2


def test_uploaded_text_is_not_run_unless_the_estate_allows_it(
    cloud: Any, automation: Any, programs: Programs, tmp_path: Any
) -> None:
    publish(automation, "Touch", f"open({str(tmp_path / 'made')!r}, 'w')")
    job = run(cloud, automation, "one", "Touch")
    assert job.status == "Failed"
    assert "no program for runbook Touch" in job.exception
    assert not (tmp_path / "made").exists()
    programs.uploaded = True
    assert run(cloud, automation, "two", "Touch").status == "Completed"
    assert (tmp_path / "made").exists()


def test_callables_and_local_scripts_do_the_work(cloud: Any, automation: Any, programs: Programs, tmp_path: Any) -> None:
    (tmp_path / "Local.sh").write_text('read line; echo "$1 $line"; echo careful >&2')
    programs.folder = tmp_path
    seen: list[dict[str, Any]] = []

    def slow(parameters: dict[str, Any]) -> Iterator[float]:
        seen.append(parameters)
        yield 10.0
        return "after ten seconds"

    programs.provide("Slow", slow)
    programs.provide("Broken", lambda parameters: 1 / 0)
    for name in ("Local", "Slow", "Broken"):
        automation.runbook.create_or_update("rg", "drills", name, {**WEST, "properties": {"runbookType": "PowerShell"}})
    assert run(cloud, automation, "one", "Local", A="x").status == "Completed"
    assert said(automation, "one") == [("Output", 'x {"A": "x"}'), ("Error", "careful")]
    job = run(cloud, automation, "two", "Slow", RecoveryPlanContext='{"GroupId": "1"}')
    assert (job.end_time - job.start_time).total_seconds() == 10
    assert seen == [{"RecoveryPlanContext": {"GroupId": "1"}}]
    assert automation.job.get_output("rg", "drills", "two") == "after ten seconds"
    assert run(cloud, automation, "three", "Broken").exception == "ZeroDivisionError: division by zero"


def test_a_job_is_stopped(cloud: Any, automation: Any, programs: Programs) -> None:
    ended: list[str] = []

    def forever(parameters: dict[str, Any]) -> Iterator[float]:
        try:
            while True:
                yield 60.0
        finally:
            ended.append("closed")

    programs.provide("Forever", forever)
    automation.runbook.create_or_update("rg", "drills", "Forever", {**WEST, "properties": {"runbookType": "Python3"}})
    assert run(cloud, automation, "one", "Forever").status == "Running"
    with pytest.raises(HttpResponseError) as refused:
        automation.job.suspend("rg", "drills", "one")
    assert refused.value.status_code == 409
    automation.job.stop("rg", "drills", "one")
    assert (automation.job.get("rg", "drills", "one").status, ended) == ("Stopped", ["closed"])


def test_what_automation_refuses(cloud: Any, automation: Any, programs: Programs) -> None:
    def code(call: Any) -> tuple[int, str]:
        with pytest.raises(HttpResponseError) as refused:
            call()
        return refused.value.status_code, str(refused.value.error.code)

    put = automation.runbook.create_or_update
    assert code(lambda: automation.automation_account.create_or_update("rg", "a", WEST)) == (400, "BadRequest")
    assert code(lambda: put("rg", "drills", "1st", {**WEST, "properties": {"runbookType": "Python3"}})) == (400, "BadRequest")
    assert code(lambda: put("rg", "drills", "Book", {**WEST, "properties": {"runbookType": "Cobol"}})) == (400, "BadRequest")
    put("rg", "drills", "Book", {**WEST, "properties": {"runbookType": "Python3"}})
    assert code(lambda: automation.runbook.begin_publish("rg", "drills", "Book")) == (400, "BadRequest")
    assert code(lambda: run(cloud, automation, "one", "Book")) == (400, "BadRequest")
    assert code(lambda: run(cloud, automation, "one", "None")) == (404, "NotFound")
    publish(automation, "Other", "pass")
    run(cloud, automation, "one", "Other")
    assert code(lambda: run(cloud, automation, "one", "Other")) == (409, "Conflict")
    assert code(lambda: automation.job.get("rg", "drills", "none")) == (404, "NotFound")


def test_variables_keep_json_and_hide_secrets(cloud: Any, automation: Any) -> None:
    put = automation.variable.create_or_update
    made = put("rg", "drills", "Limit", {"name": "Limit", "properties": {"value": "5", "isEncrypted": False}})
    assert made.value == "5"
    hidden = put("rg", "drills", "Secret", {"name": "Secret", "properties": {"value": '"abc"', "isEncrypted": True}})
    assert (hidden.value, hidden.is_encrypted) == (None, True)
    assert {one.name: one.value for one in automation.variable.list_by_automation_account("rg", "drills")} == {
        "Limit": "5",
        "Secret": None,
    }
    assert automation.variable.update("rg", "drills", "Limit", {"name": "Limit", "properties": {"value": "6"}}).value == "6"
    with pytest.raises(HttpResponseError, match="Invalid JSON"):
        put("rg", "drills", "Bad", {"name": "Bad", "properties": {"value": "{"}})
    automation.variable.delete("rg", "drills", "Limit")
    with pytest.raises(ResourceNotFoundError):
        automation.variable.get("rg", "drills", "Limit")

"""The list of jobs as a file (JOB-010): what `replicationJobs/export` makes, fetched with a signature of its own for a day."""

import hmac
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

import orjson

from emulators.azure.arm import Answer, Call, Refusal, operation, read
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.refusals import refuse
from emulators.azure.site_recovery.scenarios import SCENARIOS
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import VAULT, Json, parse_time, same

#: Files are kept so many to a vault, and fetched within this time.
_KEPT, _SECONDS = 50, 86400.0

_SIMPLE = ("scenarioName", "friendlyName", "state", "stateDescription", "targetObjectName", "startTime", "endTime")


def _affected(job: Job) -> str:
    return job.target_type or SCENARIOS[job.scenario].target


def _started(job: Job) -> float:
    return 0.0 if job.start is None else job.start


def _fabric(job: Job) -> Any:
    details = job.details.get("affectedObjectDetails") or {}
    return [details.get("primaryVmmId"), job.target_id]


#: What `$filter` may name in the list of jobs, and an export in its body (JobQueryParameter).
JOB_FIELDS: Mapping[str, Callable[[Job], Any]] = {
    "starttime": _started,
    "endtime": _started,  # a job is in a span of time by its start
    "fabricid": _fabric,
    "affectedobjecttypes": _affected,
    "jobstatus": lambda job: [job.state, job.description],
    "jobname": lambda job: [job.id, job.scenario, SCENARIOS[job.scenario].friendly],
}


class JobExport:
    """POST export."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    @operation("POST", VAULT + "/replicationJobs/export")
    def export(self, call: Call) -> Answer:
        service, vault, given = self.service, self.service.vault(call), call.body or {}
        kind = str(read(given, "jobOutputType", str, "Json")).lower()
        if kind not in _FORMATS:
            raise refuse("malformed", f"jobOutputType is Json or Xml here, not '{kind}'.", activity=call.correlation_id)
        since, until = (_time(call, read(given, name, str)) for name in ("startTime", "endTime"))
        wanted = {name: read(given, name, str) for name in ("fabricId", "affectedObjectTypes", "jobStatus", "jobName")}
        base = call.base_url

        def work(job: Job) -> Work:
            with job.task(0):
                yield from job.rest(1.0)
                rows = [
                    one.json(thin=True)["properties"] | {"name": one.id}
                    for one in reversed(vault.jobs.values())
                    if one is not job and _within(one, since, until) and _matches(one, wanted)
                ]
                media, content = _FORMATS[kind](rows)
                path, signature = f"/siterecovery/exports/{job.id}.{kind}", service.clock.random_bytes(24).hex()
                service.arm.public[path] = _file(service, signature, media, content, service.now() + _SECONDS)
                vault.exports.append(path)
                for old in vault.exports[:-_KEPT]:
                    service.arm.public.pop(old, None)
                del vault.exports[:-_KEPT]
                job.details |= {"blobUri": base + path, "sasToken": f"?sp=r&sig={signature}"}

        answer = service.start(
            call, vault, "ExportJobs", ("", ""), work, details={"blobUri": None, "sasToken": None, "affectedObjectDetails": {}},
            resource=f"{vault.id}/replicationJobs",
        )  # fmt: skip
        job = next(reversed(vault.jobs.values()))
        assert job.operation is not None, "it was started by a call"
        job.operation.result = lambda: Answer(200, job.json())
        return answer


def _file(
    service: Service, signature: str, media: str, content: bytes, expires: float
) -> Callable[[str, dict[str, str]], Answer]:
    """GET of one file: 403 without its signature or after its time."""

    def fetch(base_url: str, query: dict[str, str]) -> Answer:
        if not hmac.compare_digest(query.get("sig", "").encode(), signature.encode()) or service.now() > expires:
            raise Refusal(403, "AuthenticationFailed", "The signature of the file is wrong or has expired.")
        return Answer(200, content, {"Content-Type": media})

    return fetch


def _matches(job: Job, wanted: Mapping[str, str | None]) -> bool:
    for name, value in wanted.items():
        found = JOB_FIELDS[name.lower()](job)
        values = found if isinstance(found, list) else [found]
        options = [part.strip() for part in (value or "").split(",") if part.strip()]
        if options and not any(same(str(one), option) for one in values for option in options):
            return False
    return True


def _within(job: Job, since: float | None, until: float | None) -> bool:
    return (since is None or _started(job) >= since) and (until is None or _started(job) <= until)


def _time(call: Call, text: str | None) -> float | None:
    if not text:
        return None
    try:
        return parse_time(text)
    except ValueError:
        raise refuse("malformed", f"'{text}' is not a time.", activity=call.correlation_id) from None


def _as_json(rows: list[Json]) -> tuple[str, bytes]:
    return "application/json", orjson.dumps(rows)


def _as_xml(rows: list[Json]) -> tuple[str, bytes]:
    root = ElementTree.Element("Jobs")
    for row in rows:
        entry = ElementTree.SubElement(root, "Job", name=str(row["name"]))
        for name in _SIMPLE:
            ElementTree.SubElement(entry, name).text = None if row.get(name) is None else str(row[name])
    return "application/xml", ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


_FORMATS: Mapping[str, Callable[[list[Json]], tuple[str, bytes]]] = {"json": _as_json, "xml": _as_xml}

"""PerformanceManager: counters, intervals, and samples that follow from the state of the emulated machines and hosts."""

import hashlib
from dataclasses import dataclass
from typing import Any

from emulators.vcenter.entity import Property
from emulators.vcenter.faults import invalid_argument
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.objects.host_system import MHZ, machines_on
from emulators.vcenter.objects.service_instance import Service
from emulators.vcenter.records import Record, Ref

_REALTIME = 20
_MOST_SAMPLES = 180
_HISTORY = (
    (300, "Past day", 86_400),
    (1800, "Past week", 604_800),
    (7200, "Past month", 2_592_000),
    (86_400, "Past year", 31_536_000),
)


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter. `of` says for which kinds: `v` machines, `h` hosts. `full` is the value of a fully busy subject."""

    key: int
    group: str
    name: str
    rollup: str
    unit: str
    stats: str
    of: str
    full: int


_COUNTERS = (
    Counter(2, "cpu", "usage", "average", "percent", "rate", "vh", 10_000),
    Counter(6, "cpu", "usagemhz", "average", "megaHertz", "rate", "vh", 0),
    Counter(12, "cpu", "ready", "summation", "millisecond", "delta", "v", 400),
    Counter(24, "mem", "usage", "average", "percent", "absolute", "vh", 10_000),
    Counter(33, "mem", "active", "average", "kiloBytes", "absolute", "vh", 0),
    Counter(98, "mem", "consumed", "average", "kiloBytes", "absolute", "vh", 0),
    Counter(125, "disk", "usage", "average", "kiloBytesPerSecond", "rate", "vh", 40_000),
    Counter(130, "disk", "read", "average", "kiloBytesPerSecond", "rate", "vh", 20_000),
    Counter(131, "disk", "write", "average", "kiloBytesPerSecond", "rate", "vh", 20_000),
    Counter(133, "disk", "maxTotalLatency", "latest", "millisecond", "absolute", "vh", 30),
    Counter(143, "net", "usage", "average", "kiloBytesPerSecond", "rate", "vh", 12_000),
    Counter(148, "net", "received", "average", "kiloBytesPerSecond", "rate", "vh", 6_000),
    Counter(149, "net", "transmitted", "average", "kiloBytesPerSecond", "rate", "vh", 6_000),
    Counter(155, "sys", "uptime", "latest", "second", "absolute", "vh", 0),
    Counter(173, "virtualDisk", "read", "average", "kiloBytesPerSecond", "rate", "v", 20_000),
    Counter(174, "virtualDisk", "write", "average", "kiloBytesPerSecond", "rate", "v", 20_000),
)
_BY_KEY = {counter.key: counter for counter in _COUNTERS}
_LETTER = {"VirtualMachine": "v", "HostSystem": "h"}


def _described(key: str) -> Record:
    return Record("ElementDescription", key=key, label=key, summary=key)


def _info(counter: Counter) -> Record:
    return Record(
        "PerfCounterInfo",
        key=counter.key,
        nameInfo=_described(counter.name),
        groupInfo=_described(counter.group),
        unitInfo=_described(counter.unit),
        rollupType=counter.rollup,
        statsType=counter.stats,
        level=1,
        perDeviceLevel=3,
    )


def _subject(call: Call, one: Ref) -> Any:
    found = call.inventory.find(one.moid)
    if found is None:
        raise invalid_argument("entity", "There is no such object.")
    return found


def _running(subject: Any) -> bool:
    return bool(getattr(subject, "power", "") == "poweredOn")


def provider(call: Call, _performance: Service, args: Any) -> Record:
    """QueryPerfProviderSummary."""
    subject = _subject(call, args["entity"])
    live = subject.kind in _LETTER
    record = Record("PerfProviderSummary", entity=args["entity"], currentSupported=live, summarySupported=True)
    if live:
        record["refreshRate"] = _REALTIME
    return record


def available(call: Call, _performance: Service, args: Any) -> list[Record]:
    """QueryAvailablePerfMetric: machines that are off have none now."""
    subject = _subject(call, args["entity"])
    if args.get("intervalId") == _REALTIME and not _running(subject):
        return []
    letter = _LETTER.get(subject.kind, "-")
    return [Record("PerfMetricId", counterId=counter.key, instance="") for counter in _COUNTERS if letter in counter.of]


def counters(_call: Call, _performance: Service, args: Any) -> list[Record]:
    """QueryPerfCounter."""
    unknown = [key for key in args["counterId"] if key not in _BY_KEY]
    if unknown:
        raise invalid_argument("counterId", f"There is no counter {unknown[0]}.")
    return [_info(_BY_KEY[key]) for key in args["counterId"]]


def by_level(_call: Call, _performance: Service, args: Any) -> list[Record]:
    """QueryPerfCounterByLevel."""
    if not 1 <= args["level"] <= 4:
        raise invalid_argument("level", "1 to 4.")
    return [_info(counter) for counter in _COUNTERS]


def _sample(inventory: Inventory, subject: Any, counter: Counter, when: float) -> int:
    """A value that depends on subject, counter and time alone, scaled to what the subject has."""
    if counter.name == "uptime":
        started = subject.boot_time if subject.kind == "VirtualMachine" else subject.booted
        return max(0, int(when - started))
    digest = hashlib.blake2b(f"{subject.moid}:{counter.key}:{when:.0f}".encode(), digest_size=2).digest()
    share = 0.05 + 0.25 * int.from_bytes(digest, "big") / 65_535
    machine = subject.kind == "VirtualMachine"
    cores = subject.settings.cpus if machine else subject.cores
    memory = subject.settings.memory_mb * 1024 if machine else subject.memory // 1024
    full = counter.full or (cores * MHZ if counter.unit == "megaHertz" else memory)
    load = 1.0 if machine else min(1.0, 0.1 + 0.1 * len(machines_on(inventory, subject)))
    return int(full * share * load)


def query(call: Call, _performance: Service, args: Any) -> list[Record]:
    """QueryPerf."""
    return [found for spec in args["querySpec"] if (found := _series(call, spec)) is not None]


def _series(call: Call, spec: Record) -> Record | None:
    subject = _subject(call, spec["entity"])
    letter = _LETTER.get(subject.kind)
    if letter is None or not _running(subject):
        return None
    interval = spec["intervalId"] or _REALTIME
    if interval != _REALTIME and interval not in [period for period, _, _ in _HISTORY]:
        raise invalid_argument("querySpec.intervalId", f"{interval} is no interval.")
    times = _times(call.inventory.clock.now(), spec, interval)
    wanted = [one["counterId"] for one in spec["metricId"] or []] or [counter.key for counter in _COUNTERS]
    chosen = [_BY_KEY[key] for key in dict.fromkeys(wanted) if key in _BY_KEY and letter in _BY_KEY[key].of]
    samples = [Record("PerfSampleInfo", timestamp=when, interval=interval) for when in times]
    values = []
    for counter in chosen:
        numbers = [_sample(call.inventory, subject, counter, when) for when in times]
        values.append((Record("PerfMetricId", counterId=counter.key, instance=""), numbers))
    if spec["format"] == "csv":
        header = ",".join(f"{interval},{_stamp(when)}" for when in times)
        lines = [Record("PerfMetricSeriesCSV", id=key, value=",".join(map(str, numbers))) for key, numbers in values]
        return Record("PerfEntityMetricCSV", entity=spec["entity"], sampleInfoCSV=header, value=lines)
    series = [Record("PerfMetricIntSeries", id=key, value=numbers) for key, numbers in values]
    return Record("PerfEntityMetric", entity=spec["entity"], sampleInfo=samples, value=series)


def _stamp(when: float) -> str:
    from emulators.vcenter.serialise import timestamp

    return timestamp(when)


def _times(now: float, spec: Record, interval: int) -> list[float]:
    last = min(spec["endTime"] or now, now) // interval * interval
    first = spec["startTime"] if spec["startTime"] is not None else last - interval * _MOST_SAMPLES
    count = min(int((last - first) // interval), spec["maxSample"] or _MOST_SAMPLES, _MOST_SAMPLES)
    return [last - interval * back for back in range(count - 1, -1, -1)]


def _intervals() -> list[Record]:
    return [
        Record("PerfInterval", key=number, samplingPeriod=period, name=name, length=length, level=1, enabled=True)
        for number, (period, name, length) in enumerate(_HISTORY, 1)
    ]


PERFORMANCE_PROPERTIES: dict[str, Property] = {
    "perfCounter": lambda _inventory, _performance: [_info(counter) for counter in _COUNTERS],
    "historicalInterval": lambda _inventory, _performance: _intervals(),
    "description": lambda _inventory, _performance: Record(
        "PerformanceDescription",
        counterType=[_described(one) for one in ("absolute", "delta", "rate")],
        statsType=[_described(one) for one in ("average", "latest", "summation")],
    ),
}
PERFORMANCE_OPERATIONS = {
    "QueryPerfProviderSummary": provider,
    "QueryAvailablePerfMetric": available,
    "QueryPerfCounter": counters,
    "QueryPerfCounterByLevel": by_level,
    "QueryPerf": query,
}

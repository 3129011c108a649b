"""The file that lets `drillbed conform arm:FILE` judge a running estate as any laboratory behind endpoints."""

import json
from collections.abc import Mapping
from typing import Any

from drillbed.estate import Estate
from drillbed.site import MACHINE_ACCOUNT
from emulators.azure.cloud import CLIENT, TENANT

#: Its name in the folder of a running estate.
LAB = "lab.yaml"
#: Variables of the exports that hold what no file should.
AZURE_SECRET, VCENTER_PASSWORD = "AZURE_CLIENT_SECRET", "GOVC_PASSWORD"


def lab_text(estate: Estate, record: Mapping[str, Any]) -> str:
    """The file for an estate that is up. Values are JSON, which YAML knows."""
    ends, targets = record["endpoints"], estate.targets
    sections: dict[str, Any] = {
        "arm": {
            "management": ends["management"],
            "login": ends["login"],
            "tenant": TENANT,
            "client": CLIENT,
            "secret_variable": AZURE_SECRET,
            "ca": record["ca"],
        },
        "vault": {
            "group": targets.group,
            "name": estate.vault.name,
            "run_as": MACHINE_ACCOUNT,
            "datastore": "LocalDS_0",
        },
        "target": {name: getattr(targets, name) for name in ("group", "network", "subnet", "storage", "cache")},
        "vcenter": {
            "url": f"{ends['vcenter']}/sdk",
            "user": estate.site.administrator[0],
            "password_variable": VCENTER_PASSWORD,
            "ca": record["ca"],
        },
        "lab": {"machines": record["machines"], "speed": record["speed"], "name": "estate"},
    }
    lines = ["# An estate that `drillbed up` keeps, as a laboratory behind endpoints: drillbed conform arm:THIS-FILE"]
    for section, values in sections.items():
        lines += [f"{section}:", *(f"  {name}: {json.dumps(value)}" for name, value in values.items())]
    return "\n".join(lines) + "\n"

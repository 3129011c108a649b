"""recoveryPoints of a protected item, newest first."""

from emulators.azure.arm import Answer, Call, operation
from emulators.azure.site_recovery.records import Item, Point
from emulators.azure.site_recovery.refusals import missing
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import ITEM, ITEM_TYPE, Json, listing
from emulators.clock import iso


class RecoveryPoints:
    """What the replica worker reported and has not removed (RPT-004)."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    @operation("GET", ITEM + "/recoveryPoints")
    def list_points(self, call: Call) -> Answer:
        item = self.service.item(call)
        points = sorted(item.points.values(), key=lambda point: (point.time, point.id), reverse=True)
        return Answer(200, listing([point_json(item, point) for point in points]))

    @operation("GET", ITEM + "/recoveryPoints/{recoveryPointName}")
    def get(self, call: Call) -> Answer:
        item = self.service.item(call)
        point = item.points.get(call["recoveryPointName"])
        if point is None:
            raise missing(call["recoveryPointName"])
        return Answer(200, point_json(item, point))


def point_json(item: Item, point: Point) -> Json:
    return {
        "name": point.id,
        "type": f"{ITEM_TYPE}/recoveryPoints",
        "id": f"{item.id}/recoveryPoints/{point.id}",
        "properties": {
            "recoveryPointTime": iso(point.time),
            "recoveryPointType": point.kind,
            "providerSpecificDetails": {
                "instanceType": item.profile.forward,
                "isMultiVmSyncPoint": "true" if point.multi_vm else "false",
            },
        },
    }

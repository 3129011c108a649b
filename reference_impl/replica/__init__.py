"""The replica side in Azure: logs become page blobs, tags become recovery points, points become disks."""

from reference_impl.replica.worker import ReplicaWorker

__all__ = ["ReplicaWorker"]

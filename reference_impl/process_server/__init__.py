"""The process server: receives replication data, caches it, and passes it on."""

from reference_impl.process_server.server import ProcessServer

__all__ = ["ProcessServer"]

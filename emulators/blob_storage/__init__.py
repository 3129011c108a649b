"""Blob and queue storage: in memory for virtual time, Azurite for real sockets; one contract over both."""

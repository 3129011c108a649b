"""The fixtures of the storage tests."""

from storage_lab import azurite_process, lab

__all__ = ["azurite_process", "lab"]

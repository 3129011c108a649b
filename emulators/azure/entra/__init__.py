"""Entra (the directory that hands out tokens): discovery, client credentials, keys."""

from emulators.azure.entra.service import Client, Entra
from emulators.azure.entra.tokens import MANAGEMENT, Issuer

__all__ = ["MANAGEMENT", "Client", "Entra", "Issuer"]

"""Entra (the directory that hands out tokens): discovery, grants, device codes, managed identities, keys, Graph."""

from emulators.azure.entra.clients import Client
from emulators.azure.entra.people import Identity, User
from emulators.azure.entra.service import Entra
from emulators.azure.entra.tokens import MANAGEMENT, Issuer

__all__ = ["MANAGEMENT", "Client", "Entra", "Identity", "Issuer", "User"]

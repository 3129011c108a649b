"""Entra (the directory that hands out tokens): discovery, grants, managed identities, keys."""

from emulators.azure.entra.people import Identity, User
from emulators.azure.entra.service import Client, Entra
from emulators.azure.entra.tokens import MANAGEMENT, Issuer

__all__ = ["MANAGEMENT", "Client", "Entra", "Identity", "Issuer", "User"]

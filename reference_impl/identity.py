"""Who a component is on 9443: a certificate that the configuration server signs at registration (NET-012).

A component draws an Ed25519 key, sends the public half with the passphrase, and gets a certificate for `ROLE MACHINE`. Process
servers let in only who shows one that their own configuration server has signed. Validity is open: a certificate is good as long
as the registration is, and emulated time is not that of the TLS library.
"""

import base64
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KEY_BYTES = 32
_SINCE, _UNTIL = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Identity:
    """A client certificate and its key, PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority of one configuration server: the seed of its key, and its certificate as PEM."""

    seed: bytes
    certificate: str

    def sign(self, public_key: str, name: str, serial: bytes) -> str:
        """A certificate (PEM) for a base64 public key. Raises `ValueError` for one that is none."""
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        issuer = x509.load_pem_x509_certificate(self.certificate.encode()).subject
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        built = _builder(_name(name), issuer, key, serial).add_extension(usage, critical=False)
        signed = built.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        return signed.sign(Ed25519PrivateKey.from_private_bytes(self.seed), None).public_bytes(Encoding.PEM).decode()


def new_authority(seed: bytes, serial: bytes, name: str) -> Authority:
    """An authority whose key follows from 32 random bytes."""
    key, subject = Ed25519PrivateKey.from_private_bytes(seed), _name(name)
    built = _builder(subject, subject, key.public_key(), serial)
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    signed = built.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).add_extension(usage, critical=True)
    return Authority(seed, signed.sign(key, None).public_bytes(Encoding.PEM).decode())


def public_key(seed: bytes) -> str:
    """The public half, base64, of the key that follows from 32 random bytes."""
    key = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return base64.b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def identity_of(seed: bytes, certificate: str) -> Identity:
    """What a component shows. Raises `ValueError` when the certificate is not for that key."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    if x509.load_pem_x509_certificate(certificate.encode()).public_key() != key.public_key():
        raise ValueError("the certificate is for another key")
    return Identity(certificate.encode(), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def name_on(certificate: bytes) -> str:
    """Whom a certificate (DER) is for; empty where none was shown."""
    if not certificate:
        return ""
    names = x509.load_der_x509_certificate(certificate).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def keep(path: Path, identity: Identity) -> None:
    """Write it where only its owner reads it. Raises `OSError`."""
    partial = path.with_suffix(".tmp")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps({"certificate": identity.certificate.decode(), "key": identity.key.decode()}))
    os.replace(partial, path)


def kept(path: Path) -> Identity | None:
    """What was kept; None where there is nothing that can be read."""
    try:
        said = json.loads(path.read_text())
        return Identity(str(said["certificate"]).encode(), str(said["key"]).encode())
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: Ed25519PublicKey, serial: bytes) -> x509.CertificateBuilder:
    number = int.from_bytes(serial[:16], "big") | 1 << 126  # always of the same length
    builder = x509.CertificateBuilder(issuer, subject, key, number)
    return builder.not_valid_before(_SINCE).not_valid_after(_UNTIL)

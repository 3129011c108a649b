"""SAML tokens: bearer assertions that this vCenter signs, and takes in the place of a password.

Libraries of signatures are imported when the first token is asked for: most vCenters never see one, and should start quickly.
"""

import base64
import binascii
import zlib
from dataclasses import dataclass
from typing import Any

from lxml import etree

from emulators.vcenter import parse
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Inventory
from emulators.vcenter.serialise import timestamp

SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
#: Longest life of a token, seconds: 30 days, as the real service has it.
LONGEST = 30 * 24 * 3600.0
_LARGEST = 64 * 1024
_CLASS = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
_BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key of a token service and its certificate, as PEM."""

    key: bytes
    certificate: str


def signing_key(inventory: Inventory) -> SigningKey:
    """The key of a vCenter; made when it is first needed."""
    if inventory.signing is None:
        import trustme

        made = trustme.CA(organization_name="drillbed sts", key_type=trustme.KeyType.RSA)
        inventory.signing = SigningKey(made.private_key_pem.bytes(), made.cert_pem.bytes().decode())
    found: SigningKey = inventory.signing
    return found


def issue(inventory: Inventory, user: str, seconds: float) -> bytes:
    """A signed bearer assertion for a user, as XML."""
    from signxml.signer import XMLSigner

    now = inventory.clock.now()
    until = now + min(max(seconds, 1.0), LONGEST)
    key, name = signing_key(inventory), f"_{inventory.clock.uuid()}"
    attributes = {"ID": name, "IssueInstant": timestamp(now), "Version": "2.0"}
    assertion = etree.Element(f"{{{SAML}}}Assertion", attributes, nsmap={"saml2": SAML})
    _add(assertion, "Issuer", text=f"https://{inventory.name}/websso/SAML2/Metadata/vsphere.local")
    subject = _add(assertion, "Subject")
    _add(subject, "NameID", text=user, Format="http://schemas.xmlsoap.org/claims/UPN")
    confirmed = _add(subject, "SubjectConfirmation", Method=_BEARER)
    _add(confirmed, "SubjectConfirmationData", NotOnOrAfter=timestamp(until))
    _add(assertion, "Conditions", NotBefore=timestamp(now), NotOnOrAfter=timestamp(until))
    stated = _add(assertion, "AuthnStatement", AuthnInstant=timestamp(now))
    _add(_add(stated, "AuthnContext"), "AuthnContextClassRef", text=_CLASS)
    signer = XMLSigner(signature_algorithm="rsa-sha256", digest_algorithm="sha256", c14n_algorithm=_EXCLUSIVE)
    signed = signer.sign(assertion, key=key.key, cert=key.certificate, reference_uri=f"#{name}", id_attribute="ID")
    written: bytes = etree.tostring(signed)
    return written


def _add(parent: Any, name: str, *, text: str | None = None, **attributes: str) -> Any:
    made = etree.SubElement(parent, f"{{{SAML}}}{name}", attributes)
    made.text = text
    return made


def subject_of(inventory: Inventory, token: bytes) -> str:
    """The user that a token is for. Raises `Fault("InvalidLogin")` unless it was signed here, is unchanged and of now."""
    from signxml.algorithms import DigestAlgorithm, SignatureMethod
    from signxml.exceptions import SignXMLException
    from signxml.verifier import SignatureConfiguration, XMLVerifier

    expected = SignatureConfiguration(
        signature_methods=frozenset({SignatureMethod.RSA_SHA256}),
        digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
        expect_references=1,
    )
    try:
        given = parse.document(token)
        found: Any = XMLVerifier().verify(
            given,
            x509_cert=signing_key(inventory).certificate,
            id_attribute="ID",
            expect_config=expected,
        )
    except (SignXMLException, Fault, ValueError) as error:
        raise _refused(f"The token is not one of this service ({type(error).__name__}).") from None
    signed = found.signed_xml
    conditions = signed.find(f"{{{SAML}}}Conditions") if signed is not None else None
    name = signed.findtext(f"{{{SAML}}}Subject/{{{SAML}}}NameID") if signed is not None else None
    whole = signed is not None and signed.tag == f"{{{SAML}}}Assertion" and signed.get("ID") == given.get("ID")
    if conditions is None or not name or not whole:
        raise _refused("The token is no assertion about a user.")
    now = timestamp(inventory.clock.now())
    if not conditions.get("NotBefore", "") <= now < conditions.get("NotOnOrAfter", ""):
        raise _refused("The token is out of date.")
    return str(name)


def assertion_in(element: Any) -> bytes:
    """The assertion in a SOAP header, as XML. Raises `Fault("InvalidLogin")`."""
    found = element.find(f".//{{{SAML}}}Assertion") if element is not None else None
    if found is None:
        raise _refused("The request carries no token.")
    written: bytes = etree.tostring(found, with_tail=False)
    return written


def unpacked(text: str) -> bytes:
    """The token of an HTTP header: `token="..."`, gzip in base64. Raises `Fault("InvalidLogin")`."""
    _, _, rest = text.partition("token=")
    try:
        packed = base64.b64decode(rest.strip().lstrip('"').partition('"')[0].partition(",")[0], validate=True)
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(packed, _LARGEST)
    except (binascii.Error, zlib.error):
        raise _refused("The token cannot be read.") from None


def _refused(text: str) -> Fault:
    return Fault("InvalidLogin", f"Cannot complete login. {text}")

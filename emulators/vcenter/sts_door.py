"""The token service (WS-Trust 1.3) at `/sts/STSService`: a name and password, or a token, for a bearer token."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from emulators.vcenter import parse, tokens
from emulators.vcenter.faults import Fault
from emulators.vcenter.http_body import bounded, plain
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.objects import session_manager
from emulators.vcenter.serialise import text, timestamp

_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_TRUST = "http://docs.oasis-open.org/ws-sx/ws-trust/200512"
_SECURITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_UTILITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_LARGEST = 256 * 1024
_USUAL = 300.0  #: seconds that a token lives when nobody says


def sts(inventory: Inventory, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The door of `/sts/STSService`, with or without a tenant."""
    parts = environ.get("PATH_INFO", "").strip("/").split("/")
    if environ["REQUEST_METHOD"] != "POST" or parts[1:2] != ["STSService"]:
        return plain(start_response, "404 Not Found", "There is nothing here.\n")
    body = bounded(environ, _LARGEST)
    if body is None:
        return plain(start_response, "413 Content Too Large", "The request is too large.\n")
    kind = "text/xml; charset=utf-8"
    peer = environ.get("drillbed.peer") or environ.get("REMOTE_ADDR", "")
    try:
        with inventory.lock:
            content = _answer(inventory, body, peer)
    except Fault as fault:
        content = f"<S:Fault><faultcode>ns0:{_code(fault)}</faultcode><faultstring>{text(fault.message)}</faultstring></S:Fault>"
        return plain(start_response, "500 Internal Server Error", _enveloped(content), kind=kind)
    return plain(start_response, "200 OK", _enveloped(content), kind=kind)


def _code(fault: Fault) -> str:
    return {"InvalidRequest": "InvalidRequest", "NotSupported": "RequestFailed"}.get(fault.kind, "FailedAuthentication")


def _enveloped(content: str) -> str:
    return f'<S:Envelope xmlns:S="{_SOAP}" xmlns:ns0="{_TRUST}"><S:Body>{content}</S:Body></S:Envelope>'


def _answer(inventory: Inventory, body: bytes, peer: str) -> str:
    root = parse.document(body)
    asked = root.find(f"{{{_SOAP}}}Body/{{{_TRUST}}}RequestSecurityToken")
    if root.tag != f"{{{_SOAP}}}Envelope" or asked is None:
        raise Fault("InvalidRequest", "The request is no RequestSecurityToken.")
    kind = (asked.findtext(f"{{{_TRUST}}}RequestType") or "").rpartition("/")[2]
    if kind == "Validate":
        return _status(inventory, asked)
    if kind not in ("Issue", "Renew"):
        raise Fault("NotSupported", f"{kind or 'A request without type'} is not supported.")
    if (asked.findtext(f"{{{_TRUST}}}KeyType") or "").endswith("/PublicKey"):
        raise Fault("NotSupported", "Tokens here are bearer tokens: holder-of-key is not supported.")
    if kind == "Renew":
        user = tokens.subject_of(inventory, tokens.assertion_in(asked.find(f"{{{_TRUST}}}RenewTarget")))
    else:
        user = _who(inventory, root.find(f"{{{_SOAP}}}Header"), peer)
    return _issued(inventory, user, _seconds(asked))


def _who(inventory: Inventory, header: Any, peer: str) -> str:
    """The user of the header's UsernameToken, or of its assertion. Raises `Fault("InvalidLogin")`."""
    named = header.find(f".//{{{_SECURITY}}}UsernameToken") if header is not None else None
    if named is None:
        return tokens.subject_of(inventory, tokens.assertion_in(header))
    user, password = named.findtext(f"{{{_SECURITY}}}Username") or "", named.findtext(f"{{{_SECURITY}}}Password") or ""
    session_manager.authenticate(Call(inventory, None, peer), user, password)
    return user


def _seconds(asked: Any) -> float:
    lifetime = asked.find(f"{{{_TRUST}}}Lifetime")
    if lifetime is None:
        return _USUAL
    try:
        since, until = (_moment(lifetime.findtext(f"{{{_UTILITY}}}{name}") or "") for name in ("Created", "Expires"))
    except ValueError:
        raise Fault("InvalidRequest", "The lifetime of the token is no pair of times.") from None
    return until - since


def _moment(written: str) -> float:
    moment = datetime.fromisoformat(written.strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _issued(inventory: Inventory, user: str, seconds: float) -> str:
    token, now = tokens.issue(inventory, user, seconds).decode(), inventory.clock.now()
    until = now + min(max(seconds, 1.0), tokens.LONGEST)
    life = f'<ns1:Created xmlns:ns1="{_UTILITY}">{timestamp(now)}</ns1:Created>'
    life += f'<ns1:Expires xmlns:ns1="{_UTILITY}">{timestamp(until)}</ns1:Expires>'
    return (
        "<ns0:RequestSecurityTokenResponseCollection><ns0:RequestSecurityTokenResponse>"
        f"<ns0:TokenType>{tokens.SAML}</ns0:TokenType><ns0:Lifetime>{life}</ns0:Lifetime>"
        f"<ns0:RequestedSecurityToken>{token}</ns0:RequestedSecurityToken>"
        f"<ns0:KeyType>{_TRUST}/Bearer</ns0:KeyType>"
        "</ns0:RequestSecurityTokenResponse></ns0:RequestSecurityTokenResponseCollection>"
    )


def _status(inventory: Inventory, asked: Any) -> str:
    try:
        tokens.subject_of(inventory, tokens.assertion_in(asked.find(f"{{{_TRUST}}}ValidateTarget")))
        code = "valid"
    except Fault:
        code = "invalid"
    status = f"<ns0:Status><ns0:Code>{_TRUST}/status/{code}</ns0:Code></ns0:Status>"
    return f"<ns0:RequestSecurityTokenResponse>{status}</ns0:RequestSecurityTokenResponse>"

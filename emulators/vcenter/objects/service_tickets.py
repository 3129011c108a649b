"""AcquireGenericServiceTicket: a ticket that is good for one HTTP request, for a client that does not hand on its session."""

from typing import Any
from urllib.parse import unquote, urlsplit

from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, ref
from emulators.vcenter.records import Record


def acquire(call: Call, manager: Any, args: Any) -> Record:
    """AcquireGenericServiceTicket of an HTTP request: its method and address; who sends it is the caller."""
    if call.session is None:
        raise Fault("NotAuthenticated", "The session is not authenticated.", object=ref(manager), privilegeId="System.View")
    spec = args["spec"]
    if spec.kind != "SessionManagerHttpServiceRequestSpec":
        raise Fault("NotSupported", "Tickets are given for HTTP requests only.")
    try:
        parts = urlsplit(spec["url"])
    except ValueError:
        raise invalid_argument("spec.url", "It is no address.") from None
    method = (spec["method"] or "httpGet").removeprefix("http").upper()
    target = unquote(parts.path) + (f"?{parts.query}" if parts.query else "")
    token = call.inventory.sessions.ticket(call.session, method, target)
    return Record("SessionManagerGenericServiceTicket", id=token, hostName="", sslThumbprint="")


TICKET_OPERATIONS = {"AcquireGenericServiceTicket": acquire}

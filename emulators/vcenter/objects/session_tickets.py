"""Sessions from sessions: clone tickets, acting for somebody else, and the message that everybody is shown."""

from typing import Any

from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call
from emulators.vcenter.objects.session_manager import SessionService, admit, shown
from emulators.vcenter.records import Record
from emulators.vcenter.sessions import Session

#: How long a clone ticket is good, seconds, and how many there may be.
TICKET_SECONDS = 120.0
_MOST = 1000


def acquire_clone_ticket(call: Call, service: SessionService, _args: Any) -> str:
    """AcquireCloneTicket: good once, for a short time."""
    assert call.session is not None, "the registry asks for a session"
    now = call.inventory.clock.now()
    service._tickets = {key: one for key, one in service._tickets.items() if one[1] > now}
    if len(service._tickets) >= _MOST:
        raise Fault("InvalidState", "There are too many tickets.")
    ticket = f"cst-VCT-{call.inventory.clock.random_bytes(24).hex()}"
    service._tickets[ticket] = (call.session, now + TICKET_SECONDS)
    return ticket


def clone_session(call: Call, service: SessionService, args: Any) -> Record:
    """CloneSession: a session of its own for the user of the ticket."""
    source, until = service._tickets.pop(args["cloneTicket"], (None, 0.0))
    gone = source is None or source.ended or until <= call.inventory.clock.now()
    if gone or call.session is not None:
        raise Fault("InvalidLogin", "Cannot complete login due to an incorrect user name or password.")
    assert source is not None, "it is there"
    return admit(call, source.user, source.locale)


def impersonate(call: Call, service: SessionService, args: Any) -> Record:
    """ImpersonateUser: the session is the other user's from now on."""
    session: Session | None = call.session
    assert session is not None, "the registry asks for a session"
    name = args["userName"].lower()
    if name not in call.inventory.authorization.users:
        raise Fault("InvalidLogin", "Cannot complete login due to an incorrect user name or password.")
    session.user = name
    session.locale = args.get("locale") or session.locale
    call.inventory.change(service, "sessionList")
    return shown(session)


def set_message(call: Call, service: SessionService, args: Any) -> None:
    """UpdateServiceMessage."""
    if len(args["message"]) > 4096:
        raise invalid_argument("message", "At most 4096 characters.")
    service.message = args["message"]
    call.inventory.change(service, "message")
    call.inventory.events.post(
        "GlobalMessageChangedEvent",
        f"A new global message was set: {args['message']}",
        user=call.user,
        message=args["message"],
    )


TICKET_OPERATIONS = {
    "AcquireCloneTicket": acquire_clone_ticket,
    "CloneSession": clone_session,
    "ImpersonateUser": impersonate,
    "UpdateServiceMessage": set_message,
}

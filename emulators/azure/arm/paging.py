"""Pages of lists: `$top` and `$skiptoken`, and a `nextLink` where more follows."""

import base64
import binascii
from typing import Any
from urllib.parse import urlencode

from emulators.azure.arm.messages import Answer, Call, Refusal

#: Elements of a page unless the caller wants fewer.
PAGE = 1000


def paged(call: Call, answer: Answer) -> Answer:
    """The page of a list that `call` asks for; answers that are no lists with a `nextLink` are left as they are."""
    body = answer.body
    if not isinstance(body, dict) or body.get("nextLink", "") is not None or not isinstance(body.get("value"), list):
        return answer
    values, start, size = body["value"], _start(call), _size(call)
    if start == 0 and len(values) <= size:
        return answer
    link = None
    if start + size < len(values):
        token = base64.urlsafe_b64encode(f"at:{start + size}".encode()).decode()
        query = {**call.query, "$skiptoken": token}
        link = f"{call.base_url}{call.path}?{urlencode(query, safe='$')}"
    answer.body = {**body, "value": values[start : start + size], "nextLink": link}
    return answer


def _size(call: Call) -> int:
    text = call.query.get("$top", "")
    if not text:
        return PAGE
    if not text.isdigit() or int(text) < 1:
        raise Refusal(400, "InvalidTopInQueryString", f"Invalid $top '{text}' specified in the query string.")
    return min(int(text), PAGE)


def _start(call: Call) -> int:
    token: Any = call.query.get("$skiptoken", "")
    if not token:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(token).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        word, number = "", ""
    if word != "at" or not number.isdigit():
        raise Refusal(400, "InvalidSkipToken", f"Invalid $skiptoken '{token}' specified in the query string.")
    return int(number)

"""Request ids of management calls: the client's own if it is fit to be repeated, else one of ours."""

from uuid import uuid4

from rest_framework.request import Request

MAX_REQUEST_ID_CHARACTERS = 128


def shown_request_id(request: Request) -> str:
    """The id that this request's answer carries; the same each time it is asked for."""
    known = request.META.get("farebox.request_id")
    if known is None:
        sent = request.headers.get("x-request-id", "")
        is_fit = 0 < len(sent) <= MAX_REQUEST_ID_CHARACTERS and sent.isascii() and sent.isprintable()
        known = request.META["farebox.request_id"] = sent if is_fit else str(uuid4())
    return str(known)

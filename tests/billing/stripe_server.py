"""A local Stripe: as much of its HTTP API as the official SDK needs for payments, and its webhooks.

It keeps idempotency keys as Stripe does, expands what is asked, and signs events with the SDK's own
function. Which card does what is told by its id, as Stripe's test cards do.
https://docs.stripe.com/api (checked 2026-11-27)
"""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import stripe

API_KEY, WEBHOOK_SECRET = "sk_test_local", "whsec_local"
DECLINED = {
    "error": {
        "type": "card_error",
        "code": "card_declined",
        "decline_code": "insufficient_funds",
        "message": "Your card has insufficient funds.",
    }
}
OWNER_NEEDED = {
    "error": {
        "type": "card_error",
        "code": "authentication_required",
        "message": "Your card was declined. This transaction requires authentication.",
    }
}


class StripeServer:
    """The state of one account, and the server that speaks for it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sessions: dict[str, dict[str, Any]] = {}
        self.intents: dict[str, dict[str, Any]] = {}
        self.charges: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}
        self.cards: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str, dict[str, str], str]] = []
        self.answers: dict[str, tuple[int, dict[str, Any]]] = {}
        self.is_away = False
        self.is_refund_failing = False
        self.is_failure_counted = False

    def answer(self, method: str, path: str, form: dict[str, str], key: str) -> tuple[int, dict[str, Any]]:
        self.calls.append((method, path, form, key))
        if self.is_away:
            return 503, {"error": {"type": "api_error", "message": "Stripe is away."}}
        if key and key in self.answers:
            return self.answers[key]
        status, body = self._route(method, path, form)
        if key:
            self.answers[key] = status, body
        return status, body

    def pay(self, session_id: str, *, card: str = "pm_visa") -> dict[str, Any]:
        """What the payer does on Stripe's page; gives the PaymentIntent."""
        session = self.sessions[session_id]
        keeps = session["form"].get("payment_intent_data[setup_future_usage]") == "off_session"
        customer = session["form"].get("customer") or (f"cus_{uuid.uuid4().hex[:8]}" if keeps else None)
        intent = self._new_intent(
            amount=session["amount_total"],
            metadata=session["metadata"],
            customer=customer,
            card=self._card(card) if keeps else None,
        )
        session.update(payment_status="paid", status="complete", payment_intent=intent["id"])
        return intent

    def refund_on_dashboard(self, intent_id: str, cents: int) -> dict[str, Any]:
        """The operator refunds in Stripe's own pages; gives the charge."""
        self._new_refund(intent_id, cents, metadata={})
        return self.charges[self.intents[intent_id]["latest_charge"]]

    def fail_refund(self, refund: dict[str, Any], status: str = "failed") -> dict[str, Any]:
        """The customer's bank sends a refund back. Whether its charge still counts it is not documented."""
        refund.update(status=status, failure_reason="expired_or_canceled_card")
        if not self.is_failure_counted:
            charge = self.charges[self.intents[refund["payment_intent"]]["latest_charge"]]
            charge["amount_refunded"] -= refund["amount"]
        return refund

    def event(self, kind: str, thing: dict[str, Any], *, id: str = "") -> dict[str, Any]:
        return {
            "id": id or f"evt_{uuid.uuid4().hex}",
            "object": "event",
            "type": kind,
            "api_version": stripe.api_version,
            "created": int(time.time()),
            "data": {"object": {name: value for name, value in thing.items() if name != "form"}},
        }

    def signed(self, event: dict[str, Any], *, at_seconds: int | None = None) -> tuple[str, dict[str, str]]:
        """Body and headers of a webhook."""
        body = json.dumps(event)
        header = stripe.WebhookSignature.generate_signature_header(body, WEBHOOK_SECRET, timestamp=at_seconds)
        return body, {"stripe-signature": header}

    def _route(self, method: str, path: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        parts = path.removeprefix("/v1/").split("/")
        match [method, *parts]:
            case ["POST", "checkout", "sessions"]:
                return 200, self._new_session(form)
            case ["GET", "checkout", "sessions", session_id]:
                return self._found(self.sessions, session_id)
            case ["POST", "payment_intents"]:
                return self._charge_card(form)
            case ["GET", "payment_intents", intent_id]:
                return self._expanded(intent_id, form)
            case ["POST", "refunds"]:
                return self._refund(form)
            case ["GET", "refunds"]:
                intent_id = form["payment_intent"]
                listed = [each for each in self.refunds.values() if each["payment_intent"] == intent_id]
                return 200, {"object": "list", "data": listed, "has_more": False, "url": "/v1/refunds"}
            case ["POST", "payment_methods", card_id, "detach"]:
                card = self.cards.pop(card_id, None)
                return (200, card) if card else self._missing(card_id)
        return 404, {"error": {"type": "invalid_request_error", "message": f"Unrecognized {method} {path}"}}

    def _new_session(self, form: dict[str, str]) -> dict[str, Any]:
        session_id = f"cs_test_{uuid.uuid4().hex}"
        self.sessions[session_id] = {
            "id": session_id,
            "object": "checkout.session",
            "url": f"https://checkout.stripe.com/c/pay/{session_id}",
            "amount_total": int(form["line_items[0][price_data][unit_amount]"]),
            "currency": form["line_items[0][price_data][currency]"],
            "metadata": _metadata(form),
            "client_reference_id": form["client_reference_id"],
            "payment_status": "unpaid",
            "status": "open",
            "payment_intent": None,
            "form": form,
        }
        return self._public(self.sessions[session_id])

    def _charge_card(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        card = form["payment_method"]
        if card not in self.cards:
            return self._missing(card)
        if card == "pm_declined_later":
            return 402, DECLINED
        if card == "pm_asks_its_owner":
            return 402, OWNER_NEEDED
        assert form["off_session"] == "true"
        assert form["confirm"] == "true"
        intent = self._new_intent(
            amount=int(form["amount"]), metadata=_metadata(form), customer=form["customer"], card=card
        )
        if card == "pm_takes_its_time":
            intent.update(status="processing", amount_received=0)
        return 200, intent

    def _refund(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        charge = self.charges[self.intents[form["payment_intent"]]["latest_charge"]]
        cents = int(form["amount"])
        if charge["amount_refunded"] + cents > charge["amount_captured"]:
            return 400, {
                "error": {
                    "type": "invalid_request_error",
                    "code": "charge_already_refunded",
                    "message": "The charge has been refunded already.",
                }
            }
        refund = self._new_refund(form["payment_intent"], cents, metadata=_metadata(form))
        return 200, dict(self.fail_refund(refund) if self.is_refund_failing else refund)

    def _new_refund(self, intent_id: str, cents: int, *, metadata: dict[str, str]) -> dict[str, Any]:
        self.charges[self.intents[intent_id]["latest_charge"]]["amount_refunded"] += cents
        refund_id = f"re_{uuid.uuid4().hex}"
        self.refunds[refund_id] = {
            "id": refund_id,
            "object": "refund",
            "payment_intent": intent_id,
            "amount": cents,
            "status": "succeeded",
            "metadata": metadata,
        }
        return self.refunds[refund_id]

    def _new_intent(
        self, *, amount: int, metadata: dict[str, str], customer: str | None, card: str | None
    ) -> dict[str, Any]:
        intent_id, charge_id = f"pi_{uuid.uuid4().hex}", f"ch_{uuid.uuid4().hex}"
        self.charges[charge_id] = {
            "id": charge_id,
            "object": "charge",
            "payment_intent": intent_id,
            "amount_captured": amount,
            "amount_refunded": 0,
            "currency": "usd",
            "paid": True,
            "metadata": metadata,
        }
        self.intents[intent_id] = {
            "id": intent_id,
            "object": "payment_intent",
            "status": "succeeded",
            "amount": amount,
            "amount_received": amount,
            "currency": "usd",
            "metadata": metadata,
            "customer": customer,
            "payment_method": card,
            "latest_charge": charge_id,
        }
        return self.intents[intent_id]

    def _card(self, card_id: str) -> str:
        details = {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030}
        self.cards[card_id] = {
            "id": card_id,
            "object": "payment_method",
            "type": "card",
            "card": details,
        }
        return card_id

    def _expanded(self, intent_id: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if intent_id not in self.intents:
            return self._missing(intent_id)
        intent = dict(self.intents[intent_id])
        asked = {value for name, value in form.items() if name.startswith("expand")}
        if "latest_charge" in asked:
            intent["latest_charge"] = self.charges[intent["latest_charge"]]
        if "payment_method" in asked and intent["payment_method"]:
            intent["payment_method"] = self.cards[intent["payment_method"]]
        return 200, intent

    def _found(self, things: dict[str, dict[str, Any]], id: str) -> tuple[int, dict[str, Any]]:
        return (200, self._public(things[id])) if id in things else self._missing(id)

    def _missing(self, id: str) -> tuple[int, dict[str, Any]]:
        message = f"No such object: {id}"
        return 404, {
            "error": {"type": "invalid_request_error", "code": "resource_missing", "message": message}
        }

    def _public(self, thing: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in thing.items() if name != "form"}


@contextmanager
def stripe_server() -> Iterator[StripeServer]:
    """A server on a free port of this machine, until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(dict(parse_qsl(urlsplit(self.path).query)))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            self._answer(dict(parse_qsl(body)))

        def _answer(self, form: dict[str, str]) -> None:
            assert self.headers["authorization"] == f"Bearer {API_KEY}"
            key = self.headers.get("idempotency-key", "") if self.command == "POST" else ""
            status, body = account.answer(self.command, urlsplit(self.path).path, form, key)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            if status == 503:
                self.send_header("stripe-should-retry", "false")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            """The test says what went wrong."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    account = StripeServer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    try:
        yield account
    finally:
        server.shutdown()
        server.server_close()


def _metadata(form: dict[str, str]) -> dict[str, str]:
    return {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}

"""The simulator's ASGI application: paths to answers. What is answered is decided in chat.py.

Run it with `python -m uvicorn gateway.simulator.app:application --port 8001`.
"""

from __future__ import annotations

import os
import secrets
import time
from datetime import UTC, datetime
from itertools import count
from typing import Any
from urllib.parse import parse_qs

import orjson

from gateway.simulator.bill import REPORTS, Report, account_of
from gateway.simulator.chat import (
    FailureCounts,
    check_key,
    script_chat,
    script_models,
    script_refusal,
)
from gateway.simulator.chat_request import Refused
from gateway.simulator.dialect.openai import ID_PREFIX
from gateway.simulator.embeddings import MODEL as EMBEDDER
from gateway.simulator.embeddings import answer_embeddings
from gateway.simulator.invoice import Call, Invoice, Outcome
from gateway.simulator.player import ClientLeft, Receive, Scope, Send, break_connection, play
from gateway.simulator.script import Ending, Script, plain_script

MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_CALLS_SETTING = "FAREBOX_SIMULATOR_INVOICE_CALLS"
MAX_CALLS_DEFAULT = 200_000
REPEATED_ID = f"{ID_PREFIX}{'5' * 24}"

_CHAT_PATH = "/v1/chat/completions"
_EMBEDDINGS_PATH = "/v1/embeddings"
_MODELS_PATH = "/v1/models"
_INVOICE_PATH = "/invoice"


class Simulator:
    """One simulated provider with one invoice."""

    def __init__(self, *, max_calls: int = MAX_CALLS_DEFAULT) -> None:
        self._invoice = Invoice(max_calls=max_calls)
        self._failures = FailureCounts()
        self._id_prefix = f"{ID_PREFIX}{secrets.token_hex(6)}"
        self._id_numbers = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST" and scope["path"].endswith(_CHAT_PATH):
            await self._answer_chat(scope, receive, send)
            return
        if scope["method"] == "POST" and scope["path"].endswith(_EMBEDDINGS_PATH):
            await self._answer_embeddings(scope, receive, send)
            return
        try:
            script = self._script_other(scope)
        except Refused as refusal:
            script = script_refusal(refusal)
        await _play_unbilled(script, receive, send)

    async def _answer_chat(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await _read_body(receive)
        except ClientLeft:
            return
        except Refused as refusal:
            await _play_unbilled(script_refusal(refusal), receive, send)
            return
        call = self._invoice.open(self._next_id(), now=time.time())
        script = self._begin(call, scope, body)
        outcome = Outcome.CUT
        try:
            outcome = await play(script, call, receive=receive, send=send)
        except ClientLeft:
            outcome = Outcome.CANCELLED
        finally:
            self._invoice.close(call, outcome, now=time.time())
        # Only when the invoice is written: who sees the connection break may read the invoice at once.
        if script.ending is not Ending.COMPLETE and outcome is not Outcome.CANCELLED:
            await break_connection(receive=receive, send=send)

    async def _answer_embeddings(self, scope: Scope, receive: Receive, send: Send) -> None:
        key, client_request_id = _identify(scope)
        try:
            body = await _read_body(receive)
            check_key(key)
            answer, tokens = answer_embeddings(body)
        except ClientLeft:
            return
        except Refused as refusal:
            await _play_unbilled(script_refusal(refusal), receive, send)
            return
        call = self._invoice.open(self._next_id(), now=time.time())
        call.key, call.client_request_id, call.model = key, client_request_id, EMBEDDER
        call.status, call.prompt_tokens = 200, tokens
        self._invoice.close(call, Outcome.COMPLETED, now=time.time())
        await _play_unbilled(plain_script(answer), receive, send)

    def _begin(self, call: Call, scope: Scope, body: bytes) -> Script:
        call.key, call.client_request_id = _identify(scope)
        chat = script_chat(body, key=call.key, failures=self._failures)
        call.model, call.is_stream = chat.model, chat.is_stream
        if chat.repeats_id:
            self._invoice.rename(call, REPEATED_ID)
        return chat.script

    def _next_id(self) -> str:
        return f"{self._id_prefix}{next(self._id_numbers):012x}"

    def _script_other(self, scope: Scope) -> Script:
        method, path = scope["method"], scope["path"]
        if method == "GET" and path.endswith(_MODELS_PATH):
            check_key(_identify(scope)[0])
            return script_models()
        if method == "GET" and path == "/healthz":
            return plain_script(b'{"status":"ok"}')
        if method == "GET" and (report := _report_of(path)):
            return plain_script(self._report(report, scope))
        if method == "GET" and path == _INVOICE_PATH:
            return _json(self._statement(scope))
        if method == "GET" and path.startswith(f"{_INVOICE_PATH}/"):
            return self._script_call(path.removeprefix(f"{_INVOICE_PATH}/"))
        if method == "DELETE" and path == _INVOICE_PATH:
            self._invoice.clear()
            self._failures.clear()
            return plain_script(b"{}")
        raise Refused(f"Unknown request URL: {method} {path[:200]}.", status=404, code="unknown_url")

    def _statement(self, scope: Scope) -> dict[str, Any]:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        since = query.get("since", ["0"])[-1]
        if not since.isdecimal():
            raise Refused("since must be the index of a call, from 0.", param="since")
        return self._invoice.statement(
            since=int(since),
            key=query.get("key", [""])[-1],
            client_request_id=query.get("client_request_id", [""])[-1],
        )

    def _report(self, report: Report, scope: Scope) -> bytes:
        """A page of the bill; Anthropic's key comes in a header of its own, OpenAI's as a bearer."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        admin_key = headers.get(b"x-api-key", b"").decode("latin-1") or _identify(scope)[0]
        totals = self._invoice.by_day(key=account_of(admin_key))
        parameters = parse_qs(scope["query_string"].decode("latin-1"))
        return report(totals, parameters, now=datetime.now(UTC))

    def _script_call(self, call_id: str) -> Script:
        call = self._invoice.call(call_id)
        if call is None:
            raise Refused(f"No call {call_id[:100]} on the invoice.", status=404)
        return _json(call)


def _report_of(path: str) -> Report | None:
    return next((report for end, report in REPORTS.items() if path.endswith(end)), None)


def _json(document: Any) -> Script:
    return plain_script(orjson.dumps(document))


async def _play_unbilled(script: Script, receive: Receive, send: Send) -> None:
    await play(script, Call(index=0, id="", started_at=time.time()), receive=receive, send=send)


async def _live(receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def _read_body(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    body_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        pieces.append(message["body"])
        body_bytes += len(message["body"])
        if body_bytes > MAX_BODY_BYTES:
            raise Refused(f"The body is larger than {MAX_BODY_BYTES} bytes.", status=413)
        if not message.get("more_body"):
            return b"".join(pieces)


def _identify(scope: Scope) -> tuple[str, str]:
    """The bearer key and the client's own id of the request, empty where absent."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    scheme, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    client_request_id = headers.get(b"x-farebox-request-id", b"").decode("latin-1")
    return (key.strip() if scheme.lower() == "bearer" else ""), client_request_id


def _max_calls() -> int:
    value = os.environ.get(MAX_CALLS_SETTING, str(MAX_CALLS_DEFAULT))
    if not value.isdecimal() or int(value) < 1:
        raise SystemExit(f"{MAX_CALLS_SETTING} must be an integer of at least 1, got {value!r}")
    return int(value)


application = Simulator(max_calls=_max_calls())

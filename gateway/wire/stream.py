"""A stream, as bytes for the client: the provider's deltas in the dialect's envelope.

Deltas pass through as they are. What is written anew is the envelope: our id, the model's name
by dialect, `usage` in exactly one place, `metadata` at the end, the number of each chunk. The
usage is known last, so a chunk that may be the last one is held back until it is.
"""

from collections.abc import Sequence

import orjson

from billing.pricing import Cost
from gateway.errors import GatewayError, InvalidProviderResponse
from gateway.wire.dialect import Dialect, UsagePlace
from gateway.wire.encode import encode
from gateway.wire.envelope import extra_fields_object, metadata_object, with_reasoning
from gateway.wire.failure import failed_chunk
from gateway.wire.shapes import Attempt, ChatChunk, JsonObject, PlainText, Reading, Served
from gateway.wire.usage import usage_object

END = b"data: [DONE]\n\n"


class StreamRewriter:
    """Turns one stream's chunks into bytes. Stateful, and of one stream only."""

    __slots__ = (
        "_created",
        "_dialect",
        "_extras",
        "_extras_bytes",
        "_finished",
        "_head",
        "_held",
        "_late_extras",
        "_number",
        "_place",
        "_served",
        "_spoken",
        "finish_reason",
    )

    def __init__(self, *, dialect: Dialect, served: Served, include_usage: bool | None, created: int) -> None:
        self._dialect = dialect
        self._served = served
        self._place = dialect.usage_place(include_usage)
        self._created = created
        self.finish_reason = ""
        self._head = b"data: " + orjson.dumps(self._identity())[:-1] + b","
        self._extras: JsonObject | None = None
        self._extras_bytes = b""
        self._late_extras: JsonObject = {}
        self._held: ChatChunk | None = None
        self._spoken: set[int] = set()
        self._finished: set[int] = set()
        self._number = 0

    @property
    def has_finish(self) -> bool:
        """Whether every choice that has begun has also ended."""
        return bool(self._finished) and self._finished >= self._spoken

    def feed(self, chunk: ChatChunk) -> bytes:
        """What may be sent now. Chunks without choices say nothing but usage, which comes last."""
        plain = chunk.plain
        if plain is not None and 0 in self._spoken and not self._finished and not self._dialect.has_log_probs:
            return self._pass_on(plain, self._encoded(chunk.extras))
        return b"".join(map(self._feed, chunk.apart()))

    def _feed(self, chunk: ChatChunk) -> bytes:
        if not chunk.choices:
            self._late_extras.update(chunk.extras or {})
            return b""
        ready = self._release()
        choices, opening = self._prepare(chunk.choices)
        if opening:
            ready += self._render(opening, chunk.extras)
        if not choices:
            return ready
        chunk = chunk.with_choices(choices)
        if self.has_finish and self._place is not UsagePlace.SEPARATE:
            self._held = chunk
            return ready
        return ready + self._render(choices, chunk.extras)

    def tell_of(self, served: Served) -> None:
        """What is known at the end only about who answered, and how."""
        self._served = served

    def finish(
        self, *, reading: Reading, cost: Cost | None, routing: Sequence[Attempt], latency_ms: int
    ) -> bytes:
        """What was held back, the usage where it belongs, and the end mark."""
        usage = usage_object(reading, cost, self._dialect)
        last, rest = self._last_choices()
        document = {
            **self._identity(),
            **((self._held.extras if self._held else self._extras) or {}),
            **self._late_extras,
            "choices": last,
            "usage": None if self._place is UsagePlace.NONE else usage,
            "metadata": metadata_object(self._served, routing),
            "extra_fields": extra_fields_object(
                self._served, latency_ms=latency_ms, chunk_index=self._next_number()
            ),
        }
        return rest + b"data: " + encode(document) + b"\n\n" + END

    def fail(self, error: GatewayError, *, event_id: str) -> bytes:
        """What was held back, the error as an event that every client notices, and the end mark."""
        chunk = failed_chunk(error, dialect=self._dialect, event_id=event_id, envelope=self._identity())
        try:
            held = self._release()
        except InvalidProviderResponse:
            held = b""
        return held + b"event: error\ndata: " + orjson.dumps(chunk) + b"\n\n" + END

    def _identity(self) -> JsonObject:
        return {
            "id": self._served.completion_id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._dialect.answer_model(self._served.provider, self._served.model),
        }

    def _last_choices(self) -> tuple[list[JsonObject], bytes]:
        """The choices of the last chunk, and the bytes that must go before it."""
        rest = b""
        if not self._spoken:
            self._spoken.add(0)
            rest = self._render([{"index": 0, "delta": {"role": "assistant", "content": ""}}], None)
        unended = sorted(self._spoken - self._finished)
        ending = [
            {"index": index, "delta": self._empty_delta(), "finish_reason": "stop"} for index in unended
        ]
        held = self._held.choices if self._held else []
        if self._place is not UsagePlace.SEPARATE:
            return held + ending, rest
        return [], rest + (self._render(ending, self._extras) if ending else b"")

    def _release(self) -> bytes:
        held, self._held = self._held, None
        return self._render(held.choices, held.extras) if held else b""

    def _render(self, choices: list[JsonObject], extras: JsonObject | None) -> bytes:
        return self._chunk(encode(choices), self._encoded(extras))

    def _chunk(self, choices_json: bytes, extras_json: bytes) -> bytes:
        return b'%b%b"choices":%b,"usage":null,"extra_fields":{"chunk_index":%d}}\n\n' % (
            self._head,
            extras_json,
            choices_json,
            self._next_number(),
        )

    def _pass_on(self, plain: PlainText, extras_json: bytes) -> bytes:
        """Each text as a chunk of its own, in the form of `_chunk`."""
        own_json = plain.extras_json + b"," if plain.extras_json else b""
        start = b'%b%b%b"choices":%b' % (self._head, extras_json, own_json, plain.opening)
        stop = plain.closing + b',"usage":null,"extra_fields":{"chunk_index":'
        texts, first = plain.texts, self._number
        self._number += len(texts)
        return b"".join([b"%b%b%b%d}}\n\n" % (start, text, stop, n) for n, text in enumerate(texts, first)])

    def _encoded(self, extras: JsonObject | None) -> bytes:
        """These fields with a comma behind each, written anew only when they are others than before."""
        if extras is not self._extras and extras != self._extras:
            self._extras = extras
            self._extras_bytes = encode(extras)[1:-1] + b"," if extras else b""
        return self._extras_bytes

    def _next_number(self) -> int:
        number = self._number
        self._number += 1
        return number

    def _prepare(self, choices: list[JsonObject]) -> tuple[list[JsonObject], list[JsonObject]]:
        """The choices to send, and the openings to send before them. Nearly always the ones given."""
        is_plain = True
        for choice in choices:
            index, delta = choice["index"], choice["delta"]
            if choice.get("finish_reason") is not None:
                self._finished.add(index)
                self.finish_reason = self.finish_reason or choice["finish_reason"]
            if index not in self._spoken or "role" in delta or self._is_incomplete(delta):
                is_plain = False
        if is_plain and not self._dialect.has_log_probs:
            return choices, []
        prepared, openings = [], []
        for choice in choices:
            opening, spoken = self._open(choice)
            openings += opening
            prepared += [self._complete(part) for part in spoken]
        return prepared, [self._complete(part) for part in openings]

    def _open(self, choice: JsonObject) -> tuple[list[JsonObject], list[JsonObject]]:
        """Splits a choice's first delta into the role, which goes first, and what it says already."""
        index, delta = choice["index"], choice["delta"]
        rest = {name: value for name, value in delta.items() if name != "role"}
        if index in self._spoken:
            return [], [choice | {"delta": rest}]
        self._spoken.add(index)
        if rest.get("tool_calls"):
            return [], [choice | {"delta": {"role": "assistant", "content": None, **rest}}]
        is_silent = not any(rest.values()) and choice.get("finish_reason") is None
        if is_silent:
            return [choice | {"delta": {"role": "assistant", "content": "", **rest}}], []
        opening = {"index": index, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        return [opening], [choice | {"delta": rest}]

    def _complete(self, choice: JsonObject) -> JsonObject:
        if self._is_incomplete(choice["delta"]):
            text = {"content": ""} if self._needs_text(choice["delta"]) else {}
            choice = choice | {"delta": with_reasoning(choice["delta"]) | text}
        if self._dialect.has_log_probs and "logprobs" in choice:
            choice = choice | {"log_probs": choice["logprobs"]}
        return choice

    def _is_incomplete(self, delta: JsonObject) -> bool:
        return bool(delta.get("reasoning_content")) or self._needs_text(delta)

    def _needs_text(self, delta: JsonObject) -> bool:
        return (
            self._dialect.has_string_content
            and type(delta.get("content")) is not str
            and not delta.get("tool_calls")
        )

    def _empty_delta(self) -> JsonObject:
        return {"content": ""} if self._dialect.has_string_content else {}

"""The values that flow between providers, meter and wire: answers, chunks, usage, attempts.

Choices are kept as OpenAI-shaped JSON objects, since that is what clients read; everything the
gateway itself decides by is typed.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import orjson
from msgspec import Struct, field

from billing.usage import TokenUsage

JsonObject: TypeAlias = dict[str, Any]


class ReportedUsage(Struct, frozen=True):
    """What the provider says was used, as disjoint counts.

    The details are the provider's own breakdowns, passed on to the client. `note` says what had
    to be corrected before the report could be believed; "" means nothing.
    """

    tokens: TokenUsage
    prompt_details: JsonObject = field(default_factory=dict)
    completion_details: JsonObject = field(default_factory=dict)
    note: str = ""


class Reading(Struct, frozen=True):
    """What the meter says was used: as reported if the provider did, else counted."""

    usage: TokenUsage
    is_estimated: bool
    note: str = ""
    prompt_details: JsonObject = field(default_factory=dict)
    completion_details: JsonObject = field(default_factory=dict)
    service_tier: str | None = None
    """The tier that the provider says has served it, in its own word; None if it says nothing."""


class ChatAnswer(Struct, frozen=True):
    """A whole answer. `extras` are the top-level fields to pass on, such as `citations`."""

    choices: list[JsonObject]
    usage: ReportedUsage | None
    created: int
    upstream_id: str
    extras: JsonObject
    usage_note: str = ""

    @property
    def finish_reason(self) -> str:
        """Why the first choice ended."""
        return str(self.choices[0].get("finish_reason") or "") if self.choices else ""


class PlainText(NamedTuple):
    """What nearly every event is: a piece of text of choice 0 and nothing else, ready to be passed on.

    Each of `texts` between `opening` and `closing` is the `choices` of one event, as compact JSON;
    `extras_json` are fields that this event has alone, without braces.
    """

    texts: list[bytes]
    opening: bytes
    closing: bytes
    extras_json: bytes = b""

    @property
    def text_bytes(self) -> int:
        return sum(map(len, self.texts))


class ChatChunk:
    """One event of a stream: an answer's fields, with deltas for messages. Made per token, so it is bare.

    With `plain` it may be several events that are alike but for their text.
    """

    __slots__ = ("_choices", "created", "extras", "plain", "upstream_id", "usage", "usage_note")

    def __init__(
        self,
        choices: list[JsonObject] | None,
        *,
        plain: PlainText | None = None,
        usage: ReportedUsage | None = None,
        created: int = 0,
        upstream_id: str = "",
        extras: JsonObject | None = None,
        usage_note: str = "",
    ) -> None:
        self._choices = choices
        self.plain = plain
        self.usage = usage
        self.created = created
        self.upstream_id = upstream_id
        self.extras = extras
        self.usage_note = usage_note

    @property
    def choices(self) -> list[JsonObject]:
        """The choices as objects. Plain text becomes them when they are asked for, all texts as one."""
        if self._choices is None:
            plain = self.plain
            text = b"".join(plain.texts) if plain else b""
            self._choices = orjson.loads(plain.opening + text + plain.closing) if plain else []
        return self._choices

    def apart(self) -> "list[ChatChunk]":
        """The same events as objects, one each, for who does not pass them on as they came."""
        plain = self.plain
        if plain is None:
            return [self]
        own = orjson.loads(b"{%b}" % plain.extras_json)
        extras = {**(self.extras or {}), **own} if own else self.extras
        return [
            ChatChunk(
                orjson.loads(plain.opening + text + plain.closing),
                created=self.created,
                upstream_id=self.upstream_id,
                extras=extras,
            )
            for text in plain.texts
        ]

    def with_choices(self, choices: list[JsonObject]) -> "ChatChunk":
        """This chunk, saying something else."""
        if choices is self._choices:
            return self
        return ChatChunk(choices, usage=self.usage, created=self.created, extras=self.extras)

    def with_text(self, plain: PlainText) -> "ChatChunk":
        """This chunk, with other text."""
        return ChatChunk(
            None, plain=plain, created=self.created, upstream_id=self.upstream_id, extras=self.extras
        )


@dataclass(frozen=True, slots=True)
class Done:
    """The provider said that its stream is complete."""


DONE = Done()


class RawView(Protocol):
    """The raw exchange with the provider, as the client asked to see it."""

    def as_json(self) -> JsonObject: ...


class Served(Struct, frozen=True, kw_only=True):
    """Who was asked for, who answered, and under which ids."""

    completion_id: str
    request_id: str
    requested_model: str
    requested_provider: str | None
    provider: str
    model: str
    upstream_name: str
    dropped_params: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    raw: "RawView | None" = None
    is_cached: bool = False
    healing: JsonObject | None = None
    cache_debug: JsonObject | None = None


class Attempt(Struct, frozen=True, kw_only=True):
    """One call of a provider, as the answer's `metadata.routing` and the log tell it."""

    provider: str
    model: str
    status_code: int | None
    error_type: str | None
    succeeded: bool
    duration_ms: float

    def as_json(self) -> JsonObject:
        return {
            "provider": self.provider,
            "model": self.model,
            "status_code": self.status_code,
            "error_type": self.error_type,
            "succeeded": self.succeeded,
        }

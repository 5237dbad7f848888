"""The meter: what one answer has used so far, reported by its provider or else counted by us.

Read at any moment, since a client may leave at any moment. What a count costs is
`billing.pricing`'s business.
"""

from typing import Any

from msgspec.structs import replace

from billing.usage import TokenUsage
from gateway.wire.shapes import ChatAnswer, ChatChunk, Reading, ReportedUsage

BYTES_PER_TOKEN = 4
# A stream of single tokens has about four bytes in each delta; outside of this a delta is
# something else: characters, or several tokens at once.
SMALLEST_TOKEN_BYTES, LARGEST_TOKEN_BYTES = 2, 6
DELTAS_THAT_TELL = 8
# Spoken output has 20 tokens a second, and 24,000 samples of two bytes when it is streamed.
# https://developers.openai.com/api/docs/guides/realtime-costs (checked 2026-11-21)
AUDIO_CHARACTERS_PER_TOKEN = 3_200

REASONING_FIELDS = ("reasoning_content", "reasoning")


class Meter:
    """Counts one answer. A pass over each delta's text, no more.

    Estimates: a stream that sends a token per delta has as many tokens as deltas; anything else
    has one token for four bytes. Both are exact where a token is four bytes and a delta, and
    within a few per cent for text that its provider streams by token. `least_searches` are
    billed whether the provider names them or not.
    """

    __slots__ = (
        "_audio_characters",
        "_least_searches",
        "_note",
        "_output_bytes",
        "_output_deltas",
        "_prompt_tokens_estimate",
        "_reasoning_bytes",
        "_reasoning_deltas",
        "_reported",
        "_service_tier",
    )

    def __init__(self, *, prompt_tokens_estimate: int, least_searches: int = 0) -> None:
        self._prompt_tokens_estimate = prompt_tokens_estimate
        self._least_searches = least_searches
        self._output_bytes = self._output_deltas = 0
        self._reasoning_bytes = self._reasoning_deltas = 0
        self._audio_characters = 0
        self._reported: ReportedUsage | None = None
        self._note = ""
        self._service_tier: str | None = None

    def expect(self, *, prompt_tokens_estimate: int, least_searches: int) -> None:
        """Count for another request than the one that it was made for."""
        self._prompt_tokens_estimate = prompt_tokens_estimate
        self._least_searches = least_searches

    @property
    def has_output(self) -> bool:
        return self.answer_bytes > 0

    @property
    def answer_bytes(self) -> int:
        """The size of the answer so far: `tokens_at_least` is never more than a quarter of it."""
        return self._output_bytes + self._reasoning_bytes + self._audio_characters

    @property
    def has_report(self) -> bool:
        """Whether the provider has said what was used."""
        return self._reported is not None

    @property
    def tokens_at_least(self) -> int:
        """How many tokens the answer has by our count, the lower one where it is uncertain."""
        return (
            _at_least(self._output_bytes, self._output_deltas)
            + _at_least(self._reasoning_bytes, self._reasoning_deltas)
            + self._audio_characters // AUDIO_CHARACTERS_PER_TOKEN
        )

    def observe(self, chunk: ChatChunk) -> bool:
        """Count a chunk, and tell whether it carried output. The last report of usage counts."""
        if self._service_tier is None and chunk.extras:
            self._note_tier(chunk.extras)
        if chunk.plain is not None:
            self._output_bytes += chunk.plain.text_bytes
            self._output_deltas += len(chunk.plain.texts)
            return True
        if chunk.usage is not None:
            self._reported = chunk.usage
        elif chunk.usage_note:
            self._note = chunk.usage_note
        before = self._output_deltas + self._reasoning_deltas
        for choice in chunk.choices:
            self._count(choice["delta"])
        return self._output_deltas + self._reasoning_deltas > before

    def observe_answer(self, answer: ChatAnswer) -> None:
        """Count a whole answer."""
        self._reported = answer.usage
        self._note = answer.usage_note
        self._note_tier(answer.extras)
        for choice in answer.choices:
            self._count(choice["message"])

    def reading(self) -> Reading:
        """What has been used: the provider's word if it was given, else our count."""
        reported = self._reported
        if reported is not None:
            return Reading(
                usage=self._with_searches(reported.tokens),
                is_estimated=False,
                note=reported.note,
                prompt_details=reported.prompt_details,
                completion_details=reported.completion_details,
                service_tier=self._service_tier,
            )
        usage = TokenUsage(
            input=self._prompt_tokens_estimate,
            output=_estimate(self._output_bytes, self._output_deltas),
            reasoning=_estimate(self._reasoning_bytes, self._reasoning_deltas),
            audio_output=-(-self._audio_characters // AUDIO_CHARACTERS_PER_TOKEN),
            searches=self._least_searches,
        )
        note = self._note or "the provider reported no usage"
        return Reading(usage=usage, is_estimated=True, note=note, service_tier=self._service_tier)

    def count(self) -> Reading:
        """What has been used beyond doubt, by our count: nobody is cut for a miscount."""
        usage = TokenUsage(
            input=self._prompt_tokens_estimate,
            output=_at_least(self._output_bytes, self._output_deltas),
            reasoning=_at_least(self._reasoning_bytes, self._reasoning_deltas),
            audio_output=self._audio_characters // AUDIO_CHARACTERS_PER_TOKEN,
            searches=self._least_searches,
        )
        return Reading(usage=usage, is_estimated=True, service_tier=self._service_tier)

    def _with_searches(self, reported: TokenUsage) -> TokenUsage:
        """A search that was asked for is billed although the report does not name it."""
        if reported.searches >= self._least_searches:
            return reported
        return replace(reported, searches=self._least_searches)

    def _note_tier(self, extras: dict[str, Any]) -> None:
        tier = extras.get("service_tier")
        if type(tier) is str:
            self._service_tier = tier

    def _count(self, spoken: dict[str, Any]) -> None:
        content = spoken.get("content")
        if content:
            self._output_bytes += len(content) if content.isascii() else len(content.encode())
            self._output_deltas += 1
            if len(spoken) == 1:
                return
        for name in REASONING_FIELDS:
            reasoning = spoken.get(name)
            if reasoning and type(reasoning) is str:
                self._reasoning_bytes += len(reasoning.encode())
                self._reasoning_deltas += 1
                break
        audio = spoken.get("audio")
        if type(audio) is dict and type(audio.get("data")) is str:
            self._audio_characters += len(audio["data"])
        for text in _other_texts(spoken):
            self._output_bytes += len(text.encode())
            self._output_deltas += 1


def _other_texts(spoken: dict[str, Any]) -> list[str]:
    """Refusals, transcripts, and what tools are called with, whichever way they are written."""
    texts = [spoken.get("refusal")]
    calls = spoken.get("tool_calls")
    if calls and type(calls) is list:
        called = [(call.get("function") or call.get("custom")) for call in calls if type(call) is dict]
    else:
        called = []
    called.append(spoken.get("function_call"))
    audio = spoken.get("audio")
    if type(audio) is dict:
        texts.append(audio.get("transcript"))
    texts += [(part.get("arguments") or part.get("input")) for part in called if type(part) is dict]
    return [text for text in texts if text and type(text) is str]


def _estimate(text_bytes: int, deltas: int) -> int:
    is_by_token = (
        deltas >= DELTAS_THAT_TELL
        and SMALLEST_TOKEN_BYTES * deltas <= text_bytes <= LARGEST_TOKEN_BYTES * deltas
    )
    return deltas if is_by_token else -(-text_bytes // BYTES_PER_TOKEN)


def _at_least(text_bytes: int, deltas: int) -> int:
    """A delta may be less than a token where a provider streams by character."""
    return min(_estimate(text_bytes, deltas), text_bytes // BYTES_PER_TOKEN)

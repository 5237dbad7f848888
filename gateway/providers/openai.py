"""OpenAI's chat completions, as OpenAI and every compatible provider speak them.

What is translated: the gateway's own parameters, usage, failures, finish reasons. What is passed
on untouched: messages, content, tool calls, log probabilities, and every field that is not known.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from gateway.errors import GatewayError, InvalidProviderResponse, ProviderError, UnsupportedParameter
from gateway.providers.base import UpstreamCall
from gateway.providers.failures import Complaint, failure_of
from gateway.providers.openai_parameters import upstream_fields
from gateway.providers.openai_usage import read_usage
from gateway.routing.target import Target
from gateway.sse import Event
from gateway.wire.chat_request import ChatRequest
from gateway.wire.shapes import DONE, ChatAnswer, ChatChunk, Done, JsonObject, PlainText
from gateway.wire.text_run import is_plain

END_MARK = b"[DONE]"
# Written anew for the client, so not passed on.
OWN_FIELDS = frozenset(
    {"id", "object", "created", "model", "choices", "usage", "metadata", "extra_fields", "error"}
)
TEXT_TYPES = (str, type(None))
# How OpenAI writes a piece of text, and all that may stand behind it. `obfuscation` hides the length of the
# text. https://platform.openai.com/docs/api-reference/chat-streaming (checked 2026-11-27)
CHOICES, TEXT, PADDING = b'"choices":', b'[{"index":0,"delta":{"content":"', b',"obfuscation":"'
ENDS_OF_CHOICES = (b'},"logprobs":null,"finish_reason":null}]', b'},"finish_reason":null}]')
ENDS = {end + rest: b'"' + end for end in ENDS_OF_CHOICES for rest in (b"}", b',"usage":null}')}
UNCOMMON_FIELDS = frozenset({"error", "usage", "obfuscation"})
REMEMBERED_ENVELOPES = 1_024
KNOWN_FINISHES = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
# Words of providers that are compatible otherwise; what is not known here ended by itself.
OTHER_FINISHES = {
    "max_tokens": "length",
    "model_length": "length",
    "MAX_TOKENS": "length",
    "tool_use": "tool_calls",
    "SAFETY": "content_filter",
    "safety": "content_filter",
    "RECITATION": "content_filter",
}


class OpenAIProvider:
    """Any upstream with `POST {base_url}/chat/completions`."""

    def build_request(
        self, request: ChatRequest, target: Target, *, extra_headers: Sequence[tuple[str, str]] = ()
    ) -> UpstreamCall:
        fields, dropped = upstream_fields(request, target)
        if dropped and not request.drop_params:
            raise UnsupportedParameter(
                f"{dropped[0]} is not supported by {target.provider}/{target.model}; "
                "take it out, or allow it to be dropped with drop_params.",
                param=dropped[0],
            )
        return UpstreamCall(
            url=f"{target.base_url.rstrip('/')}/chat/completions",
            headers=_headers(request, target, extra_headers),
            body=orjson.dumps(fields),
            dropped_params=dropped,
        )

    def read_answer(self, status: int, body: bytes) -> ChatAnswer:
        answer = _read_object(body, "an answer")
        choices = answer.get("choices")
        if answer.get("error") and not choices:
            raise InvalidProviderResponse(
                f"The provider answered with status {status} and an error instead of a completion.",
                upstream_status=status,
            )
        if type(choices) is not list or not choices:
            raise InvalidProviderResponse("The provider answered without any choice.", upstream_status=status)
        usage, note = read_usage(answer.get("usage"))
        return ChatAnswer(
            choices=[_read_choice(choice, index, "message") for index, choice in enumerate(choices)],
            usage=usage,
            created=_int(answer.get("created")),
            upstream_id=_text(answer.get("id")),
            extras={name: value for name, value in answer.items() if name not in OWN_FIELDS},
            usage_note=note,
        )

    def read_event(self, event: Event) -> ChatChunk | Done | None:
        data = event.data
        if not event.name and (plain := _plain_chunk(data)) is not None:
            return plain
        if data[:1] != b"{":
            word = data.strip()
            if word == END_MARK:
                return DONE
            if not word:
                return None
        chunk = _read_object(data, "a stream event")
        if chunk.get("error") or event.name == "error":
            raise ProviderError("The provider broke its stream off with an error.", upstream_status=200)
        choices = chunk.get("choices")
        if type(choices) is not list:
            choices = []
        report = chunk.get("usage")
        usage, note = read_usage(report) if report is not None else (None, "")
        return ChatChunk(
            [_read_choice(choice, index, "delta") for index, choice in enumerate(choices)],
            usage=usage,
            created=_int(chunk.get("created")),
            upstream_id=_text(chunk.get("id")),
            extras={name: value for name, value in chunk.items() if name not in OWN_FIELDS},
            usage_note=note,
        )

    def read_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return failure_of(status, headers, _complaint(body))


def _plain_chunk(data: bytes) -> ChatChunk | None:
    """The chunk if it is a piece of text as OpenAI writes it; None for anything else.

    Streams repeat everything but that text in each event, so what they repeat is read once and the text
    is passed on as it came.
    """
    envelope_json, _, choices_json = data.partition(CHOICES)
    if not choices_json.startswith(TEXT):
        return None
    text, _, rest = choices_json[len(TEXT) :].partition(b'"')
    end, own_json = ENDS.get(rest), b""
    if end is None:
        end, own_json = _without_padding(rest)
    if end is None or not text or not is_plain(text):
        return None
    envelope = _envelope_of(envelope_json)
    if envelope is None:
        return None
    created, upstream_id, extras = envelope
    plain = PlainText([text], TEXT, end, own_json)
    return ChatChunk(None, plain=plain, created=created, upstream_id=upstream_id, extras=extras)


def _without_padding(rest: bytes) -> tuple[bytes | None, bytes]:
    """How the choices end, and the padding as a field of its own."""
    rest, _, padding = rest.partition(PADDING)
    characters = padding.removesuffix(b'"}')
    if characters == padding or (characters and not characters.isalnum()):
        return None, b""
    return ENDS.get(rest + b"}"), b'"obfuscation":"%b"' % characters


@lru_cache(maxsize=REMEMBERED_ENVELOPES)
def _envelope_of(envelope_json: bytes) -> tuple[int, str, JsonObject] | None:
    """What stands before the choices; None where it is not what every chunk may hold."""
    try:
        envelope = orjson.loads(envelope_json + b'"choices":0}')
    except orjson.JSONDecodeError:
        return None
    if envelope.keys() & UNCOMMON_FIELDS:
        return None
    extras = {name: value for name, value in envelope.items() if name not in OWN_FIELDS}
    return _int(envelope.get("created")), _text(envelope.get("id")), extras


def _headers(
    request: ChatRequest, target: Target, extra_headers: Sequence[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    own = {
        "content-type": "application/json",
        "accept": "text/event-stream" if request.is_stream else "application/json",
        # Answers are relayed as they arrive, so they must not be compressed.
        "accept-encoding": "identity",
        "user-agent": "farebox",
    }
    if target.credential:
        own["authorization"] = f"Bearer {target.credential}"
    passed = [(name, value) for name, value in extra_headers if name.lower() not in own]
    return (*own.items(), *passed)


def _read_object(data: bytes, what: str) -> JsonObject:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        raise InvalidProviderResponse(f"The provider sent {what} that is not JSON.") from exc
    if type(value) is not dict:
        raise InvalidProviderResponse(f"The provider sent {what} that is not a JSON object.")
    return value


def _read_choice(choice: Any, position: int, part: str) -> JsonObject:
    """A choice that has an index, a `message` or `delta`, and a finish reason our clients know."""
    if type(choice) is not dict:
        raise InvalidProviderResponse("The provider sent a choice that is not an object.")
    spoken = choice.get(part)
    finish = choice.get("finish_reason")
    if (
        type(spoken) is dict
        and type(choice.get("index")) is int
        and (finish is None or (type(finish) is str and finish in KNOWN_FINISHES))
        and type(spoken.get("content")) in TEXT_TYPES
    ):
        return choice
    if spoken is not None and type(spoken) is not dict:
        raise InvalidProviderResponse(f"The provider sent a choice whose {part} is not an object.")
    if part == "message" and spoken is None:
        raise InvalidProviderResponse("The provider sent a choice without a message.")
    index = choice["index"] if type(choice.get("index")) is int else position
    return choice | {"index": index, part: _with_text(spoken or {}), "finish_reason": _finish_reason(finish)}


def _finish_reason(finish: Any) -> str | None:
    if finish is None:
        return None
    word = _text(finish)
    if word == "error":
        raise ProviderError("The provider ended its answer with an error.", upstream_status=200)
    return word if word in KNOWN_FINISHES else OTHER_FINISHES.get(word, "stop")


def _with_text(spoken: JsonObject) -> JsonObject:
    """Some providers answer with parts; their texts make the content. Anything else is garbage."""
    content = spoken.get("content")
    if type(content) in TEXT_TYPES:
        return spoken
    if type(content) is not list:
        raise InvalidProviderResponse("The provider sent content that is neither text nor parts.")
    texts = [part.get("text") for part in content if type(part) is dict and part.get("type") == "text"]
    return spoken | {"content": "".join(text for text in texts if type(text) is str)}


def _complaint(body: bytes) -> Complaint:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Complaint()
    if type(said) is not dict:
        return Complaint()
    error = said.get("error", said)
    if type(error) is str:
        return Complaint(message=error)
    if type(error) is not dict:
        return Complaint()
    message = error.get("message") or error.get("detail")
    return Complaint(
        message=message if type(message) is str else "",
        code=_text(error.get("code")) or _text(error.get("type")),
        param=_text(error.get("param")) or None,
    )


def _text(value: Any) -> str:
    return value if type(value) is str else ""


def _int(value: Any) -> int:
    return value if type(value) is int else 0

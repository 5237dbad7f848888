"""OpenAI's chat completions: answers, stream events, errors and the model list as JSON.

The response's id and time are left as holes, so that a rendered answer can serve many requests.
Line ends, faults and pace are in script.py.
Source of the shapes: https://platform.openai.com/docs/api-reference/chat (checked 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import orjson

from gateway.simulator.answer import Answer, Choice, Usage
from gateway.simulator.behaviour import Behaviour, Mark
from gateway.simulator.chat_request import Wording
from gateway.simulator.dialect.extras import adorned_message, closing_delta, sources, token_delta
from gateway.simulator.tokens import Kind, Token

ID_PREFIX = "chatcmpl-"
ID_HOLE = f"{ID_PREFIX}{'0' * 24}"
CREATED_HOLE = 1_111_111_111
DONE = b"[DONE]"
SAID_IN = {"function": "arguments", "custom": "input"}


@dataclass(frozen=True, slots=True)
class Event:
    """One stream event; `is_paced` when the model takes its time before it."""

    data: bytes
    output_tokens: int = 0
    reasoning_tokens: int = 0
    is_paced: bool = False
    name: str = ""


def fill_holes(rendered: bytes, *, response_id: str, created: int) -> bytes:
    filled = rendered.replace(ID_HOLE.encode(), response_id.encode())
    return filled.replace(b'"created":%d' % CREATED_HOLE, b'"created":%d' % created)


def render_answer(answer: Answer, wording: Wording, behaviour: Behaviour) -> bytes:
    """The body of an answer that is not streamed."""
    choices = [_choice(index, choice, wording, behaviour) for index, choice in enumerate(answer.choices)]
    document = _document("chat.completion", answer, _tier(wording, behaviour)) | {"choices": choices}
    document |= sources(behaviour)
    if behaviour.huge_line_bytes:
        document["obfuscation"] = "x" * behaviour.huge_line_bytes
    if Mark.NO_USAGE not in behaviour.marks:
        document["usage"] = _usage(answer.usage, behaviour)
    return orjson.dumps(document)


def render_events(answer: Answer, wording: Wording, behaviour: Behaviour) -> list[Event]:
    """The events of a streamed answer, `[DONE]` included."""
    empty = {"usage": None} if wording.includes_usage else {}
    frame = _document("chat.completion.chunk", answer, _tier(wording, behaviour)) | sources(behaviour)
    events = [_chunk(frame, _opening(index, choice), empty) for index, choice in enumerate(answer.choices)]
    events += _token_events(frame, answer, wording, behaviour)
    for index, choice in enumerate(answer.choices):
        if delta := closing_delta(choice, wording, behaviour):
            events.append(_chunk(frame, _delta(index, delta), empty))
    if Mark.NO_FINISH not in behaviour.marks:
        events += [_chunk(frame, _finish(index, one), empty) for index, one in enumerate(answer.choices)]
    if wording.includes_usage and Mark.NO_USAGE not in behaviour.marks:
        events += _usage_events(frame, answer.usage, behaviour)
    if Mark.NO_DONE not in behaviour.marks:
        events += _done_events(events, behaviour)
    return events


def render_error(message: str, *, kind: str, param: str | None = None, code: str | None = None) -> bytes:
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def render_models(names: list[str]) -> bytes:
    models = [{"id": name, "object": "model", "created": 1_767_225_600, "owned_by": "fake"} for name in names]
    return orjson.dumps({"object": "list", "data": models})


def _tier(wording: Wording, behaviour: Behaviour) -> str:
    """The service tier that the answer says has served it."""
    return behaviour.served_tier or wording.service_tier


def _document(kind: str, answer: Answer, tier: str) -> dict[str, Any]:
    return {
        "id": ID_HOLE,
        "object": kind,
        "created": CREATED_HOLE,
        "model": answer.model,
        "service_tier": tier,
        "system_fingerprint": "fp_simulator",
    }


def _choice(index: int, choice: Choice, wording: Wording, behaviour: Behaviour) -> dict[str, Any]:
    has_finish = Mark.NO_FINISH not in behaviour.marks
    return {
        "index": index,
        "message": adorned_message(_message(choice), choice, wording, behaviour),
        "logprobs": _logprobs([token for token in choice.tokens if token.kind is Kind.TEXT], wording),
        "finish_reason": choice.finish_reason if has_finish else None,
    }


def _message(choice: Choice) -> dict[str, Any]:
    text = _joined(choice, Kind.TEXT)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if choice.call_names else text,
        "refusal": None,
        "annotations": [],
    }
    if reasoning := _joined(choice, Kind.REASONING):
        message["reasoning_content"] = reasoning
    if choice.call_names:
        message["tool_calls"] = _calls(choice)
    return message


def _joined(choice: Choice, kind: Kind, call: int = 0) -> str:
    return "".join(token.text for token in choice.tokens if token.kind is kind and token.call == call)


def _calls(choice: Choice) -> list[dict[str, Any]]:
    """The calls that were begun; an output cap may leave the last one unfinished."""
    begun = sorted({token.call for token in choice.tokens if token.kind is Kind.CALL})
    return [
        {
            "id": _call_id(call),
            "type": choice.call_kinds[call],
            choice.call_kinds[call]: {
                "name": choice.call_names[call],
                SAID_IN[choice.call_kinds[call]]: _joined(choice, Kind.CALL, call),
            },
        }
        for call in begun
    ]


def _call_id(call: int) -> str:
    return f"call_{call + 1:024d}"


def _chunk(frame: dict[str, Any], choice: dict[str, Any], extra: dict[str, Any]) -> Event:
    return Event(orjson.dumps(frame | {"choices": [choice]} | extra))


def _opening(index: int, choice: Choice) -> dict[str, Any]:
    content = None if choice.call_names else ""
    return _delta(index, {"role": "assistant", "content": content, "refusal": None})


def _finish(index: int, choice: Choice) -> dict[str, Any]:
    return _delta(index, {}) | {"finish_reason": choice.finish_reason}


def _delta(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}


def _token_events(
    frame: dict[str, Any], answer: Answer, wording: Wording, behaviour: Behaviour
) -> Iterator[Event]:
    """One event a token, the choices taking turns; the pace lies between the turns."""
    padding = {"obfuscation": "x" * behaviour.huge_line_bytes} if behaviour.huge_line_bytes else {}
    extra: dict[str, Any] = {"usage": None} if wording.includes_usage else {}
    sent = reasoned = 0
    previous: list[Token | None] = [None] * len(answer.choices)
    for turn, tokens in enumerate(zip_longest(*(choice.tokens for choice in answer.choices))):
        for index, token in enumerate(tokens):
            sent, reasoned = sent + 1, reasoned + (token.kind is Kind.REASONING)
            if Mark.USAGE_EACH in behaviour.marks:
                extra = {"usage": _usage(Usage(answer.usage.prompt, 0, sent, reasoned), behaviour)}
            delta = (
                _call_delta(token, previous[index], answer.choices[index])
                if token.kind is Kind.CALL
                else token_delta(token, wording, behaviour)
            )
            choice = _delta(index, delta) | {"logprobs": _logprobs([token], wording)}
            yield Event(
                orjson.dumps(frame | {"choices": [choice]} | extra | padding),
                output_tokens=1,
                reasoning_tokens=int(token.kind is Kind.REASONING),
                is_paced=turn > 0 and index == 0,
            )
            previous[index], padding = token, {}


def _call_delta(token: Token, previous: Token | None, choice: Choice) -> dict[str, Any]:
    kind = choice.call_kinds[token.call]
    said = {SAID_IN[kind]: token.text}
    call: dict[str, Any] = {"index": token.call, kind: said}
    is_first = previous is None or previous.kind is not Kind.CALL or previous.call != token.call
    if is_first:
        name = choice.call_names[token.call]
        call |= {"id": _call_id(token.call), "type": kind, kind: {"name": name, **said}}
    return {"tool_calls": [call]}


def _usage_events(frame: dict[str, Any], usage: Usage, behaviour: Behaviour) -> list[Event]:
    readings = [usage]
    if Mark.USAGE_TWICE in behaviour.marks:
        readings = [Usage(usage.prompt, usage.cached, usage.completion // 2, usage.reasoning // 2), usage]
    return [
        Event(orjson.dumps(frame | {"choices": [], "usage": _usage(reading, behaviour)}))
        for reading in readings
    ]


def _done_events(events: list[Event], behaviour: Behaviour) -> list[Event]:
    done = Event(DONE)
    if Mark.DONE_TWICE in behaviour.marks:
        return [done, done]
    if Mark.AFTER_DONE in behaviour.marks:
        return [done, Event(events[-1].data)]
    return [done]


def _usage(usage: Usage, behaviour: Behaviour) -> dict[str, Any] | None:
    if Mark.USAGE_NULL in behaviour.marks:
        return None
    if behaviour.report:
        report: dict[str, Any] = orjson.loads(behaviour.report)
        return report
    if Mark.USAGE_NEGATIVE in behaviour.marks:
        usage = Usage(-usage.prompt, -usage.cached, -usage.completion, -usage.reasoning)
    if Mark.USAGE_HUGE in behaviour.marks:
        usage = Usage(usage.prompt, usage.cached, 2**63, usage.reasoning)
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": usage.audio,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _logprobs(tokens: list[Token], wording: Wording) -> dict[str, Any] | None:
    texts = [token.text for token in tokens if token.kind is Kind.TEXT]
    if wording.top_logprobs is None or not texts:
        return None
    return {"content": [_logprob(text, wording.top_logprobs) for text in texts], "refusal": None}


def _logprob(text: str, alternatives: int) -> dict[str, Any]:
    others = [text, *(f"o{rank:02d} " for rank in range(1, alternatives))][:alternatives]
    top = [_one_logprob(other, -0.25 * (rank + 1)) for rank, other in enumerate(others)]
    return _one_logprob(text, -0.25) | {"top_logprobs": top}


def _one_logprob(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

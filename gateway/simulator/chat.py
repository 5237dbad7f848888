"""From the bytes of a chat request to the script of its answer.

No I/O; the one state is how often a named failure has struck.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from gateway.simulator.answer import Answer, compose_answer
from gateway.simulator.behaviour import MODELS, BadTrigger, Behaviour, Mark, choose_behaviour, without_faults
from gateway.simulator.chat_request import ChatRequest, Refused, Wording, parse_chat_request
from gateway.simulator.dialect import openai
from gateway.simulator.script import Script, faulty_script, plain_script, stream_script, whole_script

BAD_KEY = "bad-key"
BROKE_KEY = "broke-key"
MAX_FAILURE_NAMES = 10_000
MAX_CACHED_TOKENS = 256

_ERROR_KINDS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "permission_denied"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


class FailureCounts:
    """How often each named failure has struck. Forgets the oldest names beyond MAX_FAILURE_NAMES."""

    def __init__(self) -> None:
        self._struck: dict[str, int] = {}

    def apply(self, behaviour: Behaviour) -> Behaviour:
        """The first calls of a name meet the faults, a 503 where there are none; later ones do not."""
        if not behaviour.failures:
            return behaviour
        spared = without_faults(behaviour)
        if not self._strike(behaviour.failures_name, behaviour.failures):
            return spared
        return replace(behaviour, status=503) if spared == behaviour else behaviour

    def clear(self) -> None:
        self._struck.clear()

    def _strike(self, name: str, failures: int) -> bool:
        struck = self._struck.get(name, 0)
        if struck >= failures:
            return False
        self._struck[name] = struck + 1
        if len(self._struck) > MAX_FAILURE_NAMES:
            del self._struck[next(iter(self._struck))]
        return True


@dataclass(frozen=True, slots=True)
class ScriptedChat:
    model: str
    is_stream: bool
    script: Script
    repeats_id: bool = False


def script_chat(body: bytes, *, key: str, failures: FailureCounts) -> ScriptedChat:
    """Never raises for what a client sends: a refusal is a script too."""
    model, is_stream = "", False
    try:
        check_key(key)
        request = parse_chat_request(body)
        model, is_stream = request.model, request.wording.is_stream
        behaviour = failures.apply(choose_behaviour(model, request.last_user_text))
        script = _script_answer(request, behaviour)
    except BadTrigger as exc:
        return ScriptedChat(model, is_stream, script_refusal(Refused(str(exc), code="bad_trigger")))
    except Refused as refusal:
        return ScriptedChat(model, is_stream, script_refusal(refusal))
    return ScriptedChat(model, is_stream, script, repeats_id=Mark.SAME_ID in behaviour.marks)


def check_key(key: str) -> None:
    """Any key will do but an empty one and the two that stand for trouble. Raises Refused."""
    if not key:
        message = "You didn't provide an API key. Send it in an Authorization header: Bearer YOUR_KEY."
        raise Refused(message, status=401)
    if key == BAD_KEY:
        raise Refused(f"Incorrect API key provided: {key}.", status=401, code="invalid_api_key")
    if key == BROKE_KEY:
        message = "You exceeded your current quota, please check your plan and billing details."
        raise Refused(message, status=429, kind="insufficient_quota", code="insufficient_quota")


def script_refusal(refusal: Refused) -> Script:
    body = openai.render_error(refusal.message, kind=refusal.kind, param=refusal.param, code=refusal.code)
    return plain_script(body, status=refusal.status)


def script_models() -> Script:
    return plain_script(openai.render_models(list(MODELS)))


def _script_answer(request: ChatRequest, behaviour: Behaviour) -> Script:
    faulty = faulty_script(behaviour, error=_error_of(behaviour.status))
    if faulty is not None:
        return faulty
    answer = compose_answer(request, behaviour)
    is_small = answer.usage.completion <= MAX_CACHED_TOKENS and not behaviour.huge_line_bytes
    write = _cached_script if is_small else _script
    return write(answer, request.wording, behaviour)


@lru_cache(maxsize=512)
def _error_of(status: int) -> bytes:
    kind, code = _ERROR_KINDS.get(status, ("server_error", None))
    return openai.render_error(f"The simulated provider answers {status}.", kind=kind, code=code)


def _script(answer: Answer, wording: Wording, behaviour: Behaviour) -> Script:
    error = openai.render_error("The simulated provider failed midway.", kind="server_error")
    if wording.is_stream:
        events = openai.render_events(answer, wording, behaviour)
        return stream_script(events, answer.usage, behaviour, error=error)
    body = openai.render_answer(answer, wording, behaviour)
    turns = len(answer.choices[0].tokens)
    return whole_script(body, answer.usage, behaviour, turns=turns, error=error)


_cached_script = lru_cache(maxsize=512)(_script)

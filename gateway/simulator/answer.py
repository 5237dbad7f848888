"""What the simulated model says: tokens, tool calls and their count. Pure; bytes are in dialect/."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.simulator.behaviour import Behaviour, Mark
from gateway.simulator.chat_request import REASONING_TOKENS_BY_EFFORT, ChatRequest, Refused, Tool
from gateway.simulator.schema import document_for
from gateway.simulator.tokens import (
    Kind,
    Token,
    emoji,
    json_tokens,
    line_separator,
    pieces_of,
    reasoning_tokens,
    text_tokens,
    word,
)

CUSTOM_INPUT_TOKENS = 2


@dataclass(frozen=True, slots=True)
class Choice:
    """`call_names[token.call]` is the tool a call token belongs to, `call_kinds` of which kind it is."""

    tokens: tuple[Token, ...]
    call_names: tuple[str, ...]
    finish_reason: str
    call_kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """As OpenAI counts: cached is part of prompt, reasoning and sound are part of completion."""

    prompt: int
    cached: int
    completion: int
    reasoning: int
    audio: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    model: str
    choices: tuple[Choice, ...]
    usage: Usage


def compose_answer(request: ChatRequest, behaviour: Behaviour) -> Answer:
    """The same request and behaviour give the same answer; all choices of it are alike.

    Raises Refused if the tool choice names a function that is not among the tools.
    """
    called = _called_tools(request, behaviour)
    reasoning = reasoning_tokens(_reasoning_count(request, behaviour))
    choice = _cap(request, behaviour, reasoning + _spoken_tokens(request, behaviour, called), called=called)
    reasoned = sum(token.kind is Kind.REASONING for token in choice.tokens) if reasoning else 0
    usage = Usage(
        prompt=request.prompt_tokens,
        cached=min(behaviour.cached_tokens, request.prompt_tokens),
        completion=len(choice.tokens) * request.choices,
        reasoning=reasoned * request.choices,
        audio=_spoken_count(choice) * request.choices if request.wording.is_spoken else 0,
    )
    model = "another-model" if Mark.OTHER_MODEL in behaviour.marks else request.model
    return Answer(model=model, choices=(choice,) * request.choices, usage=usage)


def _spoken_count(choice: Choice) -> int:
    return sum(token.kind is Kind.TEXT for token in choice.tokens)


def _reasoning_count(request: ChatRequest, behaviour: Behaviour) -> int:
    return REASONING_TOKENS_BY_EFFORT[request.effort or behaviour.default_effort]


def _called_tools(request: ChatRequest, behaviour: Behaviour) -> tuple[Tool, ...]:
    if not request.tools or request.tool_choice == "none":
        return ()
    is_forced = request.tool_choice == "required"
    is_wished = behaviour.calls_by_itself or behaviour.calls > 0
    if not is_forced and (not is_wished or request.ends_with_tool_result):
        return ()
    return (_chosen_tool(request),) * max(behaviour.calls, 1)


def _chosen_tool(request: ChatRequest) -> Tool:
    if not request.chosen_tool:
        return request.tools[0]
    for tool in request.tools:
        if tool.name == request.chosen_tool:
            return tool
    raise Refused(f"Tool choice '{request.chosen_tool}' not found in 'tools'.", param="tool_choice")


def _spoken_tokens(request: ChatRequest, behaviour: Behaviour, called: tuple[Tool, ...]) -> tuple[Token, ...]:
    if called:
        calls = (_call_tokens(tool, i) for i, tool in enumerate(called))
        return tuple(token for tokens in calls for token in tokens)
    if behaviour.said:
        return pieces_of(behaviour.said, Kind.TEXT)
    if request.json_schema is not None:
        return json_tokens(document_for(request.json_schema), Kind.TEXT)
    if behaviour.overrun_tokens is not None:
        return text_tokens(behaviour.overrun_tokens, _alphabet(behaviour))
    return _stop(text_tokens(behaviour.tokens, _alphabet(behaviour)), request.stops)


def _call_tokens(tool: Tool, call: int) -> tuple[Token, ...]:
    """Arguments that fit the schema, or two words for a tool that takes free text."""
    if tool.kind == "function":
        return json_tokens(document_for(tool.parameters), Kind.CALL, call)
    return tuple(Token(Kind.CALL, token.text, call) for token in text_tokens(CUSTOM_INPUT_TOKENS))


def _alphabet(behaviour: Behaviour) -> Callable[[int], str]:
    if Mark.U2028 in behaviour.marks:
        return line_separator
    return emoji if Mark.SPLIT in behaviour.marks else word


def _stop(tokens: tuple[Token, ...], stops: tuple[str, ...]) -> tuple[Token, ...]:
    """The tokens before the one in which a stop sequence begins: a token is never cut."""
    if not stops:
        return tokens
    text = "".join(token.text for token in tokens)
    first = min((at for at in map(text.find, stops) if at >= 0), default=None)
    if first is None:
        return tokens
    return tokens[: first // len(tokens[0].text)]


def _cap(
    request: ChatRequest, behaviour: Behaviour, tokens: tuple[Token, ...], *, called: tuple[Tool, ...]
) -> Choice:
    finish_reason = "tool_calls" if called else "stop"
    if Mark.CONTENT_FILTER in behaviour.marks:
        tokens, finish_reason = tokens[: len(tokens) // 2], "content_filter"
    cap = request.max_tokens if behaviour.overrun_tokens is None else None
    if cap is not None and len(tokens) > cap:
        tokens, finish_reason = tokens[:cap], "length"
    call_names = tuple(tool.name for tool in called)
    call_kinds = tuple(tool.kind for tool in called)
    return Choice(tokens, call_names, behaviour.finish_reason or finish_reason, call_kinds)

"""OpenAI's usage report, made disjoint, and made believable before money is computed from it.

`prompt_tokens` includes the cached, written, audio and image tokens named in its details;
`completion_tokens` includes reasoning and audio. https://platform.openai.com/docs/api-reference/chat/object
(checked 2026-11-21)
"""

from typing import Any

from billing.usage import TokenUsage
from gateway.wire.shapes import JsonObject, ReportedUsage

# No request is that long, and billing can store every count up to it.
LARGEST_COUNT = 2**31 - 1

PROMPT_PARTS = {
    "cached_tokens": "cached_input",
    "cache_write_tokens": "cache_write",
    "audio_tokens": "audio_input",
    "image_tokens": "image_input",
}
LONG_WRITES, SHORT_WRITES = "ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens"


def read_usage(report: Any) -> tuple[ReportedUsage | None, str]:
    """The report as disjoint counts, or None with a note if no bill can be based on it."""
    if report is None:
        return None, ""
    if type(report) is not dict:
        return None, "usage is not an object"
    prompt, completion = _count(report.get("prompt_tokens")), _completion(report)
    if prompt is None or completion is None or prompt + completion == 0:
        return None, "prompt_tokens or completion_tokens is missing, negative or absurd"
    prompt_details = _details(report.get("prompt_tokens_details"))
    completion_details = _details(report.get("completion_tokens_details"))
    notes: list[str] = []
    tokens = TokenUsage(
        **_split_prompt(prompt, prompt_details, report, notes),
        **_split_completion(prompt, completion, completion_details, report, notes),
        searches=_searches(report, completion_details),
    )
    return ReportedUsage(tokens, prompt_details, completion_details, "; ".join(notes)), ""


def _completion(report: JsonObject) -> int | None:
    """Google leaves it out where nothing was said, although there were thoughts."""
    completion = report.get("completion_tokens")
    prompt, total = _count(report.get("prompt_tokens")), _count(report.get("total_tokens"))
    if completion is None and prompt is not None and total is not None and total > prompt:
        return 0
    return _count(completion)


def _split_prompt(prompt: int, details: JsonObject, report: JsonObject, notes: list[str]) -> dict[str, int]:
    named = _named_parts(details, report)
    parts: dict[str, int] = {}
    left = prompt
    for name, part in PROMPT_PARTS.items():
        named_count = named.get(name)
        count = _count(named_count) or 0 if named_count else 0
        if count > left:
            notes.append(f"{name} is {count}, more than the {left} prompt tokens left")
            count = left
        parts[part] = count
        left -= count
    return {"input": left, **_split_writes(parts, details, report, notes)}


def _named_parts(details: JsonObject, report: JsonObject) -> JsonObject:
    """What the prompt holds, by the names of the details, wherever providers write it.

    DeepSeek names its cache hits beside the prompt tokens and has no details.
    https://api-docs.deepseek.com/guides/kv_cache (checked 2026-11-21)
    Anthropic names writes and their two lives beside the prompt tokens.
    https://platform.claude.com/docs/en/build-with-claude/prompt-caching#1-hour-cache-duration
    (checked 2026-11-27)
    Together names cached tokens beside the prompt's. https://docs.together.ai/reference/chat-completions-1
    (checked 2026-11-27)
    """
    beside = {
        "cached_tokens": report.get(
            "prompt_cache_hit_tokens", report.get("cache_read_input_tokens", report.get("cached_tokens"))
        ),
        "cache_write_tokens": report.get("cache_creation_input_tokens", _sum_of_lives(details, report)),
    }
    return beside | details


def _lives(details: JsonObject, report: JsonObject) -> JsonObject:
    for holder in (details, report):
        if type(holder.get("cache_creation")) is dict:
            return _details(holder["cache_creation"])
    return {}


def _sum_of_lives(details: JsonObject, report: JsonObject) -> int:
    lives = _lives(details, report)
    if not lives:
        return 0
    return (_count(lives.get(LONG_WRITES)) or 0) + (_count(lives.get(SHORT_WRITES)) or 0)


def _split_writes(
    parts: dict[str, int], details: JsonObject, report: JsonObject, notes: list[str]
) -> dict[str, int]:
    """Cache writes by their life; what is not said to live for an hour is of the default life."""
    written, long = parts["cache_write"], _count(_lives(details, report).get(LONG_WRITES)) or 0
    if long > written:
        notes.append(f"{LONG_WRITES} is {long}, more than the {written} tokens written to the cache")
        long = written
    return {**parts, "cache_write": written - long, "cache_write_1h": long}


def _split_completion(
    prompt: int, completion: int, details: JsonObject, report: JsonObject, notes: list[str]
) -> dict[str, int]:
    reasoning = _count(details.get("reasoning_tokens"))
    if reasoning is None:
        reasoning = _unnamed_thoughts(prompt, completion, report)
        if reasoning:
            notes.append(f"total_tokens has {reasoning} tokens more than are named, taken as reasoning")
    audio = _count(details.get("audio_tokens")) or 0
    if audio > completion:
        notes.append(f"audio_tokens is {audio}, more than the {completion} completion tokens")
        audio = completion
    # Some providers count reasoning apart: then the total shows it, or it is larger than its whole.
    is_apart = reasoning > 0 and report.get("total_tokens") == prompt + completion + reasoning
    if is_apart or reasoning > completion - audio:
        notes.append("reasoning tokens are reported apart from completion_tokens")
        return {"output": completion - audio, "reasoning": reasoning, "audio_output": audio}
    return {"output": completion - audio - reasoning, "reasoning": reasoning, "audio_output": audio}


def _unnamed_thoughts(prompt: int, completion: int, report: JsonObject) -> int:
    """What only the total shows. What is named of the prompt may stand beside it, and is no thought.

    Google bills thoughts as output, but its OpenAI-compatible answers neither name them nor count them
    as completion. https://discuss.ai.google.dev/t/127400 (checked 2026-11-27)
    """
    excess = max(0, (_count(report.get("total_tokens")) or 0) - prompt - completion)
    named = _named_parts(_details(report.get("prompt_tokens_details")), report)
    beside = sum(_count(named.get(name)) or 0 for name in PROMPT_PARTS)
    return 0 if excess == beside else excess


def _searches(report: JsonObject, completion_details: JsonObject) -> int:
    """Perplexity names its queries, Anthropic what its own tools did; OpenAI says nothing.

    https://docs.perplexity.ai/api-reference/chat-completions-post
    https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool#usage-and-pricing
    (checked 2026-11-27)
    """
    tools = _details(report.get("server_tool_use"))
    named = (
        completion_details.get("num_search_queries"),
        report.get("num_search_queries"),
        tools.get("web_search_requests"),
    )
    return next((count for value in named if (count := _count(value))), 0)


def _details(details: Any) -> JsonObject:
    return details if type(details) is dict else {}


def _count(value: Any) -> int | None:
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= LARGEST_COUNT else None

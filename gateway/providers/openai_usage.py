"""OpenAI's usage report, made disjoint, and made believable before money is computed from it.

`prompt_tokens` includes the cached, written, audio and image tokens named in its details;
`completion_tokens` includes reasoning and audio. https://platform.openai.com/docs/api-reference/chat/object
(checked 2026-11-21)
"""

from typing import Any

from billing.usage import TokenUsage
from gateway.wire.shapes import JsonObject, ReportedUsage

# Beyond this a JSON number is not exact in most readers, and no request is that long.
LARGEST_COUNT = 2**53

PROMPT_PARTS = {
    "cached_tokens": "cached_input",
    "cache_write_tokens": "cache_write",
    "audio_tokens": "audio_input",
    "image_tokens": "image_input",
}


def read_usage(report: Any) -> tuple[ReportedUsage | None, str]:
    """The report as disjoint counts, or None with a note if no bill can be based on it."""
    if report is None:
        return None, ""
    if type(report) is not dict:
        return None, "usage is not an object"
    prompt, completion = _count(report.get("prompt_tokens")), _count(report.get("completion_tokens"))
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


def _split_prompt(prompt: int, details: JsonObject, report: JsonObject, notes: list[str]) -> dict[str, int]:
    # DeepSeek names its cache hits beside the prompt tokens and has no details.
    # https://api-docs.deepseek.com/guides/kv_cache (checked 2026-11-21)
    named = {"cached_tokens": report.get("prompt_cache_hit_tokens"), **details}
    parts: dict[str, int] = {}
    left = prompt
    for name, part in PROMPT_PARTS.items():
        count = _count(named.get(name)) or 0
        if count > left:
            notes.append(f"{name} is {count}, more than the {left} prompt tokens left")
            count = left
        parts[part] = count
        left -= count
    return {"input": left, **parts}


def _split_completion(
    prompt: int, completion: int, details: JsonObject, report: JsonObject, notes: list[str]
) -> dict[str, int]:
    reasoning = _count(details.get("reasoning_tokens")) or 0
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


def _searches(report: JsonObject, completion_details: JsonObject) -> int:
    for holder in (completion_details, report):
        count = _count(holder.get("num_search_queries"))
        if count:
            return count
    return 0


def _details(details: Any) -> JsonObject:
    return details if type(details) is dict else {}


def _count(value: Any) -> int | None:
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= LARGEST_COUNT else None

"""What providers report, as each writes it, and what that costs at the rates of the model every-unit.

By hand, in millionths of a dollar: a token of input is 1, cached 0.10, written 1.25 or (an hour)
2, of sound 10, of pictures 3; of output 4, of reasoning 5, spoken 20; a request 1,000 and a search
10,000. With more than 1,000 prompt tokens input is 2, cached 0.20 and output 8.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class Golden:
    """One report; `asked` is what the request must ask for so that the provider may do it."""

    report: dict[str, Any]
    usd: str
    asked: dict[str, Any] = field(default_factory=dict)

    @property
    def cost_usd(self) -> Decimal:
        return Decimal(self.usd)


def report(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    total = {"total_tokens": prompt + completion}
    return {"prompt_tokens": prompt, "completion_tokens": completion, **total, **more}


SPOKEN = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}}
SEARCHED = {"web_search": True}

GOLDEN = {
    # 100 + 50 x 4
    "openai": Golden(report(100, 50), "0.001300"),
    # 36 + 64 x 0.1 + 200
    "openai, cached": Golden(report(100, 50, prompt_tokens_details={"cached_tokens": 64}), "0.0012424"),
    # 100 + 20 x 4 + 30 x 5
    "openai, reasoning": Golden(
        report(100, 50, completion_tokens_details={"reasoning_tokens": 30}), "0.001330"
    ),
    # 60 + 40 x 10 + 20 x 4 + 30 x 20
    "openai, sound": Golden(
        report(
            100,
            50,
            prompt_tokens_details={"audio_tokens": 40, "cached_tokens": 0},
            completion_tokens_details={"audio_tokens": 30, "reasoning_tokens": 0},
        ),
        "0.002140",
        SPOKEN,
    ),
    # 30 + 70 x 3 + 200
    "openai, pictures": Golden(report(100, 50, prompt_tokens_details={"image_tokens": 70}), "0.001440"),
    # 60 + 40 x 1.25 + 200
    "openrouter, written to the cache": Golden(
        report(100, 50, prompt_tokens_details={"cache_write_tokens": 40}), "0.001310"
    ),
    # 50 + 20 x 0.1 + 10 x 1.25 + 20 x 2 + 200
    "anthropic, both lives of the cache": Golden(
        report(
            100,
            50,
            cache_read_input_tokens=20,
            cache_creation_input_tokens=30,
            cache_creation={"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        ),
        "0.0013045",
    ),
    # 100 + 200 + 2 searches
    "anthropic, searches": Golden(
        report(100, 50, server_tool_use={"web_search_requests": 2}), "0.021300", SEARCHED
    ),
    # 40 + 60 x 0.1 + 20 x 4 + 30 x 5
    "deepseek": Golden(
        report(
            100,
            50,
            prompt_cache_hit_tokens=60,
            prompt_cache_miss_tokens=40,
            completion_tokens_details={"reasoning_tokens": 30},
        ),
        "0.001276",
    ),
    # 100 + 50 x 4 + 30 x 5: thoughts are counted beside the completion, as the total shows.
    "google, thoughts apart": Golden(
        {**report(100, 50, completion_tokens_details={"reasoning_tokens": 30}), "total_tokens": 180},
        "0.001450",
    ),
    # 9 + 3 x 4 + 93 x 5: thoughts are neither named nor counted as completion; only the total has them.
    "google, thoughts unnamed": Golden({**report(9, 3), "total_tokens": 105}, "0.001486"),
    # 9 + 96 x 5
    "google, nothing but thoughts": Golden({"prompt_tokens": 9, "total_tokens": 105}, "0.001489"),
    # 60 + 40 x 0.1 + 50 x 4: the total counts again what is named beside the prompt.
    "a total with cached input": Golden(
        {**report(100, 50, cache_read_input_tokens=40), "total_tokens": 190}, "0.001264"
    ),
    "an absurd total": Golden({**report(100, 50), "total_tokens": 2**31}, "0.001300"),
    "groq": Golden(report(100, 50, queue_time=0.02, prompt_time=0.01, total_time=0.5), "0.001300"),
    # 25 + 75 x 0.1 + 200
    "together": Golden(report(100, 50, cached_tokens=75), "0.0012325"),
    "fireworks": Golden(report(100, 50, prompt_tokens_details={"cached_tokens": 75}), "0.0012325"),
    "mistral": Golden(report(100.0, 50.0), "0.001300"),  # type: ignore[arg-type]  # it writes floats
    # 100 + 200 + 3 searches
    "perplexity": Golden(report(100, 50, num_search_queries=3), "0.031300", SEARCHED),
    # 100 + 200 + the search that was asked for
    "openai, a search that is not named": Golden(report(100, 50), "0.011300", SEARCHED),
    "a prompt of 1,000 tokens": Golden(report(1_000, 50), "0.002200"),
    # 1,001 x 2 + 50 x 8
    "a prompt of 1,001 tokens": Golden(report(1_001, 50), "0.003402"),
    # 901 x 2 + 100 x 0.2 + 400: cached tokens make a prompt long too.
    "a long prompt, cached": Golden(
        report(1_001, 50, prompt_tokens_details={"cached_tokens": 100}), "0.003222"
    ),
    # 50 + 40 x 0.1 + 10 x 3 + 10 x 4 + 40 x 5
    "all at once": Golden(
        report(
            100,
            50,
            prompt_tokens_details={"cached_tokens": 40, "image_tokens": 10},
            completion_tokens_details={"reasoning_tokens": 40},
        ),
        "0.001324",
    ),
}

"""Embeddings as OpenAI's API asks for and gives them: one text in, one vector out. Pure.

https://platform.openai.com/docs/api-reference/embeddings/create (checked 2026-11-27)
"""

import math
from typing import Any

import orjson
from msgspec import Struct

from gateway.errors import InvalidProviderResponse

MAX_DIMENSIONS = 16_000


class Embedding(Struct, frozen=True):
    """`tokens` None: the provider did not say what it counted."""

    vector: tuple[float, ...]
    tokens: int | None


def embedding_request(model: str, text: str) -> bytes:
    return orjson.dumps({"model": model, "input": text, "encoding_format": "float"})


def read_embedding(body: bytes) -> Embedding:
    """The one embedding of an answer. Raises InvalidProviderResponse."""
    try:
        answer: Any = orjson.loads(body)
        vector = answer["data"][0]["embedding"]
        numbers = tuple(map(float, vector))
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError, OverflowError) as exc:
        raise InvalidProviderResponse("The embeddings endpoint answered without an embedding.") from exc
    if not 1 <= len(numbers) <= MAX_DIMENSIONS or not all(map(math.isfinite, numbers)):
        raise InvalidProviderResponse("The embeddings endpoint answered with something that is no vector.")
    usage = answer.get("usage")
    tokens = usage.get("prompt_tokens") if type(usage) is dict else None
    return Embedding(numbers, tokens if type(tokens) is int and tokens >= 0 else None)

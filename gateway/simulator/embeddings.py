"""Embeddings of the simulator: texts that share words lie near each other. Pure, and always the same.

Each word is hashed to one of DIMENSIONS directions with a sign, and the sum is brought to length one.
Source of the shapes: https://platform.openai.com/docs/api-reference/embeddings (checked 2026-11-27)
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any

import orjson

from gateway.simulator.chat_request import Refused
from gateway.simulator.tokens import count_text_tokens

DIMENSIONS = 256
MODEL = "embedder"
MAX_TEXTS = 64
_WORD = re.compile(r"\w+")


def answer_embeddings(body: bytes) -> tuple[bytes, int]:
    """The answer to a request for embeddings, and how many tokens it bills. Raises Refused."""
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise Refused("The body of the request is not valid JSON.") from exc
    if not isinstance(document, dict) or document.get("model") != MODEL:
        raise Refused(f"The model must be {MODEL}.", status=404, param="model", code="model_not_found")
    given = document.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not 1 <= len(texts) <= MAX_TEXTS:
        raise Refused(f"input must be a text or up to {MAX_TEXTS} of them.", param="input")
    if not all(isinstance(text, str) and text for text in texts):
        raise Refused("input must hold texts, none of them empty.", param="input")
    tokens = sum(map(count_text_tokens, texts))
    data = [
        {"object": "embedding", "index": index, "embedding": embed(text)} for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return orjson.dumps({"object": "list", "model": MODEL, "data": data, "usage": usage}), tokens


def embed(text: str) -> list[float]:
    """The vector of a text; one without words points in the first direction."""
    vector = [0.0] * DIMENSIONS
    for word in _WORD.findall(text.lower()):
        digest = hashlib.sha256(word.encode()).digest()
        direction = int.from_bytes(digest[:4], "big") % DIMENSIONS
        vector[direction] += 1.0 if digest[4] % 2 else -1.0
    length = math.sqrt(sum(number * number for number in vector))
    return [number / length for number in vector] if length else [1.0] + [0.0] * (DIMENSIONS - 1)

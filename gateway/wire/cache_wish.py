"""What a request's headers say about caches (CONTRACT 1.2.3, 1.4.1, 3.6 #23). Pure."""

import math
import re
from collections.abc import Mapping

from msgspec import Struct

from gateway.errors import InvalidValue

KEY_HEADER = b"x-bf-cache-key"
TTL_HEADER = "x-bf-cache-ttl"
THRESHOLD_HEADER = "x-bf-cache-threshold"
TYPE_HEADER = "x-bf-cache-type"
NO_STORE_HEADER = "x-bf-cache-no-store"
BYPASS_HEADER = "x-no-cache"

MAX_KEY_CHARACTERS = 255
DIRECT, SEMANTIC = "direct", "semantic"
UNIT_SECONDS = {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d|)")
VISIBLE = re.compile(rb"[\x21-\x7e]+")
YES, NO = ("true", "1", "yes", ""), ("false", "0", "no")


class CacheWish(Struct, frozen=True):
    """`key` "" and `ttl_seconds` None: the header was not sent, so the project's setting counts."""

    key: str = ""
    ttl_seconds: int | None = None
    is_semantic: bool = False
    threshold: float | None = None
    may_store: bool = True
    is_bypassed: bool = False


def read_cache_wish(headers: Mapping[bytes, bytes], *, longest_ttl_seconds: int) -> CacheWish:
    """The wish. Raises InvalidValue that names the header and what it may say."""
    return CacheWish(
        key=_key(headers.get(KEY_HEADER, b"").strip()),
        ttl_seconds=_ttl_seconds(_text(headers, TTL_HEADER), longest_ttl_seconds),
        is_semantic=_is_semantic(_text(headers, TYPE_HEADER)),
        threshold=_threshold(_text(headers, THRESHOLD_HEADER)),
        may_store=not _flag(headers, NO_STORE_HEADER),
        is_bypassed=_flag(headers, BYPASS_HEADER),
    )


def checked_cache_key(key: bytes) -> str:
    """A cache key as text. Raises InvalidValue unless it is 1 to 255 visible ASCII characters."""
    if len(key) > MAX_KEY_CHARACTERS or not VISIBLE.fullmatch(key):
        raise InvalidValue(
            f"{KEY_HEADER.decode()} must have 1 to {MAX_KEY_CHARACTERS} visible ASCII characters.",
            param=KEY_HEADER.decode(),
        )
    return key.decode("ascii")


def _key(value: bytes) -> str:
    return checked_cache_key(value) if value else ""


def _text(headers: Mapping[bytes, bytes], name: str) -> str | None:
    value = headers.get(name.encode())
    return None if value is None else value.decode("latin-1").strip().lower()


def _ttl_seconds(value: str | None, longest: int) -> int | None:
    if not value:
        return None
    found = DURATION.fullmatch(value)
    seconds = float(found[1]) * UNIT_SECONDS[found[2]] if found else 0.0
    if not 1 <= seconds <= longest:
        raise InvalidValue(
            f"{TTL_HEADER} must be seconds or a duration such as 30s, 5m or 2h, from 1 second to {longest}.",
            param=TTL_HEADER,
        )
    return math.floor(seconds)


def _is_semantic(value: str | None) -> bool:
    if value not in (None, "", DIRECT, SEMANTIC):
        raise InvalidValue(f"{TYPE_HEADER} must be {DIRECT} or {SEMANTIC}.", param=TYPE_HEADER)
    return value == SEMANTIC


def _threshold(value: str | None) -> float | None:
    """Clamped to 0 to 1, as the contract has it; what is no number is refused."""
    if not value:
        return None
    try:
        threshold = float(value)
    except ValueError:
        threshold = math.nan
    if math.isnan(threshold):
        raise InvalidValue(f"{THRESHOLD_HEADER} must be a number between 0 and 1.", param=THRESHOLD_HEADER)
    return min(1.0, max(0.0, threshold))


def _flag(headers: Mapping[bytes, bytes], name: str) -> bool:
    value = _text(headers, name)
    if value is None or value in NO:
        return False
    if value in YES:
        return True
    raise InvalidValue(f"{name} must be true or false.", param=name)

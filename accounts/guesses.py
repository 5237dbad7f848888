"""Guesses: an address that tries keys which do not exist is refused for a while, then for twice as long.

A key that was right within the last hour is let through, so that nobody shuts out their neighbours
behind the same proxy. Kept in the cache; without it nobody is refused.
"""

import ipaddress
import logging
import time

import redis
from django.conf import settings
from django.core.cache import cache

RIGHT_KEY_SECONDS = 3600
IPV6_NETWORK_BITS = 64

logger = logging.getLogger(__name__)


def seconds_blocked(address: str, secret_hmac: bytes) -> int:
    """How long this address may still not show this key; 0: it may."""
    block, right = _block(address), _right(secret_hmac)
    try:
        found = cache.get_many([block, right])
    except redis.RedisError:
        return 0
    if right in found or block not in found:
        return 0
    return max(0, int(found[block] - time.time()) + 1)


def note_unknown(address: str) -> None:
    """Count a key that does not exist, and block the address when it has shown too many."""
    rules = settings.FAREBOX_CONSOLE
    try:
        wrong = _counted(f"unknown-keys:{_place(address)}", rules.unknown_keys_window_minutes * 60)
        if wrong < rules.unknown_keys_per_address:
            return
        cache.delete(f"unknown-keys:{_place(address)}")
        longest = rules.address_longest_block_seconds
        times = _counted(f"address-blocks:{_place(address)}", 2 * longest)
        seconds = min(longest, rules.address_block_seconds * 2 ** min(times - 1, 20))
        cache.set(_block(address), time.time() + seconds, seconds)
        logger.warning("address blocked for unknown keys", extra={"seconds": seconds})
    except redis.RedisError:
        logger.warning("unknown keys not counted")


def note_right(secret_hmac: bytes) -> None:
    """Remember that this key exists."""
    try:
        cache.add(_right(secret_hmac), 1, RIGHT_KEY_SECONDS)
    except redis.RedisError:
        logger.warning("right keys not remembered")


def _counted(name: str, seconds: int) -> int:
    cache.add(name, 0, seconds)
    try:
        return int(cache.incr(name))
    except ValueError:  # it ended between the two calls
        cache.set(name, 1, seconds)
        return 1


def _block(address: str) -> str:
    return f"address-block:{_place(address)}"


def _right(secret_hmac: bytes) -> str:
    return f"right-key:{secret_hmac.hex()}"


def _place(address: str) -> str:
    """The address, of IPv6 its network, since one subscriber has all of that."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, IPV6_NETWORK_BITS), strict=False)).replace("/", "-")
    return str(parsed)

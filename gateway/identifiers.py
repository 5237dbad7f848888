"""Identifiers of requests: unique, and in the order of time."""

import os
import time
from uuid import UUID


def new_request_id() -> UUID:
    """A UUID of version 7: 48 bits of milliseconds, then 74 random bits. RFC 9562, section 5.7."""
    millis = time.time_ns() // 1_000_000
    random_bits = int.from_bytes(os.urandom(10), "big")
    value = (millis & (1 << 48) - 1) << 80 | random_bits
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return UUID(int=value)

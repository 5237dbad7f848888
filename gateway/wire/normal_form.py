"""By how many bytes of UTF-8 the normal form NFKC can lengthen a text, at most. Pure.

Normalising a long text takes milliseconds, so only the characters that grow are looked for. What
follows a character may shorten the result by being joined with it, and never lengthens it.
"""

import re
import unicodedata

# All characters that NFKC lengthens lie in these; a test looks at every other one.
PLACES = (
    range(0xA0, 0x3400),
    range(0xA69C, 0xA800),
    range(0xF900, 0x10000),
    range(0x1D100, 0x1D200),
    range(0x1F100, 0x1F300),
)


def growth_bytes(character: str) -> int:
    """By how many bytes this character alone grows; below zero it shrinks."""
    return len(unicodedata.normalize("NFKC", character).encode()) - len(character.encode())


_GROWTH_BYTES = {
    character: growth
    for place in PLACES
    for character in map(chr, place)
    if (growth := growth_bytes(character)) > 0
}
_GROWING = re.compile("[" + "".join(map(re.escape, _GROWTH_BYTES)) + "]")


def expansion_bytes(text: str) -> int:
    """Never less than what normalising adds to the text."""
    if text.isascii() or unicodedata.is_normalized("NFKC", text):
        return 0
    return sum(map(_GROWTH_BYTES.__getitem__, _GROWING.findall(text)))


def json_expansion_bytes(written: bytes) -> int:
    """The same for JSON as it is written, in UTF-8."""
    return 0 if written.isascii() else expansion_bytes(written.decode())

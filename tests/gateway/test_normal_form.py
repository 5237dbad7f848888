"""How much longer NFKC makes a text is never underestimated."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.wire.normal_form import PLACES, expansion_bytes, growth_bytes


def real_growth(text: str) -> int:
    return len(unicodedata.normalize("NFKC", text).encode()) - len(text.encode())


@pytest.mark.parametrize(
    ("text", "bytes_"), [("", 0), ("abc", 0), ("é", 0), ("\uff0c", 0), ("ﷺ", 30), ("ﷺaﷺ", 60), ("㍿", 9)]
)
def test_only_what_grows_counts(text: str, bytes_: int) -> None:
    assert expansion_bytes(text) == bytes_


def test_no_character_outside_of_the_places_grows() -> None:
    known = set().union(*PLACES)
    others = [chr(code) for code in range(0x110000) if code not in known and not 0xD800 <= code < 0xE000]

    assert [character for character in others if growth_bytes(character) > 0] == []


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("".join(chr(code) for place in PLACES for code in place))
@example("".join(f"{chr(code)}\u0301\u05bc" for place in PLACES for code in place))
def test_the_growth_of_no_text_is_more(text: str) -> None:
    assert real_growth(text) <= expansion_bytes(text)

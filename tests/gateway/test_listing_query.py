"""What a model list may be asked for, and what is refused there."""

import pytest

from gateway.errors import InvalidValue, MissingParameter, UnsupportedParameter
from gateway.listing_query import is_custom, read_query
from gateway.wire.models import Page


def test_nothing_asked_is_the_whole_list() -> None:
    query = read_query(b"")

    assert (query.page, query.model, query.provider) == (Page(), None, None)
    assert (query.include_deactivated, query.exclude_deprecated, query.is_openai_format) == (False,) * 3


@pytest.mark.parametrize(
    ("text", "page"),
    [
        (b"limit=1", Page(1)),
        (b"limit=1000&page_token=abc", Page(1000, "abc")),
        (b"page_size=7&cursor=abc", Page(7, "abc")),
        (b"after=abc", Page(None, "abc")),
    ],
)
def test_pages_are_asked_for_in_each_spelling(text: bytes, page: Page) -> None:
    assert read_query(text).page == page


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "1.5", "all", "%D9%A3", "9" * 40])
def test_a_limit_that_is_none_is_refused_by_its_name(limit: str) -> None:
    with pytest.raises(InvalidValue, match="limit must be a whole number from 1 to 1000") as refusal:
        read_query(f"limit={limit}".encode())

    assert refusal.value.param == "limit"


def test_flags_are_true_or_false() -> None:
    assert read_query(b"include_deactivated=True&exclude_deprecated=1").exclude_deprecated is True
    assert read_query(b"include_deactivated=0").include_deactivated is False
    with pytest.raises(InvalidValue, match="include_deactivated must be true or false, got 'maybe'"):
        read_query(b"include_deactivated=maybe")


def test_what_cannot_be_told_is_refused_and_not_ignored() -> None:
    assert read_query(b"no_training=false").page == Page()
    with pytest.raises(UnsupportedParameter, match="no_training"):
        read_query(b"no_training=true")


def test_an_endpoint_is_asked_for_by_name() -> None:
    assert read_query(b"endpoint=gpt-4o%40openai").endpoint == "gpt-4o@openai"
    with pytest.raises(MissingParameter, match="endpoint must be given"):
        _ = read_query(b"").endpoint


def test_a_flood_of_parameters_is_refused() -> None:
    with pytest.raises(InvalidValue, match="at most 64 parameters"):
        read_query(b"&".join(b"a%d=1" % number for number in range(65)))


def test_own_providers_are_told_by_their_name() -> None:
    assert is_custom("custom")
    assert is_custom("custom-openai")
    assert not is_custom("customs")

"""Model families: what belongs to one, alike in Python, in SQL and in Lua."""

import pytest
from django.db import connection

from billing.errors import InvalidBudget
from billing.families import (
    checked_family,
    is_matchable,
    is_of_family,
    is_with_provider,
    lua_pattern,
    sql_pattern,
)

CASES = [
    ("gpt-5*", "openai", "gpt-5-mini", True),
    ("gpt-5*", "azure", "gpt-5", True),
    ("gpt-5*", "openai", "gpt-4o", False),
    ("gpt-5*", "openai", "my-gpt-5", False),
    ("gpt-5", "openai", "gpt-5-mini", False),
    ("gpt-?o", "openai", "gpt-4o", True),
    ("gpt-?o", "openai", "gpt-4.1o", False),
    ("openai/*", "openai", "gpt-4o", True),
    ("openai/*", "azure", "gpt-4o", False),
    ("*/gpt-4o", "azure", "gpt-4o", True),
    ("gpt-4.1", "openai", "gpt-4x1", False),
    ("claude+3*", "anthropic", "claude+3.5", True),
    ("claude+3*", "anthropic", "claudee3.5", False),
    ("llama:8b", "meta", "llama:8b", True),
    ("*", "any", "", True),
    ("gpt-5**", "openai", "gpt-5-mini", True),
    ("**", "any", "", True),
    ("a*a", "any", "a", False),
    ("a*a", "any", "aa", True),
    ("*mini*", "openai", "gpt-5-mini", True),
    ("*mini*", "openai", "gpt-5-nano", False),
    ("gpt*-m?ni", "openai", "gpt-5-mini-mini", True),
    ("gpt*-m?ni", "openai", "gpt-mni", False),
    ("openai/*5*", "openai", "gpt-5", True),
    ("openai/*o*i", "openai", "gpt-4o", False),
]


@pytest.mark.parametrize(("family", "provider", "model", "belongs"), CASES)
def test_the_three_dialects_agree(db, redis_client, family, provider, model, belongs):
    name = f"{provider}/{model}" if is_with_provider(family) else model
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s ~ %s", [name, sql_pattern(family)])
        [by_sql] = cursor.fetchone()
    by_lua = redis_client.eval(
        "return string.find(ARGV[1], ARGV[2]) and 1 or 0", 0, name, lua_pattern(family)
    )

    assert is_of_family(family, provider=provider, model=model) is belongs
    assert (by_sql, bool(by_lua)) == (belongs, belongs)


def test_stars_in_a_row_are_one_and_two_apart_are_the_most():
    assert checked_family(" gpt**5*** ") == "gpt*5*"

    with pytest.raises(InvalidBudget, match=r"at most 2 \*, got 'g\*5\*o\*'") as refused:
        checked_family("g*5*o*")

    assert refused.value.field == "subject"


def test_a_family_with_many_stars_is_held_against_a_long_name_all_the_same():
    family = "*a" * 40 + "*b"

    assert not is_of_family(family, provider="", model="a" * 1_000)
    assert is_of_family(family, provider="", model="a" * 1_000 + "b")


def test_only_what_was_stored_with_too_many_stars_is_not_matched():
    stored = ["gpt-5", "**/g*", "*/g*5*"]

    assert [is_matchable(family) for family in stored] == [True, True, False]


@pytest.mark.parametrize(
    "text", ["", " ", "a b", "x" * 129, "gpt[45]", "gpt\n5", "^gpt", "a|b", "gpt\\5", "*a*b*"]
)
def test_what_is_no_family_is_refused_with_what_is_allowed(text):
    with pytest.raises(InvalidBudget, match=r"gpt-5\* or openai/\*") as refused:
        checked_family(text)

    assert refused.value.field == "subject"

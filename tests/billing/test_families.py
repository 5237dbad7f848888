"""Model families: what belongs to one, alike in Python, in SQL and in Lua."""

import pytest
from django.db import connection

from billing.errors import InvalidBudget
from billing.families import checked_family, is_of_family, is_with_provider, lua_pattern, sql_pattern

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


@pytest.mark.parametrize("text", ["", " ", "a b", "x" * 129, "gpt[45]", "gpt\n5", "^gpt", "a|b", "gpt\\5"])
def test_what_is_no_family_is_refused_with_what_is_allowed(text):
    with pytest.raises(InvalidBudget, match=r"gpt-5\* or openai/\*") as refused:
        checked_family(text)

    assert refused.value.field == "subject"

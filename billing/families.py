"""Model families: globs over models, in the three dialects that must agree: Python, SQL and Lua.

A family with a slash is held against `provider/model`, one without against the model alone. `*`
stands for any run of characters, `?` for one. Pure.
"""

import re
from functools import lru_cache

from billing.errors import InvalidBudget

MAX_FAMILY_CHARACTERS = 128
_ALLOWED = re.compile(r"[A-Za-z0-9._:@/*?+-]+")
_REMEMBERED_FAMILIES = 1_024


def checked_family(text: str) -> str:
    """The family as it is stored. Raises InvalidBudget naming what is allowed."""
    family = text.strip()
    if len(family) > MAX_FAMILY_CHARACTERS or not _ALLOWED.fullmatch(family):
        raise InvalidBudget(
            f"A model family is a model's name or a pattern such as gpt-5* or openai/*, of at most "
            f"{MAX_FAMILY_CHARACTERS} letters, digits and . _ : @ / + - * ?, got {family[:40]!r}.",
            field="subject",
        )
    return family


def is_of_family(family: str, *, provider: str, model: str) -> bool:
    """Whether a model that this provider serves belongs to the family."""
    name = f"{provider}/{model}" if is_with_provider(family) else model
    return _compiled(family).fullmatch(name) is not None


def is_with_provider(family: str) -> bool:
    """Whether the family is held against `provider/model` instead of the model alone."""
    return "/" in family


def sql_pattern(family: str) -> str:
    """The family as a POSIX regular expression."""
    return f"^{_regex(family)}$"


def lua_pattern(family: str) -> str:
    """The family as a Lua pattern."""
    letters = (letter if letter.isalnum() else f"%{letter}" for letter in family)
    return f"^{''.join(letters).replace('%*', '.*').replace('%?', '.')}$"


@lru_cache(_REMEMBERED_FAMILIES)
def _compiled(family: str) -> "re.Pattern[str]":
    return re.compile(_regex(family), re.DOTALL)


def _regex(family: str) -> str:
    letters = (letter if letter.isalnum() else rf"\{letter}" for letter in family)
    return "".join(letters).replace(r"\*", ".*").replace(r"\?", ".")

"""Model families: globs over models, in the three dialects that must agree: Python, SQL and Lua.

A family with a slash is held against `provider/model`, one without against the model alone. `*`
stands for any run of characters, `?` for one. Several `*` in a row are one; there are few of them,
because each lets a matcher that goes back over a name do so once more for every letter. Pure.
"""

import re
from functools import lru_cache

from billing.errors import InvalidBudget

MAX_FAMILY_CHARACTERS = 128
MAX_FAMILY_STARS = 2
_ALLOWED = re.compile(r"[A-Za-z0-9._:@/*?+-]+")
_STARS = re.compile(r"\*+")
_REMEMBERED_FAMILIES = 1_024


def checked_family(text: str) -> str:
    """The family as it is stored. Raises InvalidBudget naming what is allowed."""
    family = _STARS.sub("*", text.strip())
    if len(family) > MAX_FAMILY_CHARACTERS or not _ALLOWED.fullmatch(family) or not is_matchable(family):
        raise InvalidBudget(
            f"A model family is a model's name or a pattern such as gpt-5* or openai/*, of at most "
            f"{MAX_FAMILY_CHARACTERS} letters, digits and . _ : @ / + - * ?, and at most "
            f"{MAX_FAMILY_STARS} *, got {family[:40]!r}.",
            field="subject",
        )
    return family


def is_matchable(family: str) -> bool:
    """Whether the family has no more `*` than are allowed: what has more is held against nothing."""
    return len(_STARS.findall(family)) <= MAX_FAMILY_STARS


def is_of_family(family: str, *, provider: str, model: str) -> bool:
    """Whether a model that this provider serves belongs to the family."""
    name = f"{provider}/{model}" if is_with_provider(family) else model
    return _fits(_pieces(family), name)


def is_with_provider(family: str) -> bool:
    """Whether the family is held against `provider/model` instead of the model alone."""
    return "/" in family


def sql_pattern(family: str) -> str:
    """The family as a POSIX regular expression."""
    return f"^{'.*'.join(_regex(piece) for piece in _STARS.split(family))}$"


def lua_pattern(family: str) -> str:
    """The family as a Lua pattern."""
    letters = (letter if letter.isalnum() else f"%{letter}" for letter in _STARS.sub("*", family))
    return f"^{''.join(letters).replace('%*', '.*').replace('%?', '.')}$"


@lru_cache(_REMEMBERED_FAMILIES)
def _pieces(family: str) -> tuple["re.Pattern[str]", ...]:
    """What stands between the family's `*`, each of one length alone; the last stands at the end."""
    *pieces, last = map(_regex, _STARS.split(family))
    return tuple(re.compile(piece, re.DOTALL) for piece in [*pieces, rf"{last}\Z"])


def _fits(pieces: tuple["re.Pattern[str]", ...], name: str) -> bool:
    """Whether the name is these pieces with anything between them.

    Each is looked for once: its earliest place leaves the most to those that follow.
    """
    found = pieces[0].match(name)
    for piece in pieces[1:]:
        if found is None:
            return False
        found = piece.search(name, found.end())
    return found is not None


def _regex(piece: str) -> str:
    letters = (letter if letter.isalnum() else rf"\{letter}" for letter in piece)
    return "".join(letters).replace(r"\?", ".")

"""What a model list may be asked for in its query string, checked. Pure.

Unknown parameters are ignored, as lists have always been read with some; known ones are checked.
"""

from dataclasses import dataclass
from urllib.parse import parse_qs

from gateway.errors import InvalidValue, MissingParameter, UnsupportedParameter
from gateway.wire.models import Page

CUSTOM = "custom"
PAGE_MODELS_LIMIT = 1000
LIMIT_NAMES = ("limit", "page_size")
TOKEN_NAMES = ("page_token", "cursor", "after")
QUERY_FIELDS_LIMIT = 64
FLAGS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """A list's parameters; None where one was not sent."""

    page: Page
    model: str | None
    provider: str | None
    include_deactivated: bool
    exclude_deprecated: bool
    is_openai_format: bool
    sent_endpoint: str | None

    @property
    def endpoint(self) -> str:
        """Raises MissingParameter if it was not sent."""
        if not self.sent_endpoint:
            raise MissingParameter("endpoint must be given, as in gpt-4o@openai.", param="endpoint")
        return self.sent_endpoint


def read_query(query_string: bytes) -> ListQuery:
    """Raises InvalidValue and UnsupportedParameter; of a repeated parameter the first counts."""
    try:
        found = parse_qs(query_string.decode("ascii", "replace"), max_num_fields=QUERY_FIELDS_LIMIT)
    except ValueError as exc:
        raise InvalidValue(f"The query string may have at most {QUERY_FIELDS_LIMIT} parameters.") from exc
    values = {name: each[0] for name, each in found.items()}
    if _flag(values, "no_training"):
        raise UnsupportedParameter(
            "no_training: what providers do with prompts is not known here, so no model can be left out.",
            param="no_training",
        )
    return ListQuery(
        page=Page(_limit(values), _first(values, TOKEN_NAMES)),
        model=values.get("model"),
        provider=values.get("provider"),
        include_deactivated=_flag(values, "include_deactivated"),
        exclude_deprecated=_flag(values, "exclude_deprecated"),
        is_openai_format=values.get("format") == "openai",
        sent_endpoint=values.get("endpoint"),
    )


def is_custom(provider: str) -> bool:
    """Whether this provider is an organization's own, as Unify's clients call it."""
    return provider == CUSTOM or provider.startswith(f"{CUSTOM}-")


def _limit(values: dict[str, str]) -> int | None:
    name = next((name for name in LIMIT_NAMES if name in values), None)
    if name is None:
        return None
    text = values[name]
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and 1 <= int(text) <= PAGE_MODELS_LIMIT):
        raise InvalidValue(
            f"{name} must be a whole number from 1 to {PAGE_MODELS_LIMIT}, got {text[:40]!r}.", param=name
        )
    return int(text)


def _first(values: dict[str, str], names: tuple[str, ...]) -> str:
    return next((values[name] for name in names if name in values), "")


def _flag(values: dict[str, str], name: str) -> bool:
    text = values.get(name, "false").lower()
    if text not in FLAGS:
        raise InvalidValue(f"{name} must be true or false, got {text[:40]!r}.", param=name)
    return FLAGS[text]

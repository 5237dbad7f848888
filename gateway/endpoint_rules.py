"""What names, keys and addresses of custom endpoints may look like, as Unify's clients write them.

Pure. An endpoint is called `model@custom`, or `model@custom-<provider>` for an own model there.
"""

from dataclasses import dataclass

from billing.price_book import PriceBook
from gateway.connection_rules import (
    HIDDEN_TAIL,
    MAX_API_KEY_CHARACTERS,
    OWN_ENDPOINT,
    OWN_ENDPOINT_PREFIX,
    SHOWN_TAIL_CHARACTERS,
    WrongConnection,
    checked_model_name,
    tail_of,
)

MAX_KEY_NAME_CHARACTERS = 64
COMPLETIONS_SUFFIX = "/chat/completions"
# Providers of the source whose endpoints may be custom ones, whether or not the price book lists them.
PROVIDERS_OF_UNIFY = ("openai", "mistral", "vertex-ai", "fireworks-ai", "together-ai")


@dataclass(frozen=True, slots=True)
class EndpointName:
    """`model@provider`, taken apart."""

    model: str
    provider: str

    def __str__(self) -> str:
        return f"{self.model}@{self.provider}"


def checked_endpoint_name(text: str, *, book: PriceBook, field: str = "name") -> EndpointName:
    """The name of a custom endpoint; raises WrongConnection."""
    model, at, provider = text.strip().rpartition("@")
    if not at or not model:
        raise WrongConnection(
            "The name of a custom endpoint is a model's, then '@' and 'custom', as in my-model@custom, "
            f"got {text[:80]!r}.",
            field=field,
        )
    if provider not in custom_providers(book):
        raise WrongConnection(
            f"The provider of a custom endpoint must be one of {', '.join(custom_providers(book))}, "
            f"got {provider[:80]!r}.",
            field=field,
        )
    return EndpointName(checked_model_name(model, field=field), provider)


def custom_providers(book: PriceBook) -> tuple[str, ...]:
    """`custom`, and `custom-<provider>` for each that there is."""
    known = dict.fromkeys((*PROVIDERS_OF_UNIFY, *sorted(book.providers)))
    return (OWN_ENDPOINT, *(f"{OWN_ENDPOINT_PREFIX}{slug}" for slug in known))


def checked_key_name(text: str, *, field: str = "name") -> str:
    """The name of a stored key; raises WrongConnection."""
    name = text.strip()
    if not 1 <= len(name) <= MAX_KEY_NAME_CHARACTERS or not name.isprintable():
        raise WrongConnection(
            f"The name of a key has between 1 and {MAX_KEY_NAME_CHARACTERS} printable characters.",
            field=field,
        )
    return name


def checked_value(text: str) -> str:
    """The key itself, without white space around it; raises WrongConnection."""
    value = text.strip()
    if not 1 <= len(value) <= MAX_API_KEY_CHARACTERS or not all("!" <= each <= "~" for each in value):
        raise WrongConnection(
            f"A key has between 1 and {MAX_API_KEY_CHARACTERS} printable characters and no spaces.",
            field="value",
        )
    return value


def tail_of_value(value: str) -> str:
    """What may be shown of a key: its end, if that leaves enough hidden. Four characters hide nothing."""
    return value if len(value) <= SHOWN_TAIL_CHARACTERS else tail_of(value)


def masked(tail: str) -> str:
    """A key as it is told again, as in `****1234`."""
    return HIDDEN_TAIL if tail == HIDDEN_TAIL else HIDDEN_TAIL + tail


def without_call(url: str) -> str:
    """The base URL of an endpoint that was given as the address of its completions."""
    return url.strip().rstrip("/").removesuffix(COMPLETIONS_SUFFIX)

"""What provider connections and declared models may look like.

Pure rules on names, keys and prices. Forms, the operator's admin and `gateway.services` check with the
same functions. Base URLs are judged by `gateway.egress`.
"""

import re
from collections.abc import Container
from dataclasses import dataclass
from decimal import Decimal

from billing.price_book import PriceBook
from gateway.routing.criteria import is_criterion

OWN_ENDPOINT = "custom"
OWN_ENDPOINT_PREFIX = f"{OWN_ENDPOINT}-"
RESERVED_PROVIDERS = frozenset({"auto", "external", "farebox", "llmgateway", "router"})
# What joins models, and what stands around their parameters, in the `model` of a request.
SELECTOR_MARKS = ("->", "|", "^", "!", "[", "]", "?", "<", ">")

MAX_PROVIDER_CHARACTERS = 64
MAX_API_KEY_CHARACTERS = 4_096
MAX_MODEL_CHARACTERS = 200
MAX_WINDOW_TOKENS = 100_000_000
SMALLEST_PRICE_USD = Decimal("0.000001")
MAX_PRICE_USD = Decimal(100_000)

SHOWN_TAIL_CHARACTERS = 4
SHORTEST_KEY_WITH_TAIL = 12
HIDDEN_TAIL = "****"

_ENDPOINT_NAME = re.compile(r"[a-z]+(-[a-z]+)*")


class WrongConnection(Exception):
    """A connection or a declared model cannot be like this; `str()` of it says what to change.

    `field` names the value that is wrong.
    """

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A model as its owner states it. A price of zero says that it is free."""

    model: str
    upstream_name: str
    context_window_tokens: int
    max_output_tokens: int
    input_usd_per_million: Decimal
    output_usd_per_million: Decimal


def checked_provider(text: str, *, book: PriceBook, taken: Container[str]) -> str:
    """The slug of a provider of the book, or of an owner's endpoint; raises WrongConnection.

    `taken`: names of endpoints that mean something else already. `custom-<provider>` is an owner's
    own deployment at that provider.
    """
    slug = text.strip()
    if slug in book.providers:
        return slug
    if len(slug) > MAX_PROVIDER_CHARACTERS or not _is_endpoint_name(slug, book):
        raise WrongConnection(
            "The name of an endpoint is made of lower-case letters, with single dashes between words, "
            f"as in my-models; it has at most {MAX_PROVIDER_CHARACTERS} characters.",
            field="provider",
        )
    if slug in RESERVED_PROVIDERS or is_criterion(slug) or slug in taken:
        raise WrongConnection(f"The name {slug!r} is taken; choose another one.", field="provider")
    return slug


def default_base_url(slug: str, book: PriceBook) -> str:
    """Where the price book says that this provider listens; raises WrongConnection if it does not know."""
    listing = book.providers.get(slug) or book.providers.get(slug.removeprefix(OWN_ENDPOINT_PREFIX))
    if listing is None:
        raise WrongConnection(
            "Give the base URL of your endpoint, as in https://models.example.com/v1.", field="base_url"
        )
    return listing.base_url


def checked_api_key(text: str, *, is_required: bool) -> str:
    """The key without white space around it; raises WrongConnection."""
    api_key = text.strip()
    if is_required and not api_key:
        raise WrongConnection("Give the key that the provider has issued to you.", field="api_key")
    if len(api_key) > MAX_API_KEY_CHARACTERS or not re.fullmatch(r"[!-~]*", api_key):
        raise WrongConnection(
            f"A provider's key has at most {MAX_API_KEY_CHARACTERS} printable characters and no spaces.",
            field="api_key",
        )
    return api_key


def tail_of(api_key: str) -> str:
    """What may be shown of a key to tell it from others; empty if there is no key."""
    if not api_key:
        return ""
    return api_key[-SHOWN_TAIL_CHARACTERS:] if len(api_key) >= SHORTEST_KEY_WITH_TAIL else HIDDEN_TAIL


def checked_declaration(
    *,
    model: str,
    upstream_name: str,
    context_window_tokens: int,
    max_output_tokens: int,
    input_usd_per_million: Decimal,
    output_usd_per_million: Decimal,
) -> Declaration:
    """What an owner states, tidied; an empty `upstream_name` is the model's own. Raises WrongConnection."""
    name = checked_model_name(model, field="model")
    _check_window(context_window_tokens, max_output_tokens)
    return Declaration(
        model=name,
        upstream_name=checked_upstream_name(upstream_name.strip() or name, field="upstream_name"),
        context_window_tokens=context_window_tokens,
        max_output_tokens=max_output_tokens,
        input_usd_per_million=checked_price(input_usd_per_million, field="input_usd_per_million"),
        output_usd_per_million=checked_price(output_usd_per_million, field="output_usd_per_million"),
    )


def checked_model_name(text: str, *, field: str) -> str:
    """A name that the `model` of a request can say, without white space around it; raises WrongConnection."""
    name = checked_upstream_name(text, field=field)
    _check_selectable(name, field)
    return name


def checked_upstream_name(text: str, *, field: str) -> str:
    """The name of a model at its endpoint, without white space around it; raises WrongConnection."""
    name = text.strip()
    if not name or len(name) > MAX_MODEL_CHARACTERS or not name.isprintable() or " " in name:
        raise WrongConnection(
            f"A model's name has between 1 and {MAX_MODEL_CHARACTERS} printable characters and no spaces.",
            field=field,
        )
    return name


def _check_selectable(name: str, field: str) -> None:
    """Refuse a name that the `model` of a request could not say."""
    for mark in SELECTOR_MARKS:
        if mark in name:
            raise WrongConnection(f"The name must not contain {mark!r}.", field=field)
    if name.startswith(("/", "@", ":")) or name.endswith(("/", "@", ":")):
        raise WrongConnection("The name must not begin or end with '/', '@' or ':'.", field=field)


def _check_window(context_window_tokens: int, max_output_tokens: int) -> None:
    if not 1 <= context_window_tokens <= MAX_WINDOW_TOKENS:
        raise WrongConnection(
            f"The context window must be between 1 and {MAX_WINDOW_TOKENS} tokens, "
            f"got {context_window_tokens}.",
            field="context_window_tokens",
        )
    if not 1 <= max_output_tokens <= context_window_tokens:
        raise WrongConnection(
            f"The output limit must be between 1 and the context window, got {max_output_tokens}.",
            field="max_output_tokens",
        )


def checked_price(price_usd: Decimal, *, field: str) -> Decimal:
    """A price per million tokens; raises WrongConnection."""
    is_finite = price_usd.is_finite()
    if not is_finite or not 0 <= price_usd <= MAX_PRICE_USD or price_usd % SMALLEST_PRICE_USD:
        raise WrongConnection(
            f"A price must be between $0 and ${MAX_PRICE_USD:,} per million tokens, "
            f"with at most six decimals, got {price_usd}.",
            field=field,
        )
    return price_usd


def _is_endpoint_name(slug: str, book: PriceBook) -> bool:
    is_own_deployment = slug.startswith(OWN_ENDPOINT_PREFIX)
    return bool(_ENDPOINT_NAME.fullmatch(slug)) or (
        is_own_deployment and slug.removeprefix(OWN_ENDPOINT_PREFIX) in book.providers
    )

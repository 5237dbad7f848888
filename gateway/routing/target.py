"""Targets: one model at one provider through one connection, ready to be called and paid for."""

from dataclasses import dataclass, field
from uuid import UUID

from msgspec import Struct

from billing.pricing import DEFAULT_TIER, Price
from billing.terms import Terms
from gateway.wire.chat_request import ChatRequest
from gateway.wire.prompt_bounds import family_of, prompt_tokens_bound

# A model whose limits nobody has stated is taken to have the largest that any has.
UNKNOWN_WINDOW_TOKENS = 2_000_000
UNKNOWN_OUTPUT_TOKENS = 131_072


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A way to reach a provider: an address with a credential, the operator's or an organization's own."""

    id: UUID
    provider: str
    kind: str
    base_url: str
    credential: str = field(repr=False)
    is_own: bool
    is_guarded: bool
    region: str = ""
    """Where its endpoint is, if the provider has other prices there."""


class Offer(Struct, frozen=True, kw_only=True):
    """A model as one provider lists it. `capabilities` None: unknown, so nothing is refused or dropped."""

    provider: str
    model: str
    upstream_name: str
    price: Price | None
    terms: Terms | None = None
    context_window_tokens: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[str] | None = None
    unsupported_params: frozenset[str] = frozenset()
    is_for_own_keys_alone: bool = False
    connection: Connection | None = None
    """The one way to reach it, of an endpoint that is its owner's; None: any of its provider's."""


class Target(Struct, frozen=True, kw_only=True):
    """An offer, a connection and a price. `is_alternative`: chosen by the gateway, not asked for."""

    provider: str
    kind: str
    model: str
    upstream_name: str
    base_url: str
    credential: str
    is_own_credential: bool
    is_guarded: bool
    price: Price
    terms: Terms | None = None
    """How the charge differs from the cost; None: it does not."""
    connection_id: UUID | None = None
    context_window_tokens: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[str] | None = None
    unsupported_params: frozenset[str] = frozenset()
    is_alternative: bool = False
    is_race_leg: bool = False
    """Whether it runs beside its neighbours that are legs too, and the first one with output answers."""
    handicap_seconds: float = 0.0
    """The leg with the largest starts at once, any other one after the difference to its own."""
    ttft_timeout_seconds: float = 0.0
    """A leg without output by then is given up; 0: it may take its time."""
    is_thinker: bool = False
    """Whether what it says is kept for its session's later requests."""
    region: str = ""
    """Where it is called, if its provider is connected by region."""
    request: ChatRequest | None = None
    """What it is asked, if that is not the request as it came in."""

    def __repr__(self) -> str:
        return f"Target({self.provider}/{self.model})"

    def can(self, capability: str) -> bool:
        return self.capabilities is None or capability in self.capabilities

    def has_tier(self, name: str) -> bool:
        """Whether this service tier has a price."""
        return name == DEFAULT_TIER or any(price.tier == name for price in self.price.tiers)

    def prompt_tokens_bound(self, request: ChatRequest) -> int:
        """The most that this model can count for the prompt: it cannot read more than its window."""
        family = family_of(self.provider, base_url=self.base_url, is_trusted=not self.is_guarded)
        bound = prompt_tokens_bound(request.prompt, family, self.model)
        return min(bound, self.context_window_tokens or UNKNOWN_WINDOW_TOKENS)

    def output_tokens_bound(self, request: ChatRequest) -> int:
        """The most that one choice can be billed for: the client's cap, within the model's own.

        Tokens reserved for reasoning count on top, since not every provider puts them under the cap,
        and so do those of a prediction, which are billed although they are not in the answer.
        """
        own_limit = self.max_output_tokens or self.context_window_tokens
        if request.max_output_tokens is None:
            return (own_limit or UNKNOWN_OUTPUT_TOKENS) + request.rejected_tokens_bound
        asked = request.max_output_tokens + (request.reasoning_max_tokens or 0)
        return (min(asked, own_limit) if own_limit else asked) + request.rejected_tokens_bound

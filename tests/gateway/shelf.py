"""A catalogue of what a test puts on it, and the choice from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from billing.pricing import Price
from gateway.routing.grammar import Parsed, parse_selector
from gateway.routing.select import choose_targets
from gateway.routing.source import Vocabulary
from gateway.routing.target import Connection, Offer, Target
from gateway.routing.views import Conditions
from gateway.wire.chat import parse_chat_request
from gateway.wire.chat_request import ChatRequest
from tests.gateway.chat_bodies import body

PLATFORM, OWN = UUID(int=1), UUID(int=2)


def price(input_pico: int, output_pico: int = 0) -> Price:
    return Price(version=f"test {input_pico}", input=input_pico, output=output_pico)


def connection(provider: str, *, is_own: bool = False) -> Connection:
    return Connection(
        id=OWN if is_own else PLATFORM,
        provider=provider,
        kind="openai-compatible",
        base_url=f"https://{provider}.test/v1",
        credential="sk-own" if is_own else "sk-platform",
        is_own=is_own,
        is_guarded=is_own,
    )


def offer(provider: str, model: str, input_pico: int = 1000, **fields: Any) -> Offer:
    return Offer(
        **{
            "provider": provider,
            "model": model,
            "upstream_name": f"{model}-2026",
            "price": price(input_pico),
            "context_window_tokens": 1000,
            "max_output_tokens": 100,
            **fields,
        }
    )


@dataclass
class Shelf:
    """A catalogue of what a test puts on it."""

    shelved: list[Offer]
    connections: list[Connection] = field(default_factory=list)

    aliases: dict[str, str] = field(default_factory=dict)

    @property
    def vocabulary(self) -> Vocabulary:
        providers = {offer.provider for offer in self.shelved} | {one.provider for one in self.connections}
        regions = {one.region for one in self.connections if one.region}
        return Vocabulary(providers=providers, regions=regions, aliases=self.aliases)

    def parsed(self, text: str) -> Parsed:
        return parse_selector(text, vocabulary=self.vocabulary)

    def offers(self) -> list[Offer]:
        return [offer for offer in self.shelved if self.connections_for(offer.provider)]

    def connections_for(self, provider: str) -> Sequence[Connection]:
        return [one for one in self.connections if one.provider == provider]

    def listing(self, provider: str, model: str) -> Offer | None:
        return next((o for o in self.shelved if (o.provider, o.model) == (provider, model)), None)

    def providers_of(self, model: str) -> Sequence[Offer]:
        return [offer for offer in self.shelved if offer.model == model]

    def in_region(self, offer: Offer, region: str) -> Offer:
        return next((o for o in self.shelved if o.upstream_name == f"{offer.upstream_name}-{region}"), offer)


@dataclass
class Key:
    allowed_models: Sequence[str] | None = None
    project_mode: str = "hybrid"
    default_fallbacks: Sequence[str] = ()


SHELF = Shelf(
    [
        offer("openai", "gpt-4o", 2500),
        offer("azure", "gpt-4o", 2000),
        offer("openai", "gpt-4o-mini", 150),
        offer("groq", "openai/gpt-oss", 100),
        offer("azure", "unpriced", price=None),
        offer("dark", "hidden"),
        offer("azure", "tiny", context_window_tokens=10),
        offer("azure", "plain", capabilities=frozenset({"tools"})),
        offer("azure", "rich", capabilities=frozenset({"json_mode", "json_schema", "vision", "web_search"})),
    ],
    [connection("openai"), connection("azure"), connection("groq")],
)


def request(model: str, **fields: Any) -> ChatRequest:
    return parse_chat_request(body(model=model, **fields))


def chosen(
    asked: ChatRequest, *, shelf: Shelf = SHELF, key: Key | None = None, limit: int = 5
) -> tuple[Target, ...]:
    conditions = Conditions(limit=limit, luck=Random(7))
    return choose_targets(asked, catalogue=shelf, policy=key or Key(), conditions=conditions).targets


def names(targets: Sequence[Target]) -> list[str]:
    return [f"{target.provider}/{target.model}" for target in targets]

"""One name for a model on both sides: what the provider calls it, and what our events call it.

The price book knows aliases and upstream names. Models that were declared for a connection are
known elsewhere; who knows them adds a source.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from billing.price_book import PriceBook

# (provider, our model) → the endpoint's own name for it.
Declared = Mapping[tuple[str, str], str]
DeclaredSource = Callable[[uuid.UUID | None], Declared]

# Providers bill a model under the name of its dated snapshot.
_SNAPSHOT = re.compile(r"[-@](20\d{2}-?\d{2}-?\d{2})(-v\d+(:\d+)?)?$")

_sources: list[DeclaredSource] = []


@dataclass(frozen=True, slots=True)
class ModelNames:
    """Both sides' names of the models of one provider account."""

    book: PriceBook
    declared: Declared

    def of_ours(self, provider: str, model: str) -> str:
        """The common name of a model as our events have it."""
        upstream = self.declared.get((provider, model), model)
        return self.of_theirs(provider, upstream) or upstream

    def of_theirs(self, provider: str, name: str) -> str | None:
        """The common name of a model as the provider has it; None if nobody knows it."""
        for candidate in (name, _SNAPSHOT.sub("", name)):
            listing = self.book.listing(provider, candidate)
            if listing is not None:
                return listing.model
            if candidate in self._endpoint_names(provider):
                return candidate
        return None

    def providers(self) -> frozenset[str]:
        """Every provider that anybody knows."""
        return frozenset(self.book.providers) | {provider for provider, _ in self.declared}

    def _endpoint_names(self, provider: str) -> frozenset[str]:
        return frozenset(name for (owner, _), name in self.declared.items() if owner == provider)


def add_source(source: DeclaredSource) -> None:
    """Let another room tell which models were declared for the operator (None) or an organization."""
    if source not in _sources:
        _sources.append(source)


def declared_by_sources(organization_id: uuid.UUID | None) -> dict[tuple[str, str], str]:
    """What all sources know of the operator's models (None) or an organization's."""
    declared: dict[tuple[str, str], str] = {}
    for source in _sources:
        declared.update(source(organization_id))
    return declared

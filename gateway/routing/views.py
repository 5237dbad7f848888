"""What routing is told: what a key can reach, what it may use, and what else a choice depends on."""

from collections.abc import Sequence
from random import Random
from typing import Protocol

from msgspec import Struct

from gateway.routing.grammar import Parsed
from gateway.routing.health_view import UNMEASURED, TargetHealth
from gateway.routing.score import PLAIN_SCORING, Scoring
from gateway.routing.source import Vocabulary
from gateway.routing.target import Connection, Offer

TARGETS_LIMIT = 5


class Catalogue(Protocol):
    """What can be reached by one key."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    def parsed(self, text: str) -> Parsed:
        """The selector of a `model`; raises InvalidModel."""
        ...

    def connections_for(self, provider: str) -> Sequence[Connection]: ...

    def listing(self, provider: str, model: str) -> Offer | None: ...

    def providers_of(self, model: str) -> Sequence[Offer]: ...

    def offers(self) -> Sequence[Offer]: ...

    def in_region(self, offer: Offer, region: str) -> Offer: ...


class PolicyView(Protocol):
    """What a key may use, whose credentials its project prefers, and its organization's settings."""

    @property
    def allowed_models(self) -> Sequence[str] | None: ...

    @property
    def project_mode(self) -> str: ...

    @property
    def default_fallbacks(self) -> Sequence[str]: ...


class Session(Struct, frozen=True):
    """What a session did before. `thought` is what its thinker said; "" means nothing yet."""

    has_begun: bool = False
    thought: str = ""


class Conditions(Struct, frozen=True, eq=False, kw_only=True):
    """What a choice depends on beside request, key and catalogue.

    `luck` draws weighted branches and the exploration of bare models; a seeded one makes the choice
    repeatable. `session` None: the request names none, or its selector asks for nothing of it.
    """

    limit: int = TARGETS_LIMIT
    health: TargetHealth = UNMEASURED
    scoring: Scoring = PLAIN_SCORING
    luck: Random
    session: Session | None = None
    is_explained: bool = False
    """Whether everything that was considered is to be noted, with the reasons."""

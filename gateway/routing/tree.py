"""What a model string says, as a tree of immutable values. Reading is `gateway.routing.grammar`'s business.

A leaf is one model or one way to find one; a branch is a leaf with its annotations; the rest say
in which order branches are tried.
"""

from decimal import Decimal

from msgspec import Struct

REASONING_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
VERBOSITIES = ("low", "medium", "high")


class Options(Struct, frozen=True):
    """Parameters that bind one leaf, and override the request's own (`?temperature=0.5`)."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None


NO_OPTIONS = Options()


class Sort(Struct, frozen=True):
    """Order by a metric: `lowest-cost`."""

    metric: str
    is_highest_first: bool


class Threshold(Struct, frozen=True):
    """A bound on a metric: `itl<20`."""

    metric: str
    operator: str
    bound: Decimal


class Term(Struct, frozen=True):
    """A part of a weighted objective: `cost:0.5`."""

    metric: str
    factor: Decimal


class Search(Struct, frozen=True):
    """Where is looked: `providers:openai,groq`. `is_skipped`: everywhere else."""

    kind: str
    names: tuple[str, ...]
    is_skipped: bool = False


class Criteria(Struct, frozen=True):
    """How to choose among endpoints; either sorts or an objective, or neither. The last sort is dominant."""

    sorts: tuple[Sort, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    objective: tuple[Term, ...] = ()
    searches: tuple[Search, ...] = ()


class Named(Struct, frozen=True):
    """A model by its name. `provider` None: any that lists it. `text` is how it was written.

    `instance` is the N-th connection of the provider, counted from 1; 0 means any.
    """

    text: str
    model: str
    provider: str | None = None
    region: str = ""
    instance: int = 0
    options: Options = NO_OPTIONS


class Automatic(Struct, frozen=True):
    """`auto`: the cheapest model that can do what is asked."""

    options: Options = NO_OPTIONS


class ByMetric(Struct, frozen=True):
    """`model@ttft` or, with `model` None, `router@…` over all models."""

    model: str | None
    criteria: Criteria
    router: str = ""
    options: Options = NO_OPTIONS


Leaf = Named | Automatic | ByMetric


class Chain(Struct, frozen=True):
    """`a->b`: one after the other."""

    steps: tuple[Leaf, ...]


class Branch(Struct, frozen=True):
    """A leaf with its annotations; beside a thinker it may be a failover or a race."""

    selector: "Leaf | Failover | Race"
    max_context: int | None = None
    weight: int = 1
    is_first: bool = False
    is_thinker: bool = False
    handicap_seconds: float = 0.0
    ttft_timeout_seconds: float = 0.0


class Single(Struct, frozen=True):
    """One branch on its own: `[max_context=8000]a`."""

    branch: Branch


class Failover(Struct, frozen=True):
    """`a|b`: one after the other."""

    branches: tuple[Branch, ...]


class Weighted(Struct, frozen=True):
    """`a^b`: drawn by weight; what was not drawn follows in an order that is drawn as well."""

    branches: tuple[Branch, ...]

    @property
    def has_session_rule(self) -> bool:
        """Whether the choice depends on what the session did before."""
        return any(branch.is_first or branch.is_thinker for branch in self.branches)


class Race(Struct, frozen=True):
    """`a!b`: all at once; the first that says something answers."""

    branches: tuple[Branch, ...]


Selector = Leaf | Chain | Single | Failover | Weighted | Race


def has_race(selector: Selector) -> bool:
    """Whether any of it is a race, such as one beside a thinker."""
    if isinstance(selector, Weighted):
        return any(isinstance(branch.selector, Race) for branch in selector.branches)
    return isinstance(selector, Race)

"""Writes of an organization's routing: aliases of selectors, and fallbacks of all its keys.

One transaction, keywords only; the data plane hears of it by the organization's epoch.
"""

import re
from collections.abc import Mapping, Sequence

from django.db import transaction

from accounts.models import Organization
from accounts.services import bump_epoch
from accounts.tenancy import scoped
from billing.price_book import load_price_book
from gateway.connection_rules import MAX_MODEL_CHARACTERS
from gateway.errors import InvalidModel
from gateway.models import ProviderConnection, RoutingPolicy
from gateway.routing.grammar import is_leaf, parse_selector
from gateway.routing.leaves import AUTOMATIC
from gateway.routing.source import Vocabulary

ALIASES_LIMIT, FALLBACKS_LIMIT = 50, 5
ALIAS_NAME = re.compile(r"[A-Za-z0-9._/:-]+")


class WrongRouting(Exception):
    """An alias or a fallback cannot be like this; `str()` of it says what to change.

    `field` names the value that is wrong.
    """

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


@transaction.atomic
def set_routing(
    *, organization: Organization, model_aliases: Mapping[str, str], default_fallbacks: Sequence[str]
) -> RoutingPolicy:
    """Replace the organization's aliases and fallbacks. Raises WrongRouting.

    Whether the models exist is not asked: prices and connections come and go.
    """
    vocabulary = _vocabulary(organization)
    _check_aliases(model_aliases, vocabulary)
    _check_fallbacks(default_fallbacks, model_aliases, vocabulary)
    policy, _ = RoutingPolicy.objects.update_or_create(
        organization=organization,
        defaults={"model_aliases": dict(model_aliases), "default_fallbacks": list(default_fallbacks)},
    )
    bump_epoch(organization_id=organization.pk)
    return policy


def _vocabulary(organization: Organization) -> Vocabulary:
    own = scoped(ProviderConnection.objects.all(), organization).values_list("provider", "region")
    operators = ProviderConnection.objects.filter(organization=None).values_list("provider", "region")
    ways = [*own, *operators]
    providers = {provider for provider, _ in ways} | load_price_book().providers.keys()
    return Vocabulary(providers=providers, regions={region for _, region in ways if region})


def _check_aliases(aliases: Mapping[str, str], vocabulary: Vocabulary) -> None:
    if len(aliases) > ALIASES_LIMIT:
        raise WrongRouting(f"There may be at most {ALIASES_LIMIT} aliases.", field="model_aliases")
    for name, selector in aliases.items():
        if len(name) > MAX_MODEL_CHARACTERS or not ALIAS_NAME.fullmatch(name) or name in AUTOMATIC:
            raise WrongRouting(
                f"The alias {name[:64]!r} must be made of letters, digits, '.', '_', '-', '/' and ':', "
                f"with at most {MAX_MODEL_CHARACTERS} characters, and may not be 'auto'.",
                field="model_aliases",
            )
        if selector.strip() in aliases:
            raise WrongRouting(f"The alias {name!r} leads to another alias.", field="model_aliases")
        _check_readable(selector, vocabulary, f"The alias {name!r}", field="model_aliases")


def _check_fallbacks(fallbacks: Sequence[str], aliases: Mapping[str, str], vocabulary: Vocabulary) -> None:
    if len(fallbacks) > FALLBACKS_LIMIT:
        raise WrongRouting(f"There may be at most {FALLBACKS_LIMIT} fallbacks.", field="default_fallbacks")
    for text in fallbacks:
        _check_readable(
            aliases.get(text, text),
            vocabulary,
            f"The fallback {text[:64]!r}",
            field="default_fallbacks",
            must_be_one=True,
        )


def _check_readable(
    text: str, vocabulary: Vocabulary, what: str, *, field: str, must_be_one: bool = False
) -> None:
    try:
        selector = parse_selector(text, vocabulary=vocabulary, param=what).selector
    except InvalidModel as refusal:
        raise WrongRouting(refusal.message, field=field) from refusal
    if must_be_one and not is_leaf(selector):
        raise WrongRouting(f"{what} must name one model, without operators.", field=field)

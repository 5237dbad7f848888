"""What names, limits, tags, model lists and time zones may look like.

Pure but for the machine's list of time zones. Forms and services check the same values here; a
broken rule is an `AccountsRefusal`.
"""

import zoneinfo
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache

from accounts.errors import NameMissing, WrongLimit
from accounts.networks import parse_network

MAX_NAME_CHARACTERS = 120
# Of a project's cache: ten seconds to a year (CONTRACT 1.4.7).
MIN_CACHE_TTL_SECONDS, DEFAULT_CACHE_TTL_SECONDS, MAX_CACHE_TTL_SECONDS = 10, 60, 31_536_000
MAX_TAGS = 20
MAX_TAG_CHARACTERS = 64
MAX_ALLOWED_MODELS = 100
MAX_MODEL_CHARACTERS = 200
MAX_ALLOWED_NETWORKS = 100
MAX_NETWORK_CHARACTERS = 64
MAX_RATE = 2**31 - 1
MAX_TOKENS_PER_MINUTE = 10**12
MAX_ROLL_OVERLAP_SECONDS = 30 * 86_400


def checked_name(name: str, *, is_required: bool = True) -> str:
    """The name without needless white space; raises NameMissing."""
    tidy = " ".join(name.split())
    if is_required and not tidy:
        raise NameMissing("Give it a name.", field="name")
    if len(tidy) > MAX_NAME_CHARACTERS or not tidy.isprintable():
        raise NameMissing(f"A name has at most {MAX_NAME_CHARACTERS} printable characters.", field="name")
    return tidy


def check_rates(
    requests_per_minute: int | None, tokens_per_minute: int | None, concurrent_requests: int | None
) -> None:
    """Raise WrongLimit unless each is None or a whole number from 1 up."""
    _check_rate("requests_per_minute", requests_per_minute, most=MAX_RATE)
    _check_rate("tokens_per_minute", tokens_per_minute, most=MAX_TOKENS_PER_MINUTE)
    _check_rate("concurrent_requests", concurrent_requests, most=MAX_RATE)


def check_cache_ttl(seconds: int) -> None:
    """Raise WrongLimit unless an answer may be given again for so long."""
    if not MIN_CACHE_TTL_SECONDS <= seconds <= MAX_CACHE_TTL_SECONDS:
        raise WrongLimit(
            f"Answers are kept for {MIN_CACHE_TTL_SECONDS} to {MAX_CACHE_TTL_SECONDS} seconds, "
            f"got {seconds}.",
            field="cache_ttl_seconds",
        )


def check_expiry(expires_at: datetime | None) -> None:
    """Raise WrongLimit if the moment has passed already."""
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise WrongLimit("The key would have expired already; choose a later date.", field="expires_at")


def check_overlap(overlap_seconds: int) -> None:
    """Raise WrongLimit unless the former secret of a rolled key may serve for so long."""
    if not 0 <= overlap_seconds <= MAX_ROLL_OVERLAP_SECONDS:
        raise WrongLimit(
            f"overlap_seconds must be between 0 and {MAX_ROLL_OVERLAP_SECONDS}, got {overlap_seconds}.",
            field="overlap_seconds",
        )


def checked_tags(tags: Sequence[str]) -> list[str]:
    """The tags, trimmed and without doubles, in their order; raises WrongLimit."""
    tidy = list(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))
    if len(tidy) > MAX_TAGS:
        raise WrongLimit(f"A key has at most {MAX_TAGS} tags, got {len(tidy)}.", field="default_tags")
    for tag in tidy:
        if len(tag) > MAX_TAG_CHARACTERS or not tag.isprintable() or "," in tag:
            raise WrongLimit(
                f"A tag has at most {MAX_TAG_CHARACTERS} printable characters and no comma.",
                field="default_tags",
            )
    return tidy


def checked_models(models: Sequence[str] | None) -> list[str] | None:
    """The allowed models, trimmed and without doubles; None allows all; raises WrongLimit."""
    if models is None:
        return None
    tidy = list(dict.fromkeys(model.strip() for model in models if model.strip()))
    if not 1 <= len(tidy) <= MAX_ALLOWED_MODELS:
        raise WrongLimit(
            f"Name between 1 and {MAX_ALLOWED_MODELS} models, or allow all of them.", field="allowed_models"
        )
    for model in tidy:
        if len(model) > MAX_MODEL_CHARACTERS or not model.isprintable() or " " in model:
            raise WrongLimit(
                f"{model[:40]!r} is not a model name like provider/model or provider/*.",
                field="allowed_models",
            )
    return tidy


def checked_networks(networks: Sequence[str] | None) -> list[str] | None:
    """The allowed networks, written one way and without doubles; None allows all; raises WrongLimit."""
    if networks is None:
        return None
    tidy = list(dict.fromkeys(_checked_network(network) for network in networks if network.strip()))
    if not 1 <= len(tidy) <= MAX_ALLOWED_NETWORKS:
        raise WrongLimit(
            f"Name between 1 and {MAX_ALLOWED_NETWORKS} networks, or allow all of them.",
            field="allowed_networks",
        )
    return tidy


def _checked_network(text: str) -> str:
    try:
        return str(parse_network(text))
    except ValueError:
        raise WrongLimit(
            f"{text[:40]!r} is not an address or a network like 203.0.113.0/24.", field="allowed_networks"
        ) from None


def checked_time_zone(name: str) -> str:
    """The name if it is empty or a time zone's; raises WrongLimit."""
    if name and not is_time_zone(name):
        raise WrongLimit(f"{name[:40]!r} is not a time zone like Europe/Berlin.", field="time_zone")
    return name


def is_time_zone(name: str) -> bool:
    return name in _known_time_zones()


@cache
def time_zones() -> tuple[str, ...]:
    """The names people choose from, UTC first."""
    places = (name for name in _known_time_zones() if "/" in name and not name.startswith("Etc/"))
    return ("UTC", *sorted(places))


@cache
def _known_time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _check_rate(field: str, rate: int | None, *, most: int) -> None:
    if rate is not None and not 1 <= rate <= most:
        label = field.replace("_", " ").capitalize()
        raise WrongLimit(
            f"{label} must be between 1 and {most}, got {rate}; leave it empty for no limit.", field=field
        )

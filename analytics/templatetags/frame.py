"""The frame's navigation: which pages exist for this organization, and which one is open."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import template
from django.template.context import Context
from django.urls import NoReverseMatch, reverse

register = template.Library()

# URL name, label, icon; in the order of the navigation.
PAGES = (
    ("overview", "Overview", "overview"),
    ("requests", "Requests", "requests"),
    ("keys", "Keys", "key"),
    ("projects", "Projects", "project"),
    ("budgets", "Budgets", "budget"),
    ("ledger", "Ledger", "ledger"),
    ("billing", "Billing", "card"),
    ("providers", "Providers", "provider"),
    ("team", "Team", "team"),
    ("settings", "Settings", "settings"),
)
ON_THE_BOTTOM_BAR = frozenset({"overview", "requests", "keys", "ledger"})


@dataclass(frozen=True, slots=True)
class Link:
    name: str
    label: str
    icon: str
    href: str
    is_current: bool


@register.simple_tag(takes_context=True)
def navigation_links(context: Context) -> tuple[Link, ...]:
    """The pages of the open organization; none outside of an organization."""
    organization = context.get("organization")
    if organization is None:
        return ()
    return tuple(_links(organization.slug, context["request"].path))


@register.filter
def on_bottom_bar(links: tuple[Link, ...]) -> list[Link]:
    return [link for link in links if link.name in ON_THE_BOTTOM_BAR]


@register.filter
def off_bottom_bar(links: tuple[Link, ...]) -> list[Link]:
    return [link for link in links if link.name not in ON_THE_BOTTOM_BAR]


def _links(slug: str, path: str) -> Iterator[Link]:
    for name, label, icon in PAGES:
        href = _page(name, slug)
        if href:
            is_current = path == href or (name != "overview" and path.startswith(href))
            yield Link(name, label, icon, href, is_current)


def _page(name: str, slug: str) -> str:
    try:
        return reverse(name, args=[slug])
    except NoReverseMatch:
        return ""


@register.simple_tag
def optional_url(name: str, *arguments: Any) -> str:
    """The address of a page, or nothing where this installation does not serve it."""
    try:
        return reverse(name, args=arguments)
    except NoReverseMatch:
        return ""

"""Filters that turn values into words. The rules are in `analytics.figures` and `billing.money`."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from analytics import figures
from billing.money import format_usd, format_usd_short

register = template.Library()

register.filter("percent", figures.percent)
register.filter("milliseconds", figures.milliseconds)
register.filter("plural", figures.plural)


@register.filter
def usd(amount_usd: Decimal | None) -> str:
    """What matters of the amount: `$0.00042`, `$12.40`, `$18.3k`."""
    return figures.NO_FIGURE if amount_usd is None else format_usd_short(amount_usd)


@register.filter
def usd_exact(amount_usd: Decimal | None) -> str:
    return figures.NO_FIGURE if amount_usd is None else format_usd(amount_usd)


@register.simple_tag
def usd_tag(amount_usd: Decimal | None) -> str | SafeString:
    """The short amount; the exact one on hover and for programs."""
    if amount_usd is None:
        return figures.NO_FIGURE
    return format_html(
        '<data value="{}" title="{}">{}</data>',
        format(amount_usd, "f"),
        format_usd(amount_usd),
        format_usd_short(amount_usd),
    )


@register.filter
def count(number: int | None) -> str | SafeString:
    """`1,234`, `18.3k`, `2.1M`; the exact number on hover."""
    if number is None:
        return figures.NO_FIGURE
    short, exact = figures.count_short(number), figures.count_exact(number)
    if short == exact:
        return short
    return format_html('<data value="{}" title="{}">{}</data>', number, exact, short)


@register.filter
def count_exact(number: int | None) -> str:
    return figures.NO_FIGURE if number is None else figures.count_exact(number)


@register.simple_tag
def moment(when: datetime | None, time_zone: str = "UTC") -> str | SafeString:
    """A `<time>` on the clock of the viewer's zone; in full on hover."""
    if when is None:
        return figures.NO_FIGURE
    zone = ZoneInfo(time_zone or "UTC")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        when.isoformat(),
        figures.clock_exact(when, zone),
        figures.clock(when, zone, now=timezone.now()),
    )


@register.simple_tag
def ago(when: datetime | None) -> str | SafeString:
    """A `<time>` as `4 min ago`; in full on hover."""
    if when is None:
        return "never"
    words = figures.ago(when, now=timezone.now())
    title = figures.clock_exact(when, UTC)
    return format_html('<time datetime="{}" title="{}">{}</time>', when.isoformat(), title, words)

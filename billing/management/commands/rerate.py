"""`manage.py rerate`: what prices known for a time make of its requests; `--apply` posts the difference."""

from argparse import ArgumentParser
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Organization
from billing.errors import BillingError
from billing.money import ZERO_USD, format_usd
from billing.price_book import load_price_book
from billing.rerating import Rerating, Selection, rerate

SHOWN_ORGANIZATIONS = 50
SHOWN_VERSIONS = 20


class Command(BaseCommand):
    help = (
        "Recompute requests at the prices that are known for their time, and show who gains and who loses. "
        "Posts nothing without --apply; with it, adjusting entries. Running it twice posts nothing more."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", dest="start", required=True, help="day or moment (UTC), included")
        parser.add_argument("--to", dest="end", required=True, help="day or moment (UTC), not included")
        parser.add_argument("--model", required=True, help="as the price book names it")
        parser.add_argument("--provider", default="", help="all providers unless given")
        parser.add_argument("--organization", default="", help="slug; all organizations unless given")
        parser.add_argument("--apply", action="store_true", help="post the adjusting entries")
        parser.add_argument("--note", default="", help="why, for whoever reads the entries")

    def handle(self, *_: Any, **options: Any) -> None:
        selection = Selection(
            start=_moment("--from", options["start"]),
            end=_moment("--to", options["end"]),
            model=options["model"],
            provider=options["provider"],
            organization=_organization(options["organization"]),
        )
        if selection.end <= selection.start:
            raise CommandError("--to must come after --from.")
        try:
            rerating = rerate(
                selection=selection,
                book=load_price_book(),
                is_applied=options["apply"],
                note=options["note"][:512],
            )
        except BillingError as refusal:
            raise CommandError(str(refusal)) from refusal
        for line in report(rerating, is_applied=options["apply"]):
            self.stdout.write(line)


def report(rerating: Rerating, *, is_applied: bool) -> list[str]:
    """What a re-rating comes to, in words, the largest differences first."""
    lines = [
        f"{rerating.looked_at} requests: {rerating.changed} change, {rerating.unchanged} stay as they are, "
        f"{sum(rerating.skipped.values())} are left alone."
    ]
    lines += [f"  left alone: {count} x {reason}" for reason, count in sorted(rerating.skipped.items())]
    versions = sorted(rerating.versions.items(), key=lambda item: -item[1])
    lines += [f"  {count} x {old}  ->  {new}" for (old, new), count in versions[:SHOWN_VERSIONS]]
    if rerating.shares:
        lines += ["", *_organizations(rerating)]
    lines.append("")
    if not is_applied:
        lines.append("Nothing was posted. Run again with --apply to post the adjusting entries.")
    else:
        lines.append(f"{rerating.posted} adjustments were posted.")
    return lines


def _organizations(rerating: Rerating) -> list[str]:
    shares = sorted(rerating.shares.items(), key=lambda item: -abs(item[1].charge_usd))
    slugs = dict(Organization.objects.filter(pk__in=rerating.shares).values_list("pk", "slug"))
    lines = [f"{'organization':<40} {'requests':>10} {'charge':>22} {'provider cost':>22}"]
    for organization_id, share in shares[:SHOWN_ORGANIZATIONS]:
        name = slugs.get(organization_id, str(organization_id))
        lines.append(
            f"{name:<40} {share.events:>10} {_signed(share.charge_usd):>22} {_signed(share.cost_usd):>22}"
        )
    rest = shares[SHOWN_ORGANIZATIONS:]
    if rest:
        lines.append(f"{f'and {len(rest)} more':<40}")
    charge_usd = sum((share.charge_usd for _, share in shares), ZERO_USD)
    cost_usd = sum((share.cost_usd for _, share in shares), ZERO_USD)
    lines.append(f"{'together':<40} {rerating.changed:>10} {_signed(charge_usd):>22} {_signed(cost_usd):>22}")
    lines.append("A minus is what an organization gets back, a plus what it pays more.")
    return lines


def _signed(amount_usd: Decimal) -> str:
    return f"+{format_usd(amount_usd)}" if amount_usd > 0 else format_usd(amount_usd)


def _moment(name: str, text: str) -> datetime:
    try:
        if len(text) == len("2026-01-31"):
            return datetime.combine(date.fromisoformat(text), time.min, UTC)
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise CommandError(
            f"{name} must be a day such as 2026-01-31 or a moment such as 2026-01-31T12:00, got {text!r}."
        ) from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _organization(slug: str) -> Organization | None:
    if not slug:
        return None
    found = Organization.objects.filter(slug=slug).first()
    if found is None:
        raise CommandError(f"There is no organization with the slug {slug!r}.")
    return found

"""`manage.py importprices`: the prices of the `genai-prices` package beside ours; `--apply` states them."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.errors import InvalidPrice
from billing.models import PriceFact
from billing.price_book import load_price_book
from billing.price_import import Comparison, Proposal, compare
from billing.price_services import state_price
from billing.stated_prices import operator_prices

try:
    from genai_prices.data import providers
except ImportError:  # an extra of this project: most installations never import prices
    providers = []

PACKAGE, PINNED = "genai-prices", "0.2.3"
SHOWN_NAMES = 40


class Command(BaseCommand):
    help = (
        f"Compare the prices of {PACKAGE} {PINNED} with those in force, unit by unit. States nothing "
        "without --apply; with it, each difference becomes a price of the operator, and is named as imported."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--apply", action="store_true", help="state the prices that differ")
        parser.add_argument("--provider", default="", help="all providers unless given")
        parser.add_argument("--model", default="", help="all models unless given")

    def handle(self, *_: Any, **options: Any) -> None:
        _require_package()
        comparison = compare(
            providers, book=load_price_book(), prices=operator_prices(), today=datetime.now(UTC).date()
        )
        wanted = [
            proposal
            for proposal in comparison.proposals
            if options["provider"] in ("", proposal.provider) and options["model"] in ("", proposal.model)
        ]
        for line in report(comparison, wanted):
            self.stdout.write(line)
        if not options["apply"]:
            self.stdout.write("Nothing was stated. Run again with --apply to state these prices.")
            return
        stated = sum(self._state(proposal) for proposal in wanted)
        self.stdout.write(f"{stated} prices were stated. Earlier requests keep theirs: manage.py rerate.")

    def _state(self, proposal: Proposal) -> int:
        try:
            state_price(
                provider=proposal.provider,
                model=proposal.model,
                tier=proposal.tier,
                valid_from=proposal.valid_from,
                numbers=proposal.numbers,
                source=PriceFact.Source.IMPORTED,
                source_url=f"https://pypi.org/project/{PACKAGE}/{PINNED}/",
                note=f"{PACKAGE} {PINNED}",
            )
        except InvalidPrice as refusal:
            self.stderr.write(f"{proposal.provider}/{proposal.model} {proposal.tier}: {refusal}")
            return 0
        return 1


def report(comparison: Comparison, proposals: list[Proposal]) -> list[str]:
    """What differs, by model and unit in US dollars per million, and what is left out and why."""
    lines = []
    for each in proposals:
        tier = "" if each.tier == "default" else f" ({each.tier})"
        lines.append(f"{each.provider}/{each.model}{tier} from {each.valid_from}")
        lines += [f"  {difference}" for difference in each.differences]
    lines.append(f"{len(proposals)} prices differ, {comparison.same} are the same.")
    lines += _named("in the book, but not in the data", comparison.gone)
    lines += _named("cannot be expressed here", comparison.unexpressed)
    lines += _named("in the data, but not in the book's catalogue", comparison.unlisted)
    return lines


def _named(title: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = [f"  and {len(names) - SHOWN_NAMES} more"] if len(names) > SHOWN_NAMES else []
    return [f"{len(names)} {title}:", *(f"  {name}" for name in names[:SHOWN_NAMES]), *more]


def _require_package() -> None:
    try:
        found = version(PACKAGE)
    except PackageNotFoundError:
        found = "none"
    if found != PINNED or not providers:
        raise CommandError(
            f"This needs {PACKAGE} {PINNED}, and there is {found}: pip install '{PACKAGE}=={PINNED}'"
        )

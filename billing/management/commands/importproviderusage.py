"""Import a provider's usage or cost export and lay it beside our own books."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.models import Organization
from billing.money import format_usd
from billing.reconciliation.alerting import match_and_tell, percent_words
from billing.reconciliation.formats import read_export
from billing.reconciliation.importing import import_export
from billing.reconciliation.our_side import Account
from billing.reconciliation.shapes import ExportRefused


class Command(BaseCommand):
    help = "Import a provider's export: CSV, or the JSON of OpenAI's or Anthropic's cost and usage reports."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("provider", help="The provider's name in model strings, such as openai.")
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--organization", default="", help="Slug of whose own account it is; else it is the operator's."
        )
        parser.add_argument(
            "--unknown-models",
            choices=("refuse", "keep"),
            default="refuse",
            help="What to do with models that the price book does not know; kept ones show as unmatched.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        organization = _organization(options["organization"])
        path: Path = options["file"]
        now = timezone.now()
        try:
            export = read_export(path.read_bytes(), file_name=path.name)
            imported = import_export(
                export=export,
                provider=options["provider"],
                organization=organization,
                source_name=path.name,
                keeps_unknown_models=options["unknown_models"] == "keep",
                now=now,
            )
        except OSError as exc:
            raise CommandError(f"{path} cannot be read: {exc.strerror}.") from exc
        except ExportRefused as exc:
            raise CommandError(str(exc)) from exc
        account = Account(options["provider"], organization.pk if organization else None)
        for row in match_and_tell([(account, day) for day in sorted(export.days)], now=now):
            said = "imported" if row.day in imported.changed else "unchanged"
            mark = " DRIFTS" if row.is_drifting else ""
            self.stdout.write(
                f"{row.day} {said:>9}  bills {format_usd(row.theirs_usd)}, our cost"
                f" {format_usd(row.ours_usd)}, {percent_words(row)}{mark}"
            )


def _organization(slug: str) -> Organization | None:
    if not slug:
        return None
    organization = Organization.objects.filter(slug=slug).first()
    if organization is None:
        raise CommandError(f"There is no organization {slug!r}.")
    return organization

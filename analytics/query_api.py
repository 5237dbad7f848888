"""`/v0/queries`, `/v0/tags`, `/v0/metrics` and `/v0/user/query-logging`: the log for clients of Unify.

A key with a role that sees spend sees its whole organization; any other key sees its own requests.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.management import ManagementView
from accounts.permissions import Action
from accounts.request_ids import shown_request_id
from accounts.services import set_body_logging
from analytics.queries import QueryFilters, Reader, any_endpoint, page_of_queries, tags_seen_by
from analytics.query_inputs import LoggingInput, MetricsInput, QueriesInput, ReportInput
from analytics.query_metrics import DEFAULT_SPAN, MAX_BINS, MetricsWanted, metrics_of
from billing.external_events import record_external_call

# What a caller's clock may be ahead.
CLOCK_TOLERANCE = timedelta(minutes=5)
LISTS = ("tags", "endpoints", "models", "providers")

IsKnownEndpoint = Callable[..., bool]


class LogView(ManagementView):
    """A call about the log; lists may be given as one parameter several times."""

    @property
    def reader(self) -> Reader:
        return Reader(self.bearer)

    def listed_parameters(self, kind: type[Any]) -> dict[str, Any]:
        query = self.request.query_params
        data = {**query.dict(), **{name: query.getlist(name) for name in LISTS if name in query}}
        serializer = kind(data=data)
        serializer.is_valid(raise_exception=True)
        checked: dict[str, Any] = serializer.validated_data
        return checked


class Queries(LogView):
    """The log's pages; and calls that were made elsewhere, to have them in the same log."""

    is_known_endpoint: IsKnownEndpoint | None = None

    def get(self, request: Request) -> Response:
        wanted = self.listed_parameters(QueriesInput)
        page_number = wanted.pop("page_number")
        self._require_known(wanted["endpoints"])
        queries, pages = page_of_queries(self.reader, filters=QueryFilters(**wanted), page_number=page_number)
        return Response({"queries": queries, "total_pages": pages} if queries else [])

    def post(self, request: Request) -> Response:
        report = self.parameters(ReportInput)
        record_external_call(
            key=self.bearer.api_key,
            endpoint=report["endpoint"],
            occurred_at=_moment_of(report["timestamp"]),
            request_id=shown_request_id(request),
            request=report["query_body"],
            response=report["response_body"],
            tags=report["tags"],
            signature=report["signature"],
        )
        return Response({"info": "Query logged successfully"})

    def _require_known(self, endpoints: list[str]) -> None:
        """Raise NotFound for an endpoint that there is not and that nobody here has ever asked."""
        for endpoint in endpoints:
            model, _, provider = endpoint.rpartition("@")
            know = self.is_known_endpoint
            if know is not None and know(self.bearer.organization, model=model, provider=provider):
                continue
            if not self.reader.events().filter(any_endpoint([endpoint])).exists():
                raise NotFound("Endpoint not found.")


class Tags(LogView):
    """All tags, sorted."""

    def get(self, request: Request) -> Response:
        return Response(tags_seen_by(self.reader))


class Metrics(LogView):
    """Counts, times and speeds by intervals."""

    def get(self, request: Request) -> Response:
        wanted = self.listed_parameters(MetricsInput)
        end_time = wanted["end_time"] or timezone.now()
        asked = MetricsWanted(
            start_time=wanted["start_time"] or _default_start(end_time),
            end_time=end_time,
            interval_seconds=wanted["interval"],
            models=wanted["models"],
            providers=wanted["providers"],
            end_user=wanted["secondary_user_id"],
        )
        if asked.has_too_many_bins:
            raise ValidationError(
                {"interval": f"must be longer: the span would have more than {MAX_BINS} intervals."}
            )
        return Response(metrics_of(self.reader, asked))


class QueryLogging(LogView):
    """Whether prompts and answers are stored, for the whole organization."""

    def get(self, request: Request) -> Response:
        return Response({"enabled": self.bearer.organization.is_body_logging_on})

    def patch(self, request: Request) -> Response:
        self.require(Action.MANAGE_ORGANIZATION)
        is_on = self.parameters(LoggingInput)["enabled"]
        organization = self.bearer.organization
        with transaction.atomic():
            set_body_logging(organization=organization, is_on=is_on)
            self.record(
                "organization.update",
                target=organization.name,
                target_id=organization.pk,
                changed=["is_body_logging_on"],
            )
        return Response({"enabled": is_on})


def _default_start(end_time: datetime) -> datetime:
    """Raises ValidationError where the calendar has no such day."""
    try:
        return end_time - DEFAULT_SPAN
    except OverflowError as exc:
        raise ValidationError({"end_time": "must be later, or come with a start_time."}) from exc


def _moment_of(told: datetime | None) -> datetime:
    """When the call was made. Raises ValidationError for a time that the log does not keep."""
    now = timezone.now()
    if told is None:
        return now
    oldest = now - timedelta(days=settings.FAREBOX_USAGE_RETENTION_DAYS)
    if not oldest < told < now + CLOCK_TOLERANCE:
        days = settings.FAREBOX_USAGE_RETENTION_DAYS
        raise ValidationError({"timestamp": f"must lie in the past {days} days; the log keeps no others."})
    return told

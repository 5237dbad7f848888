"""`/v0/endpoint-metrics`: how fast and how dear endpoints are, and what owners say of their own."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.management import ManagementView
from accounts.permissions import Action
from gateway.endpoint_metrics import LONGEST_SPAN, Span, measured, stated
from gateway.endpoint_models import METRIC_DECIMALS, METRIC_DIGITS, CustomEndpoint, EndpointMetric
from gateway.endpoint_services import delete_metrics, endpoint_named, record_metric
from gateway.errors import InvalidValue, NotFound
from gateway.listing_query import is_custom
from gateway.models import CustomModel

REGIONS = ("Iowa", "Belgium", "Hong Kong")
PROMPT_LENGTHS = ("short", "long")
TIME_FORMATS = ("iso-8601", "%Y-%m-%d %H:%M:%S")
CLOCKS_APART = timedelta(minutes=5)
MAX_TIMESTAMPS = 1_000
MAX_NAME_CHARACTERS = 300


class ReadInput(serializers.Serializer[None]):
    """Unify measured from three places with two lengths of prompts; own traffic comes from where it comes."""

    model = serializers.CharField(max_length=MAX_NAME_CHARACTERS)
    provider = serializers.CharField(max_length=MAX_NAME_CHARACTERS)
    region = serializers.ChoiceField(REGIONS, required=False)
    seq_len = serializers.ChoiceField(PROMPT_LENGTHS, required=False)
    start_time = serializers.DateTimeField(default=None, input_formats=TIME_FORMATS)
    end_time = serializers.DateTimeField(default=None, input_formats=TIME_FORMATS)


class RecordInput(serializers.Serializer[None]):
    endpoint_name = serializers.CharField(max_length=MAX_NAME_CHARACTERS)
    metric_name = serializers.ChoiceField(EndpointMetric.Metric.values)
    value = serializers.DecimalField(METRIC_DIGITS, METRIC_DECIMALS, min_value=0)
    measured_at = serializers.DateTimeField(default=None, input_formats=TIME_FORMATS)


class DeleteInput(serializers.Serializer[None]):
    endpoint_name = serializers.CharField(max_length=MAX_NAME_CHARACTERS)
    timestamps = serializers.ListField(
        child=serializers.DateTimeField(input_formats=TIME_FORMATS), default=None, max_length=MAX_TIMESTAMPS
    )


class EndpointMetrics(ManagementView):
    def get(self, request: Request) -> Response:
        given = self.parameters(ReadInput)
        model, provider = given["model"], given["provider"]
        rows = self._rows(model, provider, _span(given, f"{model}@{provider}"))
        if not rows and not self._is_own(model, provider):
            raise _no_benchmarks(f"{model}@{provider}")
        return Response(rows)

    def post(self, request: Request) -> Response:
        self.require(Action.MANAGE_PROVIDERS)
        given = self.parameters(RecordInput)
        endpoint = endpoint_named(self.bearer.organization, given["endpoint_name"], param="endpoint_name")
        if given["measured_at"] and given["measured_at"] > timezone.now() + CLOCKS_APART:
            raise InvalidValue("measured_at must not be in the future.", param="measured_at")
        with transaction.atomic():
            record_metric(
                endpoint=endpoint,
                metric=given["metric_name"],
                value=given["value"],
                measured_at=given["measured_at"],
            )
            self._record(endpoint, [given["metric_name"]])
        return Response({"info": "Endpoint metric uploaded successfully!"})

    def delete(self, request: Request) -> Response:
        self.require(Action.MANAGE_PROVIDERS)
        given = self.parameters(DeleteInput)
        endpoint = endpoint_named(self.bearer.organization, given["endpoint_name"], param="endpoint_name")
        with transaction.atomic():
            count = delete_metrics(endpoint=endpoint, timestamps=given["timestamps"])
            self._record(endpoint, EndpointMetric.Metric.values)
        return Response({"info": f"{count} endpoint metrics deleted successfully!"})

    def sent(self) -> dict[str, Any]:
        """Moments may be repeated or joined by commas."""
        sent = super().sent()
        repeated = self.request.query_params.getlist("timestamps")
        if repeated:
            sent["timestamps"] = [each.strip() for text in repeated for each in text.split(",")]
        return sent

    def _record(self, endpoint: CustomEndpoint, metrics: Sequence[str]) -> None:
        self.record("endpoint.measure", target=endpoint.name, target_id=endpoint.pk, changed=metrics)

    def _rows(self, model: str, provider: str, span: Span) -> list[dict[str, Any]]:
        if is_custom(provider) and not self._is_declared(model, provider):
            return stated(
                endpoint_named(self.bearer.organization, f"{model}@{provider}", param="model"), span
            )
        return measured(self.bearer.organization, model=model, provider=provider, span=span)

    def _is_own(self, model: str, provider: str) -> bool:
        return is_custom(provider) or self._is_declared(model, provider)

    def _is_declared(self, model: str, provider: str) -> bool:
        return CustomModel.objects.filter(
            connection__organization=self.bearer.organization, connection__provider=provider, model=model
        ).exists()


def _span(given: dict[str, Any], name: str) -> Span:
    start: datetime | None = given["start_time"]
    end: datetime | None = given["end_time"]
    if end is not None and start is None:
        raise _no_benchmarks(name)
    until = end or timezone.now()
    if start is not None and not timedelta() <= until - start <= LONGEST_SPAN:
        raise InvalidValue(
            f"start_time must be before end_time, and at most {LONGEST_SPAN.days} days before it.",
            param="start_time",
        )
    return Span(start, until)


def _no_benchmarks(name: str) -> NotFound:
    return NotFound(f"Benchmarks for {name[:200]} not found.", param="model")

"""The forms of usage and of the request log in the management API."""

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from accounts.api.fields import Amount, CountInQuery, FlagInQuery, Moment, OneOf, QuerySerializer, Text
from analytics.models import Dimension
from analytics.request_filters import FAILED, SUCCEEDED
from billing.models import UsageEvent

MAX_GROUPS = 1_000
INTERVALS = ("none", "hour", "day")
FIRST_STATUS, LAST_STATUS = 100, 599
MAX_FILTER_CHARACTERS = 256
MAX_MILLISECONDS = 10**9


class MomentInQuery(Moment):
    """A plus sign that was not escaped arrives as a space."""

    def to_internal_value(self, value: Any) -> Any:
        return super().to_internal_value(value.replace(" ", "+") if isinstance(value, str) else value)


class UsageQuery(QuerySerializer):
    start = MomentInQuery(
        required=False, help_text="From this moment on; seven days before `end` unless told."
    )
    end = MomentInQuery(required=False, help_text="Before this moment; the present unless told.")
    group_by = OneOf(
        Dimension.choices,
        required=False,
        help_text="What a row is about; `organization` unless told, `key` for those who see their own alone.",
    )
    interval = OneOf(INTERVALS, default="none", help_text="How the span is cut; `none`: one slot.")
    time_zone = Text(default="UTC", max_length=64, help_text="Whose hours and days; as in Europe/Berlin.")
    limit = CountInQuery(
        default=100,
        min_value=1,
        max_value=MAX_GROUPS,
        help_text="Groups, the dearest first; the others are summed in `rest`.",
    )


class SumsOutput(serializers.Serializer[Any]):
    """Counts, tokens and money; amounts are the ledger's, corrections included."""

    requests = serializers.IntegerField(min_value=0)
    errors = serializers.IntegerField(  # type: ignore[assignment]  # DRF takes fields out of the class
        min_value=0, help_text="Neither completed nor left by the client."
    )
    estimated_requests = serializers.IntegerField(help_text="Whose usage the provider did not report.")
    prompt_tokens = serializers.IntegerField(min_value=0)
    cached_tokens = serializers.IntegerField(min_value=0)
    completion_tokens = serializers.IntegerField(min_value=0)
    charge_usd = Amount(help_text="What the organization's credit was charged.")
    cost_usd = Amount(help_text="At the price book, whoever pays it.")


class SlotOutput(SumsOutput):
    start = Moment()
    end = Moment()


class GroupOutput(SumsOutput):
    value = Text(help_text="An id for project and key, else a name; empty: without one.")
    name = Text(help_text="What the project or key is called.")
    slots = SlotOutput(many=True, help_text="Empty unless an interval was asked for.")


class UsageOutput(serializers.Serializer[Any]):
    start = Moment()
    end = Moment()
    as_of = Moment()
    group_by = OneOf(Dimension.choices)
    interval = OneOf(INTERVALS)
    total = SumsOutput(help_text="Of the span. By tag, groups may sum to more: a request has several.")
    groups = GroupOutput(many=True)
    rest = SumsOutput(help_text="Of the groups that are not listed.")
    groups_left_off = serializers.IntegerField(min_value=0)


class LogQuery(QuerySerializer):
    start = MomentInQuery(required=False)
    end = MomentInQuery(required=False)
    outcome = OneOf((SUCCEEDED, FAILED), required=False)
    status = CountInQuery(
        required=False, min_value=FIRST_STATUS, max_value=LAST_STATUS, help_text="The HTTP status."
    )
    ending = OneOf(UsageEvent.Ending.choices, required=False)
    error_code = Text(required=False, max_length=MAX_FILTER_CHARACTERS)
    model = Text(required=False, max_length=MAX_FILTER_CHARACTERS, help_text="The one that served.")
    provider = Text(required=False, max_length=MAX_FILTER_CHARACTERS)
    key_id = serializers.UUIDField(required=False)
    project_id = serializers.UUIDField(required=False)
    tag = Text(required=False, max_length=MAX_FILTER_CHARACTERS)
    end_user = Text(required=False, max_length=MAX_FILTER_CHARACTERS)
    session_id = Text(required=False, max_length=MAX_FILTER_CHARACTERS)
    finish_reason = Text(required=False, max_length=MAX_FILTER_CHARACTERS)
    least_cost_usd = Amount(required=False, min_value=Decimal(0))
    least_duration_ms = CountInQuery(required=False, min_value=0, max_value=MAX_MILLISECONDS)
    would_refuse = serializers.UUIDField(
        required=False, help_text="An observe-only budget that did not cover the request."
    )
    search = Text(
        required=False, max_length=MAX_FILTER_CHARACTERS, help_text="A request's id, ours or yours."
    )


class LogOutput(serializers.Serializer[Any]):
    """One request as it ended."""

    id = serializers.UUIDField()
    request_id = Text(help_text="What `x-request-id` said.")
    occurred_at = Moment(help_text="When it arrived.")
    route = Text()
    status = serializers.IntegerField()
    ending = OneOf(UsageEvent.Ending.choices)
    error_code = Text()
    requested_model = Text()
    model = Text()
    provider = Text()
    is_stream = serializers.BooleanField()
    is_own_credential = serializers.BooleanField()
    is_estimated = serializers.BooleanField()
    key_id = serializers.UUIDField()
    project_id = serializers.UUIDField()
    finish_reason = Text()
    prompt_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField(source="cached_input_tokens")
    completion_tokens = serializers.IntegerField()
    charge_usd = Amount(help_text="Corrections included.")
    cost_usd = Amount(help_text="Corrections included.")
    duration_ms = serializers.FloatField(allow_null=True)
    first_token_ms = serializers.FloatField(allow_null=True)
    tags = serializers.ListField(child=Text())
    end_user = Text()
    session_id = Text()
    agent = Text()
    source = Text()  # type: ignore[assignment]  # as above


class CorrectionOutput(serializers.Serializer[Any]):
    """What a later, better price has added."""

    id = serializers.UUIDField()
    posted_at = Moment()
    price_version = Text()
    charge_usd = Amount()
    cost_usd = Amount()
    note = Text()


class LogDetailOutput(LogOutput):
    error_message = Text()
    price_version = Text()
    overhead_ms = serializers.FloatField(allow_null=True)
    tokens = serializers.DictField(
        child=serializers.IntegerField(), help_text="Disjoint counts by kind, those that are not 0."
    )
    cost_parts = serializers.DictField(child=Text(), help_text="US dollars by part, before corrections.")
    corrections = CorrectionOutput(many=True)
    timeline = serializers.ListField(
        child=serializers.JSONField(), help_text="`[step, start_ms, end_ms]` from arrival."
    )
    attempts = serializers.ListField(child=serializers.DictField(), help_text="Each provider that was asked.")
    limits = serializers.DictField(help_text="Limits as they stood after admission.")
    parameters = serializers.DictField(help_text="The request without its messages.")
    request_body = serializers.JSONField(
        allow_null=True, help_text="Null: not stored, or the role may not read it."
    )
    response_body = serializers.JSONField(allow_null=True)


class LogDetailQuery(QuerySerializer):
    bodies = FlagInQuery(default=True, help_text="Whether stored prompts and answers come with it.")

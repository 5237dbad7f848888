"""The forms of keys, projects, budgets and limits in the management API: what is read, what is answered."""

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from accounts.api.fields import (
    Amount,
    Flag,
    Moment,
    OneOf,
    QuerySerializer,
    StrictSerializer,
    Text,
    WholeNumber,
)
from accounts.models import Project
from accounts.permissions import Role
from accounts.rules import (
    MAX_ALLOWED_MODELS,
    MAX_ALLOWED_NETWORKS,
    MAX_MODEL_CHARACTERS,
    MAX_NAME_CHARACTERS,
    MAX_NETWORK_CHARACTERS,
    MAX_RATE,
    MAX_ROLL_OVERLAP_SECONDS,
    MAX_TAG_CHARACTERS,
    MAX_TAGS,
    MAX_TOKENS_PER_MINUTE,
)
from billing.budget_services import MAX_ALERT_PERCENT, MAX_ALERTS, MAX_END_USER_CHARACTERS
from billing.budget_services import MAX_NAME_CHARACTERS as MAX_BUDGET_NAME_CHARACTERS
from billing.models import Budget
from billing.money import SMALLEST_USD
from billing.services import MAX_AMOUNT_USD

RATES = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")
KEY_STATUSES = ("active", "expired", "revoked")


class RatesInput(StrictSerializer):
    """Null lifts a limit; what is not sent stays."""

    requests_per_minute = WholeNumber(required=False, allow_null=True, min_value=1, max_value=MAX_RATE)
    tokens_per_minute = WholeNumber(
        required=False, allow_null=True, min_value=1, max_value=MAX_TOKENS_PER_MINUTE
    )
    concurrent_requests = WholeNumber(required=False, allow_null=True, min_value=1, max_value=MAX_RATE)


class BudgetedInput(RatesInput):
    """With the one budget that goes by the calendar; others are under `budgets`."""

    budget_usd = Amount(
        required=False,
        allow_null=True,
        min_value=SMALLEST_USD,
        max_value=MAX_AMOUNT_USD,
        help_text="Null lifts the budget.",
    )
    budget_window = OneOf(
        Budget.Window.choices, required=False, help_text="`month` unless told; only with a budget."
    )
    time_zone = Text(
        required=False,
        max_length=64,
        help_text="Whose calendar the budget follows; UTC unless told. Only with a budget.",
    )


class KeyChange(BudgetedInput):
    allowed_models = serializers.ListField(
        child=Text(max_length=MAX_MODEL_CHARACTERS),
        required=False,
        allow_null=True,
        min_length=1,
        max_length=MAX_ALLOWED_MODELS,
        help_text="As in `openai/gpt-5` or `openai/*`; null allows all.",
    )
    allowed_networks = serializers.ListField(
        child=Text(max_length=MAX_NETWORK_CHARACTERS),
        required=False,
        allow_null=True,
        min_length=1,
        max_length=MAX_ALLOWED_NETWORKS,
        help_text="Where it may be used from, as in `203.0.113.0/24`; null: anywhere.",
    )
    is_budget_clamped = Flag(
        required=False, help_text="Where money is short, answers get shorter instead of being refused."
    )

    role = OneOf(
        ["", *Role.values],
        required=False,
        help_text="What it may do in management calls, at most what the caller may; empty: nothing.",
    )


class KeyInput(KeyChange):
    name = Text(max_length=MAX_NAME_CHARACTERS)
    project_id = serializers.UUIDField(
        required=False, help_text="The organization's first project unless told."
    )
    expires_at = Moment(required=False, allow_null=True, help_text="Null: never.")
    default_tags = serializers.ListField(
        child=Text(max_length=MAX_TAG_CHARACTERS), required=False, max_length=MAX_TAGS
    )


class KeyOutput(serializers.Serializer[Any]):
    """An API key, without its secret."""

    id = serializers.UUIDField()
    name = Text()
    project_id = serializers.UUIDField()
    status = OneOf(KEY_STATUSES)
    last_four = Text(help_text="Of the secret, to tell keys apart.")
    created_at = Moment()
    created_by = serializers.EmailField(source="created_by.email", default=None, allow_null=True)
    last_used_at = Moment(allow_null=True)
    expires_at = Moment(allow_null=True)
    revoked_at = Moment(allow_null=True)
    requests_per_minute = WholeNumber(allow_null=True)
    tokens_per_minute = WholeNumber(allow_null=True)
    concurrent_requests = WholeNumber(allow_null=True)
    allowed_models = serializers.ListField(child=Text(), allow_null=True)
    allowed_networks = serializers.ListField(child=Text(), allow_null=True)
    default_tags = serializers.ListField(child=Text())
    is_budget_clamped = Flag()
    role = OneOf(["", *Role.values], help_text="What it may do in management calls; empty: nothing.")
    budget_usd = Amount(allow_null=True)
    budget_window = OneOf(Budget.Window.choices, allow_null=True)


class NewKeyOutput(KeyOutput):
    """With the secret, which is shown this once."""

    secret = Text(help_text="What goes after `Authorization: Bearer`; nothing shows it again.")


class RollInput(StrictSerializer):
    overlap_seconds = WholeNumber(
        default=0,
        min_value=0,
        max_value=MAX_ROLL_OVERLAP_SECONDS,
        help_text="How long the former secret goes on serving; 0 ends it within a second.",
    )


class KeyQuery(QuerySerializer):
    project_id = serializers.UUIDField(required=False)
    status = OneOf(KEY_STATUSES, required=False)


class ProjectChange(BudgetedInput):
    name = Text(required=False, max_length=MAX_NAME_CHARACTERS)
    mode = OneOf(Project.Mode.choices, required=False, help_text="Whose provider keys its requests use.")


class ProjectInput(ProjectChange):
    name = Text(max_length=MAX_NAME_CHARACTERS)


class ProjectOutput(serializers.Serializer[Any]):
    """A share of the organization: its keys and its limits."""

    id = serializers.UUIDField()
    name = Text()
    mode = OneOf(Project.Mode.choices)
    created_at = Moment()
    requests_per_minute = WholeNumber(allow_null=True)
    tokens_per_minute = WholeNumber(allow_null=True)
    concurrent_requests = WholeNumber(allow_null=True)
    budget_usd = Amount(allow_null=True, help_text="Null as well for those who may not see spend.")
    budget_window = OneOf(Budget.Window.choices, allow_null=True)


class BudgetChange(StrictSerializer):
    """Another window, scope or subject makes another budget, with another id."""

    scope = OneOf(Budget.Scope.choices, required=False)
    scope_id = serializers.UUIDField(
        required=False,
        allow_null=True,
        help_text="The project or key that it binds; null for the organization, tags, users and models.",
    )
    subject = Text(
        required=False,
        allow_blank=True,
        max_length=MAX_END_USER_CHARACTERS,
        help_text="The tag, end user or model family (`openai/*`, `gpt-5*`) that it binds.",
    )
    is_each = Flag(required=False, help_text="Each tag or end user has the amount for itself.")
    amount_usd = Amount(required=False, min_value=SMALLEST_USD, max_value=MAX_AMOUNT_USD)
    window = OneOf(Budget.Window.choices, required=False)
    is_rolling = Flag(required=False, help_text="The last hour, day, … of any moment.")
    time_zone = Text(required=False, max_length=64)
    name = Text(required=False, allow_blank=True, max_length=MAX_BUDGET_NAME_CHARACTERS)
    is_observed = Flag(required=False, help_text="Refuses nothing, and counts what it would have refused.")
    alert_percents = serializers.ListField(
        child=WholeNumber(min_value=1, max_value=MAX_ALERT_PERCENT), required=False, max_length=MAX_ALERTS
    )


class BudgetInput(BudgetChange):
    scope = OneOf(Budget.Scope.choices)
    amount_usd = Amount(min_value=SMALLEST_USD, max_value=MAX_AMOUNT_USD)
    window = OneOf(Budget.Window.choices)


class BudgetOutput(serializers.Serializer[Any]):
    """A budget and how it stands. Of a budget for each, the last five are null."""

    id = serializers.UUIDField()
    name = Text()
    scope = OneOf(Budget.Scope.choices)
    scope_id = serializers.UUIDField()
    subject = Text()
    is_each = Flag()
    amount_usd = Amount()
    window = OneOf(Budget.Window.choices)
    is_rolling = Flag()
    time_zone = Text()
    is_observed = Flag()
    alert_percents = serializers.ListField(child=WholeNumber())
    created_at = Moment()
    spent_usd = Amount(allow_null=True)
    held_usd = Amount(allow_null=True, help_text="Held by requests that run.")
    left_usd = Amount(allow_null=True)
    period_starts_at = Moment(allow_null=True)
    period_ends_at = Moment(allow_null=True, help_text="When it renews; null: it rolls, or never.")


class BudgetQuery(QuerySerializer):
    scope = OneOf(Budget.Scope.choices, required=False)
    scope_id = serializers.UUIDField(required=False)
    window = OneOf(Budget.Window.choices, required=False)


class LimitsChange(RatesInput):
    redis_away_usd = Amount(
        required=False, min_value=Decimal(0), help_text="What may be spent while limits cannot be checked."
    )


class LimitsOutput(serializers.Serializer[Any]):
    """What binds all keys of the organization together."""

    requests_per_minute = WholeNumber(allow_null=True)
    tokens_per_minute = WholeNumber(allow_null=True)
    concurrent_requests = WholeNumber(allow_null=True)
    redis_away_usd = Amount()

"""What the calls of `analytics.query_api` take: Unify's parameters, checked, each refusal by its name."""

import re
from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
MAX_PAGES = 5_000
MAX_TAGS, MAX_TAG_CHARACTERS = 20, 64
MAX_ENDPOINTS, MAX_ENDPOINT_CHARACTERS = 20, 256
MAX_INTERVAL_SECONDS = 366 * 86_400
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
FAILURES = ("false", "true", "only")


def moment_field(**options: Any) -> serializers.DateTimeField:
    """A moment as Unify writes it, UTC."""
    return serializers.DateTimeField(
        input_formats=[TIME_FORMAT],
        default_timezone=UTC,
        error_messages={"invalid": "must be written YYYY-MM-DD hh:mm:ss, in UTC."},
        **options,
    )


def shown_time(moment: datetime) -> str:
    """A moment as Unify writes it, UTC."""
    return moment.astimezone(UTC).strftime(TIME_FORMAT)


class TextsField(serializers.Field[list[str], Any, Any, Any]):
    """One text with commas, an array, or a parameter that is given several times: all mean a list."""

    def __init__(self, *, most: int, most_characters: int, are_arrays_split: bool, **options: Any) -> None:
        super().__init__(**options)
        self._most, self._most_characters = most, most_characters
        self._are_arrays_split = are_arrays_split

    def to_internal_value(self, data: Any) -> list[str]:
        if not isinstance(data, str | list) or not all(isinstance(text, str) for text in data):
            raise serializers.ValidationError("must be a string or an array of strings.")
        is_split = self._are_arrays_split or isinstance(data, str)
        given = [data] if isinstance(data, str) else data
        found = [part for text in given for part in (text.split(",") if is_split else [text])]
        texts = list(dict.fromkeys(text.strip() for text in found if text.strip()))
        if len(texts) > self._most or any(len(text) > self._most_characters for text in texts):
            raise serializers.ValidationError(
                f"must have at most {self._most} texts of at most {self._most_characters} characters."
            )
        if any(_UNSTORABLE.search(text) for text in texts):
            raise serializers.ValidationError("must not hold control characters or lone surrogates.")
        return texts

    def to_representation(self, value: list[str]) -> list[str]:
        return value


class QueriesInput(serializers.Serializer[None]):
    """`GET /v0/queries`."""

    tags = TextsField(most=MAX_TAGS, most_characters=MAX_TAG_CHARACTERS, are_arrays_split=True, default=list)
    endpoints = TextsField(
        most=MAX_ENDPOINTS, most_characters=MAX_ENDPOINT_CHARACTERS, are_arrays_split=True, default=list
    )
    start_time = moment_field(default=None)
    end_time = moment_field(default=None)
    page_number = serializers.IntegerField(
        default=1,
        min_value=1,
        max_value=MAX_PAGES,
        error_messages={
            "min_value": "must be at least 1.",
            "max_value": f"must be at most {MAX_PAGES}; take earlier queries by end_time.",
        },
    )
    failures = serializers.CharField(default="false")

    def validate_failures(self, value: str) -> str:
        if value.lower() not in FAILURES:
            raise serializers.ValidationError(f"must be one of {', '.join(FAILURES)}.")
        return value.lower()


class ReportInput(serializers.Serializer[None]):
    """`POST /v0/queries`: a call that was made elsewhere."""

    endpoint = serializers.RegexField(
        r"^[^@\x00-\x1f]+@[^@\x00-\x1f]+$",
        max_length=MAX_ENDPOINT_CHARACTERS,
        error_messages={"invalid": "must be model@provider, as in my-model@external."},
    )
    query_body = serializers.JSONField()
    response_body = serializers.JSONField(default=None)
    tags = TextsField(most=MAX_TAGS, most_characters=MAX_TAG_CHARACTERS, are_arrays_split=False, default=list)
    timestamp = moment_field(default=None)
    signature = serializers.CharField(default="", allow_blank=True, max_length=MAX_ENDPOINT_CHARACTERS)


class MetricsInput(serializers.Serializer[None]):
    """`GET /v0/metrics`."""

    start_time = moment_field(default=None)
    end_time = moment_field(default=None)
    models = TextsField(
        most=MAX_ENDPOINTS, most_characters=MAX_ENDPOINT_CHARACTERS, are_arrays_split=True, default=list
    )
    providers = TextsField(
        most=MAX_ENDPOINTS, most_characters=MAX_ENDPOINT_CHARACTERS, are_arrays_split=True, default=list
    )
    interval = serializers.IntegerField(default=300, min_value=1, max_value=MAX_INTERVAL_SECONDS)
    secondary_user_id = serializers.CharField(default="", allow_blank=True, max_length=256)


class LoggingInput(serializers.Serializer[None]):
    """`PATCH /v0/user/query-logging`."""

    enabled = serializers.BooleanField()

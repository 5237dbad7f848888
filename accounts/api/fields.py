"""Fields that take exactly what they say: no number for a text, no text for a number, no float for money.

Each says in its error what is allowed. Serializers refuse fields that they do not know.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.http import QueryDict
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

# PostgreSQL's bigint; rules of the services are narrower.
MAX_WHOLE_NUMBER = 2**63 - 1
UNKNOWN = "unknown"
AMOUNT_PATTERN = r"^-?[0-9]{1,11}(\.[0-9]{1,9})?$"


class Text(serializers.CharField):
    default_error_messages = {"invalid": "must be a string."}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class WholeNumber(serializers.IntegerField):
    default_error_messages = {"invalid": "must be a whole number."}

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_value": MAX_WHOLE_NUMBER, **options})

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return data


class Flag(serializers.BooleanField):
    default_error_messages = {"invalid": "must be true or false."}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


class OneOf(serializers.ChoiceField):
    """A choice of strings; the error lists them."""

    def __init__(self, choices: Sequence[Any], **options: Any) -> None:
        super().__init__(choices, **options)
        allowed = ", ".join(str(choice) for choice in self.choices)
        self.error_messages["invalid_choice"] = f"must be one of {allowed}."

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=data)
        return str(super().to_internal_value(data))


@extend_schema_field({"type": "string", "format": "decimal", "pattern": AMOUNT_PATTERN})
class Amount(serializers.DecimalField):
    """US dollars as a decimal string, plain and exact: `"12.5"`, `"0.000000001"`."""

    default_error_messages = {"invalid": 'must be US dollars as a decimal string, such as "12.50".'}

    def __init__(self, **options: Any) -> None:
        bounds = {
            name: f"must be at {word} {format(options[name], 'f')}."
            for name, word in (("min_value", "least"), ("max_value", "most"))
            if name in options
        }
        super().__init__(**{"max_digits": 20, "decimal_places": 9, "error_messages": bounds, **options})

    def to_internal_value(self, data: Any) -> Decimal:
        if not isinstance(data, str) or not set(data) <= set("0123456789.-"):
            self.fail("invalid")
        return super().to_internal_value(data)

    def to_representation(self, value: Any) -> str:
        return format(Decimal(value).normalize() + 0, "f")


class Moment(serializers.DateTimeField):
    """RFC 3339 with its offset, in UTC when answered."""

    default_error_messages = {
        "invalid": "must be a moment with its offset, such as 2026-12-31T23:59:59Z.",
        "naive": "must have an offset, such as 2026-12-31T23:59:59Z.",
    }

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str):
            self.fail("invalid", format="RFC 3339")
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail("invalid", format="RFC 3339")
        if moment.tzinfo is None:
            self.fail("naive")
        try:
            return super().to_internal_value(value)
        except OverflowError:
            self.fail("invalid", format="RFC 3339")


class StrictSerializer(serializers.Serializer[Any]):
    """A JSON object of known fields only."""

    default_error_messages = {"invalid": "The body must be a JSON object."}

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = sorted(str(name)[:64] for name in set(data) - set(self.fields))
            if unknown:
                allowed = ", ".join(name for name, field in self.fields.items() if not field.read_only)
                raise ValidationError(
                    {name: [f"{name} is not known here; allowed: {allowed}."] for name in unknown},
                    code=UNKNOWN,
                )
        return super().to_internal_value(data)


class QuerySerializer(StrictSerializer):
    """The parameters of an address: each once, and none that is not known."""

    @classmethod
    def read(cls, query: QueryDict, *, beside: Iterable[str] = ()) -> dict[str, Any]:
        """The checked parameters; those `beside` are read by somebody else. Raises ValidationError."""
        several = [name for name, values in query.lists() if len(values) > 1]
        if several:
            raise ValidationError({name: [f"{name} must be given once."] for name in several})
        given = {name: value for name, value in query.items() if name not in set(beside)}
        serializer = cls(data=given)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)


class CountInQuery(serializers.IntegerField):
    """A whole number in an address, where everything is text."""

    default_error_messages = {"invalid": "must be a whole number."}

    def to_internal_value(self, data: Any) -> int:
        if not (isinstance(data, str) and data.isascii() and data.isdigit() and len(data) < 19):
            self.fail("invalid")
        return int(data)


class FlagInQuery(serializers.BooleanField):
    default_error_messages = {"invalid": "must be true or false."}

    def to_internal_value(self, data: Any) -> bool:
        if data not in ("true", "false"):
            self.fail("invalid")
        return bool(data == "true")

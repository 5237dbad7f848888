"""How an amount of money is stored: one kind of column for every table of billing."""

from typing import Any

from django.db import models

USD_DIGITS, USD_DECIMALS = 20, 9


def usd_field(**options: Any) -> "models.DecimalField[Any, Any]":
    """A column of US dollars, exact to the nano-dollar."""
    return models.DecimalField(max_digits=USD_DIGITS, decimal_places=USD_DECIMALS, **options)

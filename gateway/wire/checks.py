"""Checks of single values, each made once and called with a value and its name.

A check returns nothing and raises InvalidValue with what is allowed; it never echoes text that a
client sent, only numbers. Which parameter has which check is `gateway.wire.parameters`.
"""

import re
from collections.abc import Callable
from typing import Any

from gateway.errors import InvalidValue

Check = Callable[[Any, str], None]

# C0 and C1 controls, line separators and bidirectional overrides: they forge log lines and labels.
UNSAFE_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
LABEL_CHARACTERS_LIMIT = 256


def shown(value: Any) -> str:
    """A value as an error message may show it: numbers as they are, anything else as its kind."""
    kind = type(value)
    if kind is int or kind is float:
        return repr(value)
    names = {bool: "a boolean", str: "a string", list: "an array", dict: "an object", type(None): "null"}
    return names.get(kind, "something else")


def number(lowest: float, highest: float) -> Check:
    def check(value: Any, name: str) -> None:
        if (type(value) is not float and type(value) is not int) or not lowest <= value <= highest:
            raise InvalidValue(
                f"{name} must be a number between {lowest:g} and {highest:g}, got {shown(value)}.", param=name
            )

    return check


def integer(lowest: int, highest: int) -> Check:
    def check(value: Any, name: str) -> None:
        if type(value) is not int or not lowest <= value <= highest:
            raise InvalidValue(
                f"{name} must be an integer between {lowest} and {highest}, got {shown(value)}.", param=name
            )

    return check


def positive_integer(highest: int) -> Check:
    def check(value: Any, name: str) -> None:
        if type(value) is not int or not 1 <= value <= highest:
            raise InvalidValue(
                f"{name} must be a positive integer of at most {highest}, got {shown(value)}.", param=name
            )

    return check


def boolean(value: Any, name: str) -> None:
    if type(value) is not bool:
        raise InvalidValue(f"{name} must be true or false, got {shown(value)}.", param=name)


def one_of(*allowed: str) -> Check:
    listed = ", ".join(allowed)

    def check(value: Any, name: str) -> None:
        if type(value) is not str or value not in allowed:
            got = "another string" if type(value) is str else shown(value)
            raise InvalidValue(f"{name} must be one of {listed}; got {got}.", param=name)

    return check


def text(value: Any, name: str) -> None:
    if type(value) is not str:
        raise InvalidValue(f"{name} must be a string, got {shown(value)}.", param=name)


def label(value: Any, name: str) -> None:
    """A short printable string that ends up in logs and on pages."""
    text(value, name)
    if len(value) > LABEL_CHARACTERS_LIMIT:
        raise InvalidValue(
            f"{name} must have at most {LABEL_CHARACTERS_LIMIT} characters, got {len(value)}.", param=name
        )
    if UNSAFE_CHARACTERS.search(value):
        raise InvalidValue(f"{name} must not hold control characters.", param=name)


def object_(value: Any, name: str) -> None:
    if type(value) is not dict:
        raise InvalidValue(f"{name} must be an object, got {shown(value)}.", param=name)


def array(value: Any, name: str) -> None:
    if type(value) is not list:
        raise InvalidValue(f"{name} must be an array, got {shown(value)}.", param=name)

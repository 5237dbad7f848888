"""The environment, read once and checked: one variable per field of a settings dataclass.

A field becomes `FAREBOX_<FIELD>` unless its metadata names another variable; `<NAME>_FILE` may
point to a file with the value instead. Nothing here knows Django. `python -m config.env` prints
docs/settings.md.
"""

import base64
import binascii
import dataclasses
import ipaddress
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints
from urllib.parse import urlsplit

from config.console import ConsoleSettings, EmbeddedSettings
from gateway.settings import GatewaySettings

PREFIX = "FAREBOX_"
MASTER_KEY_BYTES = 32
PEPPER_MIN_BYTES = 16
TRUE_WORDS, FALSE_WORDS = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
SECRET_FIELDS = frozenset({"database_url", "redis_url"})

# Enough to import and to check the code; nothing listens at these addresses.
TEST_DEFAULTS = {
    "DATABASE_URL": "postgresql://farebox@127.0.0.1:1/farebox",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "FAREBOX_KEY_PEPPER": "the pepper of the test suite",
    "FAREBOX_MASTER_KEY": base64.b64encode(bytes(MASTER_KEY_BYTES)).decode(),
    "FAREBOX_SECRET_KEY": "only-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEF",
}

_Settings = TypeVar("_Settings", GatewaySettings, ConsoleSettings, EmbeddedSettings)


class WrongSetting(ValueError):
    """A variable is missing or its value is not allowed; the message names it and says what is."""


def gateway_settings(environment: Mapping[str, str] = os.environ) -> GatewaySettings:
    """What the data plane is told; raises WrongSetting."""
    settings = _read(GatewaySettings, environment)
    for network in settings.allowed_upstream_networks:
        _check_network(network)
    return settings


def console_settings(environment: Mapping[str, str] = os.environ) -> ConsoleSettings:
    """What the control plane is told; raises WrongSetting."""
    settings = _read(ConsoleSettings, environment)
    address = urlsplit(settings.public_url)
    if address.scheme not in ("http", "https") or not address.hostname or settings.public_url.endswith("/"):
        raise WrongSetting(
            "FAREBOX_PUBLIC_URL must be like https://farebox.example, with no slash at its end"
        )
    if settings.mode == "production" and address.scheme != "https":
        raise WrongSetting("FAREBOX_PUBLIC_URL must be https:// unless FAREBOX_MODE is embedded or test")
    _check_payments(settings)
    return settings


def embedded_settings(environment: Mapping[str, str] = os.environ) -> EmbeddedSettings:
    """What the embedded default is told; raises WrongSetting."""
    return _read(EmbeddedSettings, environment)


def or_exit(read: Callable[[], _Settings]) -> _Settings:
    """The settings, or the end of this process with one line that names the wrong variable."""
    try:
        return read()
    except WrongSetting as wrong:
        raise SystemExit(f"farebox: {wrong}") from None


def render_reference() -> str:
    """docs/settings.md: every variable with its type, default and meaning."""
    return "\n".join(
        [
            "# Settings",
            "",
            "Every setting is an environment variable. `NAME_FILE` may name a file that holds the value of",
            "`NAME`, for secrets that are mounted. A wrong value stops the start with one line that names",
            "the variable. This page is printed by `python -m config.env`.",
            "",
            "## All processes and the data plane",
            "",
            *_table(GatewaySettings),
            "",
            "## Pages, sign-in, mail and worker",
            "",
            *_table(ConsoleSettings),
            "",
            "## `make run`",
            "",
            *_table(EmbeddedSettings),
            "",
        ]
    )


def _read(kind: type[_Settings], environment: Mapping[str, str]) -> _Settings:
    values = {}
    for field in dataclasses.fields(kind):
        text = _text_of(_variable(field), environment)
        if text is not None:
            values[field.name] = _parse(text, field, kind)
        elif _is_required(field):
            raise WrongSetting(f"{_variable(field)} must be set: {_meaning(field)}")
    return kind(**values)


def _text_of(name: str, environment: Mapping[str, str]) -> str | None:
    path = environment.get(f"{name}_FILE")
    if path and name in environment:
        raise WrongSetting(f"{name} and {name}_FILE must not both be set")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as failure:
            raise WrongSetting(f"{name}_FILE must name a readable text file, got {path!r}") from failure
    if environment.get(f"{PREFIX}MODE") == "test":
        return environment.get(name, TEST_DEFAULTS.get(name))
    return environment.get(name)


def _parse(text: str, field: "dataclasses.Field[Any]", kind: type[Any]) -> Any:
    name, hint = _variable(field), get_type_hints(kind)[field.name]
    if field.name == "master_key":
        return _parse_master_key(name, text)
    if field.name == "key_pepper":
        return _parse_pepper(name, text)
    if hint is bool:
        return _parse_flag(name, text)
    if hint in (int, float):
        return _parse_number(name, text, hint, field.metadata)
    if hint == tuple[str, ...]:
        return tuple(item.strip() for item in text.split(",") if item.strip())
    return _parse_text(name, text, field.metadata)


def _parse_number(name: str, text: str, hint: type[Any], rules: Mapping[str, Any]) -> Any:
    least, most = rules.get("minimum", 1 if hint is int else 0), rules.get("maximum", math.inf)
    words = "a whole number" if hint is int else "a number"
    allowed = f"{words} of at least {least}" + ("" if most == math.inf else f" and at most {most}")
    try:
        number = hint(text)
    except ValueError:
        raise WrongSetting(f"{name} must be {allowed}, got {text!r}") from None
    if not (math.isfinite(number) and least <= number <= most):
        raise WrongSetting(f"{name} must be {allowed}, got {text!r}")
    return number


def _parse_flag(name: str, text: str) -> bool:
    word = text.strip().lower()
    if word not in TRUE_WORDS + FALSE_WORDS:
        raise WrongSetting(f"{name} must be one of {', '.join(TRUE_WORDS + FALSE_WORDS)}, got {text!r}")
    return word in TRUE_WORDS


def _parse_text(name: str, text: str, rules: Mapping[str, Any]) -> str:
    choices = rules.get("choices")
    if choices and text not in choices:
        raise WrongSetting(f"{name} must be one of {', '.join(filter(None, choices))}, got {text!r}")
    if len(text) < rules.get("minimum_characters", 0):
        raise WrongSetting(f"{name} must have at least {rules['minimum_characters']} characters")
    return text


def _parse_master_key(name: str, text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != MASTER_KEY_BYTES:
        raise WrongSetting(f"{name} must be {MASTER_KEY_BYTES} random bytes in base64")
    return key


def _parse_pepper(name: str, text: str) -> bytes:
    pepper = text.encode()
    if len(pepper) < PEPPER_MIN_BYTES:
        raise WrongSetting(f"{name} must have at least {PEPPER_MIN_BYTES} characters")
    return pepper


def _check_payments(settings: ConsoleSettings) -> None:
    """No processor whose webhooks anybody could sign, and none that mints credit on the internet."""
    if settings.payment_processor == "test" and settings.mode == "production":
        raise WrongSetting("FAREBOX_PAYMENT_PROCESSOR must be none or stripe in production, got 'test'")
    if settings.payment_processor == "stripe":
        for name in ("stripe_secret_key", "stripe_webhook_secret"):
            if not getattr(settings, name).strip():
                raise WrongSetting(f"{PREFIX}{name.upper()} must be set when payments are by stripe")
    if settings.top_up_minimum_usd > settings.top_up_maximum_usd:
        raise WrongSetting("FAREBOX_TOP_UP_MINIMUM_USD must be at most FAREBOX_TOP_UP_MAXIMUM_USD")


def _check_network(network: str) -> None:
    try:
        ipaddress.ip_network(network)
    except ValueError:
        raise WrongSetting(
            f"{PREFIX}ALLOWED_UPSTREAM_NETWORKS must list networks like 10.1.0.0/16, got {network!r}"
        ) from None


def _variable(field: "dataclasses.Field[Any]") -> str:
    return str(field.metadata.get("env", PREFIX + field.name.upper()))


def _meaning(field: "dataclasses.Field[Any]") -> str:
    return str(field.metadata["description"])


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING


def _is_secret(field: "dataclasses.Field[Any]") -> bool:
    return not field.repr or field.name in SECRET_FIELDS


def _table(kind: type[Any]) -> Iterator[str]:
    yield "| Variable | Kind | Default | Meaning |"
    yield "|---|---|---|---|"
    for field in dataclasses.fields(kind):
        yield f"| `{_variable(field)}` | {_kind_of(field, kind)} | {_default_of(field)} | {_meaning(field)} |"


def _kind_of(field: "dataclasses.Field[Any]", kind: type[Any]) -> str:
    names = {bool: "yes or no", int: "whole number", float: "number", tuple[str, ...]: "list, by commas"}
    words = names.get(get_type_hints(kind)[field.name], "text")
    if choices := field.metadata.get("choices"):
        words = ", ".join(f"`{choice}`" for choice in choices if choice)
    return f"{words}, secret" if _is_secret(field) else words


def _default_of(field: "dataclasses.Field[Any]") -> str:
    if _is_required(field):
        return "required"
    if isinstance(field.default, tuple):
        return f"`{','.join(field.default)}`" if field.default else "none"
    if isinstance(field.default, bool):
        return "yes" if field.default else "no"
    if isinstance(field.default, float):
        return f"`{field.default:g}`"
    return f"`{field.default}`" if field.default != "" else "none"


if __name__ == "__main__":
    sys.stdout.write(render_reference())

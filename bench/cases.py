"""The cases: what is asked of every contestant, and by how many clients at once. Pure."""

import json
from dataclasses import dataclass, replace
from enum import StrEnum

PACE_MS = 20
LEAVER_PACE_MS = 5
# Longer than the case: once open, such a stream says nothing more.
SILENCE_MS = 60_000
WHOLE, STREAM = "echo", "fifty-two"


class Kind(StrEnum):
    """Which client of ours, or which other program, makes the load."""

    TURNS = "turns"
    FLOOD = "flood"
    PACED = "paced"
    LEAVING = "leaving"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`answer_seconds` is how long one answer takes at its own pace."""

    name: str
    title: str
    kind: Kind
    clients: int
    model: str = WHOLE
    text: str = "Hello"
    max_tokens: int = 64
    answer_seconds: float = 0.0
    is_budget: bool = False
    is_quick: bool = False

    @property
    def is_stream(self) -> bool:
        return self.model == STREAM

    def body(self, model_prefix: str) -> bytes:
        """The request, for a contestant that calls the upstream's models by this prefix."""
        request = {
            "model": model_prefix + self.model,
            "messages": [{"role": "user", "content": self.text}],
            "max_tokens": self.max_tokens,
        }
        if self.is_stream:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps(request).encode()


def all_cases(*, is_quick: bool) -> tuple[Case, ...]:
    """Every case in the order in which they run; for a quick run its streams are shorter."""
    return (
        *_plain(),
        *_streams(),
        *(_paced(clients, stream_seconds=1.0 if is_quick else 5.0) for clients in (500, 2_000)),
        *(_prompt(kilobytes, clients) for kilobytes, clients in ((50, 16), (500, 4))),
        _leaving(),
        *(_open(clients) for clients in (500, 5_000)),
        _budget(),
    )


def chosen(wanted: tuple[str, ...], *, is_quick: bool) -> tuple[Case, ...]:
    """The cases of these names or beginnings of names. Raises ValueError.

    When none is named all are meant, or those of a quick run.
    """
    cases = all_cases(is_quick=is_quick)
    for name in wanted:
        if not any(_matches(case, name) for case in cases):
            raise ValueError(f"no case is called {name!r}: {', '.join(case.name for case in cases)}")
    if not wanted:
        return tuple(case for case in cases if case.is_quick or not is_quick)
    return tuple(case for case in cases if any(_matches(case, name) for name in wanted))


def _matches(case: Case, name: str) -> bool:
    return case.name == name or case.name.startswith(f"{name}-")


def _plain() -> tuple[Case, ...]:
    one = Case(name="plain-1", title="whole answers, 1 client", kind=Kind.TURNS, clients=1, is_quick=True)
    many = (
        replace(
            one,
            name=f"plain-{clients}",
            title=f"whole answers, {clients} clients",
            kind=Kind.FLOOD,
            clients=clients,
            is_quick=clients == 32,
        )
        for clients in (16, 32, 64)
    )
    return (one, *many)


def _streams() -> tuple[Case, ...]:
    return (
        Case(name="stream-1", title="52-chunk streams, 1 client", kind=Kind.TURNS, clients=1, model=STREAM),
        Case(
            name="stream-32",
            title="52-chunk streams, 32 clients",
            kind=Kind.FLOOD,
            clients=32,
            model=STREAM,
            is_quick=True,
        ),
        Case(
            name="burst-32",
            title="52-chunk streams that arrive in one piece, 32 clients",
            kind=Kind.FLOOD,
            clients=32,
            model=STREAM,
            text="Hello [[in one write]]",
        ),
    )


def _paced(clients: int, *, stream_seconds: float) -> Case:
    tokens = round(stream_seconds * 1000 / PACE_MS)
    return Case(
        name=f"paced-{clients}",
        title=f"{clients:,} streams open at once, a chunk every {PACE_MS} ms",
        kind=Kind.PACED,
        clients=clients,
        model=STREAM,
        text=f"Hello [[tokens {tokens}]] [[pace {PACE_MS}]]",
        max_tokens=tokens,
        answer_seconds=stream_seconds,
        is_quick=clients == 500,
    )


def _prompt(kilobytes: int, clients: int) -> Case:
    return Case(
        name=f"prompt-{kilobytes}k",
        title=f"prompts of {kilobytes} KB, whole answers, {clients} clients",
        kind=Kind.FLOOD,
        clients=clients,
        text="All work and no play. " * (kilobytes * 1000 // 22),
        is_quick=kilobytes == 50,
    )


def _leaving() -> Case:
    return Case(
        name="leaving",
        title=f"52-chunk streams, a chunk every {LEAVER_PACE_MS} ms, 32 clients, 10 % leave midway",
        kind=Kind.LEAVING,
        clients=32,
        model=STREAM,
        text=f"Hello [[pace {LEAVER_PACE_MS}]]",
        answer_seconds=52 * LEAVER_PACE_MS / 1000,
        is_quick=True,
    )


def _open(clients: int) -> Case:
    return Case(
        name=f"open-{clients}",
        title=f"{clients:,} open streams",
        kind=Kind.OPEN,
        clients=clients,
        model=STREAM,
        text=f"Hello [[tokens 2]] [[pace {SILENCE_MS}]]",
        max_tokens=2,
        is_quick=clients == 500,
    )


def _budget() -> Case:
    return Case(
        name="budget",
        title="a budget that ends midway, 64 clients",
        kind=Kind.FLOOD,
        clients=64,
        max_tokens=8,
        is_budget=True,
        is_quick=True,
    )

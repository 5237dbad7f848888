"""The load: callers that ask, read or leave, and try again when they are told to."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.house import Process, chat
from tests.stream_client import RawStream, raw_request

AT_ONCE = 32
MAX_TRIES = 200
PAUSE_SECONDS = 0.25
LEAVING_SHARE = 0.02
PACED_SHARE = 0.15
MODELS = ("echo@fake", "ten-chunks@fake", "fifty-two@fake", "reasoner@fake")

Strike = Callable[[int], Awaitable[None]]


@dataclass
class Told:
    """What the callers were told: every answer that was read to its end, and how often they failed."""

    whole: list[str] = field(default_factory=list)
    broken: int = 0
    left: int = 0
    given_up: int = 0
    tries: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Plan:
    """One request, drawn before anything runs."""

    gateway: int
    body: dict[str, Any]
    leaves_after: int | None


def plans(seed: int, requests: int, gateways: int) -> list[Plan]:
    dice = random.Random(f"load {seed}")
    return [_plan(dice, gateways) for _ in range(requests)]


async def send_all(
    wanted: list[Plan], gateways: list[Process], key: str, *, strike: Strike, told: Told
) -> None:
    """Send every plan, some at once; `strike` is awaited before each with its position."""
    positions = iter(range(len(wanted)))

    async def caller() -> None:
        for position in positions:
            await strike(position)
            await _send(wanted[position], gateways, key, told)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(caller())


async def _send(plan: Plan, gateways: list[Process], key: str, told: Told) -> None:
    """Until it is answered: a refusal or a dead process is tried again, elsewhere."""
    for attempt in range(MAX_TRIES):
        process = gateways[(plan.gateway + attempt) % len(gateways)]
        try:
            async with raw_request(process.url, plan.body, key=key) as stream:
                status = await stream.read_head()
                told.tries[str(status)] += 1
                if status == 200:
                    await _read(stream, plan, told)
                    return
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            told.tries["no answer"] += 1
        await asyncio.sleep(PAUSE_SECONDS)
    told.given_up += 1


async def _read(stream: RawStream, plan: Plan, told: Told) -> None:
    if plan.leaves_after is not None:
        await stream.read_events(plan.leaves_after)
        told.left += 1
        return
    try:
        answer = await stream.read_rest()
    except (OSError, TimeoutError):
        answer = b""
    if _is_whole(answer, is_stream=plan.body.get("stream", False)):
        told.whole.append(stream.headers["x-farebox-event-id"])
    else:
        told.broken += 1


def _is_whole(answer: bytes, *, is_stream: bool) -> bool:
    if is_stream:
        return b"data: [DONE]\n\n" in answer and b"event: error" not in answer
    return answer.endswith(b"}")


def _plan(dice: random.Random, gateways: int) -> Plan:
    is_stream, is_leaving = dice.random() < 0.6, dice.random() < LEAVING_SHARE
    tokens = dice.randint(1, 40)
    text = f"[[tokens {tokens}]]"
    if is_leaving or dice.random() < PACED_SHARE:
        text += f" [[pace {dice.randint(5, 40)}]]"
    body = chat(dice.choice(MODELS), text, stream=True) if is_stream else chat(dice.choice(MODELS), text)
    leaves_after = dice.randint(1, tokens) if is_leaving and is_stream else None
    return Plan(dice.randrange(gateways), body, leaves_after)

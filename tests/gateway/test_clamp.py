"""The budget clamp: which output caps a shortage of money comes to."""

import orjson
import pytest

from gateway.clamp import shortened
from gateway.money_errors import InsufficientCredits, Shortage
from gateway.router import Route, need_of
from gateway.wire.chat import parse_chat_request
from tests.gateway.limits_bench import policy
from tests.gateway.shelf import Shelf, chosen, connection, offer, price

SHELF = Shelf([offer("fake", "m", price=price(1_000_000, 2_000_000))], [connection("fake")])
# `Hello`: at most 21 tokens of prompt at $1 a million, and 40 of output at $2.
LEFT_NANO = 21 * 1_000 + 40 * 2_000 + 1_999


def clamped(*caps: int | None) -> tuple[int | None, list[int | None]]:
    """The caps of a body with requests of these caps, when there is not enough money for them."""
    said = {"model": "fake/m", "messages": [{"role": "user", "content": "Hello"}], "budget_clamp": True}
    elements = [said if cap is None else {**said, "max_tokens": cap} for cap in caps]
    request = parse_chat_request(orjson.dumps(elements if len(elements) > 1 else elements[0]))
    targets = chosen(request, shelf=SHELF)
    shortage = Shortage(
        left_nano=LEFT_NANO, asked_nano=0, spent_nano=0, held_nano=0, least_left_nano=LEFT_NANO
    )
    route = Route(targets, need_of(request, targets), None)
    shorter = shortened(request, route, policy(), InsufficientCredits(shortage))
    assert shorter is not None
    capped, route = shorter
    assert route.need == need_of(capped, route.targets)
    assert route.need.budget_nano <= LEFT_NANO
    return capped.max_output_tokens, [(each.request or capped).max_output_tokens for each in route.targets]


@pytest.mark.parametrize(
    ("caps", "shorter"),
    [
        ((90,), [40]),
        ((None,), [40]),
        ((90, 2), [40, 2]),
        ((2, 90), [2, 40]),
        ((None, 2), [40, 2]),
        ((2, None), [2, 40]),
        ((90, 60), [40, 40]),
    ],
)
def test_no_request_of_a_list_gets_a_larger_cap_than_its_own(
    caps: tuple[int | None, ...], shorter: list[int]
) -> None:
    assert clamped(*caps) == (shorter[0], shorter)

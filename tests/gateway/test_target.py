"""Targets: whose credential they carry, and the most that a request to them can use."""

from typing import Any
from uuid import UUID

import pytest

from gateway.errors import CustomKeyNotFound, GatewayError, ModelNotFound
from tests.gateway.shelf import OWN, PLATFORM, Key, Shelf, chosen, connection, offer, request

BOTH = Shelf([offer("p", "m")], [connection("p"), connection("p", is_own=True)])
ONLY_PLATFORM = Shelf([offer("p", "m")], [connection("p")])
ONLY_OWN = Shelf([offer("p", "m")], [connection("p", is_own=True)])


@pytest.mark.parametrize(
    ("shelf", "use_custom_keys", "mode", "used"),
    [
        (BOTH, None, "hybrid", OWN),
        (BOTH, None, "api-keys", OWN),
        (BOTH, None, "credits", PLATFORM),
        (BOTH, True, "hybrid", OWN),
        (BOTH, True, "credits", OWN),
        (BOTH, False, "hybrid", PLATFORM),
        (BOTH, False, "api-keys", PLATFORM),
        (ONLY_PLATFORM, None, "hybrid", PLATFORM),
        (ONLY_PLATFORM, None, "credits", PLATFORM),
        (ONLY_PLATFORM, None, "api-keys", CustomKeyNotFound),
        (ONLY_PLATFORM, True, "hybrid", CustomKeyNotFound),
        (ONLY_OWN, None, "hybrid", OWN),
        (ONLY_OWN, None, "credits", ModelNotFound),
        (ONLY_OWN, False, "hybrid", ModelNotFound),
    ],
)
def test_whose_credential_is_used(
    shelf: Shelf, use_custom_keys: bool | None, mode: str, used: UUID | type[GatewayError]
) -> None:
    asked = request("p/m", use_custom_keys=use_custom_keys)

    if isinstance(used, UUID):
        (target,) = chosen(asked, shelf=shelf, key=Key(project_mode=mode))
        assert (target.connection_id, target.is_own_credential) == (used, used == OWN)
        return
    with pytest.raises(used):
        chosen(asked, shelf=shelf, key=Key(project_mode=mode))


def test_a_missing_own_key_has_unifys_words() -> None:
    with pytest.raises(CustomKeyNotFound) as refusal:
        chosen(request("p/m", use_custom_keys=True), shelf=ONLY_PLATFORM)

    assert (refusal.value.status, refusal.value.message) == (404, "Custom API Key not found.")


@pytest.mark.parametrize(
    ("fields", "bound"),
    [
        ({}, 100),
        ({"max_tokens": 99}, 99),
        ({"max_tokens": 100}, 100),
        ({"max_tokens": 101}, 100),
        ({"max_completion_tokens": 1}, 1),
        ({"max_tokens": 10, "reasoning": {"max_tokens": 20}}, 30),
        ({"max_tokens": 90, "reasoning": {"max_tokens": 20}}, 100),
        ({"max_tokens": 10, "prediction": {"type": "content", "content": "x" * 100}}, 10 + 131),
        ({"prediction": {"type": "content", "content": "x" * 100}}, 100 + 131),
    ],
)
def test_the_output_bound_is_the_cap_within_the_models_own(fields: dict[str, Any], bound: int) -> None:
    asked = request("openai/gpt-4o", **fields)

    assert chosen(asked)[0].output_tokens_bound(asked) == bound


@pytest.mark.parametrize(("length", "bound"), [(4, 84), (919, 999), (920, 1000), (921, 1000), (5000, 1000)])
def test_the_prompt_bound_is_never_more_than_the_window(length: int, bound: int) -> None:
    asked = request("openai/gpt-4o", messages=[{"role": "user", "content": "x" * length}])

    assert chosen(asked)[0].prompt_tokens_bound(asked) == bound


def test_unknown_limits_are_taken_to_be_the_largest() -> None:
    shelf = Shelf([offer("p", "m", context_window_tokens=None, max_output_tokens=None)], [connection("p")])
    asked = request(
        "p/m", messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]
    )

    (target,) = chosen(asked, shelf=shelf)

    assert target.prompt_tokens_bound(asked) == 2_000_000
    assert target.output_tokens_bound(asked) == 131_072

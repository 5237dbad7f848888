"""The four mounts and what differs between them."""

import pytest

from gateway.wire.dialect import DIALECTS, UsagePlace


@pytest.mark.parametrize(
    ("prefix", "model"),
    [
        ("/v0", "gpt-4o@openai"),
        ("/v1", "openai/gpt-4o"),
        ("/api/v1", "openai/gpt-4o"),
        ("/openai/v1", "gpt-4o"),
    ],
)
def test_the_path_decides_how_the_model_is_named(prefix: str, model: str) -> None:
    assert DIALECTS[prefix].answer_model("openai", "gpt-4o") == model


@pytest.mark.parametrize(
    ("prefix", "unasked"),
    [
        ("/v0", UsagePlace.ON_FINISH),
        ("/v1", UsagePlace.ON_FINISH),
        ("/api/v1", UsagePlace.SEPARATE),
        ("/openai/v1", UsagePlace.NONE),
    ],
)
def test_usage_is_where_the_path_puts_it_unless_the_client_says(prefix: str, unasked: UsagePlace) -> None:
    dialect = DIALECTS[prefix]

    assert dialect.usage_place(None) is unasked
    assert dialect.usage_place(True) is UsagePlace.SEPARATE
    assert dialect.usage_place(False) is UsagePlace.NONE


def test_there_are_four_mounts() -> None:
    assert sorted(DIALECTS) == ["/api/v1", "/openai/v1", "/v0", "/v1"]

"""The choice of targets: order, permission, ability, window."""

from random import Random
from typing import Any

import pytest

from gateway.errors import (
    ContextLengthExceeded,
    GatewayError,
    InvalidModel,
    InvalidValue,
    ModelBlocked,
    ModelNotFound,
    NoPrice,
    ProviderBlocked,
    UnsupportedParameter,
)
from gateway.routing.permission import is_allowed
from gateway.routing.select import choose_targets
from gateway.routing.target import Target
from gateway.routing.views import Conditions
from gateway.wire.chat import parse_chat_request
from tests.gateway.chat_bodies import said
from tests.gateway.shelf import (
    PLATFORM,
    SHELF,
    Key,
    Shelf,
    chosen,
    connection,
    names,
    offer,
    price,
    request,
)
from tests.gateway.test_score import Measured


@pytest.mark.parametrize(
    ("model", "order"),
    [
        ("gpt-4o@openai", ["openai/gpt-4o"]),
        ("openai/gpt-4o", ["openai/gpt-4o"]),
        ("azure:gpt-4o", ["azure/gpt-4o"]),
        ("gpt-4o", ["azure/gpt-4o", "openai/gpt-4o"]),
        ("openai/gpt-oss", ["groq/openai/gpt-oss"]),
        ("groq/openai/gpt-oss", ["groq/openai/gpt-oss"]),
    ],
)
def test_a_pinned_model_has_one_target_and_a_bare_one_all_cheapest_first(
    model: str, order: list[str]
) -> None:
    assert names(chosen(request(model))) == order


def test_fallbacks_come_before_automatic_alternatives() -> None:
    targets = chosen(request("gpt-4o", fallbacks=["gpt-4o-mini", "openai/gpt-oss"]))

    assert names(targets) == ["azure/gpt-4o", "openai/gpt-4o-mini", "groq/openai/gpt-oss", "openai/gpt-4o"]
    assert [target.is_alternative for target in targets] == [False, False, False, True]


def test_no_target_comes_twice() -> None:
    targets = chosen(request("gpt-4o", fallbacks=["openai/gpt-4o", "azure/gpt-4o", "gpt-4o"]))

    assert names(targets) == ["azure/gpt-4o", "openai/gpt-4o"]
    assert [target.is_alternative for target in targets] == [False, False]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_there_are_never_more_targets_than_the_limit(limit: int) -> None:
    assert len(chosen(request("gpt-4o", fallbacks=["gpt-4o-mini"]), limit=limit)) == limit


def test_a_target_knows_everything_to_call_and_to_pay() -> None:
    (target,) = chosen(request("openai/gpt-4o"))

    assert target == Target(
        provider="openai",
        kind="openai-compatible",
        model="gpt-4o",
        upstream_name="gpt-4o-2026",
        base_url="https://openai.test/v1",
        credential="sk-platform",
        is_own_credential=False,
        is_guarded=False,
        price=price(2500),
        connection_id=PLATFORM,
        context_window_tokens=1000,
        max_output_tokens=100,
    )
    assert "sk-platform" not in repr(target)


@pytest.mark.parametrize(
    "model", ["nope", "openai/nope", "nope@openai", "vendor/nope", "../x", "gpt-4o@nowhere"]
)
def test_a_model_that_does_not_exist_is_not_found(model: str) -> None:
    with pytest.raises(ModelNotFound, match="GET /v1/models") as refusal:
        chosen(request(model))

    assert (refusal.value.status, refusal.value.code, refusal.value.param) == (
        404,
        "model_not_found",
        "model",
    )


def test_a_model_whose_provider_is_not_connected_cannot_be_reached() -> None:
    with pytest.raises(ModelNotFound, match="not connected"):
        chosen(request("dark/hidden"))


def test_fallbacks_that_cannot_be_used_are_passed_over() -> None:
    asked = request("openai/gpt-4o", fallbacks=["nope", "dark/hidden", "azure/unpriced", "gpt-4o-mini"])

    assert names(chosen(asked)) == ["openai/gpt-4o", "openai/gpt-4o-mini"]


def test_a_fallback_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(InvalidModel) as refusal:
        chosen(request("openai/gpt-4o", fallbacks=["gpt-4o-mini", "a|b"]))

    assert refusal.value.param == "fallbacks[1]"


def test_a_typo_in_the_model_is_told_although_a_fallback_would_do() -> None:
    with pytest.raises(ModelNotFound):
        chosen(request("gpt-4oo", fallbacks=["gpt-4o-mini"]))


def test_a_model_without_a_price_is_refused() -> None:
    with pytest.raises(NoPrice) as refusal:
        chosen(request("azure/unpriced"))

    assert (refusal.value.status, refusal.value.code) == (400, "model_price_unavailable")


@pytest.mark.parametrize(
    ("allowed", "order"),
    [
        (None, ["azure/gpt-4o", "openai/gpt-4o"]),
        (["gpt-4o"], ["azure/gpt-4o", "openai/gpt-4o"]),
        (["openai/gpt-4o"], ["openai/gpt-4o"]),
        (["gpt-4o@azure"], ["azure/gpt-4o"]),
        (["openai/*"], ["openai/gpt-4o"]),
        (["*"], ["azure/gpt-4o", "openai/gpt-4o"]),
    ],
)
def test_a_key_reaches_what_its_list_allows(allowed: list[str] | None, order: list[str]) -> None:
    assert names(chosen(request("gpt-4o"), key=Key(allowed))) == order


@pytest.mark.parametrize(
    ("allowed", "model", "error"),
    [
        ([], "gpt-4o", ModelBlocked),
        (["gpt-4o-mini"], "gpt-4o", ModelBlocked),
        (["azure/*"], "gpt-4o-mini", ModelBlocked),
        (["azure/gpt-4o"], "gpt-4o@openai", ProviderBlocked),
        (["gpt-4o@azure"], "openai/gpt-4o", ProviderBlocked),
    ],
)
def test_a_key_is_told_what_it_may_not_use(allowed: list[str], model: str, error: type[GatewayError]) -> None:
    with pytest.raises(error) as refusal:
        chosen(request(model), key=Key(allowed))

    assert (refusal.value.status, refusal.value.type) == (403, "permission_denied")


def test_a_key_falls_back_only_to_what_it_may_use() -> None:
    asked = request("openai/gpt-4o", fallbacks=["gpt-4o-mini", "azure/gpt-4o"])

    assert names(chosen(asked, key=Key(["gpt-4o"]))) == ["openai/gpt-4o", "azure/gpt-4o"]


@pytest.mark.parametrize(
    ("allowed", "answer"),
    [
        (None, True),
        ([], False),
        (["m"], True),
        (["p/m"], True),
        (["p/*"], True),
        (["q/*"], False),
        (["m@p"], True),
        (["*"], True),
    ],
)
def test_patterns(allowed: list[str] | None, answer: bool) -> None:
    assert is_allowed("p", "m", allowed) is answer


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}, "response_format"),
        ({"web_search": True}, "web_search"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "https://a.test/b"}}],
                    }
                ]
            },
            "messages",
        ),
    ],
)
def test_what_cannot_be_dropped_must_be_possible(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as refusal:
        chosen(request("azure/plain", **fields))

    assert refusal.value.param == param
    assert names(chosen(request("azure/rich", **fields))) == ["azure/rich"]
    assert names(chosen(request("azure/gpt-4o", **fields))) == ["azure/gpt-4o"]
    assert names(chosen(request("azure/plain", fallbacks=["azure/rich"], **fields))) == ["azure/rich"]


def test_json_mode_is_possible_where_schemas_are() -> None:
    shelf = Shelf([offer("azure", "m", capabilities=frozenset({"json_schema"}))], [connection("azure")])

    assert names(chosen(request("m", response_format={"type": "json_object"}), shelf=shelf)) == ["azure/m"]


@pytest.mark.parametrize(("tokens", "fits"), [(10, True), (11, False)])
def test_a_stated_prompt_size_must_fit_the_window(tokens: int, fits: bool) -> None:
    asked = request("azure/tiny", extra_body={"request_context_tokens": tokens})

    if fits:
        assert names(chosen(asked)) == ["azure/tiny"]
        return
    with pytest.raises(ContextLengthExceeded) as refusal:
        chosen(asked)
    assert refusal.value.details == {"model": "azure/tiny", "limit": 10, "measured": 11}


@pytest.mark.parametrize(("length", "fits"), [(175, True), (176, False)])
def test_a_prompt_is_refused_only_when_no_tokenizer_could_make_it_fit(length: int, fits: bool) -> None:
    asked = parse_chat_request(said({"role": "user", "content": "x" * length}))
    shelf = Shelf([offer("fake", "echo", context_window_tokens=10)], [connection("fake")])

    if fits:
        assert names(chosen(asked, shelf=shelf)) == ["fake/echo"]
        return
    with pytest.raises(ContextLengthExceeded):
        chosen(asked, shelf=shelf)


FAST_AND_DEAR = Measured(
    ttfts_ms={"openai": 100.0, "azure": 900.0}, throughputs={"openai": 80.0, "azure": 10.0}
)


@pytest.mark.parametrize(
    ("routing", "first"),
    [(None, "azure"), ("auto", "azure"), ("price", "azure"), ("throughput", "openai"), ("latency", "openai")],
)
def test_a_request_may_prefer_price_throughput_or_latency(routing: str | None, first: str) -> None:
    conditions = Conditions(luck=Random(7), health=FAST_AND_DEAR)

    choice = choose_targets(
        request("gpt-4o", routing=routing), catalogue=SHELF, policy=Key(), conditions=conditions
    )

    assert choice.targets[0].provider == first


@pytest.mark.parametrize("model", ["openai/gpt-4o", "gpt-4o@cost", "auto"])
def test_a_preference_among_providers_needs_a_model_that_leaves_them_open(model: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        chosen(request(model, routing="latency"))

    assert refusal.value.param == "routing"
    assert chosen(request("gpt-4o", routing="latency", fallbacks=["openai/gpt-4o-mini"]))

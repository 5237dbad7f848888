"""The choice of targets: order, permission, ability, window, credentials."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from billing.pricing import Price
from gateway.errors import (
    ContextLengthExceeded,
    CustomKeyNotFound,
    GatewayError,
    InvalidModel,
    ModelBlocked,
    ModelNotFound,
    NoPrice,
    ProviderBlocked,
    UnsupportedParameter,
)
from gateway.routing.select import choose_targets, is_allowed
from gateway.routing.target import Connection, Offer, Target
from gateway.wire.chat import parse_chat_request
from gateway.wire.chat_request import ChatRequest
from tests.gateway.chat_bodies import body, said

PLATFORM, OWN = UUID(int=1), UUID(int=2)


def price(input_pico: int, output_pico: int = 0) -> Price:
    return Price(version=f"test {input_pico}", input=input_pico, output=output_pico)


def connection(provider: str, *, is_own: bool = False) -> Connection:
    return Connection(
        id=OWN if is_own else PLATFORM,
        provider=provider,
        kind="openai-compatible",
        base_url=f"https://{provider}.test/v1",
        credential="sk-own" if is_own else "sk-platform",
        is_own=is_own,
        is_guarded=is_own,
    )


def offer(provider: str, model: str, input_pico: int = 1000, **fields: Any) -> Offer:
    return Offer(
        **{
            "provider": provider,
            "model": model,
            "upstream_name": f"{model}-2026",
            "price": price(input_pico),
            "context_window_tokens": 1000,
            "max_output_tokens": 100,
            **fields,
        }
    )


@dataclass
class Shelf:
    """A catalogue of what a test puts on it."""

    offers: list[Offer]
    connections: list[Connection] = field(default_factory=list)

    @property
    def known_providers(self) -> Container[str]:
        return {offer.provider for offer in self.offers} | {one.provider for one in self.connections}

    def connections_for(self, provider: str) -> Sequence[Connection]:
        return [one for one in self.connections if one.provider == provider]

    def listing(self, provider: str, model: str) -> Offer | None:
        return next((o for o in self.offers if (o.provider, o.model) == (provider, model)), None)

    def providers_of(self, model: str) -> Sequence[Offer]:
        return [offer for offer in self.offers if offer.model == model]


@dataclass
class Key:
    allowed_models: Sequence[str] | None = None
    project_mode: str = "hybrid"


SHELF = Shelf(
    [
        offer("openai", "gpt-4o", 2500),
        offer("azure", "gpt-4o", 2000),
        offer("openai", "gpt-4o-mini", 150),
        offer("groq", "openai/gpt-oss", 100),
        offer("azure", "unpriced", price=None),
        offer("dark", "hidden"),
        offer("azure", "tiny", context_window_tokens=10),
        offer("azure", "plain", capabilities=frozenset({"tools"})),
        offer("azure", "rich", capabilities=frozenset({"json_mode", "json_schema", "vision", "web_search"})),
    ],
    [connection("openai"), connection("azure"), connection("groq")],
)


def request(model: str, **fields: Any) -> ChatRequest:
    return parse_chat_request(body(model=model, **fields))


def chosen(
    asked: ChatRequest, *, shelf: Shelf = SHELF, key: Key | None = None, limit: int = 5
) -> tuple[Target, ...]:
    return choose_targets(asked, catalogue=shelf, policy=key or Key(), limit=limit)


def names(targets: Sequence[Target]) -> list[str]:
    return [f"{target.provider}/{target.model}" for target in targets]


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
    ],
)
def test_the_output_bound_is_the_cap_within_the_models_own(fields: dict[str, Any], bound: int) -> None:
    asked = request("openai/gpt-4o", **fields)

    assert chosen(asked)[0].output_tokens_bound(asked) == bound


@pytest.mark.parametrize(("length", "bound"), [(4, 20), (983, 999), (984, 1000), (985, 1000), (5000, 1000)])
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

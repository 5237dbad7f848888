"""What a selector chooses: chains, draws, races, criteria, auto, regions and parameters. All pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from uuid import UUID

import orjson
import pytest

from gateway.errors import (
    ContextLengthExceeded,
    CustomEndpointNotFound,
    GatewayError,
    InvalidModel,
    ModelBlocked,
    ModelNotFound,
    NoBranchLeft,
    NoProviderInThresholds,
)
from gateway.routing.health_view import UNMEASURED, TargetHealth
from gateway.routing.select import Choice, choose_targets
from gateway.routing.views import Conditions, Session
from gateway.wire.chat import parse_chat_request
from tests.gateway.chat_bodies import USER
from tests.gateway.shelf import SHELF, Key, Shelf, connection, names, offer, price, request

MESSAGE_OF_90_TOKENS = [{"role": "user", "content": "x" * 348}]
REASONING = frozenset({"reasoning", "tools"})


@dataclass
class Measured:
    """Milliseconds by provider, as a test states them."""

    ttft: dict[str, float] = field(default_factory=dict)
    itl: dict[str, float] = field(default_factory=dict)

    def ttft_ms(self, provider: str, model: str) -> float | None:
        return self.ttft.get(provider)

    def inter_token_ms(self, provider: str, model: str) -> float | None:
        return self.itl.get(provider)

    def uptime(self, provider: str, model: str) -> float | None:
        return None

    def throughput_tokens_per_second(self, provider: str, model: str) -> float | None:
        return None

    def is_open(self, provider: str, model: str, connection_id: UUID | None) -> bool:
        return False


def choose(
    model: str,
    *,
    shelf: Shelf = SHELF,
    key: Key | None = None,
    health: TargetHealth = UNMEASURED,
    session: Session | None = None,
    seed: int = 7,
    explained: bool = False,
    **fields: Any,
) -> Choice:
    return choose_targets(
        request(model, **fields),
        catalogue=shelf,
        policy=key or Key(),
        conditions=Conditions(health=health, session=session, luck=Random(seed), is_explained=explained),
    )


def order(model: str, **options: Any) -> list[str]:
    return names(choose(model, **options).targets)


def refusal(model: str, error: type[GatewayError], **options: Any) -> GatewayError:
    with pytest.raises(error) as caught:
        choose(model, **options)
    return caught.value


@pytest.mark.contract("3.3 Ordered fallback")
@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o@openai->azure",
        "gpt-4o@openai->gpt-4o@azure",
        "openai/gpt-4o|azure/gpt-4o",
        "openai:gpt-4o|gpt-4o@azure",
        "openai/gpt-4o|gpt-4o",
        "gpt-4o@highest-cost->azure",
    ],
)
def test_a_chain_is_tried_in_its_order(model: str) -> None:
    choice = choose(model)

    assert names(choice.targets)[0] == "openai/gpt-4o"
    assert [target.is_alternative for target in choice.targets] == [False] * len(choice.targets)


def test_a_bare_model_in_a_chain_is_one_target_and_no_alternatives_follow() -> None:
    assert order("gpt-4o|gpt-4o-mini") == ["azure/gpt-4o", "openai/gpt-4o-mini"]


def test_fallbacks_follow_the_whole_chain() -> None:
    assert order("openai/gpt-4o->azure/gpt-4o", fallbacks=["gpt-4o-mini", "azure/rich"]) == [
        "openai/gpt-4o",
        "azure/gpt-4o",
        "openai/gpt-4o-mini",
        "azure/rich",
    ]


def test_a_name_that_does_not_exist_is_told_wherever_it_stands() -> None:
    for model in ("gpt-4oo@openai->azure/gpt-4o", "azure/gpt-4o|gpt-4oo", "gpt-4o^nope"):
        assert refusal(model, ModelNotFound).status == 404


def test_a_branch_that_may_not_be_used_gives_way() -> None:
    key = Key(["azure/*"])

    assert order("openai/gpt-4o|azure/gpt-4o", key=key) == ["azure/gpt-4o"]
    assert refusal("gpt-4o-mini|groq/openai/gpt-oss", ModelBlocked, key=key).status == 403


def test_an_unknown_endpoint_of_ones_own_is_named_as_such() -> None:
    assert refusal("mine@custom", CustomEndpointNotFound).message == "Custom endpoint not found."


def test_there_are_five_targets_at_most() -> None:
    shelf = Shelf([offer("openai", f"m{n}") for n in range(7)], [connection("openai")])

    assert order("->".join(f"openai/m{n}" for n in range(7)), shelf=shelf) == [
        f"openai/m{n}" for n in range(5)
    ]


@pytest.mark.contract("3.3 Context limit")
@pytest.mark.parametrize(
    ("model", "tokens", "targets"),
    [
        ("[max_context=100]openai/gpt-4o|azure/gpt-4o", 100, ["openai/gpt-4o", "azure/gpt-4o"]),
        ("[max_context=100]openai/gpt-4o|azure/gpt-4o", 101, ["azure/gpt-4o"]),
        ("[max_context=100]openai/gpt-4o|[max_context=200]azure/gpt-4o", 150, ["azure/gpt-4o"]),
        ("[max_context=100]openai/gpt-4o^azure/gpt-4o", 101, ["azure/gpt-4o"]),
        ("[max_context=100]openai/gpt-4o", 100, ["openai/gpt-4o"]),
    ],
)
def test_a_branch_is_left_out_for_prompts_over_its_limit(model: str, tokens: int, targets: list[str]) -> None:
    assert order(model, extra_body={"request_context_tokens": tokens}) == targets


def test_without_a_stated_size_the_estimate_counts() -> None:
    short, long = "[max_context=90]openai/gpt-4o|azure/gpt-4o", "[max_context=89]openai/gpt-4o|azure/gpt-4o"

    assert order(short, messages=MESSAGE_OF_90_TOKENS)[0] == "openai/gpt-4o"
    assert order(long, messages=MESSAGE_OF_90_TOKENS) == ["azure/gpt-4o"]


@pytest.mark.parametrize(
    ("model", "reason", "is_stream"),
    [
        ("[max_context=5]gpt-4o", "max_context_exceeded", False),
        ("[max_context=5]gpt-4o^[max_context=4]gpt-4o-mini", "max_context_exhausted", False),
        ("[max_context=5]gpt-4o|[max_context=4]gpt-4o-mini", "failover_exhausted", False),
        ("[max_context=5]gpt-4o![max_context=4]gpt-4o-mini", "max_context_exhausted", True),
    ],
)
def test_a_prompt_too_long_for_every_branch_is_told_so(model: str, reason: str, is_stream: bool) -> None:
    error = refusal(model, NoBranchLeft, stream=is_stream, extra_body={"request_context_tokens": 6})

    assert (error.status, error.code) == (503, "temporarily_unavailable")
    assert error.details == {
        "code": "temporarily_unavailable",
        "category": "availability",
        "retryable": True,
        "reason": reason,
    }


def test_a_fallback_serves_what_fits_no_branch() -> None:
    asked = {"fallbacks": ["azure/gpt-4o"], "extra_body": {"request_context_tokens": 6}}

    assert order("[max_context=5]openai/gpt-4o", **asked) == ["azure/gpt-4o"]


@pytest.mark.contract("3.3 Weighted / race / first / thinker")
def test_branches_are_drawn_by_their_weights_and_the_others_follow() -> None:
    drawn = Counter(order("[weight=3]openai/gpt-4o^azure/gpt-4o", seed=seed)[0] for seed in range(2000))
    second = Counter(len(order("[weight=3]openai/gpt-4o^azure/gpt-4o", seed=seed)) for seed in range(50))

    assert 1400 < drawn["openai/gpt-4o"] < 1600
    assert drawn.total() == 2000
    assert second == {2: 50}


def test_a_draw_repeats_with_its_seed() -> None:
    model = "openai/gpt-4o^azure/gpt-4o^gpt-4o-mini^groq/openai/gpt-oss"

    assert order(model, seed=3) == order(model, seed=3)
    assert len({tuple(order(model, seed=seed)) for seed in range(200)}) == 24


FIRST = "[first]openai/gpt-4o^[weight=1000]azure/gpt-4o"


def test_a_sessions_first_request_goes_to_the_first_branch_and_weights_count_from_then_on() -> None:
    begun = Counter(
        order(FIRST, session=Session(has_begun=True), session_id="s", seed=seed)[0] for seed in range(200)
    )

    assert {order(FIRST, session=Session(), session_id="s", seed=seed)[0] for seed in range(20)} == {
        "openai/gpt-4o"
    }
    assert begun["azure/gpt-4o"] > 190


def test_only_a_selector_with_a_rule_for_sessions_wants_to_know_of_them() -> None:
    assert choose(FIRST, session_id="s").wants_session
    assert not choose(FIRST).wants_session
    assert not choose("openai/gpt-4o^azure/gpt-4o", session_id="s").wants_session
    assert not choose("openai/gpt-4o", session_id="s").wants_session


THINKER = "[thinker]openai/gpt-4o^azure/gpt-4o"


def test_a_thinker_goes_first_until_it_has_spoken() -> None:
    targets = choose(THINKER, session=Session(has_begun=True), session_id="s").targets

    assert names(targets) == ["openai/gpt-4o", "azure/gpt-4o"]
    assert [target.is_thinker for target in targets] == [True, False]
    assert [target.request for target in targets] == [None, None]


def test_what_a_thinker_said_is_given_to_the_others() -> None:
    asked = request(THINKER, session_id="s")
    (target,) = choose(THINKER, session=Session(has_begun=True, thought="42."), session_id="s").targets

    assert f"{target.provider}/{target.model}" == "azure/gpt-4o"
    assert target.request is not None
    first, *rest = target.request.forwarded["messages"]
    assert first["role"] == "system"
    assert first["content"].endswith("it said:\n\n42.")
    assert rest == asked.forwarded["messages"]
    added_bytes = len(first["content"].encode())
    assert target.request.prompt.text_bytes == asked.prompt.text_bytes + added_bytes
    assert target.prompt_tokens_bound(target.request) >= target.prompt_tokens_bound(asked) + added_bytes


def test_beside_a_thinker_may_stand_a_race() -> None:
    model = "[thinker]gpt-4o-mini^openai/gpt-4o![handicap=2]azure/gpt-4o"
    before = choose(model, session=Session(), session_id="s", stream=True).targets
    after = choose(model, session=Session(thought="x"), session_id="s", stream=True).targets

    assert names(before) == ["openai/gpt-4o-mini", "openai/gpt-4o", "azure/gpt-4o"]
    assert [target.is_race_leg for target in before] == [False, True, True]
    assert names(after) == ["openai/gpt-4o", "azure/gpt-4o"]
    assert all(target.request is not None for target in after)


def test_without_a_session_first_and_thinker_are_branches_like_any_other() -> None:
    first = Counter(order("[first]openai/gpt-4o^azure/gpt-4o", seed=seed)[0] for seed in range(200))

    assert 60 < first["openai/gpt-4o"] < 140
    assert "names no session" in choose(FIRST).notes[0]


def test_a_race_is_handed_on_as_legs_side_by_side() -> None:
    model = "[handicap=2,ttft_timeout=5]openai/gpt-4o!azure/gpt-4o![handicap=0.5]gpt-4o-mini"
    targets = choose(model, stream=True).targets

    assert names(targets) == ["openai/gpt-4o", "azure/gpt-4o", "openai/gpt-4o-mini"]
    assert [target.is_race_leg for target in targets] == [True, True, True]
    assert [target.handicap_seconds for target in targets] == [2.0, 0.0, 0.5]
    assert [target.ttft_timeout_seconds for target in targets] == [5.0, 0.0, 0.0]


def test_a_race_is_refused_for_a_whole_answer() -> None:
    error = refusal("openai/gpt-4o!azure/gpt-4o", InvalidModel)

    assert error.details is not None
    assert error.details["composite_validation"]["code"] == "unsupported_construct"
    assert "streams only" in error.message


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "model",
    [
        "openai/gpt-4o!azure/gpt-4o",
        "[thinker]gpt-4o-mini^openai/gpt-4o!azure/gpt-4o",
        "openai/gpt-4o!azure/gpt-4o^[thinker]gpt-4o-mini",
        "[max_context=5]openai/gpt-4o![max_context=5]azure/gpt-4o",
    ],
)
def test_a_race_is_no_element_of_a_list_wherever_it_stands(model: str, seed: int) -> None:
    race = {"model": model, "messages": [USER], "stream": True, "request_context_tokens": 6}
    plain = {"model": "openai/gpt-4o", "messages": [USER], "stream": True}
    conditions = Conditions(luck=Random(seed), session=Session(thought="42.") if seed % 2 else None)

    for elements in ([race, plain], [plain, race]):
        asked = parse_chat_request(orjson.dumps(elements))
        with pytest.raises(InvalidModel, match="cannot be an element of a list"):
            choose_targets(asked, catalogue=SHELF, policy=Key(["openai/*"]), conditions=conditions)


def test_a_race_with_one_leg_left_is_none() -> None:
    (target,) = choose(
        "[max_context=5]openai/gpt-4o!azure/gpt-4o", stream=True, extra_body={"request_context_tokens": 6}
    ).targets

    assert not target.is_race_leg


def test_parameters_of_a_leaf_bind_it_alone_and_override_the_body() -> None:
    model = "openai/gpt-4o?temperature=0.5&reasoning_effort=high|azure/gpt-4o"
    first, second = choose(model, temperature=1.5, reasoning_effort="low", top_p=0.25).targets

    assert first.request is not None
    assert first.request.forwarded["temperature"] == 0.5
    assert first.request.forwarded["top_p"] == 0.25
    assert first.request.reasoning_effort == "high"
    assert second.request is None


def test_one_model_may_stand_twice_with_other_parameters() -> None:
    assert order("openai/gpt-4o?temperature=0|openai/gpt-4o?temperature=1|openai/gpt-4o?temperature=0") == [
        "openai/gpt-4o",
        "openai/gpt-4o",
    ]


SHOP = Shelf(
    [
        offer("cheap", "m", price=price(1_000_000, 2_000_000), capabilities=REASONING),
        offer("quick", "m", price=price(2_000_000, 4_000_000), capabilities=REASONING),
        offer("dear", "m", price=price(9_000_000, 1_000_000), capabilities=frozenset()),
        offer("quick", "n", price=price(500_000, 500_000), context_window_tokens=50, capabilities=None),
        offer("free", "gratis", price=price(0, 0), capabilities=frozenset({"tools"})),
        offer("cheap", "unpriced", price=None),
    ],
    [connection(name) for name in ("cheap", "quick", "dear", "free")],
)
SPEEDS = Measured(ttft={"cheap": 300.0, "quick": 90.5, "dear": 90.5}, itl={"cheap": 9.0, "quick": 3.0})


@pytest.mark.contract("3.3 Metric routing")
@pytest.mark.parametrize(
    ("criteria", "providers"),
    [
        ("cost", ["cheap", "quick", "dear"]),
        ("highest-cost", ["dear", "quick", "cheap"]),
        ("output-cost", ["dear", "cheap", "quick"]),
        ("lowest-input-cost", ["cheap", "quick", "dear"]),
        ("ttft", ["quick", "dear", "cheap"]),
        ("itl", ["quick", "cheap", "dear"]),
        ("highest-itl", ["cheap", "quick", "dear"]),
        ("cost|ttft", ["quick", "dear", "cheap"]),
        ("ttft|cost", ["cheap", "quick", "dear"]),
        ("quality", ["cheap", "quick", "dear"]),
        ("ttft<=90.5", ["quick", "dear"]),
        ("ttft<90.5", None),
        ("itl<20", ["cheap", "quick"]),
        ("cost<1.25", None),
        ("cost<=1.25", ["cheap"]),
        ("cost>1.25|input-cost<3", ["quick"]),
        ("quality>0.1", None),
        ("providers:dear,quick", ["quick", "dear"]),
        ("cost|skip_providers:cheap", ["quick", "dear"]),
        ("endpoints:m@dear", ["dear"]),
        ("models:n", None),
        ("c:1", ["cheap", "quick", "dear"]),
        ("c:1|t:0.1", ["quick", "dear", "cheap"]),
        ("i:1|c:0", ["quick", "cheap", "dear"]),
    ],
)
def test_criteria_order_and_filter_the_providers_of_a_model(
    criteria: str, providers: Sequence[str] | None
) -> None:
    if providers is None:
        error = refusal(f"m@{criteria}", NoProviderInThresholds, shelf=SHOP, health=SPEEDS)
        assert (error.status, error.message) == (
            404,
            "No providers found within the specified thresholds.",
        )
        return

    targets = choose(f"m@{criteria}", shelf=SHOP, health=SPEEDS).targets

    assert [target.provider for target in targets] == providers
    assert [target.is_alternative for target in targets] == [False, *(True for _ in providers[1:])]


def test_who_was_not_measured_is_left_out_by_a_threshold() -> None:
    assert refusal("m@ttft<1000", NoProviderInThresholds, shelf=SHOP).code == "no_provider_in_thresholds"


def test_a_router_chooses_among_all_models() -> None:
    assert order("router@cost", shelf=SHOP) == [
        "free/gratis",
        "quick/n",
        "cheap/m",
        "quick/m",
        "dear/m",
    ]
    assert order("router@cost|models:m,n|skip_providers:quick", shelf=SHOP) == ["cheap/m", "dear/m"]
    assert "No router 'mine'" in choose("router_mine@cost", shelf=SHOP).notes[0]
    assert "measures quality" in choose("router@q:1|c:0.5", shelf=SHOP).notes[0]


def test_a_prompt_that_a_model_cannot_read_leaves_it_out() -> None:
    long = {"extra_body": {"request_context_tokens": 60}}

    assert "quick/n" not in order("router@cost", shelf=SHOP, **long)
    assert refusal("n@cost", ContextLengthExceeded, shelf=SHOP, **long).status == 400


@pytest.mark.contract("3.3 auto")
@pytest.mark.contract("3.2 free_models_only, no_reasoning")
@pytest.mark.parametrize(
    ("fields", "first"),
    [
        ({}, "free/gratis"),
        ({"free_models_only": True}, "free/gratis"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "free/gratis"),
        ({"reasoning_effort": "high"}, "cheap/m"),
        ({"reasoning_effort": "high", "reasoning": {"effort": "high"}}, "cheap/m"),
    ],
)
def test_auto_is_the_cheapest_that_can(fields: dict[str, Any], first: str) -> None:
    assert order("auto", shelf=SHOP, **fields)[0] == first


def test_auto_honours_no_reasoning_and_says_what_it_cannot_find() -> None:
    assert order("auto", shelf=SHOP, no_reasoning=True) == ["free/gratis", "quick/n", "dear/m"]
    assert order("auto", shelf=SHOP, free_models_only=True) == ["free/gratis"]
    no_free = Shelf([offer("cheap", "m")], [connection("cheap")])
    assert "free_models_only" in refusal("auto", ModelNotFound, shelf=no_free, free_models_only=True).message


def test_auto_leaves_out_what_is_too_small_for_prompt_and_answer() -> None:
    asked = {"extra_body": {"request_context_tokens": 40}}

    assert "quick/n" in order("auto", shelf=SHOP, max_tokens=10, **asked)
    assert "quick/n" not in order("auto", shelf=SHOP, max_tokens=11, **asked)


def test_auto_asks_a_model_that_reasons_for_the_lowest_effort() -> None:
    targets = {target.provider: target for target in choose("auto", shelf=SHOP).targets}
    told = choose("auto", shelf=SHOP, reasoning_effort="high").targets

    assert targets["cheap"].request is not None
    assert targets["cheap"].request.reasoning_effort == "low"
    assert targets["free"].request is None
    assert [target.request for target in told] == [None, None]


EUROPE = Shelf(
    [offer("openai", "gpt-4o", 2500), offer("azure", "gpt-4o", 2000), offer("azure", "m")],
    [
        connection("openai"),
        replace(connection("azure"), region="us-east-1"),
        replace(connection("azure", is_own=True), region="eu-west-1"),
    ],
)


def test_a_region_is_where_the_connection_is() -> None:
    both = Key(project_mode="api-keys")
    (target,) = choose("azure/gpt-4o:eu-west-1", shelf=EUROPE, key=both).targets

    assert (target.region, target.is_own_credential) == ("eu-west-1", True)
    assert (
        "region 'us-east-1'"
        in refusal("azure/gpt-4o:us-east-1", ModelNotFound, shelf=EUROPE, key=both).message
    )


TWO_REGIONS = Shelf(
    EUROPE.shelved,
    [
        replace(connection("azure"), region="us-east-1"),
        replace(connection("azure"), region="eu-west-1"),
        connection("openai"),
    ],
)
EUROPE_FIRST = "eu-west-1->us-east-1"


@pytest.mark.contract("3.2 region")
def test_the_regions_of_a_request_multiply_with_its_chain() -> None:
    targets = choose("azure/gpt-4o->openai/gpt-4o", shelf=TWO_REGIONS, region=EUROPE_FIRST).targets

    assert [(target.provider, target.region) for target in targets] == [
        ("azure", "eu-west-1"),
        ("openai", ""),
        ("azure", "us-east-1"),
    ]


@pytest.mark.parametrize(
    "model", ["openai/gpt-4o", "openai/gpt-4o|openai/gpt-4o", "openai/gpt-4o^openai/gpt-4o"]
)
def test_a_provider_without_regions_is_asked_once(model: str) -> None:
    assert order(model, region="a->b") == ["openai/gpt-4o"]
    assert order("gpt-4o|gpt-4o-mini", region="a->b") == ["azure/gpt-4o", "openai/gpt-4o-mini"]


def test_a_race_runs_in_the_first_region_alone_and_the_others_follow_one_by_one() -> None:
    race = "azure/gpt-4o!openai/gpt-4o!azure/m"
    placed = choose(race, shelf=TWO_REGIONS, stream=True, region=EUROPE_FIRST).targets
    unplaced = choose("openai/gpt-4o!azure/gpt-4o", stream=True, region=EUROPE_FIRST).targets

    assert [(target.model, target.region, target.is_race_leg) for target in placed] == [
        ("gpt-4o", "eu-west-1", True),
        ("gpt-4o", "", True),
        ("m", "eu-west-1", True),
        ("gpt-4o", "us-east-1", False),
        ("m", "us-east-1", False),
    ]
    assert names(unplaced) == ["openai/gpt-4o", "azure/gpt-4o"]
    assert all(target.is_race_leg for target in unplaced)


def test_an_instance_is_the_nth_connection() -> None:
    shelf = Shelf(
        [offer("azure", "m")],
        [
            replace(connection("azure"), credential="first", id=UUID(int=1)),
            replace(connection("azure"), credential="second", id=UUID(int=2)),
        ],
    )

    def credentials(model: str) -> list[str]:
        return [target.credential for target in choose(model, shelf=shelf).targets]

    assert credentials("azure.2:m") == ["second"]
    assert credentials("azure.2:m|azure.1:m") == ["second", "first"]
    assert credentials("azure.2:m|m") == ["second", "first"]
    assert "has 2 connection(s)" in refusal("azure.3:m", ModelNotFound, shelf=shelf).message


def test_an_alias_stands_for_its_selector() -> None:
    shelf = replace(SHELF, aliases={"best": "openai/gpt-4o|azure/gpt-4o", "gpt-4o": "gpt-4o@openai"})

    assert order("best", shelf=shelf) == ["openai/gpt-4o", "azure/gpt-4o"]
    assert order("gpt-4o", shelf=shelf) == ["openai/gpt-4o"]
    assert choose("gpt-4o", shelf=shelf).requested_provider == "openai"


def test_the_organizations_fallbacks_follow_where_the_request_names_none() -> None:
    key = Key(default_fallbacks=["nope", "a|b", "gpt-4o-mini"])

    assert order("openai/gpt-4o", key=key) == ["openai/gpt-4o", "openai/gpt-4o-mini"]
    assert order("openai/gpt-4o", key=key, fallbacks=["azure/gpt-4o"]) == ["openai/gpt-4o", "azure/gpt-4o"]


def test_everything_considered_is_told_with_its_reason() -> None:
    choice = choose(
        "m@cost|ttft<100", shelf=SHOP, health=SPEEDS, explained=True, fallbacks=["nope", "quick/n"]
    )
    told = [
        (one.offer and f"{one.offer.provider}/{one.offer.model}", str(one.refusal or ""))
        for one in choice.considered
    ]

    assert told == [
        ("cheap/m", "Its time-to-first-token is 300, not < 100."),
        (None, "There is no model 'nope'. GET /v1/models lists what there is."),
        ("quick/m", ""),
        ("quick/n", ""),
        ("dear/m", ""),
    ]


def test_nothing_is_noted_for_who_did_not_ask() -> None:
    assert choose("m@cost|ttft<100", shelf=SHOP, health=SPEEDS).considered == ()

"""The grammar of `model`: what a selector means, and where a wrong one is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidModel
from gateway.routing.grammar import SELECTOR_CHARACTERS_LIMIT, parse_selector
from gateway.routing.printer import print_selector
from gateway.routing.tree import (
    Branch,
    ByMetric,
    Chain,
    Criteria,
    Failover,
    Named,
    Options,
    Race,
    Selector,
    Single,
    Sort,
    Term,
    Threshold,
    Weighted,
)
from tests.gateway.selector_cases import INVALID, VALID, VOCABULARY

ALPHABET = "ab4o@/:.?&=|^![],->< \t%temperature0.5weightfirstcostrouterauto"
FRAGMENTS = (
    "a", "gpt-4o", "openai", "p1", "@", "/", ":", "->", "|", "^", "!", "[", "]", "weight=2", "first",
    "thinker", "max_context=9", "handicap=1", "ttft_timeout=2", "?", "temperature=0.5", "&", "router", "cost",
    "itl<20", "q:1", "models:a", ",", "auto", "fast", "steady", "custom", "external", " ", ".2", "eu-west-1",
    "lowest-",
)  # fmt: skip


def parsed(text: str) -> Selector:
    return parse_selector(text, vocabulary=VOCABULARY).selector


def refused(text: str, *, param: str = "model") -> InvalidModel:
    with pytest.raises(InvalidModel) as refusal:
        parse_selector(text, vocabulary=VOCABULARY, param=param)
    return refusal.value


@pytest.mark.contract("3.3 Provider in the model string")
@pytest.mark.contract("3.3 Metric routing")
@pytest.mark.parametrize(("text", "normal"), VALID)
def test_a_selector_has_a_normal_form_that_reads_the_same(text: str, normal: str) -> None:
    selector = parsed(text)

    assert print_selector(selector) == normal
    assert print_selector(parsed(normal)) == normal


@pytest.mark.parametrize(("text", "code", "position"), INVALID)
def test_a_wrong_selector_is_told_what_is_wrong_and_where(text: str, code: str, position: int) -> None:
    error = refused(text)

    assert (error.status, error.code, error.param) == (400, "invalid_model", "model")
    assert error.details is not None
    validation = error.details["composite_validation"]
    assert (validation["code"], validation["details"]["position"]) == (code, position)
    assert validation["selector_echo"] == text.strip()
    assert 0 < len(validation["message"]) <= 256


def test_there_are_cases_enough() -> None:
    assert len(VALID) + len(INVALID) > 200


def test_the_fault_names_the_parameter_it_was_found_in() -> None:
    error = refused("a||b", param="fallbacks[1]")

    assert error.param == "fallbacks[1]"
    assert error.message == "fallbacks[1]: A branch is empty. (at character 3)"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("gpt-4o@openai", Named("gpt-4o@openai", "gpt-4o", "openai")),
        ("openai/gpt-4o:eu-west-1", Named("openai/gpt-4o:eu-west-1", "gpt-4o", "openai", region="eu-west-1")),
        ("openai.2:gpt-4o", Named("openai.2:gpt-4o", "gpt-4o", "openai", instance=2)),
        ("a?top_k=5", Named("a", "a", options=Options(top_k=5))),
        ("m@p1->p2", Chain((Named("m@p1", "m", "p1"), Named("m@p2", "m", "p2")))),
        ("[max_context=7]a", Single(Branch(Named("a", "a"), max_context=7))),
        ("a|b", Failover((Branch(Named("a", "a")), Branch(Named("b", "b"))))),
        (
            "[weight=2,first]a^b",
            Weighted((Branch(Named("a", "a"), weight=2, is_first=True), Branch(Named("b", "b")))),
        ),
        (
            "[handicap=1.5]a![ttft_timeout=3]b",
            Race(
                (
                    Branch(Named("a", "a"), handicap_seconds=1.5),
                    Branch(Named("b", "b"), ttft_timeout_seconds=3.0),
                )
            ),
        ),
        (
            "[thinker]a^b!c",
            Weighted(
                (
                    Branch(Named("a", "a"), is_thinker=True),
                    Branch(Race((Branch(Named("b", "b")), Branch(Named("c", "c"))))),
                )
            ),
        ),
    ],
)
def test_a_selector_is_a_tree(text: str, tree: Selector) -> None:
    assert parsed(text) == tree


def test_criteria_are_orders_thresholds_and_weights() -> None:
    chosen, weighed = parsed("m@ttft|highest-cost|itl<20.5"), parsed("router@q:1|c:0.5")

    assert isinstance(chosen, ByMetric)
    assert isinstance(weighed, ByMetric)
    assert chosen.criteria.sorts == (Sort("time-to-first-token", False), Sort("cost", True))
    assert [(one.metric, one.operator, str(one.bound)) for one in chosen.criteria.thresholds] == [
        ("inter-token-latency", "<", "20.5")
    ]
    assert weighed.model is None
    assert [(term.metric, str(term.factor)) for term in weighed.criteria.objective] == [
        ("quality", "1"),
        ("cost", "0.5"),
    ]
    assert all(isinstance(one, Threshold) for one in chosen.criteria.thresholds)
    assert all(isinstance(one, Term) for one in weighed.criteria.objective)
    assert chosen.criteria != Criteria()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("->".join(["a"] * 33), "elements"),
        ("|".join(["a"] * 33), "branches"),
        ("m@" + "|".join(["cost"] * 33), "criteria"),
    ],
)
def test_a_selector_has_32_parts_of_a_kind_at_most(text: str, what: str) -> None:
    message = refused(text).message

    assert f"at most 32 {what}, got 33" in message
    assert parsed(text.removesuffix("a").rstrip("->|") if what != "criteria" else text[:-5])


@pytest.mark.contract("3.3 URI parameters in model")
def test_ignored_parameters_are_noted() -> None:
    read = parse_selector("gpt-4o?temperature=3&colour=red&top_p=0.1", vocabulary=VOCABULARY)

    assert print_selector(read.selector) == "gpt-4o?top_p=0.1"
    assert [note.split("'")[1] for note in read.notes] == ["temperature=3", "colour=red"]


def test_an_alias_is_noted_and_leads_to_no_other_alias() -> None:
    read = parse_selector("loop", vocabulary=VOCABULARY)

    assert read.selector == Named("loop", "loop")
    assert read.notes == ("'loop' is an alias of this organization and stands for 'loop'.",)


def test_the_longest_selector_is_read_and_a_longer_one_is_not() -> None:
    assert parsed("m" * 1024) == Named("m" * 1024, "m" * 1024)
    assert "at most 1024 characters, got 1025" in refused("m" * 1025).message


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1024, "]" * 1024, "|" * 1024, "->" * 512,
        "@" * 1024, "a@cost" * 170, "m@" + "cost|" * 203 + "cost",
        "[weight=1]" * 102 + "aa", "a^" * 511 + "a", "a?" + "x=1&" * 255, "openai/" * 146, "lowest-" * 146,
        "@cost@" * 170, "a" * 1000 + "@router",
    ],
)  # fmt: skip
def test_an_absurd_selector_of_full_length_is_read_or_refused(text: str) -> None:
    assert len(text) <= 1024
    _round_trips(text)


def _round_trips(text: str) -> None:
    try:
        selector = parsed(text)
    except InvalidModel:
        return
    printed = print_selector(selector)
    if len(printed) <= SELECTOR_CHARACTERS_LIMIT:
        assert parsed(printed) == selector
        assert print_selector(parsed(printed)) == printed


@given(st.text(max_size=1024))
def test_any_text_is_read_or_refused(text: str) -> None:
    _round_trips(text)


@given(st.text(alphabet=ALPHABET, max_size=80))
def test_what_is_read_prints_as_the_same_tree(text: str) -> None:
    _round_trips(text)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=24))
def test_what_is_put_together_from_the_grammars_own_words_prints_as_the_same_tree(words: list[str]) -> None:
    _round_trips("".join(words))

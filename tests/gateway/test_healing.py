"""Response healing: what is made of what a model wrote, and what is left alone."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.healing import MAX_BYTES, UNHEALED, Healing, Method, heal, healed_message


@pytest.mark.parametrize(
    "written", ['{"a":1}', '{ "a" : [1, 2] }\n', "[1]", '"text"', "12", "", "  ", "no JSON at all"]
)
def test_valid_json_and_plain_text_are_left_as_they_are(written: str) -> None:
    assert heal(written) == (written, UNHEALED)


@pytest.mark.parametrize(
    ("written", "healed", "method"),
    [
        ('```json\n{"a":1}\n```', '{"a":1}', "markdown_extraction"),
        ('Here you are:\n```\n[{"a": 1}]\n```\nAnything else?', '[{"a": 1}]', "markdown_extraction"),
        ('Sure! {"a": 1} Hope it helps.', '{"a": 1}', "mixed_content_extraction"),
        ('As in [1]: {"a":1}', '{"a":1}', "mixed_content_extraction"),
        ('Sure: [{"a":1},{"b":2}] ok', '[{"a":1},{"b":2}]', "mixed_content_extraction"),
        ('{"a": 1,}', '{"a": 1}', "syntax_fix"),
        ("{'a': 'b'}", '{"a": "b"}', "syntax_fix"),
        ('{"a": 1 // one\n}', '{"a": 1}', "syntax_fix"),
        ('{"a": "x\ny"}', '{"a": "x\\ny"}', "syntax_fix"),
        ('{"a": [1,2', '{"a": [1, 2]}', "truncation_completion"),
        ('{"a": "unfinis', '{"a": "unfinis"}', "truncation_completion"),
        ('{"a": tru', '{"a": true}', "truncation_completion"),
        ('{"a": [nul', '{"a": [null]}', "truncation_completion"),
        ('```json\n{"a": 1,}\n```', '{"a": 1}', "combined_strategies"),
        ('```json\n{"a": [1, 2', '{"a": [1, 2]}', "combined_strategies"),
        ("The answer is {'a': 1,} I think", '{"a": 1}', "combined_strategies"),
    ],
)
def test_each_damage_is_healed_and_its_method_told(written: str, healed: str, method: str) -> None:
    assert heal(written) == (healed, Healing(Method(method)))
    assert Healing(Method(method)).as_json() == {"applied": True, "method": method}


@pytest.mark.parametrize(
    "written", ["I cannot {do} that", "The set {1,2}", "see [", "[" * 300, '{"a":' * 5000]
)
def test_what_is_no_json_or_too_deep_is_given_back(written: str) -> None:
    text, healing = heal(written)

    assert healing.method is None or orjson.loads(text) is not None
    assert (text == written) or healing.method is not None


def test_the_largest_text_is_healed_and_one_larger_is_not() -> None:
    frame = len('{"a": "",}')
    largest = '{"a": "' + "x" * (MAX_BYTES - frame) + '",}'

    assert heal(largest)[1].method is Method.SYNTAX
    assert heal(largest + " ") == (largest + " ", UNHEALED)


def test_a_message_that_calls_a_tool_says_nothing_to_heal() -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1"}]}

    assert healed_message(message) == (message, UNHEALED)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_what_a_fence_holds_is_given_back_whole(document: dict[str, object]) -> None:
    written = orjson.dumps(document).decode()
    fenced = f"```json\n{written}\n```"

    healed, healing = heal(fenced)

    if "```" not in written:
        assert (orjson.loads(healed), healing.method) == (document, Method.MARKDOWN)


@given(st.text(alphabet="{}[]\",:\\ \n`abtrue1/*'", max_size=200))
def test_what_comes_out_of_anything_is_json_or_what_went_in(written: str) -> None:
    healed, healing = heal(written)

    if healing.method is None:
        assert healed == written
    else:
        assert isinstance(orjson.loads(healed), dict | list)

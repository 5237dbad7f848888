"""docs/api.md lists the endpoints there are, and tells the dialects apart as they are told apart."""

import pytest

from gateway.asgi import CHAT_MODEL_LISTS, MODEL_LISTS, OPERATIONS, UNIFY_LISTS
from gateway.wire.dialect import DIALECTS, UsagePlace
from tests.docs.pages import page

PAGE = page("docs/api.md")
ENDPOINTS = PAGE.section("Endpoints").text
PLACES = {UsagePlace.ON_FINISH: "on the finish chunk", UsagePlace.NONE: "none"}


def column(mount):
    """The dialect table's cells of one mount, by the name of the row."""
    heading, *rows = PAGE.section("Dialects").rows()
    place = heading.index(f"`{mount}`")
    return {row[0]: row[place] for row in rows}


@pytest.mark.parametrize("path", [*MODEL_LISTS, *CHAT_MODEL_LISTS, *UNIFY_LISTS, *OPERATIONS])
def test_every_list_and_check_is_there(path):
    assert f"`{path}`" in ENDPOINTS or f"`GET {path}`" in ENDPOINTS


@pytest.mark.parametrize("mount", DIALECTS)
def test_every_mount_is_there(mount):
    assert f"`{mount}`" in ENDPOINTS or f"`POST {mount}/chat/completions`" in ENDPOINTS


@pytest.mark.parametrize("mount", DIALECTS)
def test_the_table_tells_what_the_dialect_does(mount):
    dialect, told = DIALECTS[mount], column(mount)

    assert told["`model` of the answer"] == f"`{dialect.model_form.value}`"
    unasked = PLACES.get(dialect.unasked_usage_place, "on a last chunk without choices")
    assert told["usage in a stream, not asked for"] == unasked
    assert told["`usage.cost`"].startswith("object" if dialect.has_cost_object else "number")
    assert told["`detail` of a 400"].startswith("list" if dialect.has_validation_list else "text")
    assert told["further fields of an error"].startswith("`event_id`") == dialect.has_event_envelope
    assert told["`delta.content`"].startswith("always a string") == dialect.has_string_content
    assert told["`log_probs` beside `logprobs`"] == ("yes" if dialect.has_log_probs else "no")


@pytest.mark.parametrize("mount", DIALECTS)
def test_usage_that_was_asked_for_is_where_the_table_says(mount):
    dialect, told = DIALECTS[mount], column(mount)

    assert dialect.usage_place(True) is UsagePlace.SEPARATE
    assert told["… `include_usage: true`"] in ("on a last chunk without choices", "the same")
    assert dialect.usage_place(False) is UsagePlace.NONE
    assert told["… `include_usage: false`"] == "none"

"""What the address of the request log says, and what passes it."""

from uuid import uuid4

import pytest

from accounts.models import ApiKey
from analytics.models import Dimension
from analytics.request_filters import address, group_of_query, query_of_group, request_filters_of
from billing.models import UsageEvent
from tests.analytics.conftest import Record


@pytest.mark.parametrize("ending", ["completed", "client_left"])
def test_what_the_client_left_has_succeeded(record: Record, ending: str) -> None:
    record(ending=ending, status=499)

    assert _passing({"outcome": "succeeded"}) == 1
    assert _passing({"outcome": "failed"}) == 0


@pytest.mark.parametrize("ending", ["refused", "upstream_error", "cut", "recovered"])
def test_all_other_endings_have_failed_whatever_their_status(record: Record, ending: str) -> None:
    record(ending=ending, status=200)

    assert _passing({"outcome": "succeeded"}) == 0
    assert _passing({"outcome": "failed"}) == 1


def test_people_with_keys_of_their_own_pass_no_other_key(record: Record, key: ApiKey) -> None:
    record()
    record(key_id=uuid4())

    assert _passing({}, only_key_ids=(key.pk,)) == 1
    assert _passing({}, only_key_ids=()) == 0


@pytest.mark.parametrize("parameters", [{"outcome": "perhaps"}, {"missing": "organization_id"}, {"key": "x"}])
def test_what_cannot_be_read_is_left_open(record: Record, parameters: dict[str, str]) -> None:
    record()

    assert _passing(parameters) == 1


@pytest.mark.parametrize(
    ("dimension", "value"),
    [
        (Dimension.ORGANIZATION, ""),
        (Dimension.MODEL, "echo"),
        (Dimension.MODEL, ""),
        (Dimension.TAG, ""),
        (Dimension.KEY, "6f0e5a2e-0000-4000-8000-000000000000"),
    ],
)
def test_the_address_of_a_group_leads_back_to_it(dimension: Dimension, value: str) -> None:
    assert group_of_query(query_of_group(dimension, value)) == (dimension, value)


@pytest.mark.parametrize("cause", ["provider_error", "cut"])
def test_the_address_of_a_cause_keeps_its_requests(record: Record, cause: str) -> None:
    record(ending="upstream_error", error_code="provider_error")
    record(ending="cut", error_code="")

    assert _passing(query_of_group(Dimension.CAUSE, cause)) == 1


def test_two_filters_are_no_group() -> None:
    assert group_of_query({"model": "echo", "tag": "blue"}) is None


def test_an_address_says_only_what_is_set() -> None:
    assert address("/o/acme/", {}) == "/o/acme/"
    assert address("/o/acme/", {"tag": "a b", "model": ""}) == "/o/acme/?tag=a+b"


def _passing(parameters: dict[str, str], **narrowed: object) -> int:
    return request_filters_of(parameters, **narrowed).apply(UsageEvent.objects.all()).count()


@pytest.mark.contract("3.2 tags")
@pytest.mark.parametrize(
    ("tag", "passing"),
    [("red", 2), ("red,blue", 1), (" blue , red ", 1), ("red,green", 0), ("a,b", 1), ("a", 0), (",", 0)],
)
def test_all_tags_of_a_list_must_be_there(record: Record, tag: str, passing: int) -> None:
    record(tags=["blue", "red"])
    record(tags=["red"])
    record(tags=["a,b"])
    record(tags=[])

    assert _passing({"tag": tag}) == passing


@pytest.mark.parametrize(
    ("metadata", "passing"),
    [("plan=pro", 1), ("plan=free", 1), ("plan=", 0), ("plan", 2), ("order", 1), ("order=1=2", 1), ("x", 0)],
)
def test_metadata_is_asked_for_by_name_or_by_name_and_value(
    record: Record, metadata: str, passing: int
) -> None:
    record(metadata={"plan": "pro"})
    record(metadata={"plan": "free", "order": "1=2"})
    record()

    assert _passing({"metadata": metadata}) == passing


@pytest.mark.contract("3.2 session_id, agent (body)")
@pytest.mark.contract("3.2 signature")
@pytest.mark.parametrize("name", ["session_id", "agent", "source", "signature", "end_user"])
def test_each_label_is_a_filter(record: Record, name: str) -> None:
    record(**{name: "this"})
    record(**{name: "that"})

    assert _passing({name: "this"}) == 1


def test_a_list_of_tags_is_no_group_of_the_rollups() -> None:
    assert group_of_query({"tag": "red"}) == (Dimension.TAG, "red")
    assert group_of_query({"tag": "red,blue"}) is None


def test_an_id_is_one_group_however_it_is_written_and_junk_is_none() -> None:
    canonical = "6f0e5a2e-0000-4000-8000-000000000000"

    for written in (canonical, canonical.upper(), canonical.replace("-", "")):
        assert group_of_query({"key": written}) == (Dimension.KEY, canonical)
    assert group_of_query({"project": "junk"}) is None
    assert group_of_query({"missing": "key"}) is None

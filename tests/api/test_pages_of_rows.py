"""Pages by cursor: complete, without doubles while rows come, bounded, and honest about a wrong cursor."""

import pytest

from accounts.models import ApiKey
from accounts.services import issue_key


@pytest.fixture
def make(owner):
    def key(name):
        somebody = owner.somebody
        return issue_key(
            organization=somebody.organization,
            project=somebody.project,
            created_by=somebody.person,
            name=name,
        )[0]

    return key


def walk(owner, order, *, between=lambda: None):
    """The names of all pages of two rows; `between` happens after each page."""
    names, cursor = [], ""
    while cursor is not None:
        page = owner.get(f"/keys?limit=2&order={order}" + (f"&cursor={cursor}" if cursor else "")).json()
        assert len(page["data"]) <= 2
        names += [key["name"] for key in page["data"]]
        cursor = page["next_cursor"]
        between()
    return names


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_every_row_comes_once_in_either_order(owner, make, count):
    ApiKey.objects.all().delete()
    names = [make(f"Key {number}").name for number in range(count)]

    assert walk(owner, "oldest") == names
    assert walk(owner, "newest") == names[::-1]


def test_rows_of_one_moment_come_once(owner, make):
    keys = [make(f"Key {number}") for number in range(5)]
    ApiKey.objects.update(created_at=keys[0].created_at)

    found = walk(owner, "newest")

    assert sorted(found) == sorted([*(key.name for key in keys), "Key of alice@example.com"])


def test_rows_that_come_in_between_move_nothing(owner, make):
    names = [make(f"Key {number}").name for number in range(5)]

    found = walk(owner, "newest", between=lambda: make("Late"))

    assert found == [*names[::-1], "Key of alice@example.com"]


def test_a_row_that_goes_in_between_hides_no_other(owner, make):
    names = [make(f"Key {number}").name for number in range(5)]
    first = owner.get("/keys?limit=2").json()
    ApiKey.objects.filter(pk=first["data"][1]["id"]).delete()

    second = owner.get(f"/keys?limit=2&cursor={first['next_cursor']}").json()

    assert [key["name"] for key in second["data"]] == [names[2], names[1]]


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "1.5", "٣", ""])
def test_a_page_has_between_1_and_200_rows(owner, limit):
    answer = owner.get(f"/keys?limit={limit}")

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "limit")
    assert "between 1 and 200" in answer.json()["detail"]
    assert owner.get("/keys?limit=200").status_code == 200


@pytest.mark.parametrize(
    "cursor", ["x", "%00", "bmV3ZXN0fjF-Mg", "bmV3ZXN0fjIwMjYtMDEtMDFUMDA6MDB-MQ", "a" * 300]
)
def test_a_cursor_that_no_page_gave_is_refused(owner, cursor):
    answer = owner.get(f"/keys?cursor={cursor}")

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "cursor")


def test_a_cursor_belongs_to_its_order(owner, make):
    make("Another")
    cursor = owner.get("/keys?limit=1&order=oldest").json()["next_cursor"]

    assert owner.get(f"/keys?limit=1&cursor={cursor}").json()["error"]["param"] == "cursor"
    assert owner.get("/keys?order=best").json()["error"]["param"] == "order"

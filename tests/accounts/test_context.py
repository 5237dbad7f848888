"""The frame's variables: whose page it is, what may be opened, and on whose clock."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import RequestFactory

from accounts.context import tenant, time_zone_of
from accounts.models import Person
from accounts.tenancy import find_tenant


def request_of(person, **cookies):
    request = RequestFactory().get("/")
    request.user, request.COOKIES = person, cookies
    return request


def test_a_page_of_an_organization_says_so_and_what_may_be_opened(alice, bob):
    request = request_of(bob.person)
    request.tenant = find_tenant(bob.person, "acme")

    frame = tenant(request)

    assert frame["organization"] == alice.organization
    assert frame["role"] == "developer"
    assert frame["may"]["create_key"]
    assert not frame["may"]["view_spend"]
    assert list(frame["organizations"]) == [alice.organization]


def test_a_stranger_to_the_house_sees_an_empty_frame():
    frame = tenant(request_of(AnonymousUser()))

    assert (frame["tenant"], frame["organization"], list(frame["organizations"])) == (None, None, [])
    assert not any(frame["may"].values())


@pytest.mark.parametrize(
    ("chosen", "told", "zone"),
    [
        ("Europe/Berlin", "America%2FLima", "Europe/Berlin"),
        ("", "America%2FLima", "America/Lima"),
        ("UTC", "America%2FLima", "UTC"),
        ("", "", "UTC"),
        ("", "../../etc/passwd", "UTC"),
        ("Mars/Olympus", "", "UTC"),
    ],
)
def test_the_chosen_zone_comes_before_the_browsers_and_nonsense_is_utc(chosen, told, zone):
    assert time_zone_of(request_of(Person(time_zone=chosen), time_zone=told)) == zone

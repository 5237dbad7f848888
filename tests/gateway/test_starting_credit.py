"""The credit that the operator starts everyone with: once to an organization, once to a person."""

from decimal import Decimal

import pytest

from accounts.models import Organization, Person, Project
from accounts.permissions import Role
from accounts.services import sign_up_organization
from billing.selectors import balance_usd
from gateway import services
from tests.people import Somebody, teammate


@pytest.fixture(autouse=True)
def five_dollars(settings):
    settings.FAREBOX_STARTING_CREDIT_USD = 5


def make_first_key(organization: Organization, person: Person) -> None:
    project = Project.objects.get(organization=organization)
    services.issue_first_key(organization=organization, project=project, person=person, name="First key")


def test_a_new_organization_is_given_its_starting_credit_once(alice: Somebody) -> None:
    make_first_key(alice.organization, alice.person)
    make_first_key(alice.organization, alice.person)

    assert balance_usd(alice.organization) == Decimal(5)


def test_a_second_person_brings_the_organization_no_second_credit(alice: Somebody) -> None:
    mate = teammate("mate@example.com", of=alice, role=Role.ADMIN)

    make_first_key(alice.organization, alice.person)
    make_first_key(alice.organization, mate.person)

    assert balance_usd(alice.organization) == Decimal(5)


def test_a_person_s_second_organization_starts_with_nothing(alice: Somebody, charlie: Somebody) -> None:
    second = sign_up_organization(person=alice.person, name="Acme again")

    make_first_key(alice.organization, alice.person)
    make_first_key(second, alice.person)
    make_first_key(charlie.organization, charlie.person)

    assert [balance_usd(each) for each in (alice.organization, second, charlie.organization)] == [5, 0, 5]


def test_without_a_starting_credit_a_new_organization_has_nothing(alice: Somebody, settings) -> None:
    settings.FAREBOX_STARTING_CREDIT_USD = 0

    make_first_key(alice.organization, alice.person)

    assert balance_usd(alice.organization) == Decimal(0)

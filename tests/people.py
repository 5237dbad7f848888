"""The cast of every test: alice owns Acme, bob develops there, charlie is a stranger who owns elsewhere."""

from dataclasses import dataclass

import pytest
from django.test import Client

from accounts.models import ApiKey, Membership, Organization, Person, Project
from accounts.permissions import Role
from accounts.services import issue_key, sign_up_organization


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    """A person, where they belong, their own key, and a browser in which they are signed in."""

    person: Person
    organization: Organization
    project: Project
    key: str
    key_row: ApiKey
    browser: Client


@pytest.fixture
def alice(db: None) -> Somebody:
    return founder("alice@example.com", organization_name="Acme")


@pytest.fixture
def bob(alice: Somebody) -> Somebody:
    return teammate("bob@example.com", of=alice, role=Role.DEVELOPER)


@pytest.fixture
def charlie(db: None) -> Somebody:
    return founder("charlie@example.com", organization_name="Charlie and sons")


def founder(email: str, *, organization_name: str) -> Somebody:
    """Somebody who owns a new organization."""
    person = Person.objects.create_user(email)
    return _settled(person, sign_up_organization(person=person, name=organization_name))


def teammate(email: str, *, of: Somebody, role: Role) -> Somebody:
    """Somebody who joined another's organization with this role."""
    person = Person.objects.create_user(email)
    Membership.objects.create(person=person, organization=of.organization, role=role)
    return _settled(person, of.organization)


def browser_of(person: Person) -> Client:
    """A browser in which the person is signed in."""
    browser = Client()
    browser.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return browser


def _settled(person: Person, organization: Organization) -> Somebody:
    project = Project.objects.get(organization=organization)
    key_row, key = issue_key(
        organization=organization, project=project, created_by=person, name=f"Key of {person.email}"
    )
    return Somebody(
        person=person,
        organization=organization,
        project=project,
        key=key,
        key_row=key_row,
        browser=browser_of(person),
    )

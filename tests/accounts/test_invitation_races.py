"""Invitations under real concurrency: used once, counted once, and void with their inviter.

What these tests write is committed and stays; each has its own organization.
"""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from accounts.errors import AccountsRefusal, InvitationClosed, RoleOutOfReach, TooManyInvitations
from accounts.invitations import accept_invitation, invite_member
from accounts.models import Invitation, Membership, Person
from accounts.permissions import Role
from accounts.services import remove_member
from tests.people import Somebody, founder, teammate

AT_ONCE = 6


@pytest.fixture
def owner(django_db_setup: None, django_db_blocker) -> Iterator[Somebody]:
    """The owner of a new organization, in the database without a transaction around the test."""
    with django_db_blocker.unblock():
        name = f"race-{uuid.uuid4().hex}"
        yield founder(f"{name}@example.com", organization_name=name)
        connections.close_all()


def all_at_once(calls: list[Callable[[], object]]) -> list[object]:
    """What each call gave or which refusal it raised, run by as many threads."""

    def outcome(call: Callable[[], object]) -> object:
        try:
            return call()
        except AccountsRefusal as refusal:
            return type(refusal)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(outcome, calls))


def invite(inviter: Somebody, email: str, role: str = Role.VIEWER) -> tuple[Invitation, str]:
    return invite_member(organization=inviter.organization, invited_by=inviter.person, email=email, role=role)


def test_an_invitation_that_is_accepted_many_times_at_once_serves_once(owner: Somebody) -> None:
    dora = Person.objects.create_user(f"dora-{uuid.uuid4().hex}@example.com")
    invitation, _ = invite(owner, dora.email)

    outcomes = all_at_once([lambda: accept_invitation(invitation=invitation, person=dora)] * AT_ONCE)

    assert outcomes.count(InvitationClosed) == AT_ONCE - 1
    assert Membership.objects.filter(person=dora).count() == 1


def test_the_days_last_invitation_is_sent_once(owner: Somebody) -> None:
    for number in range(19):
        invite(owner, f"guest{number}@example.com")

    calls = [lambda number=number: invite(owner, f"late{number}@example.com") for number in range(AT_ONCE)]
    outcomes = all_at_once(calls)

    assert outcomes.count(TooManyInvitations) == AT_ONCE - 1
    assert Invitation.objects.filter(organization=owner.organization).count() == 20


def test_one_address_has_one_pending_invitation_however_many_invite_it(owner: Somebody) -> None:
    all_at_once([lambda: invite(owner, "dora@example.com")] * AT_ONCE)

    pending = Invitation.objects.pending().filter(organization=owner.organization)
    assert pending.count() == 1


def test_nothing_that_an_admin_sends_while_they_are_removed_stays_open(owner: Somebody) -> None:
    admin = teammate(f"adam-{uuid.uuid4().hex}@example.com", of=owner, role=Role.ADMIN)
    place = Membership.objects.get(person=admin.person)

    calls = [lambda number=number: invite(admin, f"friend{number}@example.com") for number in range(5)]
    removal = [lambda: remove_member(actor_role=Role.OWNER, membership=place, are_keys_revoked=False)]
    outcomes = all_at_once([*calls[:2], *removal, *calls[2:]])

    assert set(map(type, outcomes)) <= {tuple, type(None), type}
    assert {outcome for outcome in outcomes if isinstance(outcome, type)} <= {RoleOutOfReach}
    assert not Invitation.objects.pending().filter(organization=owner.organization).exists()

"""Invitations as services: who may send which, for whom, how often and how long they serve."""

import hashlib
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.errors import (
    AlreadyMember,
    InvitationClosed,
    InvitedElse,
    RoleOutOfReach,
    TooManyInvitations,
)
from accounts.invitations import accept_invitation, find_by_token, invite_member, revoke_invitation
from accounts.models import Invitation, Membership, Person
from accounts.permissions import ACTIONS_OF_ROLE, Action, Role
from accounts.services import change_role, leave_organization, remove_member
from tests.people import Somebody, founder, teammate

DORA = "dora@example.com"


@pytest.fixture
def dora(db):
    return Person.objects.create_user(DORA)


def invite(inviter: Somebody, *, email: str = DORA, role: str = Role.DEVELOPER):
    return invite_member(organization=inviter.organization, invited_by=inviter.person, email=email, role=role)


def membership_of(somebody: Somebody) -> Membership:
    return Membership.objects.get(person=somebody.person, organization=somebody.organization)


def test_a_token_has_256_bits_and_is_stored_as_a_hash_alone(alice):
    invitation, token = invite(alice)

    stored = Invitation.objects.values().get(pk=invitation.pk)
    assert len(token) == 43
    assert bytes(stored["token_hash"]) == hashlib.sha256(token.encode()).digest()
    assert token not in str(stored)


def test_two_tokens_differ(alice):
    _, one = invite(alice)
    _, other = invite(alice, email="eve@example.com")

    assert one != other


def test_an_invitation_serves_seven_days(alice):
    invitation, token = invite(alice)

    assert invitation.expires_at - invitation.created_at == pytest.approx(
        timedelta(days=7), abs=timedelta(seconds=5)
    )
    Invitation.objects.update(expires_at=timezone.now())
    assert find_by_token(token) is None


def test_accepting_makes_a_member_with_the_invited_role(alice, dora):
    invitation, _ = invite(alice, role=Role.BILLING)

    membership = accept_invitation(invitation=invitation, person=dora)

    assert (membership.organization, membership.person) == (alice.organization, dora)
    assert membership.role == "billing"
    assert Invitation.objects.get().accepted_at is not None


def test_an_invitation_serves_once(alice, bob, dora):
    invitation, token = invite(alice)
    accept_invitation(invitation=invitation, person=dora)
    Membership.objects.filter(person=dora).delete()

    with pytest.raises(InvitationClosed):
        accept_invitation(invitation=invitation, person=dora)

    assert find_by_token(token) is None
    assert not Membership.objects.filter(person=dora).exists()


def test_an_address_is_the_same_in_any_case(alice):
    invitation, _ = invite(alice, email=" Dora@Example.COM ")
    dora = Person.objects.create(email="DORA@example.com")

    accept_invitation(invitation=invitation, person=dora)

    assert Membership.objects.filter(person=dora).exists()


def test_who_was_not_invited_does_not_get_in_with_the_link(alice, charlie):
    invitation, token = invite(alice)

    with pytest.raises(InvitedElse):
        accept_invitation(invitation=invitation, person=charlie.person)

    assert not Membership.objects.filter(organization=alice.organization, person=charlie.person).exists()
    assert find_by_token(token) == invitation


def test_inviting_again_replaces_the_link_and_the_role(alice):
    _, first = invite(alice, role=Role.VIEWER)
    invitation, second = invite(alice, email="DORA@example.com", role=Role.ADMIN)

    assert find_by_token(first) is None
    assert find_by_token(second) == invitation
    assert invitation.role == "admin"


def test_an_expired_invitation_can_be_sent_again(alice):
    invite(alice)
    Invitation.objects.update(expires_at=timezone.now() - timedelta(days=1))

    _, token = invite(alice)

    assert find_by_token(token) is not None


def test_a_revoked_invitation_leads_nowhere(alice, dora):
    invitation, token = invite(alice)

    revoke_invitation(invitation=invitation, revoked_by=alice.person)

    assert find_by_token(token) is None
    with pytest.raises(InvitationClosed):
        accept_invitation(invitation=invitation, person=dora)
    with pytest.raises(InvitationClosed):
        revoke_invitation(invitation=invitation, revoked_by=alice.person)


def test_a_member_is_not_invited(alice, bob):
    with pytest.raises(AlreadyMember, match="is in the team already"):
        invite(alice, email="BOB@example.com")


def test_an_accepting_member_keeps_their_role(alice, dora):
    invitation, _ = invite(alice, role=Role.VIEWER)
    Membership.objects.create(organization=alice.organization, person=dora, role=Role.ADMIN)

    membership = accept_invitation(invitation=invitation, person=dora)

    assert membership.role == "admin"


def test_the_twentieth_invitation_of_a_day_is_sent_and_the_next_refused(alice, charlie):
    for number in range(20):
        invite(alice, email=f"guest{number}@example.com")

    with pytest.raises(TooManyInvitations, match="at most 20 invitations in 24 hours"):
        invite(alice)

    invite(charlie)
    Invitation.objects.update(created_at=timezone.now() - timedelta(hours=25))
    invite(alice)


def test_replacing_an_invitation_counts_too(alice):
    for _ in range(20):
        invite(alice)

    with pytest.raises(TooManyInvitations):
        invite(alice)


@pytest.mark.parametrize("own_role", Role)
@pytest.mark.parametrize("role", Role)
def test_nobody_invites_with_more_than_they_hold(alice, own_role, role):
    mate = teammate("mate@example.com", of=alice, role=own_role)
    held = ACTIONS_OF_ROLE[own_role]
    is_allowed = Action.MANAGE_MEMBERS in held and ACTIONS_OF_ROLE[role] <= held

    if is_allowed:
        assert invite(mate, role=role)[0].role == role
    else:
        with pytest.raises(RoleOutOfReach):
            invite(mate, role=role)


def test_a_stranger_cannot_invite(alice, charlie):
    with pytest.raises(RoleOutOfReach):
        invite_member(
            organization=alice.organization, invited_by=charlie.person, email=DORA, role=Role.VIEWER
        )


def test_an_admin_neither_replaces_nor_revokes_an_owners_invitation_of_an_owner(alice):
    admin = teammate("adam@example.com", of=alice, role=Role.ADMIN)
    invitation, token = invite(alice, role=Role.OWNER)

    with pytest.raises(RoleOutOfReach):
        invite(admin, role=Role.VIEWER)
    with pytest.raises(RoleOutOfReach):
        revoke_invitation(invitation=invitation, revoked_by=admin.person)

    assert find_by_token(token) == invitation


def test_what_a_removed_member_has_sent_is_void(alice):
    admin = teammate("adam@example.com", of=alice, role=Role.ADMIN)
    _, token = invite(admin)

    remove_member(actor_role=Role.OWNER, membership=membership_of(admin), are_keys_revoked=False)

    assert find_by_token(token) is None


def test_what_somebody_who_left_has_sent_is_void(alice):
    admin = teammate("adam@example.com", of=alice, role=Role.ADMIN)
    _, token = invite(admin)

    leave_organization(membership=membership_of(admin))

    assert find_by_token(token) is None


def test_a_lesser_role_keeps_the_invitations_it_could_have_sent(alice):
    other = teammate("olga@example.com", of=alice, role=Role.OWNER)
    _, within = invite(other, role=Role.DEVELOPER)
    _, beyond = invite(other, email="eve@example.com", role=Role.BILLING)

    change_role(actor_role=Role.OWNER, membership=membership_of(other), role=Role.ADMIN)

    assert find_by_token(within) is not None
    assert find_by_token(beyond) is None


def test_two_organizations_invite_the_same_person_independently(alice, charlie, dora):
    theirs, _ = invite(charlie, role=Role.OWNER)
    ours, _ = invite(alice)

    accept_invitation(invitation=ours, person=dora)
    accept_invitation(invitation=theirs, person=dora)

    assert set(dora.memberships.values_list("organization__name", "role")) == {
        ("Acme", "developer"),
        ("Charlie and sons", "owner"),
    }


@given(token=st.text(max_size=300))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_but_the_token_finds_an_invitation(db, token):
    assert find_by_token(token.encode("utf-8", "replace").decode()) is None


def test_an_organization_that_is_deleted_takes_its_invitations_along(db):
    somebody = founder("zoe@example.com", organization_name="Zoe")
    invite(somebody)

    somebody.organization.delete()

    assert not Invitation.objects.exists()

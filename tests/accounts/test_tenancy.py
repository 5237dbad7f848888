"""The door: strangers find nothing, insiders what their role shows them."""

import uuid

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.test import RequestFactory

from accounts.models import ApiKey
from accounts.permissions import Action, Role
from accounts.tenancy import find_tenant, latest_organization, organizations_of, scoped, tenant_of
from tests.people import founder, teammate


def request_of(person):
    request = RequestFactory().get("/")
    request.user, request.session = person, {}
    return request


def test_a_member_finds_their_organization_and_role(alice, bob):
    tenant = tenant_of(request_of(bob.person), alice.organization.slug)

    assert tenant.organization == alice.organization
    assert tenant.role is Role.DEVELOPER


def test_a_stranger_finds_no_more_than_if_it_did_not_exist(alice, charlie):
    for slug in (alice.organization.slug, "no-such-organization"):
        with pytest.raises(Http404, match="No such organization"):
            tenant_of(request_of(charlie.person), slug)


def test_nobody_is_let_in_without_signing_in(alice):
    assert find_tenant(AnonymousUser(), alice.organization.slug) is None


def test_a_missing_right_is_refused_and_named(alice, bob):
    tenant = find_tenant(bob.person, alice.organization.slug)

    tenant.require(Action.CREATE_KEY)
    with pytest.raises(PermissionDenied, match="Invite people"):
        tenant.require(Action.MANAGE_MEMBERS)


def test_rows_of_other_organizations_are_not_within_reach(alice, charlie):
    tenant = find_tenant(alice.person, alice.organization.slug)

    assert list(tenant.keys()) == [alice.key_row]
    assert list(tenant.projects()) == [alice.project]
    assert [membership.person for membership in tenant.memberships()] == [alice.person]
    assert list(tenant.scoped(ApiKey.objects.all())) == [alice.key_row]
    assert list(scoped(ApiKey.objects.all(), charlie.organization)) == [charlie.key_row]


def test_a_key_of_another_organization_is_not_found(alice, charlie):
    tenant = find_tenant(alice.person, alice.organization.slug)

    for key_id in (charlie.key_row.pk, uuid.uuid4()):
        with pytest.raises(Http404):
            tenant.key(key_id)
    with pytest.raises(Http404):
        tenant.membership(charlie.person.pk)


def test_a_developer_sees_only_keys_of_their_own(alice, bob):
    tenant = find_tenant(bob.person, alice.organization.slug)

    assert list(tenant.keys()) == [bob.key_row]
    with pytest.raises(Http404):
        tenant.key(alice.key_row.pk)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.BILLING, Role.VIEWER])
def test_who_sees_all_spend_sees_all_keys(alice, bob, role):
    somebody = teammate("dora@example.com", of=alice, role=role)
    tenant = find_tenant(somebody.person, alice.organization.slug)

    assert set(tenant.keys()) == {alice.key_row, bob.key_row, somebody.key_row}


def test_a_developer_changes_their_own_key_an_admin_any_a_viewer_none(alice, bob):
    admin = teammate("adam@example.com", of=alice, role=Role.ADMIN)
    viewer = teammate("vera@example.com", of=alice, role=Role.VIEWER)

    def may_change(somebody, key):
        return find_tenant(somebody.person, alice.organization.slug).may_change(key)

    assert may_change(bob, bob.key_row)
    assert not may_change(bob, alice.key_row)
    assert may_change(admin, alice.key_row)
    assert not may_change(viewer, viewer.key_row)


def test_the_switcher_lists_the_persons_organizations_by_name(alice, bob, charlie):
    founder("zoe@example.com", organization_name="Zoe's")

    assert list(organizations_of(bob.person)) == [alice.organization]
    assert list(organizations_of(charlie.person)) == [charlie.organization]


def test_the_organization_looked_at_last_is_remembered(alice, charlie):
    alice.organization.memberships.create(person=charlie.person, role=Role.VIEWER)
    request = request_of(charlie.person)

    tenant_of(request, charlie.organization.slug)

    assert latest_organization(request) == charlie.organization


def test_a_remembered_organization_that_one_has_left_is_forgotten(alice, charlie):
    request = request_of(charlie.person)
    request.session["organization"] = alice.organization.slug

    assert latest_organization(request) == charlie.organization

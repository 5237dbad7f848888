"""The roles: each right of each role, one by one, and who may hand out which."""

import pytest

from accounts.permissions import (
    ACTIONS_OF_ROLE,
    DESCRIPTION_OF_ROLE,
    Action,
    Role,
    may,
    may_hand_out,
    roles_within,
)

RIGHTS = {
    "view_spend": "owner admin billing viewer",
    "view_bodies": "owner admin",
    "create_key": "owner admin developer",
    "manage_keys": "owner admin",
    "manage_projects": "owner admin",
    "manage_providers": "owner admin",
    "manage_members": "owner admin",
    "manage_budgets": "owner admin billing",
    "manage_billing": "owner billing",
    "manage_organization": "owner",
}


def test_every_action_is_in_this_table():
    assert set(RIGHTS) == set(Action.values)


@pytest.mark.parametrize("role", Role.values)
@pytest.mark.parametrize("action", Action)
def test_a_role_may_exactly_what_the_table_says(role, action):
    assert may(role, action) == (role in RIGHTS[action].split())


@pytest.mark.parametrize(
    ("own_role", "roles"),
    [
        ("owner", "owner admin developer billing viewer"),
        ("admin", "admin developer viewer"),
        ("developer", ""),
        ("billing", ""),
        ("viewer", ""),
    ],
)
def test_nobody_hands_out_more_than_they_hold(own_role, roles):
    assert [str(role) for role in roles_within(own_role)] == roles.split()


@pytest.mark.parametrize("own_role", Role.values)
@pytest.mark.parametrize("role", Role.values)
def test_what_may_be_handed_out_is_a_part_of_what_is_held(own_role, role):
    if may_hand_out(own_role, role):
        assert ACTIONS_OF_ROLE[Role(role)] <= ACTIONS_OF_ROLE[Role(own_role)]


def test_every_role_says_in_words_what_it_may_do():
    assert set(DESCRIPTION_OF_ROLE) == set(Role)

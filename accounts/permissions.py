"""What each role may do: one table, read by views, API and pages alike."""

from django.db.models import TextChoices


class Role(TextChoices):
    OWNER = "owner", "Owner"
    ADMIN = "admin", "Admin"
    DEVELOPER = "developer", "Developer"
    BILLING = "billing", "Billing"
    VIEWER = "viewer", "Viewer"


class Action(TextChoices):
    VIEW_SPEND = "view_spend", "See spend, requests and the ledger of the whole organization"
    VIEW_BODIES = "view_bodies", "Read stored prompts and answers"
    CREATE_KEY = "create_key", "Create keys and revoke their own"
    MANAGE_KEYS = "manage_keys", "Revoke any key and change its limits"
    MANAGE_PROJECTS = "manage_projects", "Create projects and change their limits"
    MANAGE_PROVIDERS = "manage_providers", "Store provider credentials"
    MANAGE_MEMBERS = "manage_members", "Invite people and change roles up to their own"
    MANAGE_BUDGETS = "manage_budgets", "Set budgets and say where their alerts go"
    MANAGE_BILLING = "manage_billing", "Top up credit and set budgets of the organization"
    MANAGE_ORGANIZATION = "manage_organization", "Rename the organization and switch logging of bodies"


ACTIONS_OF_ROLE: dict[Role, frozenset[Action]] = {
    Role.OWNER: frozenset(Action),
    Role.ADMIN: frozenset(Action) - {Action.MANAGE_BILLING, Action.MANAGE_ORGANIZATION},
    Role.DEVELOPER: frozenset({Action.CREATE_KEY}),
    Role.BILLING: frozenset({Action.VIEW_SPEND, Action.MANAGE_BUDGETS, Action.MANAGE_BILLING}),
    Role.VIEWER: frozenset({Action.VIEW_SPEND}),
}

DESCRIPTION_OF_ROLE: dict[Role, str] = {
    Role.OWNER: "Everything, including billing, the organization itself and other owners.",
    Role.ADMIN: "Members, projects, budgets, all keys and provider credentials; sees all spend. No billing.",
    Role.DEVELOPER: "Creates keys, and sees and revokes the keys they created.",
    Role.BILLING: "Sees all spend, tops up credit and sets budgets. No keys.",
    Role.VIEWER: "Sees all spend, requests and the ledger. Changes nothing.",
}


def may(role: str, action: Action) -> bool:
    """Whether someone with this role may do this."""
    return action in ACTIONS_OF_ROLE[Role(role)]


def may_hand_out(own_role: str, role: str) -> bool:
    """Whether someone with `own_role` may give or take `role`: never more than they hold."""
    own, other = ACTIONS_OF_ROLE[Role(own_role)], ACTIONS_OF_ROLE[Role(role)]
    return Action.MANAGE_MEMBERS in own and other <= own


def may_delegate(own_role: str | None, role: str) -> bool:
    """Whether someone with `own_role` may give a key this role: nothing that they could not do themselves.

    An empty role allows nothing, so everybody may give it.
    """
    if not role:
        return True
    return own_role is not None and ACTIONS_OF_ROLE[Role(role)] <= ACTIONS_OF_ROLE[Role(own_role)]


def key_roles_within(own_role: str) -> tuple[Role, ...]:
    """The roles that someone with `own_role` may give a key, the widest first."""
    return tuple(role for role in Role if may_delegate(own_role, role))


def roles_within(own_role: str) -> tuple[Role, ...]:
    """The roles that someone with `own_role` may give, the widest first."""
    return tuple(role for role in Role if may_hand_out(own_role, role))

"""Every write of accounts: organizations, members, projects, keys and people.

Each function is one transaction and takes keywords only. What the data plane must see bumps the
organization's epoch in the same transaction. Who may call what is asked at the door, in
`accounts.tenancy`; rules that hold for everybody are here. Invitations are in `accounts.invitations`.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Greatest
from django.utils import timezone
from django.utils.text import slugify

from accounts import rules
from accounts.epochs import bump_epoch as bump_epoch
from accounts.errors import ForeignRow, KeyRevoked, LastOwner, NameTaken, RoleOutOfReach
from accounts.invitations import withdraw_beyond
from accounts.keys import hmac_of, new_secret
from accounts.models import ApiKey, Membership, Organization, OrganizationEpoch, Person, Project
from accounts.permissions import Role, key_roles_within, may_delegate, may_hand_out
from accounts.vault import Vault

DEFAULT_PROJECT_NAME = "Default"
SLUG_BASE_CHARACTERS = 48
SLUG_TRIES = 3


@transaction.atomic
def sign_up_organization(*, person: Person, name: str) -> Organization:
    """A new organization that the person owns, with a project to put keys in."""
    organization = Organization(name=rules.checked_name(name))
    organization.encrypted_data_key = Vault(settings.FAREBOX_MASTER_KEY).new_data_key(organization.pk)
    _save_under_free_slug(organization)
    OrganizationEpoch.objects.create(organization=organization)
    Membership.objects.create(organization=organization, person=person, role=Role.OWNER)
    create_project(organization=organization, name=DEFAULT_PROJECT_NAME)
    return organization


def lock_organization(organization_id: UUID) -> Organization:
    """The organization as it stands; whoever locks it next waits until this transaction ends."""
    return Organization.objects.select_for_update(no_key=True).get(pk=organization_id)


@transaction.atomic
def rename_organization(*, organization: Organization, name: str) -> None:
    """Change what people read; the address keeps its slug, so that links go on working."""
    organization.name = rules.checked_name(name)
    organization.save(update_fields=["name"])


@transaction.atomic
def set_body_logging(*, organization: Organization, is_on: bool) -> None:
    organization.is_body_logging_on = is_on
    organization.save(update_fields=["is_body_logging_on"])
    bump_epoch(organization.pk)


@transaction.atomic
def set_stream_cut(*, organization: Organization, is_on: bool) -> None:
    """Whether running streams of a key are cut when it is revoked."""
    organization.is_stream_cut_on_revocation = is_on
    organization.save(update_fields=["is_stream_cut_on_revocation"])
    bump_epoch(organization.pk)


@transaction.atomic
def set_active(*, organization: Organization, is_active: bool) -> None:
    """The operator's switch: while it is off, all keys of the organization are refused."""
    organization.is_active = is_active
    organization.save(update_fields=["is_active"])
    bump_epoch(organization.pk)


@transaction.atomic
def set_rates(
    *,
    holder: Organization | Project,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    concurrent_requests: int | None,
) -> None:
    """Replace the rates that bind a whole organization or project; None means unlimited."""
    rules.check_rates(requests_per_minute, tokens_per_minute, concurrent_requests)
    holder.requests_per_minute = requests_per_minute
    holder.tokens_per_minute = tokens_per_minute
    holder.concurrent_requests = concurrent_requests
    holder.save(update_fields=["requests_per_minute", "tokens_per_minute", "concurrent_requests"])
    bump_epoch(holder.pk if isinstance(holder, Organization) else holder.organization_id)


@transaction.atomic
def create_project(*, organization: Organization, name: str, mode: str = Project.Mode.HYBRID) -> Project:
    project = Project(organization=organization, name=rules.checked_name(name), mode=Project.Mode(mode))
    _save_named(project)
    return project


@transaction.atomic
def set_project_body_logging(*, project: Project, is_on: bool) -> None:
    """Whether the project's prompts and answers are stored where the organization stores them."""
    project.is_body_logging_on = is_on
    project.save(update_fields=["is_body_logging_on"])
    bump_epoch(project.organization_id)


@transaction.atomic
def set_project_caching(*, project: Project, is_on: bool, ttl_seconds: int) -> None:
    """Whether the project's requests get answers that were given before, and for how long."""
    rules.check_cache_ttl(ttl_seconds)
    project.is_caching_on, project.cache_ttl_seconds = is_on, ttl_seconds
    project.save(update_fields=["is_caching_on", "cache_ttl_seconds"])
    bump_epoch(project.organization_id)


@transaction.atomic
def update_project(*, project: Project, name: str, mode: str) -> None:
    """Change what the project is called and whose provider keys it uses."""
    project.name, project.mode = rules.checked_name(name), Project.Mode(mode)
    _save_named(project)


@transaction.atomic
def issue_key(
    *,
    organization: Organization,
    project: Project,
    created_by: Person | None,
    name: str,
    expires_at: datetime | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    concurrent_requests: int | None = None,
    allowed_models: Sequence[str] | None = None,
    allowed_networks: Sequence[str] | None = None,
    default_tags: Sequence[str] = (),
    is_budget_clamped: bool = False,
    role: str = "",
    issuer_role: str | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its secret, which nothing can show a second time.

    `role`: what it may do in management calls, at most what `issuer_role` may.
    """
    if project.organization_id != organization.pk:
        raise ForeignRow("The project belongs to another organization.")
    if role:
        _require_delegable(organization, created_by, issuer_role, role)
    rules.check_rates(requests_per_minute, tokens_per_minute, concurrent_requests)
    rules.check_expiry(expires_at)
    secret = new_secret()
    key = ApiKey.objects.create(
        organization=organization,
        project=project,
        created_by=created_by,
        name=rules.checked_name(name),
        secret_hmac=hmac_of(secret, settings.FAREBOX_KEY_PEPPER),
        pepper_id=settings.FAREBOX_KEY_PEPPER_ID,
        last_four=secret[-4:],
        expires_at=expires_at,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        concurrent_requests=concurrent_requests,
        allowed_models=rules.checked_models(allowed_models),
        allowed_networks=rules.checked_networks(allowed_networks),
        default_tags=rules.checked_tags(default_tags),
        is_budget_clamped=is_budget_clamped,
        role=role,
    )
    bump_epoch(organization.pk)
    return key, secret


@transaction.atomic
def update_key_limits(
    *,
    key: ApiKey,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    concurrent_requests: int | None,
    allowed_models: Sequence[str] | None,
    is_budget_clamped: bool = False,
) -> None:
    """Replace what the key may do; None lifts a limit."""
    rules.check_rates(requests_per_minute, tokens_per_minute, concurrent_requests)
    key.requests_per_minute = requests_per_minute
    key.tokens_per_minute = tokens_per_minute
    key.concurrent_requests = concurrent_requests
    key.allowed_models = rules.checked_models(allowed_models)
    key.is_budget_clamped = is_budget_clamped
    key.save(
        update_fields=[
            "requests_per_minute",
            "tokens_per_minute",
            "concurrent_requests",
            "allowed_models",
            "is_budget_clamped",
        ]
    )
    bump_epoch(key.organization_id)


@transaction.atomic
def set_key_networks(*, key: ApiKey, allowed_networks: Sequence[str] | None) -> None:
    """Replace the networks that the key may be used from; None allows all. Raises WrongLimit."""
    key.allowed_networks = rules.checked_networks(allowed_networks)
    key.save(update_fields=["allowed_networks"])
    bump_epoch(key.organization_id)


@transaction.atomic
def set_key_role(*, key: ApiKey, role: str, issuer_role: str | None) -> None:
    """Give the key another role in management calls. Nobody gives or takes more than they hold."""
    _require_delegable(key.organization, key.created_by, issuer_role, role)
    if not may_delegate(issuer_role, key.role):
        raise RoleOutOfReach("You can only take roles from keys whose rights you hold yourself.")
    key.role = role
    key.save(update_fields=["role"])


@transaction.atomic
def roll_key(*, key: ApiKey, overlap_seconds: int, issuer_role: str | None) -> str:
    """Give the key another secret, shown this once; the one before serves for `overlap_seconds` longer.

    The key itself stays: its limits, budgets and usage go on. Of two rolls within one overlap the first
    secret ends at once. Raises WrongLimit, KeyRevoked for a key that has ended, and RoleOutOfReach for
    one that may do more in management calls than whoever gets to see its secret.
    """
    rules.check_overlap(overlap_seconds)
    locked = ApiKey.objects.select_for_update(no_key=True).get(pk=key.pk)
    if locked.revoked_at is not None:
        raise KeyRevoked("The key is revoked: create another one.")
    if not may_delegate(issuer_role, locked.role):
        raise RoleOutOfReach("You can only roll keys whose rights you hold yourself.")
    secret = new_secret()
    key.previous_secret_hmac = locked.secret_hmac
    key.previous_secret_ends_at = timezone.now() + timedelta(seconds=overlap_seconds)
    key.secret_hmac = hmac_of(secret, settings.FAREBOX_KEY_PEPPER)
    key.pepper_id, key.last_four = settings.FAREBOX_KEY_PEPPER_ID, secret[-4:]
    key.save(
        update_fields=[
            "previous_secret_hmac",
            "previous_secret_ends_at",
            "secret_hmac",
            "pepper_id",
            "last_four",
        ]
    )
    bump_epoch(key.organization_id)
    return secret


@transaction.atomic
def revoke_key(*, key: ApiKey) -> None:
    """End the key for good, on every process within a second; revoking it again changes nothing."""
    now = timezone.now()
    if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now):
        key.revoked_at = now
        bump_epoch(key.organization_id)


@transaction.atomic
def record_key_uses(*, last_used_at: Mapping[UUID, datetime]) -> None:
    """Move the keys' `last_used_at` forward, never back."""
    if last_used_at:
        at = Case(*(When(pk=key_id, then=Value(used_at)) for key_id, used_at in last_used_at.items()))
        ApiKey.objects.filter(pk__in=last_used_at).update(last_used_at=Greatest(F("last_used_at"), at))


@transaction.atomic
def change_role(*, actor_role: str, membership: Membership, role: str) -> None:
    """Give a member another role. Nobody gives or takes more than they hold; an owner remains."""
    current = _locked_role(membership)
    if not (may_hand_out(actor_role, current) and may_hand_out(actor_role, role)):
        raise RoleOutOfReach("You can only give and take roles whose rights you hold yourself.")
    if role != Role.OWNER:
        _require_another_owner(membership, current)
    Membership.objects.filter(pk=membership.pk).update(role=Role(role))
    withdraw_beyond(membership=membership, role=role)
    _take_roles_beyond(membership, role)


@transaction.atomic
def remove_member(*, actor_role: str, membership: Membership, are_keys_revoked: bool) -> None:
    """End a membership. The keys the person created go on working unless `are_keys_revoked`."""
    current = _locked_role(membership)
    if not may_hand_out(actor_role, current):
        raise RoleOutOfReach("You can only remove members whose rights you hold yourself.")
    _end_membership(membership, current, are_keys_revoked=are_keys_revoked)


@transaction.atomic
def leave_organization(*, membership: Membership) -> None:
    """End one's own membership; the last owner has to stay."""
    _end_membership(membership, _locked_role(membership), are_keys_revoked=False)


@transaction.atomic
def update_profile(*, person: Person, name: str, time_zone: str) -> None:
    """Change what a person set about themselves; an empty time zone means the browser's."""
    person.name = rules.checked_name(name, is_required=False)
    person.time_zone = rules.checked_time_zone(time_zone)
    person.save(update_fields=["name", "time_zone"])


def _save_under_free_slug(organization: Organization) -> None:
    base = slugify(organization.name)[:SLUG_BASE_CHARACTERS].strip("-") or "team"
    for slug in (base, *(f"{base}-{secrets.token_hex(4)}" for _ in range(SLUG_TRIES))):
        organization.slug = slug
        try:
            with transaction.atomic():
                organization.save(force_insert=True)
            return
        except IntegrityError:
            continue
    raise NameTaken("Choose another name for the organization.", field="name")


def _save_named(project: Project) -> None:
    try:
        with transaction.atomic():
            project.save()
    except IntegrityError as failure:
        raise NameTaken(f"There is already a project called {project.name!r}.", field="name") from failure
    bump_epoch(project.organization_id)


def _locked_role(membership: Membership) -> str:
    # Two owners who step down at once would each still see the other one.
    lock_organization(membership.organization_id)
    return Membership.objects.get(pk=membership.pk).role


def _require_another_owner(membership: Membership, current: str) -> None:
    owners = Membership.objects.filter(organization_id=membership.organization_id, role=Role.OWNER)
    if current == Role.OWNER and not owners.exclude(pk=membership.pk).exists():
        raise LastOwner("An organization needs an owner: make somebody else owner first.")


def _end_membership(membership: Membership, current: str, *, are_keys_revoked: bool) -> None:
    _require_another_owner(membership, current)
    if are_keys_revoked:
        theirs = ApiKey.objects.filter(
            organization_id=membership.organization_id, created_by=membership.person_id, revoked_at=None
        )
        theirs.update(revoked_at=timezone.now())
        bump_epoch(membership.organization_id)
    withdraw_beyond(membership=membership, role=None)
    _take_roles_beyond(membership, None)
    Membership.objects.filter(pk=membership.pk).delete()


def _take_roles_beyond(membership: Membership, role: str | None) -> None:
    """Leave the keys the person created no role that the person could not give them any more."""
    within = key_roles_within(role) if role is not None else ()
    theirs = ApiKey.objects.filter(
        organization_id=membership.organization_id, created_by=membership.person_id
    )
    theirs.exclude(role__in=["", *within]).update(role="")


def _require_delegable(
    organization: Organization, creator: Person | None, issuer_role: str | None, role: str
) -> None:
    # Whoever is losing a role at this moment must not keep it by way of a key.
    lock_organization(organization.pk)
    membership = Membership.objects.filter(organization=organization, person=creator).first()
    creator_role = membership.role if membership else None
    is_within_creators = creator is None or may_delegate(creator_role, role)
    if not (may_delegate(issuer_role, role) and is_within_creators):
        raise RoleOutOfReach("A key can only have a role whose rights you and its creator hold.")

"""The only door to a tenant's rows: who asks, for which organization, with which role.

People come as a `Tenant` from their session, programs as a `KeyBearer` from their key. Strangers
get 404, as if the organization did not exist; insiders without the right get 403. Rows of other
rooms pass through `scoped`. Writes are in `accounts.services`.
"""

from dataclasses import dataclass
from typing import ClassVar, TypeVar
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest
from django.utils import timezone

from accounts.models import (
    ApiKey,
    AuditEntry,
    Invitation,
    ManagementToken,
    Membership,
    Organization,
    Person,
    Project,
)
from accounts.permissions import Action, Role, may

SESSION_ORGANIZATION = "organization"

_Row = TypeVar("_Row", bound=Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Insider:
    """Somebody who belongs to an organization, and what they may reach there. No role: nothing."""

    organization: Organization
    role: Role | None

    def may(self, action: Action) -> bool:
        return self.role is not None and may(self.role, action)

    def require(self, action: Action) -> None:
        """Raise PermissionDenied, which becomes 403, unless the role allows the action."""
        if not self.may(action):
            raise PermissionDenied(Action(action).label)

    def scoped(self, rows: QuerySet[_Row]) -> QuerySet[_Row]:
        return scoped(rows, self.organization)

    def memberships(self) -> QuerySet[Membership]:
        return self.scoped(Membership.objects.select_related("person").order_by("created_at"))

    def invitations(self) -> QuerySet[Invitation]:
        """The invitations that can be accepted at this moment, the latest first."""
        invitations = Invitation.objects.open(timezone.now()).select_related("invited_by")
        return self.scoped(invitations.order_by("-created_at"))

    def invitation(self, invitation_id: UUID) -> Invitation:
        """One of those; raises Http404."""
        return _one(self.invitations().filter(pk=invitation_id))

    def projects(self) -> QuerySet[Project]:
        return self.scoped(Project.objects.order_by("created_at"))

    def project(self, project_id: UUID) -> Project:
        """One of the projects; raises Http404."""
        return _one(self.projects().filter(pk=project_id))

    def keys(self) -> QuerySet[ApiKey]:
        """The keys this insider may see: all of them, or their own."""
        keys = self.scoped(ApiKey.objects.select_related("project", "created_by"))
        if self.may(Action.VIEW_SPEND) or self.may(Action.MANAGE_KEYS):
            return keys
        return keys.filter(self._is_own())

    def key(self, key_id: UUID) -> ApiKey:
        """One of those keys; raises Http404."""
        return _one(self.keys().filter(pk=key_id))

    def membership(self, person_id: UUID) -> Membership:
        """A member's place; raises Http404."""
        return _one(self.memberships().filter(person_id=person_id))

    def audit_entries(self) -> QuerySet[AuditEntry]:
        """What people did to the organization."""
        return self.scoped(AuditEntry.objects.all())

    def _is_own(self) -> Q:
        """What tells this insider's own keys."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant(Insider):
    """A person in an organization of theirs: whoever opens its pages."""

    role: Role
    person: Person

    def management_tokens(self) -> QuerySet[ManagementToken]:
        """This person's own tokens for the organization, revoked ones included."""
        own = ManagementToken.objects.select_related("membership__person", "membership__organization")
        return own.filter(membership__organization=self.organization, membership__person=self.person)

    def management_token(self, token_id: UUID) -> ManagementToken:
        """One of those; raises Http404."""
        return _one(self.management_tokens().filter(pk=token_id))

    def may_change(self, key: ApiKey) -> bool:
        """Whether this person may revoke this key."""
        if self.may(Action.MANAGE_KEYS):
            return True
        return self.may(Action.CREATE_KEY) and key.created_by_id == self.person.pk

    def _is_own(self) -> Q:
        return Q(created_by=self.person)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyBearer(Insider):
    """A program that shows an API key: whoever makes management calls (`accounts.bearer`).

    Without a role it may read what concerns itself: its limits, its spending, its own requests.
    """

    api_key: ApiKey
    is_authenticated: ClassVar[bool] = True

    def may_change(self, key: ApiKey) -> bool:
        """Whether this key may revoke that one."""
        if self.may(Action.MANAGE_KEYS):
            return True
        creator_id = self.api_key.created_by_id
        return self.may(Action.CREATE_KEY) and creator_id is not None and key.created_by_id == creator_id

    def _is_own(self) -> Q:
        own = Q(pk=self.api_key.pk)
        creator_id = self.api_key.created_by_id
        is_of_creator = self.may(Action.CREATE_KEY) and creator_id is not None
        return own | Q(created_by_id=creator_id) if is_of_creator else own


def tenant_of(request: HttpRequest, slug: str) -> Tenant:
    """The person of this request in the organization `slug`; raises Http404 for strangers.

    The organization is remembered as the person's latest, and the page's frame finds the tenant
    on the request.
    """
    tenant = find_tenant(request.user, slug)
    if tenant is None:
        raise Http404("No such organization.")
    request.tenant = tenant  # type: ignore[attr-defined]  # read by accounts.context
    if request.session.get(SESSION_ORGANIZATION) != slug:
        request.session[SESSION_ORGANIZATION] = slug
    return tenant


def find_tenant(person: object, slug: str) -> Tenant | None:
    """The person's place in the organization, or None for strangers and the not signed in."""
    if not isinstance(person, Person):
        return None
    theirs = Membership.objects.select_related("organization").filter(person=person)
    membership = theirs.filter(organization__slug=slug).first()
    if membership is None:
        return None
    return Tenant(organization=membership.organization, role=Role(membership.role), person=person)


def bearer_of(secret_hmac: bytes) -> KeyBearer | None:
    """Whoever shows the key with this HMAC, or None; whether the key still counts is not asked here."""
    keys = ApiKey.objects.select_related("organization", "project", "created_by")
    is_former = Q(previous_secret_hmac=secret_hmac, previous_secret_ends_at__gt=timezone.now())
    key = keys.filter(Q(secret_hmac=secret_hmac) | is_former).first()
    if key is None:
        return None
    return KeyBearer(organization=key.organization, role=Role(key.role) if key.role else None, api_key=key)


def scoped(rows: QuerySet[_Row], organization: Organization) -> QuerySet[_Row]:
    """Those of the rows that belong to the organization."""
    return rows.filter(organization_id=organization.pk)


def organizations_of(person: Person) -> QuerySet[Organization]:
    """The organizations that the person is a member of, by name."""
    return Organization.objects.filter(memberships__person=person).order_by("name", "slug")


def latest_organization(request: HttpRequest) -> Organization | None:
    """The organization the person looked at last, or any of theirs."""
    if not isinstance(request.user, Person):
        return None
    theirs = organizations_of(request.user)
    return theirs.filter(slug=request.session.get(SESSION_ORGANIZATION, "")).first() or theirs.first()


def _one(rows: QuerySet[_Row]) -> _Row:
    row = rows.first()
    if row is None:
        raise Http404("No such page.")
    return row

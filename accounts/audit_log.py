"""The audit log: what somebody did to an organization, written in the transaction that did it.

Whoever writes says by which way: a page, the management API, or a call with an API key.
"""

from collections.abc import Sequence
from uuid import UUID

from accounts.models import AuditEntry, Organization, Person
from accounts.tenancy import Tenant
from accounts.trail_models import MAX_TARGET_CHARACTERS


def record_action(
    *,
    organization: Organization,
    person: Person | None,
    via: str,
    action: str,
    target: str = "",
    target_id: UUID | None = None,
    changed: Sequence[str] = (),
    credential: str = "",
) -> AuditEntry:
    """Add an entry; call it inside the transaction of the write, so that neither stands without the other."""
    return AuditEntry.objects.create(
        organization=organization,
        person=person,
        actor=person.email if person else "",
        via=AuditEntry.Via(via),
        credential=credential[:MAX_TARGET_CHARACTERS],
        action=action,
        target_id=target_id,
        target=target[:MAX_TARGET_CHARACTERS],
        changed=sorted(changed),
    )


def record_on_page(
    tenant: Tenant, action: str, *, target: str, target_id: UUID | None, changed: Sequence[str] = ()
) -> None:
    """`record_action` for what a person does in a browser."""
    record_action(
        organization=tenant.organization,
        person=tenant.person,
        via=AuditEntry.Via.PAGES,
        action=action,
        target=target,
        target_id=target_id,
        changed=changed,
    )


def has_recorded(organization: Organization, *, action: str, target_id: UUID) -> bool:
    """Whether this was done to this object of the organization already."""
    entries = AuditEntry.objects.filter(organization=organization, action=action, target_id=target_id)
    return entries.exists()

"""Notes of who has spent, so that alerts of budgets are looked at where it matters and nowhere else."""

from collections.abc import Iterable
from uuid import UUID

from billing.arrivals import Arrival
from billing.models import Budget, SpendingNote


def note_spending(arrivals: Iterable[Arrival]) -> None:
    """Note the organizations that spent, in the transaction that stores these events.

    Organizations without a budget that alerts are left out, and labels that no budget for each awaits.
    """
    paid = [arrival for arrival in arrivals if arrival.charge_nano or arrival.cost_nano]
    if not paid:
        return
    alerting = Budget.objects.filter(organization_id__in={arrival.organization for arrival in paid})
    kinds = set(
        alerting.exclude(alert_percents=[]).values_list("organization_id", "scope", "is_each").distinct()
    )
    organizations = {organization_id for organization_id, _, _ in kinds}
    each = {(organization_id, scope) for organization_id, scope, is_each in kinds if is_each}
    noted = {note for arrival in paid if arrival.organization in organizations for note in _of(arrival, each)}
    # In one order everywhere, so that two writers never wait for each other.
    notes = [SpendingNote(organization_id=o, scope=scope, subject=s) for o, scope, s in sorted(noted)]
    SpendingNote.objects.bulk_create(notes, ignore_conflicts=True)


def _of(arrival: Arrival, each: set[tuple[UUID, str]]) -> Iterable[tuple[UUID, str, str]]:
    organization_id = arrival.organization
    yield organization_id, "", ""
    if (organization_id, Budget.Scope.TAG) in each:
        for tag in arrival.tags:
            yield organization_id, Budget.Scope.TAG.value, tag
    if arrival.end_user and (organization_id, Budget.Scope.END_USER) in each:
        yield organization_id, Budget.Scope.END_USER.value, arrival.end_user

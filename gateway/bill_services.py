"""Bill sources: who tells the operator's costs, and what came of asking.

The admin key is sealed like a connection's and never leaves but in the call itself.
"""

import logging
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_network

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import transaction

from accounts.vault import DataKey, Vault
from billing.operator_alerts import alert_operator
from billing.reconciliation.alerting import match_and_tell
from billing.reconciliation.importing import import_export
from billing.reconciliation.our_side import Account
from billing.reconciliation.shapes import ExportRefused
from gateway import connection_rules
from gateway.bill_fetch import BillAddress, BillNotFetched, fetch_bill
from gateway.connection_rules import WrongConnection
from gateway.egress import BaseUrlRefused, EgressPolicy, check_base_url
from gateway.models import BillSource

DEFAULT_BASE_URLS = {
    BillSource.Dialect.OPENAI: "https://api.openai.com/v1",
    BillSource.Dialect.ANTHROPIC: "https://api.anthropic.com/v1",
}
ONE_DAY = timedelta(days=1)

logger = logging.getLogger(__name__)


@transaction.atomic
def set_bill_source(*, provider: str, dialect: str, base_url: str, admin_key: str) -> BillSource:
    """Store where a provider's bill is told, replacing what there was. Raises WrongConnection.

    Address and key are always given together: a stored key is never sent to an address that came later.
    """
    checked = checked_source(dialect=dialect, base_url=base_url, admin_key=admin_key)
    source = BillSource.objects.filter(provider=provider).first() or BillSource(provider=provider)
    source.dialect, source.base_url = dialect, checked.base_url
    sealed = _vault_key().encrypt(checked.admin_key.encode(), context=_context(source))
    source.encrypted_admin_key = sealed
    source.admin_key_tail = connection_rules.tail_of(checked.admin_key)
    source.is_active, source.failure = True, ""
    source.save()
    return source


def checked_source(*, dialect: str, base_url: str, admin_key: str) -> BillAddress:
    """What `set_bill_source` would store of this; raises WrongConnection."""
    if dialect not in BillSource.Dialect.values:
        raise WrongConnection(
            f"The dialect must be one of {', '.join(BillSource.Dialect.values)}.", field="dialect"
        )
    address = base_url.strip() or DEFAULT_BASE_URLS[BillSource.Dialect(dialect)]
    try:
        checked_url = check_base_url(address, policy=_egress())
    except BaseUrlRefused as refusal:
        raise WrongConnection(str(refusal), field="base_url") from refusal
    key = connection_rules.checked_api_key(admin_key, is_required=True)
    return BillAddress(checked_url, key, dialect, _egress())


@transaction.atomic
def switch_bill_source(*, source: BillSource, is_active: bool) -> None:
    """Ask it from then on, or leave it aside."""
    BillSource.objects.filter(pk=source.pk).update(is_active=is_active)


@transaction.atomic
def forget_bill_source(*, source: BillSource) -> None:
    """Forget the address and the key; what was imported stays."""
    source.delete()


def fetch_source(source: BillSource, *, now: datetime) -> bool:
    """Ask for the last days, store and match them; False if that failed, which the operator is told of."""
    until = now.astimezone(UTC).date() + ONE_DAY
    since = until - ONE_DAY - timedelta(days=settings.FAREBOX_CONSOLE.reconciliation_days)
    try:
        days = _fetch_and_store(source, since=since, until=until, now=now)
    except (BillNotFetched, ExportRefused) as failure:
        _note(source, now, failure=str(failure)[:512])
        return False
    _note(source, now, failure="")
    match_and_tell([(Account(source.provider), day) for day in sorted(days)], now=now)
    return True


def _fetch_and_store(source: BillSource, *, since: date, until: date, now: datetime) -> set[date]:
    exports = async_to_sync(fetch_bill)(_address_of(source), since=since, until=until)
    days: set[date] = set()
    with transaction.atomic():
        for export in exports:
            import_export(
                export=export,
                provider=source.provider,
                organization=None,
                source_name=source.base_url,
                keeps_unknown_models=True,
                now=now,
            )
            days |= export.days
    return days


def _note(source: BillSource, now: datetime, *, failure: str) -> None:
    """Keep how it went; a failure is told once, not every time it lasts."""
    is_news = failure and failure != source.failure
    BillSource.objects.filter(pk=source.pk).update(fetched_at=now, failure=failure)
    if failure:
        logger.error("provider's bill not fetched", extra={"provider": source.provider, "reason": failure})
    if is_news:
        alert_operator(subject=f"The bill of {source.provider} was not fetched", text=failure)


def _address_of(source: BillSource) -> BillAddress:
    key = _vault_key().decrypt(bytes(source.encrypted_admin_key), context=_context(source)).decode()
    return BillAddress(source.base_url, key, source.dialect, _egress())


def _egress() -> EgressPolicy:
    """An admin key goes to public addresses alone, unless the operator has opened a network."""
    networks = settings.FAREBOX_GATEWAY.allowed_upstream_networks
    return EgressPolicy(allowed_networks=frozenset(ip_network(network) for network in networks))


def _vault_key() -> DataKey:
    return Vault(settings.FAREBOX_MASTER_KEY).operator_key()


def _context(source: BillSource) -> str:
    return f"bill-source:{source.pk}"

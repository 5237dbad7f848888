"""`/metrics` of a gateway shows what the worker found for the operator."""

from billing.operator_alerts import note_figures
from tests.flows.calls import get
from tests.house import Process, apart


async def test_every_gateway_shows_the_latest_audit(gateway: Process) -> None:
    await apart(note_figures, audit_differences=3, audit_failed=0, audit_finished_at=1_764_212_400)

    text = (await get(gateway, "", "/metrics")).body.decode()

    assert "farebox_ledger_audit_differences 3.0" in text
    assert "farebox_ledger_audit_failed 0.0" in text
    assert "farebox_ledger_audit_finished_seconds 1.7642124e+09" in text
    assert "farebox_running_requests" in text

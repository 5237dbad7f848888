"""The organization of the benchmark: credit, keys with every kind of limit, and the upstream connected.

A child of bench.stage, since it needs Django. `python -m bench.seed UPSTREAM_KEY ROUNDS` makes the
tables, and prints the keys and where Redis counts their money as JSON.
"""

import json
import sys
from datetime import UTC, datetime
from decimal import Decimal

import django
from django.conf import settings
from django.core.management import call_command

django.setup()

from accounts.models import ApiKey, Organization, Person  # noqa: E402
from accounts.services import sign_up_organization  # noqa: E402
from billing.budgets import period_of  # noqa: E402
from billing.models import Budget  # noqa: E402
from billing.money import usd_to_nano  # noqa: E402
from billing.services import top_up  # noqa: E402
from billing.tasks import keep_partitions  # noqa: E402
from gateway.counter_names import budget_counter, wallet_counter  # noqa: E402
from gateway.policy import shard_of, shard_prefix  # noqa: E402
from gateway.services import connect_provider, issue_key  # noqa: E402

CREDIT_USD = Decimal(1_000_000)
BUDGET_USD = Decimal(900_000)
# 500 requests of the case `budget`, of which every round has a key of its own.
SMALL_BUDGET_USD = Decimal("0.0105")
# Limits that are counted for each request and never reached.
REQUESTS_PER_MINUTE = 100_000_000
TOKENS_PER_MINUTE = 100_000_000_000
CONCURRENT_REQUESTS = 100_000


def main(upstream_key: str, rounds: int) -> None:
    call_command("migrate", verbosity=0)
    keep_partitions()
    connect_provider(
        organization=None,
        provider="fake",
        base_url=f"{settings.FAREBOX_SIMULATOR_URL}/v1",
        api_key=upstream_key,
    )
    person = Person.objects.create_user("bench@farebox.example")
    organization = sign_up_organization(person=person, name="Bench")
    top_up(organization=organization, amount_usd=CREDIT_USD)
    keys = [new_key(organization, person, "Bench", BUDGET_USD)]
    keys += [
        new_key(organization, person, f"Budget {number}", SMALL_BUDGET_USD) for number in range(1, rounds + 1)
    ]
    prefix = shard_prefix(shard_of(organization.pk, settings.FAREBOX_SHARDS))
    wallet = {
        "counter": f"{prefix}money:{wallet_counter(organization.pk)}",
        "limit_nano": usd_to_nano(CREDIT_USD),
    }
    print(json.dumps({"secrets": [secret for _, secret in keys], "counters": [wallet, *counters(prefix)]}))


def new_key(organization: Organization, person: Person, name: str, budget_usd: Decimal) -> tuple[ApiKey, str]:
    return issue_key(
        organization=organization,
        project=organization.projects.get(),
        person=person,
        name=name,
        requests_per_minute=REQUESTS_PER_MINUTE,
        tokens_per_minute=TOKENS_PER_MINUTE,
        concurrent_requests=CONCURRENT_REQUESTS,
        budget_usd=budget_usd,
    )


def counters(prefix: str) -> list[dict[str, object]]:
    """Where Redis counts each budget, and what it must not exceed."""
    return [
        {
            "counter": f"{prefix}money:{budget_counter(budget.pk, period)}",
            "limit_nano": usd_to_nano(budget.amount_usd),
        }
        for budget in Budget.objects.all()
        for period in [period_of(budget.window, budget.time_zone, datetime.now(UTC))]
    ]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

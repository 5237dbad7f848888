"""One organization for all clients, and what each of them told of its conversations."""

from collections.abc import Iterator
from typing import Any

import pytest

from accounts.keys import new_secret
from tests.flows.calls import MOUNTS
from tests.house import Process, new_team
from tests.sdk.clients import Told, commands, install, start, talk


@pytest.fixture(scope="session")
def keys(gateway: Process, django_db_blocker: Any) -> Iterator[dict[str, str]]:
    """A good key, and one for each way in which a key can be refused."""
    with django_db_blocker.unblock():
        team = new_team()
        yield {
            "good": team.key,
            "unknown": new_secret(),
            "blocked": team.new_key(allowed_models=["fake/slow"])[1],
            "spent": team.new_key(budget_usd="0.000001")[1],
            # No request fits below this, however long one waits.
            "limited": team.new_key(tokens_per_minute=1)[1],
        }


@pytest.fixture(scope="session")
def told(gateway: Process, keys: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """By client: everything that it read or was raised. All of them load their libraries at once."""
    install()
    folder = tmp_path_factory.mktemp("sdk")
    processes = {name: start(name, folder) for name in commands()}
    return {name: talk(process, gateway.url, MOUNTS, keys) for name, process in processes.items()}

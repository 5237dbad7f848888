"""The contestants: how each is called. Direct and Farebox are here, other gateways in peers.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.cases import Case, Kind
from bench.load import Load
from bench.servers import Server
from bench.stage import UPSTREAM_KEY, Stage

CHAT_PATH = "/v1/chat/completions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One way to the upstream. `upstream_key` is who it is on the upstream's invoice."""

    name: str
    title: str
    server: Server
    upstream_key: str
    path: str = CHAT_PATH
    model_prefix: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    budget_keys: tuple[str, ...] = ()
    version: str = ""

    @property
    def is_direct(self) -> bool:
        return self.name == "direct"

    def load(self, case: Case, *, seconds: float, round_index: int) -> Load:
        """The case as it is sent to this contestant."""
        headers = dict(self.headers)
        if case.is_budget:
            headers["Authorization"] = f"Bearer {self.budget_keys[round_index]}"
        assert self.server.port is not None
        return Load(
            kind=case.kind,
            port=self.server.port,
            path=self.path,
            headers=headers,
            body=case.body(self.model_prefix),
            clients=case.clients,
            seconds=seconds,
            answer_seconds=case.answer_seconds,
            watched_pid=self.server.pid,
        )

    def takes(self, case: Case) -> bool:
        """Whether the case says anything about it."""
        if case.is_budget:
            return bool(self.budget_keys)
        return not (self.is_direct and case.kind is Kind.OPEN)


def direct(stage: Stage) -> Contestant:
    """No gateway at all: what the rest is compared with."""
    return Contestant(
        name="direct",
        title="Direct (the upstream alone)",
        server=stage.upstream,
        upstream_key="direct",
        headers={"Authorization": "Bearer direct"},
    )


def farebox(stage: Stage) -> Contestant:
    """One gateway process with everything on: key, rates, concurrency, budget, wallet, event, ledger."""
    assert stage.gateway is not None
    return Contestant(
        name="farebox",
        title="Farebox, governed",
        server=stage.gateway,
        upstream_key=UPSTREAM_KEY,
        path="/v0/chat/completions",
        model_prefix="fake/",
        headers={"Authorization": f"Bearer {stage.secrets[0]}"},
        budget_keys=stage.secrets[1:],
    )

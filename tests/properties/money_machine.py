"""The machine: anything that can happen to an organization's money, in any order.

Each rule does one thing to the till and to the model; after each, every counter that Redis holds
must say what the model says, and no admission may differ from the model's verdict. Arguments are
plain numbers, so that a run that failed can be kept as a list of steps and run again.
"""

import uuid
from collections.abc import Callable
from datetime import UTC
from functools import wraps
from typing import Any, ClassVar, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.errors import GatewayError, RateLimited
from gateway.limits import Hold, Need
from gateway.money_errors import OutOfMoney
from gateway.policy import WALLET_WINDOW
from tests.properties.money_model import Limit, Model, Request
from tests.properties.till import Till

PROCESSES = 2
NUMBERS = st.integers(0, 7)
SHARES = st.sampled_from((0, 1, 30, 50, 99, 100))
# Hundredths of what is left: from nothing over an ordinary call to more than there is.
SIZES = st.sampled_from((0, 5, 10, 20, 34, 50, 100))
# From single nano-dollars to the largest amounts that a budget may have ($9 million).
SCALES = st.sampled_from((1, 999_983, 2_999_999_999_999))

_Step = TypeVar("_Step", bound=Callable[..., None])


def kept(step: _Step) -> _Step:
    """Note the step and its arguments, so that the run can be written down."""

    @wraps(step)
    def noted(self: "MoneyMachine", **arguments: Any) -> None:
        self.steps.append([step.__name__, arguments])
        step(self, **arguments)

    return cast(_Step, noted)


class MoneyMachine(RuleBasedStateMachine):
    """One organization, two keys, two processes. Subclasses say where the till stands."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Any] = []
        type(self).latest_steps = self.steps

    latest_steps: ClassVar[list[Any]] = []
    """The steps of the run that began last: of a failure, the shortest that Hypothesis found."""

    def new_till(self) -> Till:
        """An empty till."""
        raise NotImplementedError

    @initialize(scale=SCALES)
    @kept
    def begin(self, scale: int) -> None:
        self.till = self.new_till()
        self.paused: set[int] = set()
        self.model = model = Model(wallet_nano=3000 * scale)
        now = self.till.now
        model.add_limit("key", model.keys[0], 1000 * scale, "total", now)
        model.add_limit("key", model.keys[0], 400 * scale, "day", now)
        model.add_limit("key", model.keys[1], 700 * scale, "total", now)
        model.add_limit("project", model.project, 900 * scale, "week", now)
        model.add_limit("organization", model.organization, 1500 * scale, "month", now)
        model.add_limit("organization", model.organization, 3000 * scale, WALLET_WINDOW, now)
        self.scale = scale

    def teardown(self) -> None:
        if hasattr(self, "till"):
            try:
                self.come_to_rest()
            finally:
                self.till.close()

    # What clients and providers do.

    @rule(process=NUMBERS, key=NUMBERS, size=SIZES, extra=st.integers(0, 2), is_own=st.booleans())
    @kept
    def admit(self, process: int, key: int, size: int, extra: int, is_own: bool) -> None:
        """A call of any size, often exactly what is left or a nano-dollar more."""
        process, key = self._awake(process), key % 2
        if process is None:
            return
        least = min(self.model.left(limit, self.till.now) for limit in self._binding(key, is_own))
        amount = max(0, least * size // 100) + extra
        self._admit(process, key, amount, is_own=is_own)

    @rule(which=NUMBERS, share=SHARES)
    @kept
    def use(self, which: int, share: int) -> None:
        """A running answer grows."""
        for request in self._running(which):
            request.used_nano = max(request.used_nano, request.most_nano * share // 100)

    @rule(which=NUMBERS, share=SHARES)
    @kept
    def settle(self, which: int, share: int) -> None:
        for request in self._running(which):
            self._settle(request, max(request.used_nano, request.most_nano * share // 100))

    @rule(which=NUMBERS, share=SHARES)
    @kept
    def extend(self, which: int, share: int) -> None:
        """A running answer outgrows its hold."""
        for request in self._running(which):
            wanted = max(1, request.most_nano * share // 100)
            limits = {limit.rule.id.hex: limit.rule.amount_nano for limit in self.model.limits}
            granted = self.till.extend(
                request.hold, limits, wanted_nano=wanted, takes_wallet=not request.is_own
            )
            # Until a counter is rebuilt, nobody knows whether there is room in it.
            is_known = None not in self.till.read(request.shares, ())[0].values()
            expected = self.model.extend(request, wanted) if is_known else -1
            assert granted == expected, f"granted {granted}, due {expected}"

    @rule(which=NUMBERS)
    @kept
    def void(self, which: int) -> None:
        """Nobody knows whether it was admitted, so what it may hold is given back."""
        for request in self._running(which):
            process, request.process = request.process, None
            self.till.settle(process, request.hold, None)
            self.model.void(request)

    @rule(which=NUMBERS, process=NUMBERS, share=SHARES)
    @kept
    def settle_again(self, which: int, process: int, share: int) -> None:
        """A settlement whose confirmation was lost is sent once more, by whoever found it on disk."""
        ended = [each for each in self.model.requests if each.is_marked][-8:]
        process = self._awake(process)
        if not ended or process is None:
            return
        request = ended[which % len(ended)]
        if request.process is None:
            self.till.settle(process, request.hold, self._event(request, request.most_nano * share // 100))

    # What happens to processes.

    @rule(process=NUMBERS)
    @kept
    def renew(self, process: int) -> None:
        process = self._awake(process)
        if process is not None:
            self._renew(process)

    @rule(process=NUMBERS)
    @kept
    def kill(self, process: int) -> None:
        process %= PROCESSES
        self.till.replace_process(process)
        self.paused.discard(process)
        for request in self.model.unsettled():
            if request.process == process:
                request.process = None

    @rule(process=NUMBERS)
    @kept
    def pause_or_resume(self, process: int) -> None:
        self.paused ^= {process % PROCESSES}

    @rule()
    @kept
    def let_a_lease_pass(self) -> None:
        """Half of it, then the living renew, then the other half: the dead ones' leases have ended."""
        self.till.pass_time(leases=0.5)
        renewed = [self._renew(process) for process in range(PROCESSES) if process not in self.paused]
        self.till.pass_time(leases=0.5)
        alive = [request for requests in renewed for request in requests]
        for request in self.model.requests:
            request.has_lease = request.has_lease and request in alive

    @rule(process=NUMBERS)
    @kept
    def reap(self, process: int) -> None:
        process = self._awake(process)
        if process is None:
            return
        self.till.reap(process)
        for request in self.model.requests:
            if request.is_held and not request.is_ended and not request.has_lease:
                self.model.end(request, request.recorded_nano)

    @rule()
    @kept
    def lose_memory(self) -> None:
        """Unless a process is still busy with what was settled for it: then Redis is all that knows."""
        if any(request.is_ended for request in self.model.unsettled()):
            return
        self.till.lose_memory()
        self.model.lose_memory()

    @rule(most=st.integers(1, 9), is_cut_short=st.booleans())
    @kept
    def ingest(self, most: int, is_cut_short: bool) -> None:
        self.till.ingest(max_entries=most, is_cut_short=is_cut_short)
        for number in self.till.ledger.events:
            self.model.unread.pop(number, None)

    # What owners and the calendar do.

    @rule(which=NUMBERS, hundredths=st.sampled_from((0, 50, 90, 100, 110, 300)))
    @kept
    def change_a_limit(self, which: int, hundredths: int) -> None:
        budgets = [limit for limit in self.model.limits if not limit.rule.is_wallet]
        limit = budgets[which % len(budgets)]
        limit.change(min(limit.rule.amount_nano * hundredths // 100, 3000 * self.scale))

    @rule(hundreds=st.integers(1, 3))
    @kept
    def top_up(self, hundreds: int) -> None:
        [wallet] = [limit for limit in self.model.limits if limit.rule.is_wallet]
        if wallet.rule.amount_nano < 3000 * self.scale:
            wallet.change(wallet.rule.amount_nano + 100 * hundreds * self.scale)

    @rule()
    @kept
    def begin_next_day(self) -> None:
        self.till.begin_next_day()

    # What must hold after each of them.

    @invariant()
    def redis_agrees_with_the_model(self) -> None:
        if not hasattr(self, "till"):
            return
        model, limits = self.model, {limit.counter(self.till.now): limit for limit in self.model.limits}
        running = {("key", model.keys[0]): 0, ("project", model.project): 0}
        counters, places = self.till.read(limits, running)
        for name, counter in counters.items():
            spent_and_held = (model.spent.get(name, 0), model.held(name))
            assert counter in (None, spent_and_held), f"{name}: redis {counter}, model {spent_and_held}"
            assert sum(spent_and_held) <= model.ceiling(name), f"{name}: {spent_and_held} is too much"
        due = [model.running("key", 0), model.running("project", 0)]
        assert places == due, f"places: redis {places}, model {due}"

    def run_again(self, steps: list[Any]) -> None:
        """Take the steps of a kept run, checking after each."""
        try:
            for name, arguments in steps:
                getattr(self, name)(**arguments)
                self.redis_agrees_with_the_model()
        finally:
            self.teardown()

    def come_to_rest(self) -> None:
        """Everything ends; then exactly what was not spent can be spent."""
        self.steps = []
        self.paused.clear()
        for request in self.model.unsettled():
            self._settle(request, request.used_nano)
        self.let_a_lease_pass()
        self.reap(process=0)
        assert self.till.open_holds() == 0
        self.ingest(most=10_000, is_cut_short=False)
        self.redis_agrees_with_the_model()
        for key in range(2):
            left = min(self.model.left(limit, self.till.now) for limit in self._binding(key, False))
            self._admit(0, key, max(left, 0), is_own=False)
            self._admit(0, key, max(left, 0) + 1, is_own=False)
            self.redis_agrees_with_the_model()
            for request in self.model.unsettled():
                self._settle(request, 0)

    def _admit(self, process: int, key: int, amount_nano: int, *, is_own: bool) -> None:
        now, model = self.till.now, self.model
        event = {
            "id": uuid.uuid4().hex,
            "at": now.astimezone(UTC).isoformat(),
            "organization": model.organization.hex,
            "project": model.project.hex,
            "key": model.keys[key].hex,
            "own": is_own,
            "usage": {"input": 1, "searches": 0},
            "cost_nano": 0,
            "charge_nano": 0,
        }
        is_due = model.would_admit(key, amount_nano, now, is_own=is_own)
        need = Need(budget_nano=amount_nano, wallet_nano=0 if is_own else amount_nano, tokens=1)
        hold, refusal = self._answer(process, key, need, event)
        verdict = f"{amount_nano} of key {key}: {refusal or 'admitted'}"
        assert (hold is not None) == is_due, verdict
        if hold is None:
            return
        binding = self._binding(key, is_own or not amount_nano)
        limits = {limit.counter(now): limit for limit in binding}
        shares = dict.fromkeys(limits, amount_nano)
        model.requests.append(Request(event, hold, key, process, shares, limits, is_own))
        for counter, limit in limits.items():
            model.note_height(counter, limit.rule.amount_nano)

    def _answer(
        self, process: int, key: int, need: Need, event: dict[str, Any]
    ) -> tuple[Hold | None, GatewayError | None]:
        try:
            return self.till.admit(process, self.model.policy(key), need, event), None
        except (OutOfMoney, RateLimited) as refusal:
            return None, refusal

    def _settle(self, request: Request, amount_nano: int) -> None:
        process, request.process = request.process, None
        self.till.settle(process, request.hold, self._event(request, amount_nano))
        self.model.end(request, amount_nano)

    def _renew(self, process: int) -> list[Request]:
        """Gives the requests whose leases begin anew."""
        mine = [request for request in self.model.unsettled() if request.process == process]
        for request in mine:
            request.event.update(self._event(request, request.used_nano))
        self.till.renew(process)
        alive = [request for request in mine if not request.is_ended]
        for request in alive:
            self.model.renew(request)
        return alive

    def _event(self, request: Request, amount_nano: int) -> dict[str, Any]:
        charge_nano = 0 if request.is_own else amount_nano
        return {**request.event, "cost_nano": amount_nano, "charge_nano": charge_nano}

    def _binding(self, key: int, is_own: bool) -> list[Limit]:
        return [limit for limit in self.model.limits_of(key) if not (is_own and limit.rule.is_wallet)]

    def _awake(self, process: int) -> int | None:
        awake = [each for each in range(PROCESSES) if each not in self.paused]
        return awake[process % len(awake)] if awake else None

    def _running(self, which: int) -> list[Request]:
        """One of the requests that a living process serves, if there is any."""
        running = [request for request in self.model.unsettled() if request.process not in self.paused]
        return [running[which % len(running)]] if running else []

"""Deadlines: what is late is cancelled once, and nothing else is."""

import asyncio

import pytest

from gateway.deadlines import Deadlines


async def test_a_block_that_takes_too_long_is_cut_with_a_timeout():
    deadlines = Deadlines()

    with pytest.raises(TimeoutError), deadlines.within(0.01):
        await asyncio.Event().wait()

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_block_in_time_gives_its_value_and_leaves_no_timer_behind():
    deadlines = Deadlines()

    with deadlines.within(60.0):
        value = await asyncio.sleep(0, "done")

    assert value == "done"
    assert not deadlines._running


async def test_a_cancellation_from_outside_stays_one():
    deadlines, entered = Deadlines(), asyncio.Event()

    async def wait_for_ever() -> None:
        with deadlines.within(60.0):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(wait_for_ever())
    await entered.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert not deadlines._running


async def test_a_cancellation_beside_an_expiry_wins():
    deadlines = Deadlines()

    async def wait_for_ever() -> None:
        with deadlines.within(0.0):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait_for_ever())
    await asyncio.sleep(0)
    deadlines._look()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_block_is_not_hidden_by_its_expiry():
    deadlines = Deadlines()

    async def fail_when_cancelled() -> None:
        with deadlines.within(0.0):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as exc:
                raise KeyError("mine") from exc

    with pytest.raises(KeyError):
        await fail_when_cancelled()


async def test_limits_within_each_other_end_the_inner_block_first():
    deadlines, ended = Deadlines(), []

    with deadlines.within(60.0):
        try:
            with deadlines.within(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            ended.append("inner")
        await asyncio.sleep(0)

    assert ended == ["inner"]


async def test_a_limit_in_the_past_ends_the_block_at_its_next_wait():
    deadlines = Deadlines()

    with pytest.raises(TimeoutError), deadlines.at(asyncio.get_running_loop().time() - 5.0):
        await asyncio.Event().wait()


async def test_a_reminder_acts_once_unless_it_is_called_off():
    deadlines, acted = Deadlines(), []

    kept = deadlines.remind(0.0, lambda: acted.append("kept"))
    deadlines.remind(0.0, lambda: acted.append("called off")).call_off()
    deadlines._look()
    deadlines._look()
    kept.call_off()

    assert acted == ["kept"]
    assert not deadlines._running

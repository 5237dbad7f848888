"""What runs in the background: rolling up, every five seconds. Safe to run twice."""

from celery import shared_task

from analytics.rollups import MAX_EVENTS_PER_STEP, roll_up

MAX_STEPS_PER_RUN = 40


@shared_task
def roll_up_usage() -> int:
    """Bring the rollups up to the newest event, within bounds; gives how far the watermark moved."""
    total = 0
    for _ in range(MAX_STEPS_PER_RUN):
        moved = roll_up()
        total += moved
        if moved < MAX_EVENTS_PER_STEP:
            break
    return total

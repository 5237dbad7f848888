"""The worker's consumer, which outlives a Redis that dies while a task runs.

Celery 5.7 takes the transport from a connection that is lost, and then needs it: to give back what was
not acknowledged when it closes the channels, and to acknowledge the task when that ends. Both are an
AttributeError, of which the worker ends. What is not acknowledged comes again by itself once
`visibility_timeout` is over. Seen with celery 5.7.0 and kombu 5.7.0 (2026-11-27) by
tests/flows/test_worker_reconnects.py; an earlier one of its kind: https://github.com/celery/kombu/issues/582
"""

from typing import Any

from celery.worker.consumer import Consumer


class SteadyConsumer(Consumer):
    """Celery's, but for how it leaves a connection that is lost."""

    connection: Any
    connection_errors: tuple[type[Exception], ...]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.connection_errors = (*self.connection_errors, AttributeError)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        if self.connection is not None:
            for channel in self.connection.transport.channels:
                channel.do_restore = False
        super().on_connection_error_after_connected(exc)

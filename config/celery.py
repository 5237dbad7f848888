"""The worker's application: `celery -A config.celery worker -B -P threads`.

The schedule and the options are in `config.settings`; the data plane never imports this.
"""

import os
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("farebox")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# Pages run in threads of their own, whose tasks must find this broker as well.
app.set_default()


@worker_ready.connect
def keep_partitions_at_start(**_: Any) -> None:
    """Today's partitions must exist before the first event comes, not an hour later."""
    app.send_task("billing.tasks.keep_partitions")


@worker_ready.connect
def say_ready(**_: Any) -> None:
    """Tell the supervisor, which has removed the file, that tasks are being taken."""
    if var := os.environ.get("FAREBOX_VAR_DIR"):
        Path(var, "worker.ready").touch()

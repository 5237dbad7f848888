"""Background work of accounts: publish the epochs that a crash left unpublished."""

from celery import shared_task

from accounts.epochs import publish_unpublished_epochs


@shared_task
def publish_epochs() -> None:
    publish_unpublished_epochs()

"""Epochs: the data plane hears of each committed change, also when the first word is lost."""

import pytest
import redis
from django.db import transaction

from accounts.epochs import CHANNEL, bump_epoch, publish_unpublished_epochs
from accounts.models import OrganizationEpoch
from accounts.tasks import publish_epochs

ANSWER_WITHIN_SECONDS = 5


@pytest.fixture
def heard(settings):
    """A listener on the channel: each call gives the next message, or None when all were heard."""
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client, client.pubsub() as listener:
        listener.subscribe(CHANNEL)
        assert listener.get_message(timeout=ANSWER_WITHIN_SECONDS)["type"] == "subscribe"

        def next_message(timeout=ANSWER_WITHIN_SECONDS):
            message = listener.get_message(timeout=timeout)
            return message and message["data"].decode()

        yield next_message


def test_a_commit_publishes_the_epoch_that_it_wrote(alice, heard, django_capture_on_commit_callbacks):
    row = OrganizationEpoch.objects.get(organization=alice.organization)

    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        bump_epoch(alice.organization.pk)

    assert heard() == f"{alice.organization.pk.hex}:{row.epoch + 1}"
    row.refresh_from_db()
    assert row.published_epoch == row.epoch


def test_a_rolled_back_change_is_never_published(alice, django_capture_on_commit_callbacks):
    before = OrganizationEpoch.objects.get(organization=alice.organization).epoch

    with django_capture_on_commit_callbacks() as callbacks, transaction.atomic():
        bump_epoch(alice.organization.pk)
        transaction.set_rollback(True)

    assert callbacks == []
    assert OrganizationEpoch.objects.get(organization=alice.organization).epoch == before


def test_the_sweeper_publishes_what_a_crash_left_unpublished(alice, charlie, heard):
    OrganizationEpoch.objects.update(epoch=7, published_epoch=7)
    OrganizationEpoch.objects.filter(organization=charlie.organization).update(epoch=8)

    publish_epochs()

    assert heard() == f"{charlie.organization.pk.hex}:8"
    assert not OrganizationEpoch.objects.exclude(published_epoch__gte=7).exists()


def test_what_is_published_is_not_swept_again(alice, charlie):
    publish_unpublished_epochs()

    assert publish_unpublished_epochs() == 0


def test_without_redis_the_change_stands_and_waits_for_the_sweeper(settings, alice):
    settings.FAREBOX_REDIS_URL = "redis://127.0.0.1:1/0"

    assert publish_unpublished_epochs() == 0
    row = OrganizationEpoch.objects.get(organization=alice.organization)
    assert row.published_epoch < row.epoch

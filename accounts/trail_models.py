"""Management tokens, and the audit log: who did what to an organization, by which way.

A token acts for one membership, with that person's role of the moment, and ends with it. Entries of the
log are written by `accounts.audit_log` and never changed.
"""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

MAX_TOKEN_NAME_CHARACTERS = 120
MAX_ACTION_CHARACTERS = 64
MAX_TARGET_CHARACTERS = 256


class ManagementToken(models.Model):
    """A bearer token of the management API. The secret is shown once and stored as an HMAC."""

    class Scope(models.TextChoices):
        READ = "read", "Read"
        WRITE = "write", "Read and write"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    membership = models.ForeignKey(
        "accounts.Membership", on_delete=models.CASCADE, related_name="management_tokens"
    )
    name = models.CharField(max_length=MAX_TOKEN_NAME_CHARACTERS)
    secret_hmac = models.BinaryField(max_length=32, unique=True, editable=False)
    pepper_id = models.CharField(max_length=16, editable=False)
    last_four = models.CharField(max_length=4, editable=False)
    scope = models.CharField(max_length=8, choices=Scope.choices)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(scope__in=["read", "write"]), name="management_token_scope_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} …{self.last_four}"


class AuditEntry(models.Model):
    """One thing that somebody did. Names stand as they were at the time; secrets never stand here."""

    class Via(models.TextChoices):
        PAGES = "pages", "Pages"
        API = "api", "Management API"
        KEY = "key", "API key"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.CASCADE, related_name="audit_entries"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    actor = models.CharField(max_length=MAX_TARGET_CHARACTERS, help_text="The person's address at the time.")
    via = models.CharField(max_length=8, choices=Via.choices)
    credential = models.CharField(
        max_length=MAX_TARGET_CHARACTERS, blank=True, help_text="The token or key that was used, by its name."
    )
    action = models.CharField(max_length=MAX_ACTION_CHARACTERS, help_text="As in key.create.")
    target_id = models.UUIDField(null=True)
    target = models.CharField(max_length=MAX_TARGET_CHARACTERS, blank=True, help_text="What it was called.")
    changed = ArrayField(
        models.CharField(max_length=64), default=list, help_text="The names of the fields that were set."
    )

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["organization", "-created_at", "-id"], name="audit_entry_by_organization"),
            models.Index(fields=["organization", "target_id"], name="audit_entry_by_target"),
        ]

    def __str__(self) -> str:
        return f"{self.action} of {self.target} by {self.actor}"

"""People, organizations, memberships, invitations, projects and API keys.

Rows of a tenant are reached through `accounts.tenancy` only; every write is a function in
`accounts.services` or `accounts.invitations`. What a key may spend is a budget in `billing`;
management tokens and the audit log are in `accounts.trail_models`.
"""

import uuid
from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Lower

from accounts.people import PersonManager
from accounts.permissions import Role
from accounts.rules import (
    DEFAULT_CACHE_TTL_SECONDS,
    MAX_CACHE_TTL_SECONDS,
    MAX_NAME_CHARACTERS,
    MIN_CACHE_TTL_SECONDS,
)
from accounts.trail_models import AuditEntry as AuditEntry
from accounts.trail_models import ManagementToken as ManagementToken

AT_LEAST_ONE = [MinValueValidator(1)]


class Person(AbstractUser):
    """Someone who signs in. The e-mail address is the login."""

    username = None  # type: ignore[assignment]  # the e-mail address replaces it
    first_name = None  # type: ignore[assignment]  # one name, as its owner writes it
    last_name = None  # type: ignore[assignment]
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=MAX_NAME_CHARACTERS, blank=True)
    time_zone = models.CharField(max_length=64, blank=True, help_text="Empty: what the browser tells.")

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[PersonManager] = PersonManager()  # type: ignore[assignment]  # e-mail, not username

    class Meta:
        verbose_name_plural = "people"
        constraints = [models.UniqueConstraint(Lower("email"), name="person_email_once")]

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name or self.email.partition("@")[0]


class Limits(models.Model):
    """Rates that bind whoever carries them; null means unlimited."""

    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    tokens_per_minute = models.PositiveBigIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    concurrent_requests = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )

    class Meta:
        abstract = True


class Organization(Limits):
    """The tenant: it pays, and everything below belongs to it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=MAX_NAME_CHARACTERS)
    is_active = models.BooleanField(default=True)
    is_body_logging_on = models.BooleanField(
        default=False, help_text="Store prompts and answers when the request allows it."
    )
    is_stream_cut_on_revocation = models.BooleanField(
        default=False, help_text="Cut the running streams of a key when it is revoked."
    )
    encrypted_data_key = models.BinaryField(
        null=True, editable=False, help_text="This organization's data key, wrapped by the master key."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="Membership", related_name="organizations"
    )

    def __str__(self) -> str:
        return self.name


class OrganizationEpoch(models.Model):
    """Counts the changes of an organization that the data plane must see; bumped with each of them."""

    organization = models.OneToOneField(
        Organization, on_delete=models.CASCADE, primary_key=True, related_name="epoch_row"
    )
    epoch = models.PositiveBigIntegerField(default=1)
    published_epoch = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.organization_id} at {self.epoch}"


class Membership(models.Model):
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "person"], name="membership_once"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.person_id} is {self.role} of {self.organization_id}"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def pending(self) -> "InvitationQuerySet":
        """Neither accepted nor revoked, whether or not the time has run out."""
        return self.filter(accepted_at=None, revoked_at=None)

    def open(self, now: datetime) -> "InvitationQuerySet":
        """Those that can be accepted at this moment."""
        return self.pending().filter(expires_at__gt=now)


class Invitation(models.Model):
    """A place in an organization, kept for one e-mail address. Of its link only a hash is stored."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(help_text="In lower case.")
    role = models.CharField(max_length=16, choices=Role.choices)
    token_hash = models.BinaryField(max_length=32, unique=True, editable=False)
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "organization",
                Lower("email"),
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="invitation_pending_once",
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="invitation_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.email} as {self.role} of {self.organization_id}"


class Project(Limits):
    """A share of an organization: its keys, its limits, and whose provider keys it uses."""

    class Mode(models.TextChoices):
        CREDITS = "credits", "Platform credit"
        API_KEYS = "api-keys", "Own provider keys"
        HYBRID = "hybrid", "Own provider keys first, then credit"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="projects")
    name = models.CharField(max_length=MAX_NAME_CHARACTERS)
    mode = models.CharField(max_length=16, choices=Mode.choices, default=Mode.HYBRID)
    is_body_logging_on = models.BooleanField(
        default=True, db_default=True, help_text="Store prompts and answers when the organization does."
    )
    is_caching_on = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Give the answer that the same request of this project had before.",
    )
    cache_ttl_seconds = models.PositiveIntegerField(
        default=DEFAULT_CACHE_TTL_SECONDS,
        db_default=DEFAULT_CACHE_TTL_SECONDS,
        help_text="How long an answer may be given again.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("organization", Lower("name"), name="project_name_once"),
            models.CheckConstraint(
                condition=models.Q(
                    cache_ttl_seconds__gte=MIN_CACHE_TTL_SECONDS, cache_ttl_seconds__lte=MAX_CACHE_TTL_SECONDS
                ),
                name="project_cache_ttl_in_range",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ApiKey(Limits):
    """A bearer key. The secret is shown once and stored as an HMAC; `last_four` tells keys apart."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="api_keys")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=MAX_NAME_CHARACTERS)
    secret_hmac = models.BinaryField(max_length=32, unique=True, editable=False)
    pepper_id = models.CharField(max_length=16, editable=False)
    last_four = models.CharField(max_length=4, editable=False)
    previous_secret_hmac = models.BinaryField(
        max_length=32, unique=True, null=True, editable=False, help_text="Of the secret before the last roll."
    )
    previous_secret_ends_at = models.DateTimeField(
        null=True, editable=False, help_text="The secret before the last roll serves until then."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    allowed_models = models.JSONField(
        null=True,
        blank=True,
        help_text="List of model names, `provider/model` or `provider/*`; null allows all.",
    )
    allowed_networks = models.JSONField(
        null=True,
        blank=True,
        help_text="List of networks (CIDR) that it may be used from; null allows all.",
    )
    default_tags = models.JSONField(default=list, blank=True)
    is_budget_clamped = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Where money is short, the answer gets shorter instead of being refused.",
    )
    role = models.CharField(
        max_length=16,
        choices=Role.choices,
        blank=True,
        default="",
        db_default="",
        help_text="What it may do in management calls; empty: complete, and read what concerns itself.",
    )

    class Meta:
        verbose_name = "API key"
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(role__in=["", *Role.values]), name="api_key_role_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} …{self.last_four}"

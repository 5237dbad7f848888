"""The operator's admin of accounts: look at everything, change little, and through the services.

Secrets are never shown: key hashes and data keys are not editable and not listed. Organizations and
people are switched off, not deleted, because the ledger names them.
"""

from typing import Any

from allauth.account.models import EmailAddress
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from accounts import services
from accounts.models import ApiKey, Membership, Organization, Person, Project

# Roles are in accounts.permissions, and nobody but its owner changes an address.
admin.site.unregister([Group, EmailAddress])


class ReadOnly:
    """For admin classes: rows are looked at, not made, changed or deleted."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class MembershipInline(ReadOnly, TabularInline):  # type: ignore[misc]  # unfold has no types
    model = Membership
    fields = readonly_fields = ("person", "role", "created_at")
    extra = 0
    hide_title = True


class ProjectInline(ReadOnly, TabularInline):  # type: ignore[misc]
    model = Project
    fields = ("name", "mode", "requests_per_minute", "tokens_per_minute", "concurrent_requests")
    extra = 0
    hide_title = True


@admin.register(Organization)
class OrganizationAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("name", "slug", "is_active", "is_body_logging_on", "created_at")
    list_filter = ("is_active",)
    search_fields = ("name", "slug", "memberships__person__email")
    readonly_fields = (
        "id",
        "slug",
        "name",
        "is_body_logging_on",
        "is_stream_cut_on_revocation",
        "created_at",
    )
    fields = (
        *readonly_fields,
        "is_active",
        ("requests_per_minute", "tokens_per_minute", "concurrent_requests"),
    )
    inlines = (MembershipInline, ProjectInline)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Organization, form: Any, change: bool) -> None:
        services.set_active(organization=obj, is_active=obj.is_active)
        services.set_rates(
            holder=obj,
            requests_per_minute=obj.requests_per_minute,
            tokens_per_minute=obj.tokens_per_minute,
            concurrent_requests=obj.concurrent_requests,
        )


@admin.register(Person)
class PersonAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("email", "name", "is_active", "is_staff", "date_joined", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("email", "name")
    ordering = ("email",)
    readonly_fields = ("id", "email", "name", "time_zone", "is_superuser", "date_joined", "last_login")
    fields = (*readonly_fields, "is_active", "is_staff")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(getattr(request.user, "is_superuser", False))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    list_display = (
        "name",
        "last_four",
        "organization",
        "project",
        "last_used_at",
        "expires_at",
        "revoked_at",
    )
    list_select_related = ("organization", "project")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    search_fields = ("name", "last_four", "organization__name", "organization__slug")
    fields = (
        "id", "organization", "project", "name", "last_four", "created_by", "created_at", "last_used_at",
        "expires_at", "revoked_at", "requests_per_minute", "tokens_per_minute", "concurrent_requests",
        "allowed_models", "allowed_networks", "default_tags",
    )  # fmt: skip
    actions = ("revoke",)

    @admin.action(description="Revoke the selected keys", permissions=["view"])
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        if not request.user.has_perm("accounts.change_apikey"):
            messages.error(request, "You may look at keys, not revoke them.")
            return
        for key in keys:
            services.revoke_key(key=key)
        messages.success(request, f"{len(keys)} keys are revoked.")

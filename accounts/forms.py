"""The forms of accounts' pages. They check with `accounts.rules`, as the services do."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.http import HttpRequest

from accounts import rules, services
from accounts.errors import AccountsRefusal
from accounts.models import ManagementToken, Person
from accounts.permissions import DESCRIPTION_OF_ROLE, Role, roles_within
from accounts.trail_models import MAX_TOKEN_NAME_CHARACTERS


def _time_zone_choices() -> list[tuple[str, str]]:
    return [("", "As my browser tells"), *((zone, zone.replace("_", " ")) for zone in rules.time_zones())]


class SignUpForm(forms.Form):
    """What is asked beside e-mail address and password; django-allauth's form extends it."""

    name = forms.CharField(
        label="Your name",
        required=False,
        max_length=rules.MAX_NAME_CHARACTERS,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    field_order = ("name", "email", "password1")

    def clean_name(self) -> str:
        return _checked(_optional_name, self.cleaned_data["name"])

    def signup(self, request: HttpRequest, user: Person) -> None:
        services.update_profile(person=user, name=self.cleaned_data["name"], time_zone="")


class OrganizationNameForm(forms.Form):
    name = forms.CharField(
        label="Organization name",
        max_length=rules.MAX_NAME_CHARACTERS,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )

    def clean_name(self) -> str:
        return _checked(rules.checked_name, self.cleaned_data["name"])


class SwitchForm(forms.Form):
    """One setting that is on or off."""

    is_on = forms.BooleanField(required=False)


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)


class InvitationForm(forms.Form):
    """Whom to invite, and as what: only with roles that the inviter may give."""

    email = forms.EmailField(
        label="E-mail address", widget=forms.EmailInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    )
    role = forms.ChoiceField(label="Role", widget=forms.RadioSelect, initial=Role.DEVELOPER)

    def __init__(self, data: Any = None, *, own_role: str) -> None:
        super().__init__(data)
        role = self.fields["role"]
        assert isinstance(role, forms.ChoiceField)
        role.choices = [(role.value, role.label) for role in roles_within(own_role)]

    def explained_roles(self) -> list[tuple[Any, str]]:
        """Each radio button of `role` with what the role may do."""
        return [(radio, DESCRIPTION_OF_ROLE[Role(radio.data["value"])]) for radio in self["role"]]


class RemovalForm(forms.Form):
    are_keys_revoked = forms.BooleanField(required=False)


class TokenForm(forms.Form):
    """A token of the management API. Days instead of a date, so that no calendar has to be right."""

    LIVES = (("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year"), ("", "Never"))

    name = forms.CharField(
        label="Name", max_length=MAX_TOKEN_NAME_CHARACTERS, help_text="Where it is used, as in Terraform."
    )
    scope = forms.ChoiceField(
        label="It may", choices=ManagementToken.Scope.choices, initial=ManagementToken.Scope.READ
    )
    days = forms.ChoiceField(label="Expires", choices=LIVES, initial="90", required=False)

    def clean_name(self) -> str:
        return _checked(rules.checked_name, self.cleaned_data["name"])

    def clean_days(self) -> int | None:
        return int(self.cleaned_data["days"]) if self.cleaned_data["days"] else None


class ProfileForm(forms.Form):
    name = forms.CharField(
        label="Your name",
        required=False,
        max_length=rules.MAX_NAME_CHARACTERS,
        help_text="Shown to your team beside your e-mail address.",
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    time_zone = forms.ChoiceField(
        label="Time zone",
        required=False,
        choices=_time_zone_choices,
        help_text="Days and hours on all pages are counted in it.",
    )

    def clean_name(self) -> str:
        return _checked(_optional_name, self.cleaned_data["name"])


def _optional_name(name: str) -> str:
    return rules.checked_name(name, is_required=False)


def _checked(check: Callable[[str], str], value: Any) -> str:
    try:
        return check(value)
    except AccountsRefusal as refusal:
        raise forms.ValidationError(str(refusal)) from refusal

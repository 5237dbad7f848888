"""The demo of the embedded default: a simulated provider, an organization with credit, a login and a key.

Rows are written once and kept; where their secrets are kept is `manage.py seeddemo`'s business.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.keys import hmac_of
from accounts.models import ApiKey, Organization, Person
from accounts.permissions import Role
from accounts.services import sign_up_organization
from accounts.tenancy import scoped
from billing.models import Budget
from billing.services import grant_promotion
from gateway.key_rows import status_of
from gateway.models import ProviderConnection
from gateway.services import connect_provider, issue_key
from gateway.snippets import SIMULATOR

EMAIL = "demo@farebox.example"
ORGANIZATION_NAME = "Demo"
KEY_NAME = "Demo key"
CREDIT_USD = Decimal(100)
BUDGET_USD = Decimal(25)
REQUESTS_PER_MINUTE = 600
PASSWORD_BYTES = 12
SIMULATOR_API_KEY = "simulator"


@dataclass(frozen=True, slots=True)
class Demo:
    """What a visitor needs, by name, and what had to be done for it."""

    variables: Mapping[str, str]
    done: tuple[str, ...]


def connect_simulator(url: str) -> None:
    """Let everybody reach the simulator, wherever it listens this time."""
    base_url = f"{url}/v1"
    operators = ProviderConnection.objects.filter(organization=None, provider=SIMULATOR)
    if not operators.filter(base_url=base_url, is_active=True).exists():
        connect_provider(organization=None, provider=SIMULATOR, base_url=base_url, api_key=SIMULATOR_API_KEY)


@transaction.atomic
def seed_demo(known: Mapping[str, str]) -> Demo:
    """Complete the demo and change nothing that is there; `known` are the variables of the last time.

    A login or a key whose secret is no longer known is given a new one.
    """
    person, password, done = _login(known.get("FAREBOX_PASSWORD", ""))
    organization, is_new = _organization(person)
    if is_new:
        done.append(f"created the organization {ORGANIZATION_NAME} with ${CREDIT_USD} of credit")
    secret = known.get("FAREBOX_API_KEY", "")
    if not _is_usable(secret, organization):
        secret = _new_key(organization, person)
        done.append("issued a demo key")
    variables = {
        "FAREBOX_URL": settings.FAREBOX_PUBLIC_URL,
        "FAREBOX_API_KEY": secret,
        "FAREBOX_EMAIL": EMAIL,
        "FAREBOX_PASSWORD": password,
        "SIMULATOR_URL": settings.FAREBOX_SIMULATOR_URL,
    }
    return Demo(variables, tuple(done))


def _login(password: str) -> tuple[Person, str, list[str]]:
    """The demo person, their password, and what was done. They are the operator of this machine too."""
    person = Person.objects.filter(email=EMAIL).first()
    if person is not None and password:
        return person, password, []
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    if person is not None:
        person.set_password(password)
        person.save(update_fields=["password"])
        return person, password, ["reset the demo password"]
    person = Person.objects.create_superuser(EMAIL, password, name="Demo")
    EmailAddress.objects.create(user=person, email=EMAIL, verified=True, primary=True)
    return person, password, ["created the demo login"]


def _organization(person: Person) -> tuple[Organization, bool]:
    """The organization that the person owns, and whether it is new."""
    owned = Organization.objects.filter(memberships__person=person, memberships__role=Role.OWNER)
    oldest = owned.order_by("created_at").first()
    if oldest is not None:
        return oldest, False
    organization = sign_up_organization(person=person, name=ORGANIZATION_NAME)
    grant_promotion(organization=organization, amount_usd=CREDIT_USD, description="Demo credit")
    return organization, True


def _is_usable(secret: str, organization: Organization) -> bool:
    secret_hmac = hmac_of(secret, settings.FAREBOX_KEY_PEPPER)
    key = scoped(ApiKey.objects.filter(secret_hmac=secret_hmac), organization).first()
    return key is not None and status_of(key, now=timezone.now()) == "active"


def _new_key(organization: Organization, person: Person) -> str:
    _, secret = issue_key(
        organization=organization,
        project=organization.projects.order_by("created_at")[0],
        person=person,
        name=KEY_NAME,
        requests_per_minute=REQUESTS_PER_MINUTE,
        budget_usd=BUDGET_USD,
        budget_window=Budget.Window.MONTH,
    )
    return secret

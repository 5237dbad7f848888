"""The OpenAPI document against a real gateway: whatever it allows and forbids is answered as it says.

schemathesis makes the calls, valid and invalid ones. Nothing is a 5xx, and every answer has a documented
status, content type and shape.
"""

import uuid
from dataclasses import dataclass
from decimal import Decimal

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from accounts.models import Membership
from accounts.token_services import issue_management_token
from billing.budget_services import set_budget
from config.reference_views import api_document
from tests.house import new_team

EXAMPLES = 4
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
# A stream is no JSON, and the provider of a model that is not `fake` may be away: see tests/flows.
MODEL = "fake/echo"

document = schemathesis.openapi.from_dict(api_document())
document.config.phases.coverage.enabled = False
document.config.phases.examples.enabled = False
document.config.generation.with_security_parameters = False


@dataclass(frozen=True, slots=True)
class Caller:
    url: str
    key: str
    token: str
    known: dict[str, str]


@pytest.fixture(scope="module")
def caller(gateway, django_db_blocker):
    with django_db_blocker.unblock():
        team = new_team()
        membership = Membership.objects.get(person=team.somebody.person)
        _, token = issue_management_token(membership=membership, name="F", scope="write", expires_at=None)
        budget = set_budget(
            organization=team.organization,
            scope="project",
            scope_id=team.somebody.project.pk,
            amount_usd=Decimal(5),
            window="day",
        )
        key, _ = team.new_key()
    known = {
        "slug": team.organization.slug,
        "key_id": str(key.pk),
        "project_id": str(team.somebody.project.pk),
        "budget_id": str(budget.pk),
        "person_id": str(team.somebody.person.pk),
    }
    return Caller(gateway.url, team.key, token, known)


@document.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_call_answers_as_the_document_says(case, caller):
    is_managed = case.path.startswith("/api/manage/")
    if is_managed:
        for name in case.path_parameters or {}:
            case.path_parameters[name] = caller.known.get(name, str(uuid.uuid4()))
    if isinstance(case.body, dict) and "messages" in case.body:
        case.body = {**case.body, "model": MODEL, "stream": False}

    case.call_and_validate(
        base_url=caller.url,
        headers={"authorization": f"Bearer {caller.token if is_managed else caller.key}"},
        checks=CHECKS,
        timeout=60,
    )

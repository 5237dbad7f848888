"""The OpenAPI document is valid and true: its paths are served, its parameters are checked as it says."""

import json
import re
import warnings
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import URLResolver, get_resolver

from config.env import gateway_settings
from config.openapi.models import django_calls
from config.openapi.parameters import CHAT_REQUEST
from config.reference_views import api_document, api_sections
from gateway.asgi import OPERATIONS, GatewayApplication
from gateway.errors import GatewayError
from gateway.wire.chat import parse_chat_request
from gateway.wire.parameters import CHECKS, GATEWAY_PARAMETERS, OTHER_KNOWN_PARAMETERS

PROPERTIES = CHAT_REQUEST["properties"]
# What else a request needs so that this parameter may be tried alone.
BESIDE = {"top_logprobs": {"logprobs": True}, "stream_options": {"stream": True}}


def refusal_of(**parameters):
    """The code of the refusal of a request with these parameters, or None."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **parameters}
    for name in parameters:
        body |= BESIDE.get(name, {})
    try:
        parse_chat_request(json.dumps(body).encode())
    except GatewayError as refusal:
        return refusal.code
    return None


def bounded(*kinds):
    return [
        (name, schema)
        for name, schema in PROPERTIES.items()
        if set(kinds) & set(schema.get("type", ())) and {"minimum", "maximum"} <= schema.keys()
    ]


def test_it_is_valid_and_the_generator_warns_of_nothing():
    output = StringIO()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call_command("spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json", stdout=output)

    assert json.loads(output.getvalue())["openapi"] == "3.1.0"


def test_every_path_of_the_data_plane_is_in_it_and_no_other():
    served = {(path, method.lower()) for method, path in GatewayApplication(gateway_settings()).routes}
    of_programs = {each for each in served if each[0] not in OPERATIONS}

    described = {
        (path, method)
        for path, operations in api_document()["paths"].items()
        for method, operation in operations.items()
        if operation["security"] == [{"apiKey": []}]
    }

    of_django = {path for path, _ in django_calls()}
    assert {each for each in described if each[0] not in of_django} == of_programs
    assert {path for path, _ in described} >= of_django


def test_every_management_route_is_in_it():
    def walk(resolver, prefix=""):
        for entry in resolver.url_patterns:
            route = prefix + str(entry.pattern)
            yield from walk(entry, route) if isinstance(entry, URLResolver) else [(route, entry)]

    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", f"/{route}"), method)
        for route, entry in walk(get_resolver())
        if route.startswith("api/manage/")
        for method in entry.callback.actions
        if method != "head"
    }

    described = {
        (path, method)
        for path, operations in api_document()["paths"].items()
        for method in operations
        if path.startswith("/api/manage/")
    }
    assert described == routes


def test_the_parameters_are_those_the_gateway_knows():
    assert set(PROPERTIES) == set(CHECKS) | GATEWAY_PARAMETERS | OTHER_KNOWN_PARAMETERS


@pytest.mark.parametrize(("name", "schema"), bounded("integer", "number"), ids=lambda each: str(each)[:24])
def test_a_range_is_what_is_checked_on_both_sides(name, schema):
    step = 1 if "integer" in schema["type"] else 0.001

    assert refusal_of(**{name: schema["minimum"]}) is None
    assert refusal_of(**{name: schema["maximum"]}) is None
    assert refusal_of(**{name: schema["minimum"] - step}) == "invalid_value"
    assert refusal_of(**{name: schema["maximum"] + step}) in ("invalid_value", "invalid_json")


def test_choices_are_those_that_are_checked():
    for name, schema in PROPERTIES.items():
        for choice in schema.get("enum", ()):
            assert refusal_of(**{name: choice}) is None, (name, choice)
        if "enum" in schema:
            assert refusal_of(**{name: "something-else"}) == "invalid_value", name


def test_types_are_those_that_are_checked():
    values = {"boolean": True, "integer": 1, "number": 0.5, "string": "x", "array": ["x"], "object": {"a": 1}}
    for name in CHECKS:
        kinds = set(PROPERTIES[name].get("type", ()))
        if not kinds:
            continue
        for kind, value in values.items():
            is_said = kind in kinds or (kind == "integer" and "number" in kinds)
            if not is_said:
                assert refusal_of(**{name: value}) in ("invalid_value", "missing_required_parameter"), (
                    name,
                    kind,
                )


def test_lengths_are_those_that_are_checked():
    for name, schema in PROPERTIES.items():
        if schema.get("type") == ["string", "null"] and "maxLength" in schema:
            assert refusal_of(**{name: "x" * schema["maxLength"]}) is None, name
            assert refusal_of(**{name: "x" * (schema["maxLength"] + 1)}) == "invalid_value", name
    assert refusal_of(fallbacks=["a"] * PROPERTIES["fallbacks"]["maxItems"]) is None
    assert refusal_of(fallbacks=["a"] * (PROPERTIES["fallbacks"]["maxItems"] + 1)) == "invalid_value"
    assert refusal_of(tags=[f"t{n}" for n in range(PROPERTIES["tags"]["maxItems"])]) is None
    assert refusal_of(tags=[f"t{n}" for n in range(PROPERTIES["tags"]["maxItems"] + 1)]) == "invalid_value"
    assert refusal_of(stop=["x"] * PROPERTIES["stop"]["maxItems"]) is None
    assert refusal_of(stop=["x"] * (PROPERTIES["stop"]["maxItems"] + 1)) == "invalid_value"


def test_everybody_reads_the_document_and_its_page(db):
    for path in ("/api/schema/", "/api/schema.json"):
        assert Client().get(path).json() == json.loads(json.dumps(api_document()))

    page = Client().get("/api/docs/")

    text = page.content.decode()
    assert page.status_code == 200
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    for section in api_sections():
        for call in section.calls:
            assert f'id="{call.anchor}"' in text
            assert f'<code class="anywhere">{call.path}</code>' in text
    assert "data-try" not in text


def test_who_is_signed_in_may_try_the_calls_of_management(alice):
    text = alice.browser.get("/api/docs/").content.decode()

    assert text.count("data-try ") == sum(
        call.may_be_tried for section in api_sections() for call in section.calls
    )
    assert 'data-slug="acme"' in text

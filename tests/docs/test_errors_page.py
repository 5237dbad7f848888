"""docs/errors.md describes every error that a client can meet, as gateway/errors.py has it."""

import inspect

import pytest

from gateway import errors, idempotency_errors, money_errors
from gateway.errors import UNAVAILABLE_MESSAGES, GatewayError
from tests.docs.pages import page

PAGE = page("docs/errors.md")
# Never raised: they hold what their kinds have in common.
FAMILIES = {"GatewayError", "InvalidRequest", "OutOfMoney", "PermissionDenied", "UpstreamError"}
# Status and code are the provider's.
OF_THE_PROVIDER = {"UpstreamRefused"}


def error_classes():
    modules = (errors, idempotency_errors, money_errors)
    classes = [each for module in modules for _, each in inspect.getmembers(module, inspect.isclass)]
    ours = [each for each in classes if issubclass(each, GatewayError)]
    return {each.__name__: each for each in ours if each.__name__ not in FAMILIES}


def rows():
    """Status, type, code and class of each row that describes a class."""
    described = [row for row in PAGE.rows() if row[0][:1].isdigit()]
    return {row[-1].strip("`"): [cell.strip("`") for cell in row] for row in described}


def test_every_class_has_its_row_and_every_row_its_class():
    assert set(rows()) == set(error_classes())


@pytest.mark.parametrize("name", sorted(error_classes().keys() - OF_THE_PROVIDER))
def test_status_type_and_code_are_those_of_the_class(name):
    error = error_classes()[name]

    assert rows()[name][:3] == [str(error.status), error.type, error.code]


@pytest.mark.parametrize("name", sorted(error_classes().keys() - OF_THE_PROVIDER - {"RateLimited"}))
def test_the_hint_is_the_one_that_the_class_gives(name):
    hint = {True: "yes", False: "no", None: ""}[error_classes()[name].should_retry]
    row = rows()[name]

    assert len(row) == 5 or row[4] == hint
    assert hint == "" or len(row) == 6


def test_every_reason_for_503_is_explained():
    described = {row[0].strip("`") for row in PAGE.rows() if len(row) == 2}

    assert set(UNAVAILABLE_MESSAGES) <= described


def test_families_are_never_raised():
    sources = [inspect.getsource(module) for module in (errors, idempotency_errors, money_errors)]
    raised = [name for name in FAMILIES for source in sources if f"raise {name}(" in source]

    assert raised == []

"""The reference page made ready: the OpenAPI document as sections, calls and rows. Pure.

The document itself is put together by `config.openapi`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from config.openapi.parameters import GROUPS

Schema = Mapping[str, Any]

SHOWN_CHOICES = 24
WORDS_OF_FORMAT = {
    "uuid": "UUID",
    "date-time": "moment, RFC 3339",
    "decimal": "decimal string",
    "email": "e-mail",
}
METHODS = ("get", "post", "put", "patch", "delete")
ORDER = (
    "Completions", "Models", "Calls with an API key", "Keys", "Projects", "Budgets", "Limits", "Usage",
    "Request log", "Members", "Invitations", "Organizations", "Audit log",
)  # fmt: skip
CREDENTIALS = {
    "apiKey": "API key",
    "managementToken": "management token",
    "browserSession": "signed-in browser",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """Some words, or some code among them."""

    text: str
    is_code: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One parameter or field: its name, what it may be, and what it is for."""

    name: str
    kind: str
    is_required: bool
    description: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a heading."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """One answer: its status and what it means."""

    number: str
    meaning: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call. `inputs` are what a form to try it asks for: name and place; `example` is a first body."""

    anchor: str
    method: str
    path: str
    summary: tuple[Piece, ...]
    description: str
    credentials: str
    tables: tuple[Table, ...]
    statuses: tuple[Status, ...]
    inputs: tuple[tuple[str, str], ...]
    has_body: bool
    example: str
    may_be_tried: bool


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    anchor: str
    calls: tuple[Call, ...]


def sections_of(document: Schema) -> tuple[Section, ...]:
    """The sections: the known ones in their order, then any other."""
    calls: dict[str, list[Call]] = {title: [] for title in ORDER}
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                operation = operations[method]
                calls.setdefault(operation["tags"][0], []).append(_call(document, path, method, operation))
    return tuple(
        Section(title, _anchor(title), tuple(of_title)) for title, of_title in calls.items() if of_title
    )


def pieces_of(text: str) -> tuple[Piece, ...]:
    """The text, with what stands between backticks apart."""
    parts = enumerate(text.split("`"))
    return tuple(Piece(part, position % 2 == 1) for position, part in parts if part)


def _call(document: Schema, path: str, method: str, operation: Schema) -> Call:
    parameters = operation.get("parameters", ())
    body = _body_schema(document, operation)
    schemes = [scheme for choice in operation.get("security", ()) for scheme in choice]
    return Call(
        anchor=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=pieces_of(operation.get("summary", "")),
        description=operation.get("description", ""),
        credentials=" or ".join(CREDENTIALS[scheme] for scheme in schemes),
        tables=tuple(_tables(document, parameters, body, operation)),
        statuses=tuple(_statuses(operation)),
        inputs=tuple((each["name"], each["in"]) for each in parameters if each["in"] in ("path", "query")),
        has_body=body is not None,
        example=json.dumps(_example(document, body), indent=2) if body is not None else "",
        may_be_tried="browserSession" in schemes,
    )


def _tables(document: Schema, parameters: Any, body: Schema | None, operation: Schema) -> Iterator[Table]:
    rows = tuple(_parameter_row(document, each) for each in parameters)
    if rows:
        yield Table("Parameters", rows)
    if body is not None:
        yield from _body_tables(document, body)
    for status, response in operation["responses"].items():
        content = response.get("content", {}).get("application/json")
        if status.startswith("2") and content and (answer := tuple(_fields(document, content["schema"]))):
            yield Table(f"Answer {status}", answer)


def _body_tables(document: Schema, body: Schema) -> Iterator[Table]:
    """The body's fields; the long ones of a completion in their groups."""
    required = set(body.get("required", ()))
    grouped = {name for _, group in GROUPS for name in group}
    if grouped == set(body.get("properties", {})):
        for title, group in GROUPS:
            rows = (_row(document, name, group[name], is_required=name in required) for name in group)
            yield Table(f"Body: {title.lower()}", tuple(rows))
    else:
        yield Table("Body", tuple(_fields(document, body)))


def _fields(document: Schema, schema: Schema) -> Iterator[Row]:
    """The properties of an object, or of the rows of a page of them."""
    found = _resolved(document, schema)
    properties = found.get("properties", {})
    required = set(found.get("required", ()))
    if set(properties) == {"data", "next_cursor"}:
        inner = _resolved(document, properties["data"]["items"])
        for row in _fields(document, inner):
            yield Row(
                name=f"data[].{row.name}",
                kind=row.kind,
                is_required=row.is_required,
                description=row.description,
            )
        properties = {"next_cursor": properties["next_cursor"]}
    for name, each in properties.items():
        yield _row(document, name, each, is_required=name in required)


def _parameter_row(document: Schema, parameter: Schema) -> Row:
    schema = {"description": parameter.get("description", ""), **parameter["schema"]}
    row = _row(document, parameter["name"], schema, is_required=bool(parameter.get("required")))
    place = {"path": "in the path", "header": "header"}.get(parameter["in"], "")
    kind = f"{row.kind}, {place}" if place else row.kind
    return Row(name=row.name, kind=kind, is_required=row.is_required, description=row.description)


def _row(document: Schema, name: str, schema: Schema, *, is_required: bool) -> Row:
    return Row(
        name=name,
        kind=kind_of(document, schema),
        is_required=is_required,
        description=pieces_of(str(schema.get("description", ""))),
    )


def kind_of(document: Schema, schema: Schema) -> str:
    """What a value may be, in words: `integer, 1 to 200, or null`."""
    schema = _resolved(document, schema)
    if "enum" in schema:
        known = [each for each in schema["enum"] if each not in (None, "")]
        more = ", …" if len(known) > SHOWN_CHOICES else ""
        words = f"one of {', '.join(map(str, known[:SHOWN_CHOICES]))}{more}"
        return f"{words}, or null" if None in schema["enum"] else words
    if "const" in schema:
        return f"always {schema['const']}"
    types = schema.get("type", "any value")
    names = [types] if isinstance(types, str) else list(types)
    said = " or ".join(_of_type(document, schema, each) for each in names if each != "null")
    return f"{said}, or null" if "null" in names else said


def _of_type(document: Schema, schema: Schema, name: str) -> str:
    if name == "array":
        inner = kind_of(document, schema["items"]) if schema.get("items") else "any value"
        most = f", at most {schema['maxItems']}" if "maxItems" in schema else ""
        return f"array of {inner}{most}"
    words = WORDS_OF_FORMAT.get(schema.get("format", ""), name) if name == "string" else name
    low, high = schema.get("minimum"), schema.get("maximum")
    if name in ("integer", "number") and low is not None and high is not None:
        return f"{words}, {_number(low)} to {_number(high)}"
    if name == "integer" and low is not None:
        return f"{words}, at least {_number(low)}"
    if name == "string" and "maxLength" in schema:
        return f"{words}, at most {schema['maxLength']} characters"
    return words


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _statuses(operation: Schema) -> Iterator[Status]:
    for number, response in operation["responses"].items():
        is_good = number.startswith("2")
        meaning = response.get("description") or ("Done." if number == "204" else "The answer.")
        yield Status(number, meaning, "good" if is_good else "muted")


def _body_schema(document: Schema, operation: Schema) -> Schema | None:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    found = _resolved(document, content["schema"]) if content else None
    return _resolved(document, found["oneOf"][0]) if found and "oneOf" in found else found


def _example(document: Schema, body: Schema) -> Any:
    """The required fields with a value that says what it is."""
    return {
        name: _example_value(document, body["properties"][name], name) for name in body.get("required", ())
    }


def _example_value(document: Schema, schema: Schema, name: str) -> Any:
    schema = _resolved(document, schema)
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("format") == "decimal":
        return "50"
    if schema.get("format") == "email":
        return "person@example.com"
    kind = schema.get("type")
    return {"integer": 1, "boolean": False, "array": []}.get(str(kind), name)


def _resolved(document: Schema, schema: Schema) -> Schema:
    """The schema itself, where it only names one."""
    reference = schema.get("$ref") or next((each.get("$ref") for each in schema.get("allOf", ())), None)
    if reference is None:
        return schema
    found: Schema = document["components"]["schemas"][reference.rpartition("/")[2]]
    return {**found, **{name: schema[name] for name in ("description",) if name in schema}}


def _anchor(title: str) -> str:
    return "-".join(title.lower().split())

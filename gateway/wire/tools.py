"""Tools, the choice among them and response formats. Schemas are measured, never compiled or resolved."""

import re
from typing import Any

import orjson

from gateway.errors import InvalidValue, MissingParameter
from gateway.wire.checks import boolean, one_of, shown, text
from gateway.wire.options import cache_control, web_search_options
from gateway.wire.shapes import JsonObject

TOOL_TYPES = ("function", "custom", "web_search")
TOOL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}")
SCHEMA_LEVELS_LIMIT = 16
# Each level of a schema is an object under a keyword such as `properties`: two levels of JSON.
SCHEMA_NESTING_LIMIT = 2 * SCHEMA_LEVELS_LIMIT
CHOICES = ("none", "auto", "required")
FORMAT_TYPES = ("text", "json_object", "json_schema")


def check_tools(tools: Any, *, tools_limit: int, bytes_limit: int) -> set[tuple[str, str]]:
    """Checks the list and returns each tool as (type, name). An empty list is as good as none."""
    _must_be_list(tools, "tools")
    if len(tools) > tools_limit:
        raise InvalidValue(f"tools must have at most {tools_limit} tools, got {len(tools)}.", param="tools")
    _check_bytes(tools, "tools", bytes_limit)
    return {_check_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)}


def check_functions(functions: Any, *, tools_limit: int, bytes_limit: int) -> None:
    """Checks the list that came before `tools`, which some clients still send."""
    _must_be_list(functions, "functions")
    if len(functions) > tools_limit:
        raise InvalidValue(
            f"functions must have at most {tools_limit} functions, got {len(functions)}.", param="functions"
        )
    _check_bytes(functions, "functions", bytes_limit)
    for index, function in enumerate(functions):
        _check_function(function, f"functions[{index}]")


def check_tool_choice(choice: Any, tools: set[tuple[str, str]]) -> None:
    if type(choice) is str:
        if choice not in CHOICES:
            raise _invalid("tool_choice", f"must be one of {', '.join(CHOICES)} or an object")
        if choice == "required" and not tools:
            raise _invalid("tool_choice", "cannot be required without tools")
        return
    if type(choice) is not dict:
        raise _invalid("tool_choice", f"must be a string or an object, got {shown(choice)}")
    kind = choice.get("type")
    if kind == "allowed_tools":
        _check_allowed_tools(choice.get("allowed_tools"), tools)
    elif kind in ("function", "custom"):
        chosen = choice.get(kind)
        name = chosen.get("name") if type(chosen) is dict else None
        if type(name) is not str or (kind, name) not in tools:
            raise _invalid(f"tool_choice.{kind}.name", "must name one of the tools")
    elif kind == "web_search":
        if (kind, "") not in tools:
            raise _invalid("tool_choice.type", "cannot be web_search without a web search among the tools")
    else:
        raise _invalid("tool_choice.type", "must be function, custom, allowed_tools or web_search")


def _check_allowed_tools(allowed: Any, tools: set[tuple[str, str]]) -> None:
    path = "tool_choice.allowed_tools"
    if type(allowed) is not dict:
        raise _invalid(path, "must be an object with mode and tools")
    one_of("auto", "required")(allowed.get("mode"), f"{path}.mode")
    listed: Any = allowed.get("tools")
    _must_be_list(listed, f"{path}.tools")
    for index, tool in enumerate(listed):
        place = f"{path}.tools[{index}]"
        if type(tool) is not dict:
            raise _invalid(place, f"must be an object, got {shown(tool)}")
        kind = tool.get("type")
        named = tool.get(kind) if type(kind) is str else None
        name = named.get("name") if type(named) is dict else ""
        if type(kind) is not str or type(name) is not str or (kind, name) not in tools:
            raise _invalid(place, "must name one of the tools")


def check_response_format(response_format: Any, *, bytes_limit: int) -> None:
    if type(response_format) is not dict:
        raise _invalid("response_format", f"must be an object, got {shown(response_format)}")
    kind = response_format.get("type")
    if kind not in FORMAT_TYPES:
        raise _invalid("response_format.type", f"must be one of {', '.join(FORMAT_TYPES)}")
    if kind != "json_schema":
        return
    schema = response_format.get("json_schema")
    if type(schema) is not dict:
        raise MissingParameter(
            "response_format.json_schema is missing: send an object with name and schema.",
            param="response_format.json_schema",
        )
    _check_bytes(schema, "response_format.json_schema", bytes_limit)
    _check_texts(schema, "response_format.json_schema", ("name", "description"))
    if schema.get("strict") is not None:
        boolean(schema["strict"], "response_format.json_schema.strict")
    if type(schema.get("schema")) not in (dict, type(None)):
        raise _invalid("response_format.json_schema.schema", "must be a JSON Schema object")
    _check_depth(schema, "response_format.json_schema")


def _check_tool(tool: Any, path: str) -> tuple[str, str]:
    if type(tool) is not dict:
        raise _invalid(path, f"must be an object, got {shown(tool)}")
    kind = tool.get("type")
    if tool.get("cache_control") is not None:
        cache_control(tool["cache_control"], f"{path}.cache_control")
    if kind == "web_search":
        web_search_options(tool, path)
        return kind, ""
    if kind == "function":
        return kind, _check_function(tool.get("function"), f"{path}.function")
    if kind == "custom":
        return kind, _check_custom(tool.get("custom"), f"{path}.custom")
    raise _invalid(f"{path}.type", f"must be one of {', '.join(TOOL_TYPES)}")


def _check_function(function: Any, path: str) -> str:
    name = _check_name(function, path)
    parameters = function.get("parameters")
    if parameters is not None:
        if type(parameters) is not dict:
            raise _invalid(f"{path}.parameters", f"must be a JSON Schema object, got {shown(parameters)}")
        _check_depth(parameters, f"{path}.parameters")
    _check_texts(function, path, ("description",))
    if function.get("strict") is not None:
        boolean(function["strict"], f"{path}.strict")
    return name


def _check_custom(custom: Any, path: str) -> str:
    """A tool that is called with free text, or with what a grammar allows."""
    name = _check_name(custom, path)
    _check_texts(custom, path, ("description",))
    form = custom.get("format")
    if form is None:
        return name
    path = f"{path}.format"
    if type(form) is not dict:
        raise _invalid(path, f"must be an object, got {shown(form)}")
    one_of("text", "grammar")(form.get("type"), f"{path}.type")
    if form["type"] == "grammar":
        grammar = form.get("grammar")
        if type(grammar) is not dict:
            raise _invalid(f"{path}.grammar", f"must be an object, got {shown(grammar)}")
        text(grammar.get("definition"), f"{path}.grammar.definition")
        one_of("lark", "regex")(grammar.get("syntax"), f"{path}.grammar.syntax")
    return name


def _check_texts(holder: JsonObject, path: str, fields: tuple[str, ...]) -> None:
    for field in fields:
        if holder.get(field) is not None:
            text(holder[field], f"{path}.{field}")


def _check_name(holder: Any, path: str) -> str:
    if type(holder) is not dict:
        raise _invalid(path, f"must be an object, got {shown(holder)}")
    name = holder.get("name")
    if type(name) is not str or not TOOL_NAME.fullmatch(name):
        raise _invalid(f"{path}.name", "must be 1 to 128 letters, digits, underscores or dashes")
    return name


def _check_depth(schema: JsonObject, path: str) -> None:
    level: list[Any] = [schema]
    for _ in range(SCHEMA_NESTING_LIMIT):
        level = [
            value
            for container in level
            for value in (container.values() if type(container) is dict else container)
            if type(value) is dict or type(value) is list
        ]
        if not level:
            return
    raise _invalid(path, f"must be a schema of at most {SCHEMA_LEVELS_LIMIT} levels")


def _check_bytes(value: Any, path: str, limit: int) -> None:
    size = len(orjson.dumps(value))
    if size > limit:
        raise _invalid(path, f"must have at most {limit} bytes, got {size}")


def _must_be_list(value: Any, path: str) -> None:
    if type(value) is not list:
        raise _invalid(path, f"must be an array, got {shown(value)}")


def _invalid(path: str, problem: str) -> InvalidValue:
    return InvalidValue(f"{path} {problem}.", param=path)

"""The official OpenAI SDK for Python."""

import json
from functools import cache, partial
from typing import Any

import openai
from pydantic import BaseModel
from script import BROKEN_STREAM, FAILURES, LOOK, WEATHER, run, said


class Forecast(BaseModel):
    city: str
    days: int


@cache
def connect(url: str, key: str) -> openai.OpenAI:
    # Nothing is encrypted here, and loading certificates takes longer than a call.
    return openai.OpenAI(
        base_url=url, api_key=key, max_retries=0, http_client=openai.DefaultHttpxClient(verify=False)
    )


def told(answer: Any) -> dict[str, Any]:
    (choice,) = answer.choices
    calls = choice.message.tool_calls or []
    return {
        "text": choice.message.content or "",
        "finish": choice.finish_reason,
        "calls": [[call.function.name, json.loads(call.function.arguments)] for call in calls],
        "tokens": [answer.usage.prompt_tokens, answer.usage.completion_tokens],
    }


def plain(url: str, keys: dict[str, str]) -> Any:
    return told(connect(url, keys["good"]).chat.completions.create(model="fake/echo", messages=said("hello")))


def streamed(url: str, keys: dict[str, str]) -> Any:
    with connect(url, keys["good"]).chat.completions.stream(
        model="fake/echo", messages=said("hello"), stream_options={"include_usage": True}
    ) as stream:
        return told(stream.get_final_completion())


def tools(url: str, keys: dict[str, str], *, text: str = "hello", is_stream: bool = False) -> Any:
    """A call or several, their results, and what the model then says."""
    client = connect(url, keys["good"])
    asked: dict[str, Any] = {"model": "fake/tools", "tools": [WEATHER], "parallel_tool_calls": True}
    messages: list[Any] = said(text)
    if is_stream:
        usage = {"include_usage": True}
        with client.chat.completions.stream(**asked, messages=messages, stream_options=usage) as stream:
            first = stream.get_final_completion()
    else:
        first = client.chat.completions.create(**asked, messages=messages)
    message = first.choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in message.tool_calls or []
    ]
    second = client.chat.completions.create(**asked, messages=[*messages, message, *results])
    ids = {result["tool_call_id"] for result in results}
    return told(first) | {"ids": len(ids), "then": second.choices[0].message.content}


def schema(url: str, keys: dict[str, str]) -> Any:
    answer = connect(url, keys["good"]).chat.completions.parse(
        model="fake/echo", messages=said("hello"), response_format=Forecast
    )
    parsed = answer.choices[0].message.parsed
    assert isinstance(parsed, Forecast)
    return parsed.model_dump()


def image(url: str, keys: dict[str, str]) -> Any:
    return told(connect(url, keys["good"]).chat.completions.create(model="fake/vision", messages=said(LOOK)))


def reasoning(url: str, keys: dict[str, str]) -> Any:
    answer = connect(url, keys["good"]).chat.completions.create(
        model="fake/reasoner", messages=said("hello"), reasoning_effort="low"
    )
    details = answer.usage.completion_tokens_details
    thought = answer.choices[0].message.reasoning
    return told(answer) | {"reasoning": details.reasoning_tokens, "thought": len(thought)}


def failing(url: str, keys: dict[str, str], *, name: str) -> Any:
    key, model, text, parameters = FAILURES[name]
    return connect(url, keys[key]).chat.completions.create(model=model, messages=said(text), **parameters)


def broken_stream(url: str, keys: dict[str, str]) -> Any:
    stream = connect(url, keys["good"]).chat.completions.create(
        model="fake/ten-chunks", messages=said(BROKEN_STREAM), stream=True
    )
    read = ""
    try:
        for chunk in stream:
            read += "".join(choice.delta.content or "" for choice in chunk.choices)
    except openai.APIError as raised:
        return {"raised": type(raised).__name__, "code": raised.code, "before": read}
    return read


run(
    {
        "plain": plain,
        "streamed": streamed,
        "tools": tools,
        "parallel tools": partial(tools, text="[[calls 2]]"),
        "streamed tools": partial(tools, text="[[calls 2]]", is_stream=True),
        "schema": schema,
        "image": image,
        "reasoning": reasoning,
        **{name: partial(failing, name=name) for name in FAILURES},
        "broken stream": broken_stream,
    }
)

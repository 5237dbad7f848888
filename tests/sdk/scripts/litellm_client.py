"""The LiteLLM SDK, with `api_base`."""

import json
from functools import partial
from typing import Any

import litellm
from pydantic import BaseModel
from script import BROKEN_STREAM, FAILURES, LOOK, WEATHER, run, said

litellm.suppress_debug_info = True
# Nothing is encrypted here, and loading certificates takes longer than a call.
litellm.ssl_verify = False


class Forecast(BaseModel):
    city: str
    days: int


def complete(url: str, key: str, text: Any, model: str = "fake/echo", **parameters: Any) -> Any:
    messages = text if isinstance(text, list) and "role" in text[0] else said(text)
    return litellm.completion(
        model=f"openai/{model}",
        messages=messages,
        api_base=url,
        api_key=key,
        max_retries=0,
        num_retries=0,
        **parameters,
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


def joined(stream: Any) -> Any:
    return litellm.stream_chunk_builder(list(stream))


def plain(url: str, keys: dict[str, str]) -> Any:
    return told(complete(url, keys["good"], "hello"))


def streamed(url: str, keys: dict[str, str]) -> Any:
    stream = complete(url, keys["good"], "hello", stream=True, stream_options={"include_usage": True})
    return told(joined(stream))


def tools(url: str, keys: dict[str, str], *, text: str = "hello", is_stream: bool = False) -> Any:
    asked: dict[str, Any] = {"model": "fake/tools", "tools": [WEATHER]}
    messages: list[Any] = said(text)
    if is_stream:
        usage = {"stream": True, "stream_options": {"include_usage": True}}
        first = joined(complete(url, keys["good"], messages, **asked, **usage))
    else:
        first = complete(url, keys["good"], messages, **asked)
    message = first.choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in message.tool_calls or []
    ]
    second = complete(url, keys["good"], [*messages, message.model_dump(), *results], **asked)
    ids = {result["tool_call_id"] for result in results}
    return told(first) | {"ids": len(ids), "then": second.choices[0].message.content}


def schema(url: str, keys: dict[str, str]) -> Any:
    answer = complete(url, keys["good"], "hello", response_format=Forecast)
    return Forecast.model_validate_json(answer.choices[0].message.content).model_dump()


def image(url: str, keys: dict[str, str]) -> Any:
    return told(complete(url, keys["good"], LOOK, "fake/vision"))


def reasoning(url: str, keys: dict[str, str]) -> Any:
    answer = complete(
        url, keys["good"], "hello", "fake/reasoner", reasoning_effort="low",
        allowed_openai_params=["reasoning_effort"],
    )  # fmt: skip
    details = answer.usage.completion_tokens_details
    thought = answer.choices[0].message.reasoning_content
    return told(answer) | {"reasoning": details.reasoning_tokens, "thought": len(thought)}


def failing(url: str, keys: dict[str, str], *, name: str) -> Any:
    key, model, text, parameters = FAILURES[name]
    return told(complete(url, keys[key], text, model, **parameters))


def broken_stream(url: str, keys: dict[str, str]) -> Any:
    read = ""
    try:
        for chunk in complete(url, keys["good"], BROKEN_STREAM, "fake/ten-chunks", stream=True):
            read += "".join(choice.delta.content or "" for choice in chunk.choices)
    except Exception as raised:  # noqa: BLE001  # whatever it raises is what is told
        return {"raised": type(raised).__name__, "code": getattr(raised, "code", None), "before": read}
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

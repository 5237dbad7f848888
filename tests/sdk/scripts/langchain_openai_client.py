"""LangChain's `ChatOpenAI`."""

from functools import partial
from typing import Any

import httpx
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from script import BROKEN_STREAM, FAILURES, LOOK, WEATHER, run

# Nothing is encrypted here, and loading certificates takes longer than a call.
PLAIN = httpx.Client(verify=False)


class Forecast(BaseModel):
    """The weather to come."""

    city: str
    days: int


def connect(url: str, key: str, model: str = "fake/echo", **parameters: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model=model,
        base_url=url,
        api_key=key,
        max_retries=0,
        stream_usage=True,
        http_client=PLAIN,
        **parameters,
    )


def told(message: Any) -> dict[str, Any]:
    return {
        "text": message.content,
        "finish": message.response_metadata["finish_reason"],
        "calls": [[call["name"], call["args"]] for call in message.tool_calls],
        "tokens": [message.usage_metadata["input_tokens"], message.usage_metadata["output_tokens"]],
    }


def joined(model: Any, messages: Any) -> Any:
    """All chunks of a stream, added as LangChain adds them."""
    first, *others = list(model.stream(messages))
    whole = first
    for chunk in others:
        whole = whole + chunk
    return whole


def plain(url: str, keys: dict[str, str]) -> Any:
    return told(connect(url, keys["good"]).invoke("hello"))


def streamed(url: str, keys: dict[str, str]) -> Any:
    return told(joined(connect(url, keys["good"]), "hello"))


def tools(url: str, keys: dict[str, str], *, text: str = "hello", is_stream: bool = False) -> Any:
    model = connect(url, keys["good"], "fake/tools").bind_tools([WEATHER])
    asked = HumanMessage(text)
    first = joined(model, [asked]) if is_stream else model.invoke([asked])
    results = [ToolMessage("sunny", tool_call_id=call["id"]) for call in first.tool_calls]
    second = model.invoke([asked, first, *results])
    return told(first) | {"ids": len({call["id"] for call in first.tool_calls}), "then": second.content}


def schema(url: str, keys: dict[str, str]) -> Any:
    model = connect(url, keys["good"]).with_structured_output(Forecast, method="json_schema")
    return model.invoke("hello").model_dump()


def image(url: str, keys: dict[str, str]) -> Any:
    return told(connect(url, keys["good"], "fake/vision").invoke([HumanMessage(LOOK)]))


def reasoning(url: str, keys: dict[str, str]) -> Any:
    answer = connect(url, keys["good"], "fake/reasoner", reasoning_effort="low").invoke("hello")
    return told(answer) | {"reasoning": answer.usage_metadata["output_token_details"]["reasoning"]}


def failing(url: str, keys: dict[str, str], *, name: str) -> Any:
    key, model, text, parameters = FAILURES[name]
    return connect(url, keys[key], model, **parameters).invoke(text).content


def broken_stream(url: str, keys: dict[str, str]) -> Any:
    read = ""
    try:
        for chunk in connect(url, keys["good"], "fake/ten-chunks").stream(BROKEN_STREAM):
            read += chunk.content
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

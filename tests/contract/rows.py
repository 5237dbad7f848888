"""Each row of the contract's tables 3.1 to 3.4, and what Farebox does about it.

A row's name is its first cell, without the marks of code. A test that proves one says so:
`@pytest.mark.contract("3.2 temperature")`. `make contract` runs them all and writes docs/contract.md.
"""

from typing import NamedTuple


class Row(NamedTuple):
    section: str
    feature: str
    serves: str

    @property
    def name(self) -> str:
        """As a test names it."""
        return f"{self.section} {self.feature}"


SECTIONS = {
    "3.1": "Transport, keys and lists",
    "3.2": "Request parameters",
    "3.3": "Routing, resilience and caching",
    "3.4": "Answers, streams and errors",
}

TRANSPORT = {
    "Chat path": "one endpoint under `/v0`, `/v1`, `/api/v1` and `/openai/v1`, a slash at its end or not",
    "Bearer key": "`Authorization: Bearer`",
    "x-api-key": "read, after `x-bf-vk` and `Authorization`",
    "Own key header": "`x-bf-vk` wins over `Authorization`; `api-key` and `x-goog-api-key` are read after it",
    "Body may be a list of requests": "up to five requests, tried in order until one answers",
    "Model list": "objects with prices under `/v1`, `/api/v1`, `/openai/v1`; sorted names under `/v0`",
    "Key info, credits": "`/v0/credits`, `/v1/key` and `/v1/credits`",
    "/v1/messages, responses, embeddings, images, audio": "not served: 404 in the envelope of all errors",
}

PARAMETERS = {
    "model, messages required": "400 `missing_required_parameter` names the one that is missing",
    "Message roles": "system, developer, user, assistant, tool and function, with their own fields",
    "Multimodal content parts": "text, images, audio, files and video; text and images by URL or data URI",
    "stream": "server-sent events, with `[DONE]` at the end",
    "stream_options.include_usage": "`true`: a last chunk without choices; `false`: none; else by the path",
    "max_tokens": "1 or more; caps the answer and the hold",
    "max_completion_tokens": "the same; both may be sent if they agree",
    "temperature": "0 to 2",
    "top_p": "0 to 1",
    "frequency_penalty, presence_penalty": "-2 to 2 each",
    "stop": "a string, or up to four",
    "n": "1 up to the operator's bound; all choices are held, counted and billed",
    "seed": "a 64-bit integer",
    "logit_bias, logprobs, top_logprobs": "biases -100 to 100; up to 20 top logprobs, with `logprobs`",
    "user": "noted as the end user; budgets and limits may be set for each",
    "tools functions": "up to 128, with `strict` and `cache_control`",
    "custom/grammar tools": "checked and forwarded; refused or dropped where the model has none",
    "web_search tool": "as the flag and `web_search_options`; never dropped in silence",
    "tool_choice": "none, auto, required, or an object that names one of the tools",
    "parallel_tool_calls": "a boolean; goes upstream only with tools",
    "response_format": "text, json_object and json_schema; never dropped",
    "reasoning_effort": "none, minimal, low, medium, high or xhigh",
    "reasoning{effort,max_tokens}": "`max_tokens` wins over `effort`; two efforts must agree",
    "effort": "low, medium or high, for models that have it",
    "service_tier": "forwarded; the tier that served is the one that is billed",
    "modalities, audio, prediction": "checked, forwarded and held",
    "verbosity": "low, medium or high",
    "session_id, agent (body)": "noted, filtered by, and the session keeps its provider",
    "extra_body": "its fields count as if they stood beside it, and override nothing",
    "fallbacks": "tried in order when the model did not answer",
    "tags": "a list or a text with commas; up to 20 of 64 characters",
    "signature": "noted with the request, and a filter of the log",
    "use_custom_keys": "`true`: the organization's credential, or 404; `false`: the operator's",
    "drop_params": "what a model does not take is named in `dropped_params`, or refused if `false`",
    "region": "chooses among the regions of a provider",
    "log_query_body, log_response_body": "`false` keeps this body out of the log",
    "web_search bool": "the same as the tool",
    "free_models_only, no_reasoning": "narrow what `auto` may choose",
    "plugins response-healing": "repairs JSON answers, and says how",
}

ROUTING = {
    "Provider in the model string": "`model@provider`, `provider/model` and `provider:model`",
    "Ordered fallback": "`a|b`, `a->b`, lists and `fallbacks` are one engine",
    "Weighted / race / first / thinker": "`a^b`, `a!b` and their annotations",
    "Context limit": "`[max_context=N]`, against the client's count or the estimate",
    "Metric routing": "by price and measured speed, with thresholds and objectives",
    "auto": "the cheapest model that can do what is asked",
    "URI parameters in model": "`?temperature=0.2` on a leaf overrides the body for that leaf",
    "Retry policy": "before the first byte only, up to eight attempts in 180 seconds",
    "Attempts in the response": "all of them in `metadata.routing`, who answered in `extra_fields`",
    "Timeout": "180 seconds, then 504 `timeout`",
    "Exact cache": "asked for by header or project, never shared between organizations",
    "Semantic cache": "by the organization's own embeddings endpoint",
    "Request de-duplication": "a setting: the same request within seconds is 429",
    "Response healing": "as the plugin says",
    "Web search": "citations and results come through, and each search is billed",
}

ANSWERS = {
    "model in response": "`model@provider`, `provider/model` or the bare model, by the path",
    "Cost": "`usage.cost` a number, on `/openai` an object; `cost_usd_*` everywhere",
    "Routing block": "`metadata` and `extra_fields` on every path",
    "reasoning in message": "`reasoning` and `reasoning_details`, in streams too",
    "images in message": "passed on",
    "Final usage chunk": "exactly one chunk carries usage, where the path has it",
    "[DONE]": "the last line of every stream, after an error too",
    "Mid-stream error": "`event: error` with a valid chunk that has `error`",
    "Error envelope": "`error{message, type, param, code}` and `detail`, with the path's own additions",
    "Validation status": "400, with `param`",
    "Out of money": "402 `insufficient_credits`, `budget_exceeded` or `key_limit_exceeded`",
    "Rate limit": "429 with `Retry-After` and both vocabularies of headers",
}

ROWS = tuple(
    Row(section, feature, serves)
    for section, table in zip(SECTIONS, (TRANSPORT, PARAMETERS, ROUTING, ANSWERS), strict=True)
    for feature, serves in table.items()
)
NAMES = frozenset(row.name for row in ROWS)

"""Which parameters of a request an OpenAI-compatible model gets, and which are dropped by name.

Nothing is dropped in silence: a parameter is forwarded, translated, or in the second value.
"""

from collections.abc import Set

from gateway.providers.openai_content import tailored_content
from gateway.providers.openai_deviations import (
    nearest_effort,
    other_names,
    thinking_budget,
    unsupported_params,
)
from gateway.routing.target import Target
from gateway.wire.chat_request import ChatRequest
from gateway.wire.parameters import is_known
from gateway.wire.shapes import JsonObject

TOOL_FIELDS = ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call")
# The word for whatever the provider's own settings say.
AUTOMATIC_TIER = "auto"
SEARCH_OPTIONS = ("search_context_size", "user_location")
CAPS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
# What is spoken or drawn, the ability it needs, and the fields that ask for it.
OUTPUT_ABILITIES = {"audio": ("audio", ("modalities", "audio")), "image": ("image_output", ("modalities",))}


def upstream_fields(request: ChatRequest, target: Target) -> tuple[JsonObject, tuple[str, ...]]:
    """The body to send, and the names of what the client asked for and does not get."""
    lacking = unsupported_params(target.provider) | target.unsupported_params
    dropped = sorted(_unsupported(request, target, lacking))
    withheld = CAPS.keys() | dropped
    names = other_names(target.provider)
    fields = {
        "model": target.upstream_name,
        **{names.get(name, name): value for name, value in request.forwarded.items() if name not in withheld},
        **_cap(request, lacking),
    }
    if request.has_cache_control or request.message_fields or "tools" in fields:
        changed, lost = tailored_content(fields, request, target)
        fields = {name: value for name, value in (fields | changed).items() if value is not None}
        dropped += lost
    dropped += _add_reasoning(fields, request, target, lacking)
    if request.web_search:
        dropped += _add_search(fields, request)
    # At the top of the body it is refused: https://github.com/Alishahryar1/free-claude-code/issues/542
    if target.provider == "google" and "google" in fields:
        fields["extra_body"] = {"google": fields.pop("google")}
    dropped += ["region"] if request.region and not target.region else []
    dropped += ["plugins"] if request.plugins and not request.wants_healing else []
    dropped += request.unserved
    fields["stream"] = request.is_stream
    if request.is_stream and "stream_options" not in lacking:
        fields["stream_options"] = _stream_options(request)
    elif request.include_obfuscation is not None:
        dropped.append("stream_options.include_obfuscation")
    return fields, tuple(dropped)


def _unsupported(request: ChatRequest, target: Target, lacking: Set[str]) -> set[str]:
    asked = request.forwarded
    unsupported = (asked.keys() & lacking) - CAPS.keys()
    if asked.get("n") == 1:
        unsupported.discard("n")
    if not target.can("tools"):
        unsupported |= {name for name in TOOL_FIELDS if name in asked}
    for modality, (ability, fields) in OUTPUT_ABILITIES.items() if "modalities" in asked else ():
        if modality in asked["modalities"] and not target.can(ability):
            unsupported |= {name for name in fields if name in asked}
    tier = asked.get("service_tier")
    # A tier without a price is for those who pay their provider themselves.
    if tier not in (None, AUTOMATIC_TIER) and not target.is_own_credential and not target.has_tier(tier):
        unsupported.add("service_tier")
    if not request.passes_unknown:
        unsupported |= {name for name in asked if not is_known(name)}
    return unsupported


def _cap(request: ChatRequest, lacking: Set[str]) -> JsonObject:
    """The output cap under the name the client used, or the other if the model knows only that.

    It is sent in any case: the request's hold relies on it.
    """
    if request.max_output_tokens is None:
        return {}
    used = "max_completion_tokens" if "max_completion_tokens" in request.forwarded else "max_tokens"
    return {CAPS[used] if used in lacking else used: request.max_output_tokens}


def _add_reasoning(fields: JsonObject, request: ChatRequest, target: Target, lacking: Set[str]) -> list[str]:
    """Effort and budget in the provider's own words; an exact budget overrides the effort."""
    dropped = [f"reasoning.{option}" for option in request.reasoning_options]
    can_reason = target.can("reasoning")
    tokens, effort = request.reasoning_max_tokens, request.reasoning_effort
    if tokens is not None:
        budget = thinking_budget(tokens, target.provider, target.model) if can_reason else None
        if budget is None or budget.keys() & fields.keys():
            dropped.append(request.reasoning_budget_param)
        else:
            fields.update(budget)
            effort = None
    if effort is not None:
        if can_reason and "reasoning_effort" not in lacking:
            fields["reasoning_effort"] = nearest_effort(effort, target.provider, target.model)
        if fields.get("reasoning_effort") != effort:
            dropped.append("reasoning_effort")
    if request.effort is not None:
        if target.capabilities is not None and "effort" in target.capabilities:
            fields["effort"] = request.effort
        else:
            dropped.append("effort")
    return dropped


def _add_search(fields: JsonObject, request: ChatRequest) -> list[str]:
    """A web search is the presence of its options. A plain place is wrapped as OpenAI wants it."""
    asked = request.web_search_options
    options = {name: asked[name] for name in SEARCH_OPTIONS if name in asked}
    place = options.get("user_location")
    if type(place) is dict and "approximate" not in place:
        inner = {name: value for name, value in place.items() if name != "type"}
        options["user_location"] = {"type": "approximate", "approximate": inner}
    fields["web_search_options"] = options
    return [f"web_search.{name}" for name in asked if name not in SEARCH_OPTIONS]


def _stream_options(request: ChatRequest) -> JsonObject:
    """Usage is always asked for, whether the client gets to see it or not."""
    options: JsonObject = {"include_usage": True}
    if request.include_obfuscation is not None:
        options["include_obfuscation"] = request.include_obfuscation
    return options

"""ChatRequest: one checked request for a completion, and the size of its prompt.

How it is read from a body is `gateway.wire.chat`; what of it a provider gets is the provider's file.
"""

import orjson
from msgspec import Struct, field

from gateway.wire.messages import BYTES_PER_TOKEN
from gateway.wire.shapes import JsonObject

SEARCHES_BOUND = 10
HEALING_PLUGIN = "response-healing"
HEALED_FORMATS = ("json_object", "json_schema")
REASONING_BUDGET = "reasoning.max_tokens"
MESSAGE_TOKENS_ESTIMATE = 3

LOGGED_PARAMETERS = frozenset(
    {
        "temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "n", "seed",
        "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "parallel_tool_calls",
        "service_tier", "verbosity", "modalities", "store", "prompt_cache_retention",
    }
)  # fmt: skip


class PromptSize(Struct, frozen=True):
    """What the model reads, as it was measured. How many tokens that makes is `gateway.wire.prompt_bounds`.

    `expansion_bytes` is by how much NFKC makes all of it longer; `unread_bytes` are fields whose
    use is not known; `is_open` means that some part has no bound of its own.
    """

    text_bytes: int
    text_tokens_estimate: int
    instruction_bytes: int
    message_count: int
    part_count: int = 0
    expansion_bytes: int = 0
    tool_count: int = 0
    image_count: int = 0
    low_detail_image_count: int = 0
    audio_milliseconds_bound: int = 0
    media_tokens_estimate: int = 0
    unread_bytes: int = 0
    is_open: bool = False

    @property
    def tokens_estimate(self) -> int:
        """About what a provider counts: four bytes make a token, a message adds three."""
        return (
            self.text_tokens_estimate
            + -(-self.instruction_bytes // BYTES_PER_TOKEN)
            + self.message_count * MESSAGE_TOKENS_ESTIMATE
            + self.media_tokens_estimate
        )


class ChatRequest(Struct, frozen=True, kw_only=True):
    """One request, checked. Fields named as in the contract mean what the contract says.

    `forwarded` is what any provider may get: without the gateway's own fields, without nulls,
    without model and stream. It must not be changed. "" and () mean absent.
    """

    model: str
    forwarded: JsonObject
    prompt: PromptSize
    is_stream: bool = False
    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    max_output_tokens: int | None = None
    n: int = 1
    tags: tuple[str, ...] = ()
    user: str = ""
    session_id: str = ""
    agent: str = ""
    signature: str = ""
    metadata: dict[str, str] = {}
    use_custom_keys: bool | None = None
    drop_params: bool = True
    region: str = ""
    fallbacks: tuple[str, ...] = ()
    log_query_body: bool = True
    log_response_body: bool = True
    plugins: tuple[str, ...] = ()
    web_search: bool = False
    web_search_options: JsonObject = field(default_factory=dict)
    reasoning_effort: str | None = None
    reasoning_max_tokens: int | None = None
    reasoning_options: tuple[str, ...] = ()
    reasoning_budget_param: str = REASONING_BUDGET
    """The name that the client gave to `reasoning_max_tokens`."""
    effort: str | None = None
    free_models_only: bool = False
    no_reasoning: bool = False
    budget_clamp: bool | None = None
    required_capabilities: frozenset[str] = frozenset()
    request_context_tokens: int | None = None
    routing: str = ""
    unserved: tuple[str, ...] = ()
    """What was asked for by name and no provider offers."""
    has_cache_control: bool = False
    message_fields: frozenset[str] = frozenset()
    """Fields of messages that not every provider takes."""
    passes_unknown: bool = True
    provider_key: str = ""
    """The organization's own credential that must be used, by its id or name."""
    wants_raw: bool = False
    stays_with_provider: bool = False
    followers: "tuple[ChatRequest, ...]" = ()
    """The other requests of a list body, tried in their order if this one cannot be answered."""

    @property
    def prompt_bytes(self) -> int:
        return self.prompt.text_bytes + self.prompt.instruction_bytes

    @property
    def prompt_tokens_estimate(self) -> int:
        return self.prompt.tokens_estimate

    @property
    def wants_healing(self) -> bool:
        """Whether there is one answer that is to be JSON, and is to be healed if it is not."""
        form = self.forwarded.get("response_format", {}).get("type")
        return HEALING_PLUGIN in self.plugins and self.n == 1 and form in HEALED_FORMATS

    @property
    def has_tools(self) -> bool:
        return "tools" in self.forwarded

    @property
    def may_use_audio(self) -> bool:
        """Whether audio may be read or spoken, at audio's own rates."""
        return "audio" in self.required_capabilities or "audio" in self.forwarded.get("modalities", ())

    @property
    def rejected_tokens_bound(self) -> int:
        """Tokens of a prediction that may be billed as output although they are not in the answer.

        https://developers.openai.com/api/docs/guides/predicted-outputs (checked 2026-11-21)
        """
        prediction = self.forwarded.get("prediction")
        return len(orjson.dumps(prediction)) if prediction else 0

    @property
    def searches_bound(self) -> int:
        """How many web searches may be billed at most; `max_uses` bounds nothing, as no provider is told."""
        return SEARCHES_BOUND if self.web_search else 0

    def parameters_for_log(self) -> JsonObject:
        """The parameters as the log shows them: settings and counts, no text of the client."""
        asked = self.forwarded
        logged: JsonObject = {name: value for name, value in asked.items() if name in LOGGED_PARAMETERS}
        logged["messages"] = self.prompt.message_count
        if "stop" in asked:
            logged["stop"] = 1 if isinstance(asked["stop"], str) else len(asked["stop"])
        if "tools" in asked:
            logged["tools"] = len(asked["tools"])
        if "response_format" in asked:
            logged["response_format"] = asked["response_format"]["type"]
        own = {
            "reasoning_effort": self.reasoning_effort,
            "reasoning_max_tokens": self.reasoning_max_tokens,
            "effort": self.effort,
            "use_custom_keys": self.use_custom_keys,
            "region": self.region or None,
            "fallbacks": list(self.fallbacks) or None,
            "plugins": list(self.plugins) or None,
            "web_search": self.web_search or None,
            "drop_params": None if self.drop_params else False,
            "budget_clamp": self.budget_clamp,
            "routing": self.routing or None,
        }
        return logged | {name: value for name, value in own.items() if value is not None}

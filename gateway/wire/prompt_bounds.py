"""Prompt bounds: the most tokens that a provider can count for a prompt. Pure, and never too low.

**Text.** No tokenizer is at hand whose vocabulary is each provider's own, and counting would cost
more than the rest of the request. What holds for all of them is this: byte-level BPE (OpenAI,
Anthropic, DeepSeek, Qwen, Llama 3, Mistral's Tekken) begins with one token for each byte and only
ever joins tokens; SentencePiece with byte fallback (Gemini, Llama 2, Mistral until v7) has a token
for each character or for each of its bytes, and puts one token in front of a text. So text makes
at most as many tokens as it has bytes of UTF-8, and a few for each part. Where text may be
normalised first (NFKC), which can make it longer, the longer form counts.
tests/gateway/test_prompt_bounds.py holds this to every vocabulary that can be installed.

**Around the text.** What a chat template writes around each message, part, tool and request, and
into what form tools are rendered, is bounded by family: the most that is documented or seen.

**Images, sound, files.** By each family's formula at its largest; files and videos fill the window.
"""

from msgspec import Struct

from gateway.wire.chat_request import PromptSize

# A file, a video or a web search may fill whatever window the model has.
OPEN_TOKENS_BOUND = 2_000_000
# A template's tokens around a part: a line end, or SentencePiece's token in front of a text.
PART_TOKENS_BOUND = 4
MESSAGE_TOKENS_BOUND = 16


class TokenFamily(Struct, frozen=True, kw_only=True):
    """What the providers of one family make of a prompt, at most.

    `instruction_tokens_per_byte` is for tools, calls and schemas, which are rendered anew:
    one where the rendering is shorter than compact JSON, three where a template may indent it
    and escape what is not ASCII. `images` are tokens of an image by model, as a whole and in low
    detail; "" is any other model.
    """

    hosts: tuple[str, ...] = ()
    request_tokens: int
    tools_tokens: int
    tool_tokens: int = 64
    instruction_tokens_per_byte: int = 1
    is_normalising: bool = False
    images: dict[str, tuple[int, int]]
    audio_tokens_per_second: int = 32


# Tiles of GPT-4o and GPT-4.1: 85, and 170 for each of at most 8. GPT-4o mini: 2,833 and 5,667.
# Patches: at most 1,536 times 1.62 (GPT-4.1 mini); 10,000 of later models, times 2.46 at most.
# https://developers.openai.com/api/docs/guides/images-vision (checked 2026-11-21)
# Sound: ten tokens a second. A schema's or reasoning's own words make the rest of a request.
OPENAI = TokenFamily(
    hosts=("api.openai.com",),
    request_tokens=64,
    tools_tokens=256,
    images={
        "": (48_169, 2_833),
        "gpt-4o": (1_445, 85),
        "gpt-4.1": (1_445, 85),
        "gpt-4.1-mini": (2_489, 2_489),
        **dict.fromkeys(
            ("gpt-5.1", "gpt-5.4", "gpt-5.4-mini", "gpt-5.4-nano", "gpt-5.5", "gpt-6-astra"), (24_600, 2_833)
        ),
    },
    audio_tokens_per_second=10,
)
# The system prompt for tools has at most 804 tokens. Images are scaled down to 4,784 tokens.
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview#pricing
# https://platform.claude.com/docs/en/build-with-claude/vision (checked 2026-11-27)
# The one tokenizer that was published normalises with NFKC.
ANTHROPIC = TokenFamily(
    hosts=("api.anthropic.com",),
    request_tokens=128,
    tools_tokens=1_024,
    is_normalising=True,
    images={"": (4_800, 4_800)},
)
# 258 tokens for a tile of at least 256 pixels of an image within 3,072: at most 24 and the whole.
# https://ai.google.dev/gemini-api/docs/tokens (checked 2026-11-27)
GOOGLE = TokenFamily(
    hosts=("generativelanguage.googleapis.com",),
    request_tokens=64,
    tools_tokens=512,
    images={"": (6_450, 6_450)},
)
# Patches of 16 pixels of at most 1,024 by 1,024, with a break after each row.
# https://docs.mistral.ai/capabilities/vision (checked 2026-11-21)
MISTRAL = TokenFamily(
    hosts=("api.mistral.ai",), request_tokens=64, tools_tokens=512, images={"": (4_161, 4_161)}
)
DEEPSEEK = TokenFamily(
    hosts=("api.deepseek.com",),
    request_tokens=128,
    tools_tokens=1_024,
    instruction_tokens_per_byte=3,
    images={"": (16_400, 16_400)},
)
# Hosts of open models use each model's own template. The longest known is gpt-oss': about 100.
OPEN_MODELS = TokenFamily(
    hosts=("api.groq.com", "api.together.xyz", "api.fireworks.ai"),
    request_tokens=256,
    tools_tokens=1_024,
    instruction_tokens_per_byte=3,
    is_normalising=True,
    images={"": (16_400, 16_400)},
)
# A token for four bytes, three for a message, 85 for an image: docs/simulator.md.
SIMULATOR = TokenFamily(request_tokens=0, tools_tokens=1_024, images={"": (85, 85)})
# Whoever answers at an endpoint of one's own: the most of all.
UNKNOWN = TokenFamily(
    request_tokens=256,
    tools_tokens=1_024,
    instruction_tokens_per_byte=3,
    is_normalising=True,
    images={"": (48_169, 2_833)},
)

FAMILIES = {
    "openai": OPENAI,
    "anthropic": ANTHROPIC,
    "google": GOOGLE,
    "mistral": MISTRAL,
    "deepseek": DEEPSEEK,
    "groq": OPEN_MODELS,
    "together-ai": OPEN_MODELS,
    "fireworks-ai": OPEN_MODELS,
    "fake": SIMULATOR,
}


def family_of(provider: str, *, base_url: str, is_trusted: bool) -> TokenFamily:
    """Who counts the tokens there. A tenant may call anything by that name, so its address decides."""
    family = FAMILIES.get(provider, UNKNOWN)
    if is_trusted or any(base_url.startswith(f"https://{host}/") for host in family.hosts):
        return family
    return UNKNOWN


def prompt_tokens_bound(size: PromptSize, family: TokenFamily, model: str) -> int:
    """Never less than what a provider of this family counts for a prompt of this size."""
    tokens = (
        size.text_bytes
        + size.instruction_bytes * family.instruction_tokens_per_byte
        + size.unread_bytes
        + size.message_count * MESSAGE_TOKENS_BOUND
        + size.part_count * PART_TOKENS_BOUND
        + family.request_tokens
    )
    if family.is_normalising:
        tokens += size.expansion_bytes
    if size.tool_count:
        tokens += family.tools_tokens + size.tool_count * family.tool_tokens
    if size.image_count or size.low_detail_image_count:
        whole, low = family.images.get(model) or family.images[""]
        tokens += size.image_count * whole + size.low_detail_image_count * low
    if size.audio_milliseconds_bound:
        tokens += -(-size.audio_milliseconds_bound * family.audio_tokens_per_second // 1000)
    return tokens + OPEN_TOKENS_BOUND if size.is_open else tokens

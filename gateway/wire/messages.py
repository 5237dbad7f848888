"""Messages: who may say what, and how much of a prompt it makes.

One pass checks and measures. Text is never walked character by character, images are never
fetched, and fields that are not known here go to the provider as they are.
"""

import re
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, TypeGuard

import orjson

from gateway.errors import InvalidValue, MissingParameter
from gateway.wire.audio import longest_milliseconds
from gateway.wire.checks import shown
from gateway.wire.normal_form import expansion_bytes, json_expansion_bytes
from gateway.wire.options import cache_control
from gateway.wire.shapes import JsonObject

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
# An assistant's turn may have no content when it says something in one of these.
ASSISTANT_SPEECH = ("tool_calls", "function_call", "refusal", "audio", "reasoning", "reasoning_content")
PLAIN_MESSAGE_KEYS = 2
BYTES_PER_TOKEN = 4
# What every provider takes in a message; of anything else it is noted that it is there.
COMMON_FIELDS = frozenset({"role", "content", "tool_calls", "tool_call_id", "function_call", "cache_control"})
# What an answer's message has and is sent back empty by clients that keep it as it came.
NULLABLE_FIELDS = ("refusal", "reasoning", "reasoning_content")

IMAGE_TOKENS_ESTIMATE, HIGH_DETAIL_IMAGE_TOKENS_ESTIMATE = 85, 765
AUDIO_BYTES_PER_TOKEN_ESTIMATE = 400

URL_SCHEMES = ("https://", "http://", "gs://")
DATA_URL = re.compile(r"data:([a-z]+)/[a-z0-9.+-]+(?:;[a-z0-9=-]+)*;base64,", re.IGNORECASE)
BASE64_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"


@dataclass(slots=True)
class PromptTally:
    """What has been measured so far. `is_open` means that some part has no bound of its own.

    `expansion_bytes` is by how much NFKC makes the text and all else longer.
    """

    text_bytes: int = 0
    expansion_bytes: int = 0
    part_count: int = 0
    text_tokens_estimate: int = 0
    rest_bytes: int = 0
    media_tokens_estimate: int = 0
    image_count: int = 0
    low_detail_image_count: int = 0
    audio_milliseconds_bound: int = 0
    has_audio: bool = False
    has_cache_control: bool = False
    is_open: bool = False
    fields: set[str] = dataclass_field(default_factory=set)
    """Further fields that messages have."""


def check_messages(messages: Any, *, messages_limit: int) -> PromptTally:
    """Checks all messages and measures them. Raises MissingParameter or InvalidValue with the path."""
    if messages is None:
        raise MissingParameter("messages is missing: send a non-empty array of messages.", param="messages")
    if type(messages) is not list:
        raise InvalidValue(f"messages must be an array, got {shown(messages)}.", param="messages")
    if not messages:
        raise InvalidValue("messages must have at least one message, got an empty array.", param="messages")
    if len(messages) > messages_limit:
        raise InvalidValue(
            f"messages must have at most {messages_limit} messages, got {len(messages)}.", param="messages"
        )
    tally = PromptTally()
    for index, message in enumerate(messages):
        _check_message(message, index, tally)
    return tally


def _measure_text(text: str, tally: PromptTally) -> None:
    if text.isascii():
        tally.text_bytes += len(text)
        return
    tally.text_bytes += len(text.encode())
    tally.expansion_bytes += expansion_bytes(text)


def _check_message(message: Any, index: int, tally: PromptTally) -> None:
    if type(message) is not dict:
        raise _invalid(f"messages[{index}]", f"must be an object, got {shown(message)}")
    role = message.get("role")
    if type(role) is not str or role not in ROLES:
        raise _invalid(f"messages[{index}].role", f"must be one of {', '.join(ROLES)}")
    content = message.get("content")
    bytes_before = tally.text_bytes
    if type(content) is str:
        _measure_text(content, tally)
    elif type(content) is list:
        _check_parts(content, index, tally)
    elif content is not None:
        raise _invalid(
            f"messages[{index}].content", f"must be a string or an array of parts, got {shown(content)}"
        )
    elif not _may_be_silent(message, role):
        raise MissingParameter(
            f"messages[{index}].content is missing: a {role} message needs content.",
            param=f"messages[{index}].content",
        )
    tally.text_tokens_estimate += -(-(tally.text_bytes - bytes_before) // BYTES_PER_TOKEN)
    if role == "tool" and not _is_filled(message.get("tool_call_id")):
        path = f"messages[{index}].tool_call_id"
        raise MissingParameter(f"{path} is missing: name the call that this message answers.", param=path)
    if len(message) > PLAIN_MESSAGE_KEYS or "content" not in message:
        _check_rest(message, index, tally)


def _may_be_silent(message: JsonObject, role: str) -> bool:
    if role == "function":
        return True
    return role == "assistant" and any(message.get(field) for field in ASSISTANT_SPEECH)


def _check_rest(message: JsonObject, index: int, tally: PromptTally) -> None:
    name = message.get("name")
    if name is not None and type(name) is not str:
        raise _invalid(f"messages[{index}].name", f"must be a string, got {shown(name)}")
    calls = message.get("tool_calls")
    if calls is not None:
        _check_tool_calls(calls, f"messages[{index}].tool_calls")
    for field in NULLABLE_FIELDS:
        spoken = message.get(field)
        if spoken is not None and type(spoken) is not str:
            raise _invalid(f"messages[{index}].{field}", f"must be a string, got {shown(spoken)}")
    if "annotations" in message and type(message["annotations"]) not in (list, type(None)):
        raise _invalid(f"messages[{index}].annotations", "must be an array")
    if message.get("cache_control") is not None:
        cache_control(message["cache_control"], f"messages[{index}].cache_control")
        tally.has_cache_control = True
    tally.fields |= message.keys() - COMMON_FIELDS
    rest = {key: value for key, value in message.items() if key != "content" and key != "role"}
    written = orjson.dumps(rest)
    tally.rest_bytes += len(written)
    tally.expansion_bytes += json_expansion_bytes(written)


def _check_tool_calls(calls: Any, path: str) -> None:
    if type(calls) is not list:
        raise _invalid(path, f"must be an array, got {shown(calls)}")
    for index, call in enumerate(calls):
        if type(call) is not dict or not _is_filled(call.get("id")):
            raise _invalid(f"{path}[{index}].id", "must be a non-empty string")
        kind = call.get("type", "function")
        if kind not in ("function", "custom"):
            raise _invalid(f"{path}[{index}].type", "must be function or custom")
        called = call.get(kind)
        spoken = "arguments" if kind == "function" else "input"
        if type(called) is not dict or not _is_filled(called.get("name")):
            raise _invalid(f"{path}[{index}].{kind}.name", "must be a non-empty string")
        if type(called.get(spoken)) is not str:
            raise _invalid(f"{path}[{index}].{kind}.{spoken}", "must be a string")


def _check_parts(parts: list[Any], index: int, tally: PromptTally) -> None:
    if not parts:
        raise _invalid(f"messages[{index}].content", "must have at least one part, got an empty array")
    for position, part in enumerate(parts):
        path = f"messages[{index}].content[{position}]"
        if type(part) is not dict:
            raise _invalid(path, f"must be an object, got {shown(part)}")
        kind = part.get("type")
        read = PART_READERS.get(kind) if type(kind) is str else None
        if read is None:
            raise _invalid(f"{path}.type", f"must be one of {', '.join(PART_READERS)}")
        read(part, path, tally)
        if "cache_control" in part and part["cache_control"] is not None:
            cache_control(part["cache_control"], f"{path}.cache_control")
            tally.has_cache_control = True
    tally.part_count += len(parts)


def _read_text(part: JsonObject, path: str, tally: PromptTally) -> None:
    kind = part["type"]
    text = part.get(kind)
    if type(text) is not str:
        raise _invalid(f"{path}.{kind}", f"must be a string, got {shown(text)}")
    _measure_text(text, tally)


def _read_image(part: JsonObject, path: str, tally: PromptTally) -> None:
    image = _object_in(part, "image_url", path)
    _check_media_url(image.get("url"), f"{path}.image_url.url", family="image")
    detail = image.get("detail")
    if detail is not None and type(detail) is not str:
        raise _invalid(f"{path}.image_url.detail", "must be auto, low or high")
    if detail == "low":
        tally.low_detail_image_count += 1
    else:
        tally.image_count += 1
    tally.media_tokens_estimate += (
        HIGH_DETAIL_IMAGE_TOKENS_ESTIMATE if detail == "high" else IMAGE_TOKENS_ESTIMATE
    )


def _read_audio(part: JsonObject, path: str, tally: PromptTally) -> None:
    audio = _object_in(part, "input_audio", path)
    data = audio.get("data")
    if not _is_filled(data):
        raise _invalid(f"{path}.input_audio.data", "must be base64 text")
    _check_base64(data, f"{path}.input_audio.data")
    format_name = audio.get("format")
    if not _is_filled(format_name):
        raise _invalid(f"{path}.input_audio.format", "must name the format, such as wav or mp3")
    milliseconds = longest_milliseconds(data, format_name)
    if milliseconds is None:
        tally.is_open = True
    else:
        tally.audio_milliseconds_bound += milliseconds
    tally.media_tokens_estimate += len(data) // AUDIO_BYTES_PER_TOKEN_ESTIMATE + 1
    tally.has_audio = True


def _read_file(part: JsonObject, path: str, tally: PromptTally) -> None:
    file = _object_in(part, "file", path)
    data = file.get("file_data")
    if not (_is_filled(data) or _is_filled(file.get("file_id"))):
        raise _invalid(f"{path}.file", "must have file_data or file_id")
    if _is_filled(data):
        head = DATA_URL.match(data, 0, 256)
        if data[:5].lower() == "data:" and head is None:
            raise _invalid(f"{path}.file.file_data", "must be base64 text or a data URL")
        _check_base64(data[head.end() :] if head else data, f"{path}.file.file_data")
    name = file.get("filename")
    if name is not None and type(name) is not str:
        raise _invalid(f"{path}.file.filename", f"must be a string, got {shown(name)}")
    tally.is_open = True


def _read_video(part: JsonObject, path: str, tally: PromptTally) -> None:
    video = _object_in(part, "video_url", path)
    _check_media_url(video.get("url"), f"{path}.video_url.url", family="video")
    tally.is_open = True


PART_READERS = {
    "text": _read_text,
    "image_url": _read_image,
    "input_audio": _read_audio,
    "file": _read_file,
    "video_url": _read_video,
    "refusal": _read_text,
}


def _check_media_url(url: Any, path: str, *, family: str) -> None:
    if not _is_filled(url):
        raise _invalid(path, "must be a URL or a data URL")
    if url[:5].lower() != "data:":
        if not url[:8].lower().startswith(URL_SCHEMES):
            raise _invalid(path, "must start with https://, http:// or data:")
        return
    head = DATA_URL.match(url, 0, 256)
    if head is None or head[1].lower() != family:
        raise _invalid(path, f"must be a data URL of the form data:{family}/<type>;base64,<data>")
    _check_base64(url[head.end() :], path)


def _check_base64(data: str, path: str) -> None:
    if not data.isascii() or data.encode().translate(None, BASE64_ALPHABET) not in (b"", b"=", b"=="):
        raise _invalid(path, "must hold valid base64 without blanks")


def _object_in(part: JsonObject, field: str, path: str) -> JsonObject:
    value = part.get(field)
    if type(value) is not dict:
        raise _invalid(f"{path}.{field}", f"must be an object, got {shown(value)}")
    return value


def _is_filled(value: Any) -> TypeGuard[str]:
    return type(value) is str and value != ""


def _invalid(path: str, problem: str) -> InvalidValue:
    return InvalidValue(f"{path} {problem}.", param=path)

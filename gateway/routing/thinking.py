"""What a session's thinker said, as a part of its later requests (CONTRACT 1.0.5)."""

from msgspec.structs import replace

from gateway.wire.chat_request import ChatRequest
from gateway.wire.normal_form import expansion_bytes

INTRODUCTION = "Another model has thought about this conversation before. Take into account what it said:\n\n"
BYTES_PER_TOKEN = 4


def with_thought(request: ChatRequest, thought: str) -> ChatRequest:
    """The request with the thought in front of its messages, and a prompt that is as much larger."""
    text = INTRODUCTION + thought
    messages = [{"role": "system", "content": text}, *request.forwarded["messages"]]
    size, added_bytes = request.prompt, len(text.encode())
    return replace(
        request,
        forwarded={**request.forwarded, "messages": messages},
        prompt=replace(
            size,
            text_bytes=size.text_bytes + added_bytes,
            text_tokens_estimate=size.text_tokens_estimate + -(-added_bytes // BYTES_PER_TOKEN),
            message_count=size.message_count + 1,
            expansion_bytes=size.expansion_bytes + expansion_bytes(text),
        ),
    )

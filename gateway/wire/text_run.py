"""Text runs: many pieces of text in one read of a stream, told apart by what stands between them.

The events of a stream are equal but for their text. Once one of them is known, a run of them is
split at what they share, without reading each. What does not look like the known event is left
to the parser. Pure.
"""

from typing import NamedTuple

from gateway.wire.shapes import ChatChunk

EVENT_START, EVENT_END = b"data: ", b"\n\n"


def is_plain(text: bytes) -> bool:
    """Whether this is what a JSON string holds and means: printable ASCII in which nothing is escaped."""
    return b'"' not in text and b"\\" not in text and text.isascii() and text.decode().isprintable()


class TextRun(NamedTuple):
    """How the events of one stream begin and end, and a chunk of theirs."""

    start: bytes
    stop: bytes
    like: ChatChunk

    def split(self, data: bytes) -> tuple[bytes, ChatChunk | None, bytes]:
        """What stands before a run, the run as one chunk, and what stands behind it.

        No run: all of it stands before. `data` must begin where an event may begin.
        """
        start, stop, plain = self.start, self.stop, self.like.plain
        before, found, rest = data.partition(start)
        if not found or plain is None or (before and not before.endswith(EVENT_END)):
            return data, None, b""
        texts = rest.split(stop + start)
        texts[-1], is_ended, after = texts[-1].partition(stop)
        if not is_ended:
            unended = texts.pop()
            after = start + unended
        if not texts or b"" in texts or not is_plain(b"".join(texts)):
            return data, None, b""
        return before, self.like.with_text(plain._replace(texts=texts)), after


def run_of(data: bytes, chunk: ChatChunk) -> TextRun | None:
    """The run that an event with this data belongs to; None if its text does not tell it from others."""
    plain = chunk.plain
    if plain is None or plain.extras_json:
        return None
    head, found, rest = data.partition(plain.opening + plain.texts[0] + plain.closing)
    if not found:
        return None
    return TextRun(EVENT_START + head + plain.opening, plain.closing + rest + EVENT_END, chunk)

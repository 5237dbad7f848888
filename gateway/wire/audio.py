"""Audio: how long a recording can be at most, by the size of its base64 text and its format. Pure.

Nothing is decoded but the head of a WAV file. A format that can write silence in almost no
bytes (Opus, FLAC, AAC) has no such bound: then the sound may fill the model's window.
"""

import base64
import binascii

# The slowest MPEG audio has 8 kbit/s; free-format streams may have a little less.
# https://www.iso.org/standard/22412.html, bit rate tables of ISO/IEC 11172-3 and 13818-3
SLOWEST_MP3_BYTES_PER_SECOND = 512
# The raw form has 24,000 samples of two bytes a second.
# https://developers.openai.com/api/docs/guides/audio (checked 2026-11-21)
PCM16_BYTES_PER_SECOND = 48_000
SLOWEST_WAV_BYTES_PER_SECOND = 512
WAV_HEAD_CHARACTERS = 48


def longest_milliseconds(data: str, format_name: str) -> int | None:
    """The longest that this recording can last; None if its size says nothing about that."""
    if format_name == "mp3":
        rate = SLOWEST_MP3_BYTES_PER_SECOND
    elif format_name == "pcm16":
        rate = PCM16_BYTES_PER_SECOND
    elif format_name == "wav":
        rate = _wav_bytes_per_second(data)
    else:
        return None
    if not rate:
        return None
    data_bytes = -(-len(data) * 3 // 4)
    return -(-data_bytes * 1000 // rate)


def _wav_bytes_per_second(data: str) -> int:
    """As the head says, by the slower of its two words; 0 for another head, or less than speech has."""
    try:
        head = base64.b64decode(data[:WAV_HEAD_CHARACTERS])
    except binascii.Error:
        return 0
    if len(head) < 36 or head[:4] != b"RIFF" or head[8:16] != b"WAVEfmt ":
        return 0
    places = ((24, 28), (28, 32), (32, 34))
    samples, stated, frame = (int.from_bytes(head[start:end], "little") for start, end in places)
    rate = min(stated, samples * frame)
    return rate if rate >= SLOWEST_WAV_BYTES_PER_SECOND else 0

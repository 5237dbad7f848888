"""TokenUsage: what one request used, as disjoint counts.

Providers report overlapping numbers (OpenAI's prompt tokens include the cached ones, Anthropic's
do not). Each provider file turns its own report into this vector; prices are in `billing.pricing`.
"""

from msgspec import Struct
from msgspec.structs import astuple


class TokenUsage(Struct, frozen=True):
    """Every token is counted in exactly one field; `searches` counts web searches.

    `input` excludes `cached_input`, both lives of cache writes, `audio_input` and `image_input`;
    `cache_write` is the life of five minutes and `cache_write_1h` that of an hour; `output`
    excludes `reasoning` and `audio_output`. Raises ValueError on a negative count.
    """

    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0
    searches: int = 0
    cache_write_1h: int = 0

    def __post_init__(self) -> None:
        if min(astuple(self)) >= 0:
            return
        for name in FIELDS:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")

    @property
    def prompt_tokens(self) -> int:
        return (
            self.input
            + self.cached_input
            + self.cache_write
            + self.cache_write_1h
            + self.audio_input
            + self.image_input
        )

    @property
    def completion_tokens(self) -> int:
        return self.output + self.reasoning + self.audio_output

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


FIELDS: tuple[str, ...] = TokenUsage.__struct_fields__

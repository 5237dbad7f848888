"""What routing knows of how targets have done lately. The figures are measured in `gateway.health`.

Everything is read from this process' memory; None means that too little was seen to say anything.
"""

from typing import Protocol
from uuid import UUID


class TargetHealth(Protocol):
    """Measured figures of one model at one provider, recent traffic weighing more."""

    def ttft_ms(self, provider: str, model: str) -> float | None:
        """From the call to the first output of a stream."""
        ...

    def inter_token_ms(self, provider: str, model: str) -> float | None:
        """Between two tokens of a stream."""
        ...

    def uptime(self, provider: str, model: str) -> float | None:
        """The share of attempts that the provider answered, from 0 to 1."""
        ...

    def throughput_tokens_per_second(self, provider: str, model: str) -> float | None:
        """Tokens of output a second, from the call to the answer's end."""
        ...

    def is_open(self, provider: str, model: str, connection_id: UUID | None) -> bool:
        """Whether the breaker of this target is open, so that another one is to be tried first."""
        ...


class Unmeasured:
    """The health of targets that nobody has seen at work."""

    def ttft_ms(self, provider: str, model: str) -> float | None:
        return None

    def inter_token_ms(self, provider: str, model: str) -> float | None:
        return None

    def uptime(self, provider: str, model: str) -> float | None:
        return None

    def throughput_tokens_per_second(self, provider: str, model: str) -> float | None:
        return None

    def is_open(self, provider: str, model: str, connection_id: UUID | None) -> bool:
        return False


UNMEASURED: TargetHealth = Unmeasured()

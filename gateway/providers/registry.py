"""Which provider file speaks which kind of connection."""

from gateway.providers.base import Provider
from gateway.providers.openai import OpenAIProvider

PROVIDERS: dict[str, Provider] = {"openai-compatible": OpenAIProvider()}


def provider_for(kind: str) -> Provider:
    """The translator for a connection's kind. Raises KeyError for a kind that no version knew."""
    return PROVIDERS[kind]

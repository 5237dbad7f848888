"""The request that pages show to people who have not sent one yet. With a key in it: `gateway.snippets`."""

from django.conf import settings

SIMULATED_MODEL = "ten-chunks@fake"
KNOWN_MODEL = "gpt-5-mini@openai"


def example() -> dict[str, str]:
    """Where to send it and a model that answers there, for the templates."""
    return {
        "public_url": settings.FAREBOX_PUBLIC_URL,
        "example_model": SIMULATED_MODEL if settings.FAREBOX_SIMULATOR_URL else KNOWN_MODEL,
    }

"""First calls to copy: the same streamed completion for curl and for the OpenAI SDKs, key in place."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.db.models import Q

from accounts.models import Organization
from billing.errors import UnknownPrice
from billing.price_book import ModelListing, load_price_book
from gateway.models import ProviderConnection

SIMULATOR = "fake"
SIMULATED_MODEL = "ten-chunks@fake"
PROMPT = "Say hello"

CURL = """\
curl -N {url}/chat/completions \\
  -H {authorization} \\
  -H 'Content-Type: application/json' \\
  -d {body}"""
PYTHON = """\
from openai import OpenAI

client = OpenAI(base_url={url}, api_key={secret})
stream = client.chat.completions.create(
    model={model},
    messages=[{{"role": "user", "content": {prompt}}}],
    stream=True,
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)"""
NODE = """\
import OpenAI from "openai";

const client = new OpenAI({{ baseURL: {url}, apiKey: {secret} }});
const stream = await client.chat.completions.create({{
  model: {model},
  messages: [{{ role: "user", content: {prompt} }}],
  stream: true,
}});
for await (const chunk of stream) {{
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}}"""


@dataclass(frozen=True, slots=True)
class Snippet:
    id: str
    label: str
    code: str


def snippets_for(secret: str, *, model: str) -> tuple[Snippet, ...]:
    """The call in every language, ready to paste."""
    url = f"{settings.FAREBOX_PUBLIC_URL}/v0"
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": PROMPT}]}
    curl = CURL.format(
        url=url,
        authorization=shlex.quote(f"Authorization: Bearer {secret}"),
        body=shlex.quote(json.dumps(body)),
    )
    # A JSON string is a string literal of Python and of JavaScript as well.
    literals = {
        name: json.dumps(value)
        for name, value in {"url": url, "secret": secret, "model": model, "prompt": PROMPT}.items()
    }
    return (
        Snippet("curl", "curl", curl),
        Snippet("python", "Python", PYTHON.format(**literals)),
        Snippet("node", "Node", NODE.format(**literals)),
    )


def first_model(organization: Organization, *, allowed_models: Sequence[str] | None) -> str:
    """A model that this key can call at little cost: one of its own, the simulator's, or a cheap one."""
    named = [model for model in allowed_models or () if "*" not in model]
    if named:
        return named[0]
    connected = _connected_providers(organization)
    if SIMULATOR in connected:
        return SIMULATED_MODEL
    listings = [listing for listing in load_price_book().listings() if listing.provider != SIMULATOR]
    cheapest = min([each for each in listings if each.provider in connected] or listings, key=_expense)
    return f"{cheapest.model}@{cheapest.provider}"


def _connected_providers(organization: Organization) -> frozenset[str]:
    reachable = ProviderConnection.objects.filter(
        Q(organization=organization) | Q(organization=None), is_active=True
    )
    return frozenset(reachable.values_list("provider", flat=True))


def _expense(listing: ModelListing) -> tuple[bool, int, str]:
    """What has a price comes first, then what costs least per token in and out."""
    try:
        price = listing.price_at(datetime.now(UTC).date())
    except UnknownPrice:
        return True, 0, listing.model
    return False, (price.input or 0) + (price.output or 0), listing.model

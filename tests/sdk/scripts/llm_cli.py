"""The command `llm`, called as from a shell: its arguments in, what it prints and its exit status out."""

import base64
import json
import os
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from llm.cli import cli
from script import BROKEN_STREAM, FAILURES, PIXEL, run

USER_FOLDER = Path(os.environ["LLM_USER_PATH"])
MODELS = ("echo", "tools", "vision", "reasoner", "ten-chunks", "nothing")
ABILITIES = {"supports_tools": True, "supports_schema": True, "vision": True, "reasoning": True}
# A temperature of 3 does not leave this command.
REFUSED = {**FAILURES, "400": ("good", "fake/echo", "hello", {"max_tokens": -1})}
FUNCTION = "def get_weather(city: str, days: int) -> str:\n    return 'sunny'\n"


def call(url: str, key: str, model: str, *arguments: str) -> Any:
    """One call of the command. Its models are read from the user's folder each time."""
    endpoint = {"api_base": url, "api_key_name": "farebox", **ABILITIES}
    known = [{"model_id": name, "model_name": f"fake/{name}", **endpoint} for name in MODELS]
    # JSON is YAML.
    (USER_FOLDER / "extra-openai-models.yaml").write_text(json.dumps(known))
    return CliRunner().invoke(cli, ["prompt", "-m", model, "--key", key, *arguments])


def told(result: Any) -> Any:
    return {"exit": result.exit_code, "said": result.stdout.strip(), "besides": result.stderr.strip()}


def prompt(url: str, keys: dict[str, str], *, model: str, arguments: tuple[str, ...]) -> Any:
    return told(call(url, keys["good"], model, *arguments))


def failing(url: str, keys: dict[str, str], *, name: str) -> Any:
    key, model, text, parameters = REFUSED[name]
    options = [word for option, value in parameters.items() for word in ("-o", option, str(value))]
    return told(call(url, keys[key], model.removeprefix("fake/"), text, *options))


def image_file() -> str:
    path = USER_FOLDER / "pixel.png"
    path.write_bytes(base64.b64decode(PIXEL.partition(",")[2]))
    return str(path)


# The SDK's class for `metadata` holds texts alone; the contract's has lists in it.
warnings.filterwarnings("ignore", "Pydantic serializer warnings")
TOOLS = ("--functions", FUNCTION, "--td")
run(
    {
        "plain": partial(prompt, model="echo", arguments=("hello", "--no-stream", "-u")),
        "streamed": partial(prompt, model="echo", arguments=("hello", "-u")),
        "tools": partial(prompt, model="tools", arguments=("hello", "--no-stream", *TOOLS)),
        "parallel tools": partial(prompt, model="tools", arguments=("[[calls 2]]", "--no-stream", *TOOLS)),
        "streamed tools": partial(prompt, model="tools", arguments=("[[calls 2]]", *TOOLS)),
        "schema": partial(prompt, model="echo", arguments=("hello", "--schema", "city, days int")),
        "image": partial(prompt, model="vision", arguments=("What is this?", "-a", image_file(), "-u")),
        "reasoning": partial(
            prompt, model="reasoner", arguments=("hello", "-o", "reasoning_effort", "low", "-u")
        ),
        **{name: partial(failing, name=name) for name in FAILURES},
        "broken stream": partial(prompt, model="ten-chunks", arguments=(BROKEN_STREAM,)),
    }
)

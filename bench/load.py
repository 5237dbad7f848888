"""A load: one request, and how it is sent to one contestant. What every load maker is told."""

import json
from collections.abc import Mapping
from dataclasses import dataclass


class LoadFailed(Exception):
    """The load could not be made; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """`watched_pid` is the contestant's process, for those loads that read its memory midway."""

    kind: str
    port: int
    path: str
    headers: Mapping[str, str]
    body: bytes
    clients: int
    seconds: float
    answer_seconds: float
    watched_pid: int

    def request(self) -> bytes:
        """The request as HTTP/1.1, for a connection that is kept."""
        headers = {
            "Host": f"127.0.0.1:{self.port}",
            "Content-Type": "application/json",
            "Content-Length": str(len(self.body)),
            **self.headers,
        }
        lines = [f"POST {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def to_json(load: Load) -> str:
    """For the command line of a child; `from_json` reads it."""
    names = ("kind", "port", "path", "clients", "seconds", "answer_seconds", "watched_pid")
    told = {name: getattr(load, name) for name in names}
    return json.dumps(told | {"headers": dict(load.headers), "body": load.body.decode()})


def from_json(text: str) -> Load:
    told = json.loads(text)
    return Load(**told | {"body": told["body"].encode()})

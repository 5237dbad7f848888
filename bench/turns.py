"""Turns: one client that sends one request after the other, for latencies without any queue."""

import socket
from collections.abc import Callable

import httptools

from bench.answers import FIRST_TOKEN
from bench.figures import quantiles_ms
from bench.load import Load

READ_BYTES = 65_536
TIMEOUT_SECONDS = 30
WARM_UP_TURNS = 5


class Turn:
    """One answer, whole or streamed. The callbacks `on_…` are the parser's."""

    def __init__(self) -> None:
        self.is_complete = self.has_token = False
        self._last = b""

    def on_body(self, body: bytes) -> None:
        if not self.has_token:
            self.has_token = FIRST_TOKEN in self._last + body
            self._last = body[-len(FIRST_TOKEN) :]

    def on_message_complete(self) -> None:
        self.is_complete = True


def take_turns(load: Load, *, clock: Callable[[], float]) -> dict[str, float]:
    """Ask for `load.seconds`. The first few turns are not counted: they open the way."""
    firsts: list[float] = []
    totals: list[float] = []
    errors = 0
    request = load.request()
    begin = clock()
    connection = _connect(load.port)
    while clock() < begin + load.seconds or (not totals and not errors):
        times = _take_turn(connection, request, clock)
        if times is None:
            errors += 1
            connection.close()
            connection = _connect(load.port)
        else:
            firsts.append(times[0])
            totals.append(times[1])
    connection.close()
    seconds = clock() - begin
    return {
        "requests": len(totals),
        "seconds": seconds,
        "per_second": len(totals) / seconds,
        "errors": errors,
        **quantiles_ms(firsts[WARM_UP_TURNS:], "first"),
        **quantiles_ms(totals[WARM_UP_TURNS:], "total"),
    }


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _take_turn(
    connection: socket.socket, request: bytes, clock: Callable[[], float]
) -> tuple[float, float] | None:
    """Seconds until the first token and until the end; None for anything but a good answer."""
    turn = Turn()
    parser = httptools.HttpResponseParser(turn)
    asked_at = clock()
    first_at = 0.0
    try:
        connection.sendall(request)
        while not turn.is_complete:
            read = connection.recv(READ_BYTES)
            if not read:
                return None
            parser.feed_data(read)
            if turn.has_token and not first_at:
                first_at = clock()
    except (OSError, httptools.HttpParserError):
        return None
    if parser.get_status_code() != 200 or not turn.has_token:
        return None
    return first_at - asked_at, clock() - asked_at

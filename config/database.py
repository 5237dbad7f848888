"""How Django connects to PostgreSQL: who notices, and when, that the other machine is gone.

A machine that dies says nothing, and its session keeps its locks until TCP gives it up: after two hours
by default. Where the connection is a unix socket, both ends ignore all of this.
"""

from urllib.parse import parse_qsl

IDLE_SECONDS, INTERVAL_SECONDS, PROBES = 30, 10, 3

# https://www.postgresql.org/docs/current/runtime-config-connection.html (checked 2026-11-27)
_SERVERS = (
    f"-c tcp_keepalives_idle={IDLE_SECONDS} -c tcp_keepalives_interval={INTERVAL_SECONDS}"
    f" -c tcp_keepalives_count={PROBES}"
)
# https://www.postgresql.org/docs/current/libpq-connect.html (checked 2026-11-27)
_CLIENTS = {
    "keepalives_idle": str(IDLE_SECONDS),
    "keepalives_interval": str(INTERVAL_SECONDS),
    "keepalives_count": str(PROBES),
}


def connection_options(query: str) -> dict[str, str]:
    """libpq's parameters of a DATABASE_URL's query, over the keep-alives of both ends."""
    given = dict(parse_qsl(query))
    # The last one of a setting wins.
    options = f"{_SERVERS} {given.get('options', '')}".rstrip()
    return {**_CLIENTS, **given, "options": options}

"""TCP ports of this machine: which are free. Who listens on them is in config.supervisor."""

import random
import socket

# Below the range from which Linux and macOS number outgoing connections, so that no client of
# this machine takes the port between the choice and the bind.
_FIRST_PORT, _LAST_PORT = 20_000, 32_000
_ATTEMPTS = 200


def is_port_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:`port` at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on, chosen at random."""
    for _ in range(_ATTEMPTS):
        port = random.randint(_FIRST_PORT, _LAST_PORT)
        if is_port_free(port):
            return port
    raise OSError(f"no free port between {_FIRST_PORT} and {_LAST_PORT} on 127.0.0.1")

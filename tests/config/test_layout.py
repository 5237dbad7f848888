"""Folders and ports of the embedded default: what is refused, and with which words."""

import socket

import pytest

from config.layout import Refused, read_layout, refuse_taken_ports
from config.ports import free_port


def test_without_settings_the_documented_ports_are_used() -> None:
    layout = read_layout({})

    assert layout.url == "http://127.0.0.1:8000"
    assert layout.simulator_url == "http://127.0.0.1:8001"
    assert layout.var == layout.root / "var"


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "", "80.5"])
def test_a_port_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(Refused, match="FAREBOX_PORT must be a port between 1 and 65535, got "):
        read_layout({"FAREBOX_PORT": text})


def test_a_taken_port_is_refused_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        layout = read_layout({"FAREBOX_PORT": str(free_port()), "FAREBOX_SIMULATOR_PORT": str(port)})

        with pytest.raises(Refused) as refusal:
            refuse_taken_ports(layout)

    assert str(refusal.value) == (
        f"port {port} is taken by another program: stop it, or choose another port: "
        f"FAREBOX_SIMULATOR_PORT={port + 10} make run"
    )


def test_one_port_for_both_servers_is_refused() -> None:
    port = str(free_port())
    layout = read_layout({"FAREBOX_PORT": port, "FAREBOX_SIMULATOR_PORT": port})

    with pytest.raises(Refused, match="must differ"):
        refuse_taken_ports(layout)


def test_free_ports_pass() -> None:
    layout = read_layout({"FAREBOX_PORT": str(free_port()), "FAREBOX_SIMULATOR_PORT": str(free_port())})

    refuse_taken_ports(layout)

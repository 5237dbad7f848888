"""Where a request comes from, and whether a key may be used from there."""

from ipaddress import ip_address

import pytest

from accounts.errors import WrongLimit
from accounts.networks import caller_address, may_come_from, parse_network
from accounts.rules import MAX_ALLOWED_NETWORKS, checked_networks

PROXIES = (parse_network("10.0.0.0/8"), parse_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("2001:db8::1", "", "2001:db8::1"),
        ("::ffff:203.0.113.7", "", "203.0.113.7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("fd00::1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
    ],
)
def test_the_caller_is_the_last_hop_that_is_no_proxy_of_ours(peer, forwarded, address):
    assert caller_address(peer, forwarded, PROXIES) == ip_address(address)


def test_who_is_no_proxy_of_ours_is_not_believed():
    assert caller_address("203.0.113.7", "10.9.9.9", PROXIES) == ip_address("203.0.113.7")
    assert caller_address("10.0.0.1", "10.9.9.9", ()) == ip_address("10.0.0.1")


@pytest.mark.parametrize(
    ("peer", "forwarded"), [("", ""), ("unix:/run/x", ""), ("10.0.0.1", "unknown"), ("10.0.0.1", "1.2.3")]
)
def test_what_is_no_address_is_nobody(peer, forwarded):
    assert caller_address(peer, forwarded, PROXIES) is None


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        ("203.0.112.255", False),
        ("203.0.113.0", True),
        ("203.0.113.255", True),
        ("203.0.114.0", False),
        ("198.51.100.7", True),
        ("198.51.100.8", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
    ],
)
def test_a_key_may_be_used_from_its_networks_to_the_last_address(address, is_allowed):
    allowed = ("203.0.113.0/24", "198.51.100.7/32", "2001:db8::/32")

    assert may_come_from(ip_address(address), allowed) is is_allowed
    assert may_come_from(None, allowed) is False


def test_networks_are_written_in_one_way():
    written = checked_networks([" 203.0.113.9/24 ", "203.0.113.0/24", "198.51.100.7", "2001:DB8::/32", ""])

    assert written == ["203.0.113.0/24", "198.51.100.7/32", "2001:db8::/32"]
    assert checked_networks(None) is None


@pytest.mark.parametrize(
    "networks",
    [[], [" "], ["somewhere"], ["203.0.113.0/33"], ["1.2.3.4.5"], ["10.0.0.1;drop"]],
)
def test_what_is_no_network_is_refused(networks):
    with pytest.raises(WrongLimit):
        checked_networks(networks)


def test_there_is_a_bound():
    networks = [f"10.0.{number // 256}.{number % 256}" for number in range(MAX_ALLOWED_NETWORKS + 1)]

    assert len(checked_networks(networks[:-1])) == MAX_ALLOWED_NETWORKS
    with pytest.raises(WrongLimit):
        checked_networks(networks)

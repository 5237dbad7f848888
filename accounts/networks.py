"""Networks a key may be used from, and where a request really comes from. Pure.

A proxy's word for its caller (`X-Forwarded-For`) counts only if the proxy is one of ours: anyone
else could write there what the allow list wants to read.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

REMEMBERED_LISTS = 4_096
# More proxies than that are not in a row.
HOPS_LIMIT = 16


def parse_network(text: str) -> Network:
    """An address or a network, whatever its host bits are. Raises ValueError."""
    return ip_network(text.strip(), strict=False)


def caller_address(peer: str, forwarded: str, proxies: Sequence[Network]) -> Address | None:
    """Who called: the last hop that is no proxy of ours. None if that is no address."""
    address = _parsed(peer)
    hops = forwarded.split(",")[-HOPS_LIMIT:] if forwarded else []
    while address is not None and hops and _is_within(address, proxies):
        address = _parsed(hops.pop())
    return address


def may_come_from(address: Address | None, allowed: tuple[str, ...]) -> bool:
    """Whether an address is in one of the networks. Who cannot be told is in none."""
    return address is not None and _is_within(address, _networks(allowed))


@lru_cache(maxsize=REMEMBERED_LISTS)
def _networks(allowed: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(map(parse_network, allowed))


def _is_within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _parsed(text: str) -> Address | None:
    """An address as proxies write it: maybe with a port, in brackets, or IPv4 inside of IPv6."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return inner or address

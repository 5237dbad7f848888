"""Egress: which addresses and base URLs the gateway may connect to.

Pure rules on URLs and addresses, and the one function that resolves a name and answers with the checked
addresses. Connections are made in gateway.transport: to the addresses given here, and to no others.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

import idna

Network = IPv4Network | IPv6Network
Lookup = Callable[[str, int], Awaitable[list[str]]]

MAX_URL_CHARACTERS: Final = 2048
MAX_HOST_CHARACTERS: Final = 253
# A name with more addresses than this is not balancing load; it is asking for work.
MAX_ADDRESSES: Final = 64

# Spelled out, because `ipaddress.is_private` leaves out carrier-grade NAT, multicast, NAT64, 6to4 and the
# IPv4-compatible and site-local ranges of IPv6, all of which can lead back inside.
# https://www.iana.org/assignments/iana-ipv4-special-registry (and -ipv6-), checked 2026-11-20
DENIED_NETWORKS: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32"),
        *("2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
        # A public address on which Azure's hosts serve their guests.
        # https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
        "168.63.129.16/32",
    )
)

_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_HOST_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_HOST_NAME_OR_IPV6: Final = re.compile(rf"{_HOST_NAME.pattern}|[0-9a-f]*:[0-9a-f:.]*")
_NUMERIC_LABEL: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}

# A name server that does not answer holds a thread for as long as it likes. The lookups that customers can
# cause have their own few threads, so that they never stand in the way of the operator's.
_GUARDED_LOOKUPS: Final = ThreadPoolExecutor(max_workers=8, thread_name_prefix="guarded-lookup")


class EgressRefused(Exception):
    """The connection is not allowed. The message is safe to show: it holds no resolved address."""


class BaseUrlRefused(ValueError):
    """A custom endpoint cannot be saved; the message says what is allowed instead."""


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """What one organization may make the gateway connect to.

    Without `is_guarded` (the operator's own providers) nothing is checked. `allowed_networks` are the
    private networks that the operator has opened: there, every port and plain http are allowed too.
    `denied_hosts` are refused whatever they resolve to: the gateway's own public names, which would call
    it in a circle.
    """

    is_guarded: bool = True
    allowed_networks: frozenset[Network] = frozenset()
    allowed_ports: frozenset[int] = frozenset({443})
    denied_hosts: frozenset[str] = frozenset()


async def system_lookup(host: str, port: int) -> list[str]:
    """The addresses of a name, or of a literal in any spelling, as the system resolves them."""
    loop = asyncio.get_running_loop()
    return _addresses(await loop.run_in_executor(None, _getaddrinfo, host, port))


async def guarded_lookup(host: str, port: int) -> list[str]:
    """As `system_lookup`, on the threads kept for names that customers chose."""
    loop = asyncio.get_running_loop()
    return _addresses(await loop.run_in_executor(_GUARDED_LOOKUPS, _getaddrinfo, host, port))


async def resolve_allowed(
    host: str,
    port: int,
    *,
    policy: EgressPolicy,
    is_encrypted: bool = True,
    lookup: Lookup | None = None,
) -> list[str]:
    """The addresses to which a connection may be made at this moment, in the resolver's order.

    Raises EgressRefused if a single one of the addresses is denied: a name with a public and a private
    record is an attack, not a misconfiguration to be helped along. Raises OSError if there is no such name.
    """
    if not policy.is_guarded:
        return await (lookup or system_lookup)(host, port)
    host = host.lower().removesuffix(".")
    _check_name(host, policy)
    if not policy.allowed_networks:
        _check_public(port, policy, is_encrypted=is_encrypted)
    addresses = await (lookup or guarded_lookup)(host, port)
    if len(addresses) > MAX_ADDRESSES:
        raise EgressRefused(f"{host} has more than {MAX_ADDRESSES} addresses")
    for address in addresses:
        if is_denied(address, policy=policy):
            raise EgressRefused(f"{host} leads to an address that may not be called from here")
        if not _is_opened(address, policy):
            _check_public(port, policy, is_encrypted=is_encrypted)
    return addresses


def is_denied(address: str, *, policy: EgressPolicy) -> bool:
    """Whether a guarded connection to this address is refused. What is not an address is refused."""
    try:
        parsed = _unmapped(address)
    except ValueError:
        return True
    return not _is_opened(address, policy) and any(parsed in network for network in DENIED_NETWORKS)


def check_base_url(text: str, *, policy: EgressPolicy) -> str:
    """The normalised form of a custom endpoint's base URL, without a slash at its end.

    Judges what the text alone tells; where a name leads is judged at every connect. If the operator has
    opened a network, a name may lead there, and so passes with any port and with plain http.
    Raises BaseUrlRefused.
    """
    if len(text) > MAX_URL_CHARACTERS:
        raise BaseUrlRefused(f"The URL must not be longer than {MAX_URL_CHARACTERS} characters.")
    if not text.isprintable() or any(character in text for character in " \\?#@"):
        raise BaseUrlRefused(
            "The URL must be of the form https://host/path, "
            "without user name, query, fragment, spaces or backslashes."
        )
    parts, port = _split(text)
    host = _normalised_host(parts.hostname or "")
    try:
        _check_location(host, port, policy, is_encrypted=parts.scheme == "https")
    except EgressRefused as exc:
        raise BaseUrlRefused(f"{exc}.") from exc
    if not re.fullmatch(r"[!-~]*", parts.path):
        raise BaseUrlRefused("The path of the URL must be plain ASCII, other characters percent-encoded.")
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = "" if port == _DEFAULT_PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{shown_host}{shown_port}{parts.path.rstrip('/')}"


def _check_location(host: str, port: int, policy: EgressPolicy, *, is_encrypted: bool) -> None:
    if not policy.is_guarded:
        return
    _check_name(host, policy)
    literal = _literal_address(host)
    if literal is not None and is_denied(literal, policy=policy):
        raise EgressRefused("The host must be reachable from the public internet")
    may_be_opened = bool(policy.allowed_networks) if literal is None else _is_opened(literal, policy)
    if not may_be_opened:
        _check_public(port, policy, is_encrypted=is_encrypted)


def _split(text: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as exc:
        raise BaseUrlRefused("The URL must be of the form https://host/path.") from exc
    is_bracketed_name = "[" in parts.netloc and ":" not in (parts.hostname or "")
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or is_bracketed_name:
        raise BaseUrlRefused("The URL must begin with https:// and a host name.")
    return parts, _DEFAULT_PORTS[parts.scheme] if port is None else port


def _normalised_host(host: str) -> str:
    """Lower case, ASCII, without the final dot; an IPv6 address in its shortest spelling."""
    if ":" in host:
        try:
            return str(IPv6Address(host))
        except ValueError as exc:
            raise BaseUrlRefused("The host is not a valid IPv6 address.") from exc
    try:
        ascii_host = host if host.isascii() else idna.encode(host, uts46=True, std3_rules=True).decode()
    except idna.IDNAError as exc:
        raise BaseUrlRefused("The host is not a valid internationalised name.") from exc
    ascii_host = ascii_host.lower().removesuffix(".")
    if len(ascii_host) > MAX_HOST_CHARACTERS or not _HOST_NAME.fullmatch(ascii_host):
        raise BaseUrlRefused(f"The host must be a name of at most {MAX_HOST_CHARACTERS} characters.")
    return ascii_host


def _literal_address(host: str) -> str | None:
    """The address that a host names by itself, if it does."""
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, 6.3
        return "127.0.0.1"
    if ":" in host:
        return host
    if not _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
        return None
    try:
        return str(IPv4Address(host))
    except ValueError as exc:
        # 127.1, 0x7f000001, 2130706433 and 0177.0.0.1 mean 127.0.0.1 to some readers and not to others.
        raise BaseUrlRefused("An IPv4 address must be written as four decimal numbers.") from exc


def _check_name(host: str, policy: EgressPolicy) -> None:
    if len(host) > MAX_HOST_CHARACTERS or not _HOST_NAME_OR_IPV6.fullmatch(host):
        raise EgressRefused("The host is not a valid name")
    if host in policy.denied_hosts:
        raise EgressRefused(f"{host} is this gateway itself")


def _check_public(port: int, policy: EgressPolicy, *, is_encrypted: bool) -> None:
    """What holds outside of the networks that the operator has opened."""
    if not is_encrypted:
        raise EgressRefused("The URL must begin with https://")
    if port not in policy.allowed_ports:
        allowed = ", ".join(str(port) for port in sorted(policy.allowed_ports))
        raise EgressRefused(f"Port {port} is not allowed; allowed: {allowed}")


def _unmapped(address: str) -> IPv4Address | IPv6Address:
    parsed = ip_address(address)
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _is_opened(address: str, policy: EgressPolicy) -> bool:
    parsed = _unmapped(address)
    return any(parsed in network for network in policy.allowed_networks)


def _getaddrinfo(host: str, port: int) -> list[tuple[object, ...]]:
    try:
        return [*socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except UnicodeError as exc:  # An empty label, or one of more than 63 characters.
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from exc


def _addresses(records: list[tuple[object, ...]]) -> list[str]:
    found = (record[4][0] for record in records if isinstance(record[4], tuple))
    return list(dict.fromkeys(str(address) for address in found))

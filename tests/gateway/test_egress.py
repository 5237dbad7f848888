"""Egress: no spelling, name, record or second answer of a name server leads a guarded call inside."""

from functools import partial
from ipaddress import ip_network

import pytest

from gateway.egress import (
    DENIED_NETWORKS,
    EgressPolicy,
    EgressRefused,
    Lookup,
    is_denied,
    resolve_allowed,
)
from gateway.transport import PooledTransport, TransportLimits
from tests.gateway.pooled_calls import TLS, call, pooled, until
from tests.gateway.scripted_upstream import OK, Conversation, answering, scripted_upstream

STRICT = EgressPolicy()
UNGUARDED = EgressPolicy(is_guarded=False)
OPENED = EgressPolicy(allowed_networks=frozenset({ip_network("10.1.0.0/16"), ip_network("fd12::/32")}))
LOOPBACK_OPENED = EgressPolicy(allowed_networks=frozenset({ip_network("127.0.0.0/8")}))

INSIDE = {
    "this network": ["0.0.0.0", "0.255.255.255"],
    "private": [
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "192.168.255.255",
    ],
    "carrier-grade NAT": ["100.64.0.1", "100.100.100.200", "100.127.255.255"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "link-local and metadata": ["169.254.0.1", "169.254.169.254", "169.254.170.2", "fe80::1", "fe80::1%eth0"],
    "metadata elsewhere": ["192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"],
    "benchmarks": ["198.18.0.1", "198.19.255.255"],
    "multicast and above": ["224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "ff02::1"],
    "6to4 relays": ["192.88.99.1", "2002:7f00:1::", "2002:a9fe:a9fe::1"],
    "IPv4 in IPv6": ["::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:169.254.169.254", "::127.0.0.1", "::"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::169.254.169.254", "64:ff9b:1::7f00:1"],
    "Teredo": ["2001::1", "2001:0:ffff:ffff::1"],
    "IPv6 of old": ["fec0::1", "100::1"],
    "IPv6 private": ["fc00::1", "fd00::1", "fdff:ffff::1"],
    "no address at all": ["", "localhost", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "::g", "1.2.3.4/8"],
}
OUTSIDE = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.1", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255"),
    *("192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.15", "168.63.129.17"),
    *("2606:4700::1111", "2001:4860:4860::8888", "2a00:1450::1", "::ffff:8.8.8.8"),
]


def answers(*addresses: str) -> Lookup:
    async def lookup(host: str, port: int) -> list[str]:
        return list(addresses)

    return lookup


@pytest.mark.parametrize("address", [address for group in INSIDE.values() for address in group])
def test_addresses_that_lead_inside_are_denied(address: str) -> None:
    assert is_denied(address, policy=STRICT)


@pytest.mark.parametrize("address", OUTSIDE)
def test_public_addresses_are_allowed(address: str) -> None:
    assert not is_denied(address, policy=STRICT)


@pytest.mark.parametrize("network", DENIED_NETWORKS, ids=str)
def test_each_denied_network_is_denied_from_its_first_to_its_last_address(network) -> None:
    assert is_denied(str(network[0]), policy=STRICT)
    assert is_denied(str(network[-1]), policy=STRICT)


def test_an_opened_network_is_allowed_and_its_neighbours_are_not() -> None:
    allowed = ["10.1.0.0", "10.1.255.255", "::ffff:10.1.2.3", "fd12::1"]
    denied = ["10.0.255.255", "10.2.0.0", "fd13::1", "127.0.0.1"]

    assert [is_denied(address, policy=OPENED) for address in allowed] == [False] * 4
    assert [is_denied(address, policy=OPENED) for address in denied] == [True] * 4


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "LOCALHOST", "localhost.", "::1", "0.0.0.0", "0", "127.1", "2130706433"),
        *("0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "①②⑦.0.0.1", "127.0.0.1.", "127。0。0。1"),
        *(
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "fd00:ec2::254",
        ),
        *(
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::7f00:1",
        ),
        *("2002:7f00:1::", "::127.0.0.1", "fec0::1", "fe80::1", "fe80::1%lo", "255.255.255.255"),
        *(
            "",
            "a b",
            "a\\b",
            "a\r\nb",
            "a\0b",
            "good@evil",
            "a/b",
            "a%2eb",
            "a" * 64,
            "a." * 128,
            "x" * 65_536,
        ),
    ],
)
async def test_no_spelling_of_a_host_leads_inside(host: str) -> None:
    with pytest.raises(EgressRefused):
        await resolve_allowed(host, 443, policy=STRICT)


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.1"],
        ["8.8.8.8", "10.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        ["8.8.8.8", "2606:4700::1111", "::ffff:169.254.169.254"],
        ["not an address"],
        ["8.8.8.8"] * 65,
    ],
)
async def test_a_name_is_refused_if_any_of_its_records_is(addresses: list[str]) -> None:
    with pytest.raises(EgressRefused):
        await resolve_allowed("api.example", 443, policy=STRICT, lookup=answers(*addresses))


@pytest.mark.parametrize("host", ["metadata.google.internal", "metadata", "redis", "kubernetes.default.svc"])
async def test_names_of_inside_are_judged_by_where_they_lead(host: str) -> None:
    with pytest.raises(EgressRefused):
        await resolve_allowed(host, 443, policy=STRICT, lookup=answers("169.254.169.254"))


async def test_a_public_name_is_answered_with_its_checked_addresses_in_order() -> None:
    found = await resolve_allowed(
        "API.example.", 443, policy=STRICT, lookup=answers("8.8.8.8", "2606:4700::1111")
    )

    assert found == ["8.8.8.8", "2606:4700::1111"]


@pytest.mark.parametrize("port", [0, 22, 25, 80, 5432, 6379, 8443, 65_535])
async def test_ports_that_are_not_listed_are_refused_before_anything_is_looked_up(port: int) -> None:
    looked_up: list[str] = []

    async def lookup(host: str, port: int) -> list[str]:
        looked_up.append(host)
        return ["8.8.8.8"]

    with pytest.raises(EgressRefused) as caught:
        await resolve_allowed("api.example", port, policy=STRICT, lookup=lookup)

    assert str(caught.value) == f"Port {port} is not allowed; allowed: 443"
    assert looked_up == []


async def test_in_an_opened_network_every_port_and_plain_http_are_allowed_and_elsewhere_not() -> None:
    inside, outside = answers("10.1.2.3"), answers("8.8.8.8")

    plain = await resolve_allowed("vllm", 8000, policy=OPENED, is_encrypted=False, lookup=inside)
    with pytest.raises(EgressRefused):
        await resolve_allowed("api.example", 8000, policy=OPENED, lookup=outside)
    with pytest.raises(EgressRefused):
        await resolve_allowed("api.example", 443, policy=OPENED, is_encrypted=False, lookup=outside)

    assert plain == ["10.1.2.3"]


async def test_the_gateway_itself_is_refused() -> None:
    policy = EgressPolicy(denied_hosts=frozenset({"farebox.example"}))

    with pytest.raises(EgressRefused):
        await resolve_allowed("Farebox.example.", 443, policy=policy, lookup=answers("8.8.8.8"))


async def test_a_refusal_does_not_tell_what_a_name_resolved_to() -> None:
    with pytest.raises(EgressRefused) as caught:
        await resolve_allowed("secret.example", 443, policy=STRICT, lookup=answers("10.9.8.7"))

    assert str(caught.value) == "secret.example leads to an address that may not be called from here"


async def test_the_operators_own_providers_may_be_anywhere() -> None:
    assert await resolve_allowed("localhost", 8000, policy=UNGUARDED, lookup=answers("127.0.0.1")) == [
        "127.0.0.1"
    ]
    assert await resolve_allowed("127.0.0.1", 8000, policy=UNGUARDED, is_encrypted=False) == ["127.0.0.1"]


async def test_a_name_that_changes_its_mind_is_judged_again_at_each_connect_and_never_looked_up_twice() -> (
    None
):
    looked_up: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["169.254.169.254"]

    async def script(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(OK)

    resolve = partial(resolve_allowed, lookup=rebinding)
    async with scripted_upstream(script) as upstream, pooled(resolve=resolve) as transport:
        url = f"http://rebind.example:{upstream.port}/"
        first = await call(transport, url, egress=LOOPBACK_OPENED)
        await until(lambda: transport.occupancy().connections == 0)
        with pytest.raises(EgressRefused):
            await call(transport, url, egress=LOOPBACK_OPENED)

        assert (first, upstream.opened) == (b"ok", 1)
        assert looked_up == ["rebind.example"] * 2


async def test_a_redirect_to_the_inside_is_not_followed_and_no_credential_leaves() -> None:
    async with scripted_upstream(answering(OK)) as inside:
        go = b"HTTP/1.1 307 Go\r\nLocation: http://localhost:%d/\r\nContent-Length: 0\r\n\r\n" % inside.port
        async with scripted_upstream(answering(go)) as upstream, pooled() as transport:
            body = await call(transport, upstream.url, egress=LOOPBACK_OPENED)

            assert (body, len(upstream.requests), inside.opened) == (b"", 1, 0)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:%d/",
        "http://localhost:%d/",
        "http://[::ffff:127.0.0.1]:%d/",
        "http://2130706433:%d/",
        "http://127.1:%d/",
        "http://0x7f000001:%d/",
        "http://0:%d/",
        "http://127。0。0。1:%d/",
    ],
)
async def test_a_guarded_request_never_reaches_this_machine(url: str) -> None:
    async with scripted_upstream(answering(OK)) as upstream:
        policy = EgressPolicy(allowed_ports=frozenset({upstream.port}))
        transport = PooledTransport(TransportLimits(), ssl_context=TLS)
        for scheme in ("http", "https"):
            with pytest.raises(EgressRefused):
                await call(transport, url.replace("http", scheme) % upstream.port, egress=policy)
        await transport.aclose()

        assert upstream.opened == 0


async def test_policies_do_not_share_connections() -> None:
    closed = EgressPolicy(allowed_networks=frozenset({ip_network("10.0.0.0/8")}))
    async with scripted_upstream(answering(OK)) as upstream, pooled() as transport:
        first = await call(transport, upstream.url, egress=LOOPBACK_OPENED)
        second = await call(transport, upstream.url, egress=LOOPBACK_OPENED)
        for policy in (closed, STRICT):
            with pytest.raises(EgressRefused):
                await call(transport, upstream.url, egress=policy)

        assert (first, second, upstream.opened) == (b"ok", b"ok", 1)

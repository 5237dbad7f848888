"""Where the transport's connections lead: checked addresses, TLS, and never a redirect."""

import asyncio
import random
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.egress import EgressPolicy, EgressRefused
from gateway.transport import PoolOccupancy, Resolver, TransportLimits
from tests.gateway.pooled_calls import (
    NOTHING_OPEN,
    call,
    pooled,
    post,
    resolving,
    until,
)
from tests.gateway.scripted_upstream import OK, Conversation, Upstream, answering, scripted_upstream


async def test_the_connection_goes_to_the_resolved_address_under_the_name_of_the_host() -> None:
    async with (
        scripted_upstream(answering(OK)) as upstream,
        pooled(resolve=resolving("127.0.0.1")) as transport,
    ):
        await call(transport, f"http://api.example:{upstream.port}/v1")

        assert upstream.requests[0].startswith(
            b"POST /v1 HTTP/1.1\r\nHost: api.example:%d\r\n" % upstream.port
        )


async def test_the_next_address_is_tried_when_one_refuses() -> None:
    async with (
        scripted_upstream(answering(OK)) as upstream,
        pooled(resolve=resolving("127.0.0.2", "127.0.0.3", "127.0.0.1")) as transport,
    ):
        assert await call(transport, f"http://api.example:{upstream.port}") == b"ok"


async def test_a_refused_egress_opens_nothing_and_keeps_no_slot() -> None:
    async def refuse(host: str, port: int, *, policy: EgressPolicy, is_encrypted: bool) -> Sequence[str]:
        raise EgressRefused("no")

    async with scripted_upstream(answering(OK)) as upstream, pooled(resolve=refuse) as transport:
        with pytest.raises(EgressRefused):
            await call(transport, upstream.url)

        assert upstream.opened == 0
        assert transport.occupancy() == NOTHING_OPEN


async def test_a_request_without_a_policy_is_guarded() -> None:
    async with scripted_upstream(answering(OK)) as upstream, pooled() as transport:
        with pytest.raises(EgressRefused):
            await transport.handle_async_request(httpx.Request("GET", upstream.url))

        assert upstream.opened == 0


async def test_guarded_requests_never_use_a_connection_that_was_opened_without_a_check() -> None:
    async with scripted_upstream(answering(OK)) as upstream, pooled() as transport:
        await call(transport, upstream.url)
        with pytest.raises(EgressRefused):
            await call(transport, upstream.url, egress=EgressPolicy(allowed_ports=frozenset({upstream.port})))

        assert upstream.opened == 1


@pytest.mark.parametrize("resolve", [resolving(), resolving("127.0.0.1"), resolving("127.0.0.2", "::1")])
async def test_nobody_there_is_a_connect_error_that_names_no_address(resolve: Resolver) -> None:
    async with scripted_upstream(answering(OK)) as upstream:
        port = upstream.port

    async with pooled(resolve=resolve) as transport:
        with pytest.raises(httpx.ConnectError) as caught:
            await call(transport, f"http://api.example:{port}")

        assert str(caught.value) in {
            "cannot connect (ConnectionAbortedError)",
            "cannot connect (ConnectionRefusedError)",
            "cannot connect (OSError)",
        }
        assert transport.occupancy() == NOTHING_OPEN


async def test_a_name_server_that_never_answers_is_a_connect_timeout() -> None:
    async def never(host: str, port: int, *, policy: EgressPolicy, is_encrypted: bool) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async with pooled(resolve=never) as transport:
        with pytest.raises(httpx.ConnectTimeout):
            await call(transport, "http://api.example", connect=0.05)

        assert transport.occupancy() == NOTHING_OPEN


@pytest.mark.parametrize("url", ["ftp://api.example/", "file:///etc/passwd", "gopher://api.example/"])
async def test_other_schemes_are_refused(url: str) -> None:
    async with pooled() as transport:
        with pytest.raises(httpx.UnsupportedProtocol):
            await call(transport, url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_nobody_goes_there(status: int) -> None:
    async with scripted_upstream(answering(OK)) as target:
        redirect = b"HTTP/1.1 %d Go\r\nLocation: %b/\r\nContent-Length: 0\r\n\r\n" % (
            status,
            target.url.encode(),
        )
        async with scripted_upstream(answering(redirect)) as upstream, pooled() as transport:
            response = await transport.handle_async_request(post(upstream.url))
            await response.aclose()

            assert response.status_code == status
            assert target.opened == 0


class Certificates:
    """An authority of the test's own, and a server certificate for api.example signed by it."""

    def __init__(self, folder: Path) -> None:
        authority_key, server_key = (
            ec.generate_private_key(ec.SECP256R1()),
            ec.generate_private_key(ec.SECP256R1()),
        )
        authority_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority of a test")])
        authority = self._certificate(
            authority_name, authority_name, authority_key, authority_key, is_authority=True
        )
        server_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "api.example")])
        server = self._certificate(server_name, authority_name, server_key, authority_key, is_authority=False)
        self.authority_path, self.server_path = folder / "authority.pem", folder / "server.pem"
        self.authority_path.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        self.server_path.write_bytes(
            server.public_bytes(serialization.Encoding.PEM)
            + server_key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def server_context(self, upstream_names: list[str | None]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_path)
        context.sni_callback = lambda _, name, __: upstream_names.append(name)
        return context

    @property
    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority_path))

    @staticmethod
    def _certificate(
        subject: x509.Name,
        issuer: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        signer: ec.EllipticCurvePrivateKey,
        *,
        is_authority: bool,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("api.example")]), critical=False)
            .sign(signer, hashes.SHA256())
        )


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@asynccontextmanager
async def encrypted(certificates: Certificates) -> AsyncGenerator[tuple[Upstream, list[str | None]]]:
    names: list[str | None] = []
    async with scripted_upstream(answering(OK), tls=certificates.server_context(names)) as upstream:
        yield upstream, names


async def test_an_encrypted_connection_names_the_host_and_is_used_again(certificates: Certificates) -> None:
    async with (
        encrypted(certificates) as (upstream, names),
        pooled(resolve=resolving("127.0.0.1"), ssl_context=certificates.client_context) as transport,
    ):
        bodies = [await call(transport, f"https://api.example:{upstream.port}/") for _ in range(3)]

        assert bodies == [b"ok"] * 3
        assert (upstream.opened, names) == (1, ["api.example"])


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1"])
async def test_a_certificate_for_another_host_is_refused(certificates: Certificates, host: str) -> None:
    async with (
        encrypted(certificates) as (upstream, _),
        pooled(resolve=resolving("127.0.0.1"), ssl_context=certificates.client_context) as transport,
    ):
        with pytest.raises(httpx.ConnectError):
            await call(transport, f"https://{host}:{upstream.port}/")

        assert upstream.requests == []
        assert transport.occupancy() == NOTHING_OPEN


async def test_a_certificate_of_an_unknown_authority_is_refused(certificates: Certificates) -> None:
    async with (
        encrypted(certificates) as (upstream, _),
        pooled(resolve=resolving("127.0.0.1")) as transport,
    ):
        with pytest.raises(httpx.ConnectError):
            await call(transport, f"https://api.example:{upstream.port}/")

        assert upstream.requests == []


async def test_a_server_that_never_shakes_hands_is_a_connect_timeout() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.gone()

    async with scripted_upstream(script) as upstream, pooled(resolve=resolving("127.0.0.1")) as transport:
        with pytest.raises(httpx.ConnectTimeout):
            await call(transport, f"https://api.example:{upstream.port}/", connect=0.1)

        await until(lambda: upstream.open_now == 0)
        assert transport.occupancy() == NOTHING_OPEN


async def test_handshakes_cancelled_at_random_points_leave_no_connection(certificates: Certificates) -> None:
    chance = random.Random(3)
    async with (
        encrypted(certificates) as (upstream, _),
        pooled(
            resolve=resolving("127.0.0.1"),
            ssl_context=certificates.client_context,
            limits=TransportLimits(connections=3),
        ) as transport,
    ):
        url = f"https://api.example:{upstream.port}/"
        for _ in range(100):
            tasks = [asyncio.create_task(call(transport, url)) for _ in range(6)]
            await asyncio.wait(tasks, timeout=chance.random() * 0.02)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        bodies = await asyncio.gather(*(call(transport, url) for _ in range(20)))
        after = transport.occupancy()

        assert bodies == [b"ok"] * 20
        assert after == PoolOccupancy(connections=after.idle, idle=after.idle, waiting=0)
        await until(lambda: upstream.open_now == after.idle)

"""Base URLs of custom endpoints: what an owner may save, and what the refusal says."""

from ipaddress import ip_network

import httpx
import pytest

from gateway.egress import BaseUrlRefused, EgressPolicy, check_base_url

STRICT = EgressPolicy()
UNGUARDED = EgressPolicy(is_guarded=False)
OPENED = EgressPolicy(allowed_networks=frozenset({ip_network("10.1.0.0/16"), ip_network("fd12::/32")}))

# One URL a word.
BAD_BASE_URLS = {
    "no https://host": """
        api.example //api.example https:// https:///v1 https:api.example javascript:alert(1) data:text/plain,x
        http://api.example ftp://api.example/ file:///etc/passwd gopher://api.example/ ws://api.example
        unix:/run/docker.sock http+unix://%2Frun%2Fdocker.sock/
    """,
    "more than a host and a path": r"""
        https://user:pass@api.example/ https://good@evil.example/ https://good.example#@evil.example/
        https://api.example/#x https://api.example/# https://api.example/?a=b https://api.example/?
        https://api.example\@evil.example/ https://api.example\v1
    """,
    "other ports": """
        https://api.example:22/ https://api.example:5432/ https://api.example:6379 https://api.example:0
        https://api.example:80/ https://api.example:99999/ https://api.example:-1/ https://api.example:x/
    """,
    "addresses of inside": """
        https://127.0.0.1/ https://localhost/ https://api.localhost/ https://[::1]/ https://0.0.0.0/ https://0/
        https://127.1/ https://2130706433/ https://0x7f000001/ https://0177.0.0.1/ https://127.0.0.1./
        https://①②⑦.0.0.1/ https://127。0。0。1/ https://10.0.0.1/ https://172.16.0.1/ https://192.168.0.1/
        https://169.254.169.254/latest https://[fd00:ec2::254]/ https://100.64.0.1/ https://198.18.0.1/
        https://224.0.0.1/ https://[::ffff:127.0.0.1]/ https://[64:ff9b::7f00:1]/ https://[64:ff9b:1::7f00:1]/
        https://[2002:7f00:1::]/ https://[::127.0.0.1]/ https://[fec0::1]/ https://[fe80::1]/
    """,
    "no host names": """
        https://[fe80::1%eth0]/ https://[fe80::1%25eth0]/ https://[::1 https://::1/ https://[v1.a]/
        https://[api.example]/ https://1.2.3.4.5/ https://-a.example/ https://a-.example/ https://a..example/
        https://.example/ https://%61.com/ https://xn--☃.example/ https://api.example/☃
    """,
    "this gateway": "https://farebox.example/v1 https://FAREBOX.example./v1",
}
BAD_BASE_URLS_WITH_SPACES = [
    *("", " https://api.example", "https://a b.example/", "https://api.example/\t", "https://a\0b/"),
    "https://api.example/\r\nX-Injected: 1",
]
LONG_BASE_URLS = [f"https://{'a' * 64}.example/", f"https://{'a.' * 124}example/", f"https://{'a' * 65_536}"]


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("https://api.example", "https://api.example"),
        ("https://api.example/", "https://api.example"),
        ("HTTPS://API.Example:443/v1/", "https://api.example/v1"),
        ("https://api.example./v1", "https://api.example/v1"),
        ("https://bücher.example/v1", "https://xn--bcher-kva.example/v1"),
        ("https://\uff47oogle.com/v1", "https://google.com/v1"),
        ("https://8.8.8.8/v1", "https://8.8.8.8/v1"),
        ("https://[2606:4700:0::1111]/v1", "https://[2606:4700::1111]/v1"),
        ("https://r3---sn.example/a%20b", "https://r3---sn.example/a%20b"),
        ("https://" + "a." * 123 + "example/", "https://" + "a." * 123 + "example"),
    ],
)
def test_a_good_base_url_is_normalised(text: str, normalised: str) -> None:
    assert check_base_url(text, policy=STRICT) == normalised


@pytest.mark.parametrize(
    "text",
    [
        *(url for group in BAD_BASE_URLS.values() for url in group.split()),
        *BAD_BASE_URLS_WITH_SPACES,
        *LONG_BASE_URLS,
    ],
)
def test_a_bad_base_url_is_refused(text: str) -> None:
    policy = EgressPolicy(denied_hosts=frozenset({"farebox.example"}))

    with pytest.raises(BaseUrlRefused) as caught:
        check_base_url(text, policy=policy)

    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http://api.example", "The URL must begin with https://."),
        ("https://api.example:8443", "Port 8443 is not allowed; allowed: 443, 8000."),
        ("https://10.0.0.1", "The host must be reachable from the public internet."),
        ("https://127.1", "An IPv4 address must be written as four decimal numbers."),
        ("ftp://api.example", "The URL must begin with https:// and a host name."),
    ],
)
def test_a_refusal_names_what_is_allowed(text: str, message: str) -> None:
    policy = EgressPolicy(allowed_ports=frozenset({443, 8000}))

    with pytest.raises(BaseUrlRefused) as caught:
        check_base_url(text, policy=policy)

    assert str(caught.value) == message


def test_an_opened_network_may_be_entered_plainly_and_at_any_port() -> None:
    accepted = [
        "http://10.1.2.3:8000/v1",
        "https://10.1.2.3/v1",
        "http://[fd12::1]:11434/v1",
        "http://vllm:8000/v1",
    ]

    assert [check_base_url(text, policy=OPENED) for text in accepted] == accepted
    for refused in ("http://10.2.0.1:8000/v1", "http://8.8.8.8/v1", "https://8.8.8.8:8000/v1"):
        with pytest.raises(BaseUrlRefused):
            check_base_url(refused, policy=OPENED)


def test_an_unguarded_base_url_must_only_be_well_formed() -> None:
    assert check_base_url("http://127.0.0.1:9000/v1/", policy=UNGUARDED) == "http://127.0.0.1:9000/v1"
    with pytest.raises(BaseUrlRefused):
        check_base_url("http://user@127.0.0.1:9000/", policy=UNGUARDED)


@pytest.mark.parametrize(
    "text", ["https://8.8.8.8", "https://bücher.example/v1", "https://[2606:4700::1111]:443/v1"]
)
def test_what_is_saved_is_what_is_called(text: str) -> None:
    saved = check_base_url(text, policy=STRICT)

    assert str(httpx.URL(saved)) == saved
    assert check_base_url(saved, policy=STRICT) == saved

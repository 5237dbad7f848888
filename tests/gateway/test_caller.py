"""Whose key it is, and whether it may be used from where the request comes."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from accounts.keys import hmac_of, new_secret
from gateway.caller import Callers
from gateway.errors import IpBlocked
from gateway.policy_store import PolicyStore
from tests.gateway.limits_bench import policy, settings

PROXY, OFFICE, ELSEWHERE = "10.0.0.1", "203.0.113.7", "198.51.100.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "is_allowed"),
    [
        (OFFICE, "", True),
        (ELSEWHERE, "", False),
        (ELSEWHERE, OFFICE, False),
        (PROXY, OFFICE, True),
        (PROXY, ELSEWHERE, False),
        (PROXY, f"{OFFICE}, {ELSEWHERE}", False),
        (PROXY, "", False),
        ("", "", False),
    ],
)
async def test_a_key_of_an_office_works_there_alone(peer: str, forwarded: str, *, is_allowed: bool) -> None:
    secret = new_secret()
    policies = PolicyStore(settings())
    bound = replace(policy(), allowed_networks=("203.0.113.0/24",))
    policies._policies[hmac_of(secret, settings().key_pepper)] = bound
    callers = Callers(policies, key_pepper=settings().key_pepper, proxies=(ip_network("10.0.0.0/8"),))
    headers = {b"x-api-key": secret.encode(), b"x-forwarded-for": forwarded.encode()}

    if is_allowed:
        assert await callers.identify(headers, peer=peer) is bound
    else:
        with pytest.raises(IpBlocked) as refusal:
            await callers.identify(headers, peer=peer)
        assert (refusal.value.status, refusal.value.code) == (403, "ip_blocked")

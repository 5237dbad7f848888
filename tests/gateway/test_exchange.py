"""Which of the client's headers reach the provider, and under which names."""

import pytest

from gateway.exchange import told_to_provider


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({b"anthropic-beta": b"a", b"openai-beta": b"b"}, [("anthropic-beta", "a"), ("openai-beta", "b")]),
        ({b"x-bf-eh-x-user": b"a"}, [("x-user", "a")]),
        ({b"x-bf-eh-anthropic-beta": b"a"}, [("anthropic-beta", "a")]),
        ({b"x-user": b"a", b"x-bf-vk": b"k", b"x-bf-eh": b"a"}, []),
        ({b"x-bf-eh-x-user": b"a" * 4_096}, [("x-user", "a" * 4_096)]),
        ({b"x-bf-eh-x-user": b"a" * 4_097}, []),
        ({b"x-bf-eh-x-user": b"\xe9"}, []),
    ],
)
def test_what_is_meant_for_the_provider_is_told(
    sent: dict[bytes, bytes], told: list[tuple[str, str]]
) -> None:
    assert list(told_to_provider(sent)) == told


@pytest.mark.parametrize("name", [b"", b"a b", b"a:b", b"a\r\nb", b"\xe9"])
def test_what_is_no_name_of_a_header_is_left_out(name: bytes) -> None:
    assert list(told_to_provider({b"x-bf-eh-" + name: b"v"})) == []


@pytest.mark.parametrize(
    "name",
    [
        b"authorization", b"x-api-key", b"cookie", b"host", b"content-length", b"x-forwarded-for", b"x-bf-vk",
        b"openai-organization", b"openai-project", b"x-goog-user-project",
    ],
)  # fmt: skip
def test_nobody_chooses_a_credential_an_account_or_a_framing(name: bytes) -> None:
    assert list(told_to_provider({b"x-bf-eh-" + name: b"evil"})) == []

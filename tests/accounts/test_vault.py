"""The vault: what is sealed opens only for its owner, in its place, unaltered."""

from uuid import UUID

import pytest

from accounts.vault import SealBroken, Vault

ACME, OTHER = UUID(int=1), UUID(int=2)
MASTER_KEY = bytes(range(32))


@pytest.fixture
def vault():
    return Vault(MASTER_KEY)


@pytest.fixture
def key(vault):
    return vault.unwrap(vault.new_data_key(ACME), ACME)


def test_what_was_sealed_opens_again(key):
    sealed = key.encrypt(b"sk-live-upstream", context="provider_connection:7")

    assert key.decrypt(sealed, context="provider_connection:7") == b"sk-live-upstream"
    assert b"upstream" not in sealed


def test_another_process_with_the_same_master_key_opens_it(vault):
    wrapped = vault.new_data_key(ACME)
    sealed = vault.unwrap(wrapped, ACME).encrypt(b"prompt", context="body")

    assert Vault(MASTER_KEY).unwrap(wrapped, ACME).decrypt(sealed, context="body") == b"prompt"


def test_the_same_value_is_sealed_differently_each_time(key):
    assert key.encrypt(b"prompt", context="body") != key.encrypt(b"prompt", context="body")


def test_a_value_moved_to_another_tenant_does_not_open(vault, key):
    sealed = key.encrypt(b"prompt", context="body")
    other_key = vault.unwrap(vault.new_data_key(OTHER), OTHER)

    with pytest.raises(SealBroken):
        other_key.decrypt(sealed, context="body")


def test_a_data_key_moved_to_another_tenant_does_not_open(vault):
    wrapped = vault.new_data_key(ACME)

    with pytest.raises(SealBroken):
        vault.unwrap(wrapped, OTHER)


def test_a_value_moved_to_another_place_does_not_open(key):
    sealed = key.encrypt(b"prompt", context="request")

    with pytest.raises(SealBroken):
        key.decrypt(sealed, context="response")


@pytest.mark.parametrize("place", [0, 1, 13, -1])
def test_an_altered_byte_is_noticed(key, place):
    sealed = bytearray(key.encrypt(b"prompt", context="body"))
    sealed[place] ^= 1

    with pytest.raises(SealBroken):
        key.decrypt(bytes(sealed), context="body")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + bytes(12), b"plain text"])
def test_what_is_no_sealed_value_is_refused(key, sealed):
    with pytest.raises(SealBroken):
        key.decrypt(sealed, context="body")


def test_another_master_key_opens_nothing(vault):
    wrapped = vault.new_data_key(ACME)

    with pytest.raises(SealBroken):
        Vault(bytes(32)).unwrap(wrapped, ACME)


def test_the_operators_rows_open_with_the_operators_key_alone(vault, key):
    sealed = vault.operator_key().encrypt(b"sk-operator", context="provider_connection:1")

    assert vault.operator_key().decrypt(sealed, context="provider_connection:1") == b"sk-operator"
    with pytest.raises(SealBroken):
        key.decrypt(sealed, context="provider_connection:1")


def test_a_short_master_key_is_refused():
    with pytest.raises(ValueError, match="must have 32 bytes"):
        Vault(bytes(16))

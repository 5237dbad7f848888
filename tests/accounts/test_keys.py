"""Keys: their form, their checksum, and what is stored of them."""

import pytest

from accounts.keys import ALPHABET, SECRET_PATTERN, MalformedKey, check_format, hmac_of, new_secret

KEY = "fbx_0123456789ABCDEFGHIJabcdefghij1wFQSe"


def test_a_new_key_has_the_right_form():
    secret = new_secret()

    assert SECRET_PATTERN.fullmatch(secret)
    assert len(secret) == 40
    check_format(secret)


def test_a_thousand_keys_are_all_different():
    secrets = {new_secret() for _ in range(1000)}

    assert len(secrets) == 1000


def test_the_checksum_of_a_known_key_does_not_change_between_versions():
    check_format(KEY)


def test_each_single_wrong_character_is_a_typo():
    for place in range(4, 40):
        for wrong in ALPHABET.replace(KEY[place], ""):
            with pytest.raises(MalformedKey):
                check_format(KEY[:place] + wrong + KEY[place + 1 :])


def test_two_swapped_characters_are_a_typo():
    with pytest.raises(MalformedKey, match="checksum does not match"):
        check_format("fbx_1023456789ABCDEFGHIJabcdefghij1wFQSe")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "starts with fbx_"),
        ("sk-proj-0123456789", "starts with fbx_"),
        ("FBX_0123456789ABCDEFGHIJabcdefghij1wFQSe", "starts with fbx_"),
        (KEY[:-1], "has 39 characters instead of 40"),
        (KEY + "0", "has 41 characters instead of 40"),
        (KEY[:-1] + "\n", "a character that no key has"),
        (KEY[:10] + "é" + KEY[11:], "a character that no key has"),
        (KEY[:10] + "٣" + KEY[11:], "a character that no key has"),
    ],
)
def test_what_cannot_be_a_key_is_named_as_such(text, complaint):
    with pytest.raises(MalformedKey, match=complaint):
        check_format(text)


def test_the_complaint_never_repeats_the_key():
    with pytest.raises(MalformedKey) as complaint:
        check_format(KEY[:-1] + "0")

    assert KEY[4:14] not in str(complaint.value)


def test_what_is_stored_depends_on_the_pepper():
    assert hmac_of(KEY, b"pepper of sixteen").hex() == (
        "1d8a99a40ed1cb680b14de5993c79cee817c19d9558295b15677e17523d05756"
    )
    assert hmac_of(KEY, b"pepper of sixteen") != hmac_of(KEY, b"another pepper...")

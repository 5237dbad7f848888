"""The form of a bearer key: how one is made, told from a typo, and hashed for storage.

Pure. Whether a well-formed key exists, and what it may do, is known to the rows of
`accounts.models` and, on the hot path, to `gateway.policy_store`.
"""

import hmac
import re
import secrets
import string
import zlib

PREFIX = "fbx_"
MANAGEMENT_PREFIX = "fbm_"
RANDOM_CHARACTERS = 30
CHECKSUM_CHARACTERS = 6
SECRET_CHARACTERS = len(PREFIX) + RANDOM_CHARACTERS + CHECKSUM_CHARACTERS
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
# What a scanner for leaked keys looks for; the checksum then tells keys from look-alikes.
SECRET_PATTERN = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM_CHARACTERS + CHECKSUM_CHARACTERS}}}")

# Where a request carries its key: the first of these wins, the bearer's header in between.
FIRST_KEY_HEADER = "x-bf-vk"
PLAIN_KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")
# Why a key is refused, word for word the same for completions and for management calls.
MISSING = "Invalid API key. No key was sent: use the header 'Authorization: Bearer fbx_…'."
UNKNOWN = "Invalid API key. There is no such key here."
REVOKED = "Invalid API key. This key has been revoked; create another one."
EXPIRED = "Invalid API key. This key has expired; create another one."


class MalformedKey(ValueError):
    """This text cannot be a key of ours; the message says what is wrong and never repeats it."""


def new_secret(prefix: str = PREFIX) -> str:
    """A fresh key or token: 30 random base62 characters (178 bits) between prefix and checksum."""
    random = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_CHARACTERS))
    return f"{prefix}{random}{_checksum(prefix + random)}"


def check_format(secret: str) -> None:
    """Raise MalformedKey unless prefix, length, alphabet and checksum are those of a key."""
    if secret.startswith(MANAGEMENT_PREFIX):
        raise MalformedKey("This is a token of the management API; requests to models take a key, fbx_….")
    if not secret.startswith(PREFIX):
        raise MalformedKey(f"A key of this gateway starts with {PREFIX}.")
    if len(secret) != SECRET_CHARACTERS:
        raise MalformedKey(
            f"The key has {len(secret)} characters instead of {SECRET_CHARACTERS}; was it copied whole?"
        )
    if SECRET_PATTERN.fullmatch(secret) is None:
        raise MalformedKey("The key contains a character that no key has; was it copied whole?")
    if _checksum(secret[:-CHECKSUM_CHARACTERS]) != secret[-CHECKSUM_CHARACTERS:]:
        raise MalformedKey("The key's checksum does not match; was it copied whole?")


def hmac_of(secret: str, pepper: bytes) -> bytes:
    """What is stored of a key: 32 bytes that are useless without the pepper."""
    return hmac.digest(pepper, secret.encode(), "sha256")


def _checksum(text: str) -> str:
    remainder, digits = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM_CHARACTERS):
        remainder, digit = divmod(remainder, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits

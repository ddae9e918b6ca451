"""How the secret of a room comes from what people keep, as the page has it in ROOM SECRETS and TICKETS."""

import base64
import re

from blake3 import blake3
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

SECRET_BYTES = 32
CHECK_BYTES = 4


def secret_of(text, room):
    """The 32 bytes of a random key or a passphrase. Raises ValueError for a key that is damaged."""
    text = re.sub(r"\r?\n\Z", "", text)
    if re.match(r"hobnobkey[0-9]", text):
        return secret_of_key(text)
    salt = blake3(f"hobnob 1 passphrase\n{room}".encode()).digest()
    return Argon2id(salt=salt, length=SECRET_BYTES, iterations=3, lanes=4, memory_cost=65536).derive(
        text.encode()
    )


def secret_of_key(text):
    word = "hobnobkey1"
    if not text.startswith(word):
        raise ValueError("a key of another version")
    letters = text[len(word) :].upper()
    data = base64.b32decode(letters + "=" * (-len(letters) % 8))
    secret, check = data[2:-CHECK_BYTES], data[-CHECK_BYTES:]
    if int.from_bytes(data[:2], "big") != len(secret) or len(secret) != SECRET_BYTES:
        raise ValueError("a key of another length")
    if blake3(word.encode() + secret).digest()[:CHECK_BYTES] != check:
        raise ValueError("a key with a wrong letter")
    return secret

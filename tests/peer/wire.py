"""Bytes: JSON, signatures, the handshake, encryption and frames, as the page has them in TRANSPORT, FRAMES,
JSON and POSTS. Nothing here knows what a record means for the room.
"""

import json
import math
import re
import secrets
import socket
import time

from blake3 import blake3
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey
from noise.connection import Keypair, NoiseConnection
from noise.exceptions import NoiseInvalidMessage

# BOUNDS
FRAME_BYTES_MAX = 65536
CLEAR_EXIT_BYTES_MAX = 1024
MESSAGE_BYTES_MAX = 65519
HANDSHAKE_MESSAGE_BYTES = 96
INTEGER_MAX = 9007199254740991
LEVELS_MAX = 32
HELLO_SECS = 5
SEND_SECS = 8

POST_START = re.compile(
    rb'\{"type":"post","author":"([0-9a-f]{64})","session":([1-9][0-9]{0,15}),"number":([1-9][0-9]{0,15}),'
)
SIGNATURE_END = re.compile(rb',"sig":"([0-9a-f]{128})"\}\Z')


class LinkEnded(Exception):
    """The link is over, for one of the words of THE END OF A LINK."""

    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason


def wall_ms():
    return time.time_ns() // 1_000_000


# JSON


def encode(value):
    """JSON without white space, and without the byte `<`."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").encode()


def decode(frame):
    """The record in a frame, or the link ends with bad-record."""
    record = decode_object(frame)
    if not isinstance(record.get("type"), str):
        raise LinkEnded("bad-record")
    return record


def decode_object(text):
    """An object in JSON as strict as the page's."""

    def unique(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key twice")
        return dict(pairs)

    def constant(word):
        raise ValueError(f"{word} is not JSON")

    try:
        value = json.loads(text.decode(), object_pairs_hook=unique, parse_constant=constant)
        check_value(value, 1)
    except (ValueError, RecursionError):
        raise LinkEnded("bad-record") from None
    if not isinstance(value, dict):
        raise LinkEnded("bad-record")
    return value


def check_value(value, level):
    """Half surrogate pairs, too large numbers and too many levels are errors (ValueError) anywhere."""
    if isinstance(value, float) and math.isinf(value):
        raise ValueError("too large for a double")
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, (dict, list)):
        if level > LEVELS_MAX:
            raise ValueError("nested too deeply")
        if isinstance(value, dict):
            for key in value:
                key.encode()
            value = value.values()
        for inner in value:
            check_value(inner, level + 1)


def field(record, name, kind, *default):
    """A field of a record, if it is of its type; integers are from 0 to 2^53-1."""
    if name not in record and default:
        return default[0]
    value = record.get(name)
    if type(value) is not kind or (kind is int and not 0 <= value <= INTEGER_MAX):
        raise LinkEnded("bad-record")
    return value


def feed_of(record):
    return field(record, "author", str), field(record, "session", int)


def entries(record):
    """The feeds that a have or news names: {(id, session): number}."""
    for entry in field(record, "feeds", list):
        if type(entry) is not list or [type(part) for part in entry] != [str, int, int]:
            raise LinkEnded("bad-record")
        author, session, number = entry
        yield (author, session), number


# Signatures (POSTS, RECORDS, Who is there)


def signed_hash(domain, room, signed):
    return blake3(f"hobnob {domain} 1 {room}\n".encode() + signed).digest()


def sign_frame(key, domain, room, record):
    """The frame of a post or an ack, without its delimiter, with `sig` as its last field."""
    signed = encode(record)[:-1]
    signature = key.sign(signed_hash(domain, room, signed)).signature
    return signed + b',"sig":"' + signature.hex().encode() + b'"}'


def is_signed(author, domain, room, frame):
    """Whether the frame of a post or an ack ends with a true signature of `author`."""
    end = SIGNATURE_END.search(frame)
    if end is None:
        raise LinkEnded("bad-record")
    return verify(author, signed_hash(domain, room, frame[: end.start()]), end[1].decode())


def verify(author, digest, signature):
    try:
        VerifyKey(bytes.fromhex(author)).verify(digest, bytes.fromhex(signature))
        return True
    except (BadSignatureError, ValueError):
        return False


# TRANSPORT


def pre_shared_key(room, secret):
    material = b"\0" if secret is None else b"\1" + secret
    return blake3(material + room.encode(), derive_key_context="hobnob 1 link psk").digest()


class Connection:
    """A TCP connection on which the handshake is over: bytes in, bytes out, encrypted or not."""

    def __init__(self, address, room, secret, plaintext):
        self.deadline = time.monotonic() + HELLO_SECS
        self.socket = socket.create_connection(address, timeout=HELLO_SECS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.noise = None
        self.messages_sent = 0
        self.ciphertext = bytearray()
        first_line = b"hobnob 1 plain\n" if plaintext else b"hobnob 1 noise\n"
        self.socket.sendall(first_line)
        if not plaintext:
            self.shake_hands(first_line, pre_shared_key(room, secret))
        self.socket.settimeout(SEND_SECS)

    def peer_address(self):
        return self.socket.getpeername()[0]

    def shake_hands(self, first_line, key):
        self.noise = NoiseConnection.from_name(b"Noise_XXpsk0_25519_AESGCM_SHA256")
        self.noise.set_as_initiator()
        self.noise.set_psks(key)
        self.noise.set_prologue(first_line)
        self.noise.set_keypair_from_private_bytes(Keypair.STATIC, secrets.token_bytes(32))
        self.noise.start_handshake()
        self.socket.sendall(behind_length(self.noise.write_message()))
        first = self.receive_exactly(1)
        if first == b"{":
            self.refused_in_clear(first)
        length = int.from_bytes(first + self.receive_exactly(1), "big")
        if length != HANDSHAKE_MESSAGE_BYTES:
            raise LinkEnded("bad-frame")
        try:
            self.noise.read_message(self.receive_exactly(length))
        except NoiseInvalidMessage:
            raise LinkEnded("bad-cipher") from None
        self.socket.sendall(behind_length(self.noise.write_message()))

    def receive_exactly(self, count):
        data = b""
        while len(data) < count:
            self.socket.settimeout(max(self.deadline - time.monotonic(), 0.001))
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise LinkEnded("vanished")
            data += piece
        return data

    def refused_in_clear(self, start):
        """Refused before the handshake: a frame in the clear, an exit record."""
        data = start
        while b"<" not in data and len(data) < CLEAR_EXIT_BYTES_MAX:
            data += self.receive_exactly(1)
        raise LinkEnded(field(decode(data.rstrip(b"<")), "reason", str))

    def handshake_hash(self):
        return self.noise.get_handshake_hash() if self.noise else None

    def send(self, data):
        if self.noise is None:
            self.socket.sendall(data)
            return
        for start in range(0, len(data), MESSAGE_BYTES_MAX):
            self.messages_sent += 1
            self.socket.sendall(behind_length(self.noise.encrypt(data[start : start + MESSAGE_BYTES_MAX])))

    def receive(self):
        """What has arrived of the stream of frames; empty if no message is whole yet."""
        data = self.socket.recv(FRAME_BYTES_MAX)
        if not data:
            raise LinkEnded("vanished")
        if self.noise is None:
            return data
        self.ciphertext += data
        stream = b""
        while len(self.ciphertext) >= 2:
            end = 2 + int.from_bytes(self.ciphertext[:2], "big")
            if len(self.ciphertext) < end:
                break
            piece = self.decrypted(bytes(self.ciphertext[2:end]))
            del self.ciphertext[:end]
            stream += piece
        return stream

    def decrypted(self, message):
        try:
            piece = self.noise.decrypt(message)
        except NoiseInvalidMessage:
            piece = b""
        if not piece:
            raise LinkEnded("bad-cipher")
        return piece


def behind_length(message):
    return len(message).to_bytes(2, "big") + bytes(message)


class Frames:
    """Cuts a stream of bytes into frames (FRAMES)."""

    def __init__(self):
        self.pending = b""

    def cut(self, data):
        """Yields the JSON of each frame, and whether it stood before <EXITENCD>."""
        self.pending += data
        while (start := self.pending.find(b"<")) >= 0:
            for delimiter in (b"<MSGENCD>", b"<EXITENCD>"):
                if self.pending.startswith(delimiter, start):
                    break
                if delimiter.startswith(self.pending[start:]):
                    return
            else:
                raise LinkEnded("bad-frame")
            end = start + len(delimiter)
            if end > FRAME_BYTES_MAX or not self.pending.startswith(b"{"):
                raise LinkEnded("bad-frame")
            frame, self.pending = self.pending[:start], self.pending[end:]
            yield frame, delimiter == b"<EXITENCD>"
        if len(self.pending) >= FRAME_BYTES_MAX:
            raise LinkEnded("bad-frame")

"""Whispers: what is private, sealed for one reader, as the page has it in WHISPERS. The way is the one link there is.
"""

import base64
import secrets
import time

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from noise.connection import Keypair, NoiseConnection
from noise.exceptions import NoiseInvalidMessage, NoiseValueError

from wire import INTEGER_MAX, LinkEnded, decode_object, encode, field, signed_hash, verify, wall_ms

NOISE = b"Noise_X_25519_AESGCM_SHA256"

# BOUNDS
HOPS = 16
UNDER_WAY_MAX = 64
UNDER_WAY_BYTES_MAX = 131072
AGAIN_MAX = 8
RECEIPT_SECS = 1.5
PAUSE_SECS_MAX = 30
EARLY_MAX = 128
TOO_OLD_MS = 8 * 86_400_000
AHEAD_MS_MAX = 86_400_000


class Sealer:
    """Seals for one reader, and opens what was sealed for us."""

    def __init__(self, key, own_id, room):
        self.id = own_id
        self.room = room
        # What others hold for us is sealed to this key: it comes from the identity, so that it is the same next time.
        self.secret = blake3(key.encode(), derive_key_context="hobnob 1 sealing key").digest()
        public = X25519PrivateKey.from_private_bytes(self.secret).public_key().public_bytes_raw()
        self.public = public.hex()
        self.proof = key.sign(signed_hash("sealing", room, public)).signature.hex()

    def noise(self, reader):
        noise = NoiseConnection.from_name(NOISE)
        noise.set_prologue(f"hobnob 1 whisper {reader} {self.room}".encode())
        noise.set_keypair_from_private_bytes(Keypair.STATIC, self.secret)
        return noise

    def seal(self, reader, key, content):
        noise = self.noise(reader)
        noise.set_as_initiator()
        noise.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, bytes.fromhex(key))
        noise.start_handshake()
        payload = encode({"from": self.id, "proof": self.proof, "content": content})
        return base64.b64encode(bytes(noise.write_message(payload))).decode()

    def open(self, sealed):
        """Who has sealed it, by which key, and what it says; or None."""
        noise = self.noise(self.id)
        noise.set_as_responder()
        noise.start_handshake()
        handshake = noise.noise_protocol.handshake_state
        try:
            payload = bytes(noise.read_message(base64.b64decode(sealed, validate=True)))
            inside = decode_object(payload)
            key = handshake.rs.public_bytes
            sender, content = field(inside, "from", str), field(inside, "content", dict)
            if not verify(sender, signed_hash("sealing", self.room, key), field(inside, "proof", str)):
                return None
            return sender, key.hex(), content
        except (InvalidTag, NoiseInvalidMessage, NoiseValueError, ValueError, LinkEnded):
            return None


class Stream:
    """How far somebody's stream was shown, and what has come before its turn."""

    def __init__(self):
        self.next = 1
        self.early = {}
        self.answer_to = None


class Whispers:
    """What is whispered to this node, and what it whispers to one reader."""

    def __init__(self, node, tell):
        self.node = node
        self.tell = tell
        self.sealer = Sealer(node.key, node.id, node.room)
        self.streams = {}
        self.nick = None
        self.reader = None
        self.unconfirmed = {}
        self.last = 0
        self.sent_to = 0
        self.pause = RECEIPT_SECS
        self.retry_at = None

    # What comes

    def hear(self, record):
        """A whisper has come; one for another session goes nowhere from here."""
        if (field(record, "to", str), field(record, "session", int)) != self.node.feed_key:
            return
        opened = self.sealer.open(field(record, "sealed", str))
        if opened is None or opened[0] == self.node.id:
            return
        sender, key, content = opened
        try:
            if handler := getattr(self, "hear_" + field(content, "kind", str), None):
                handler(sender, key, content, "flood" in record)
        except LinkEnded:
            pass

    def stream(self, sender, content):
        return self.streams.setdefault((sender, number_of(content, "stream")), Stream())

    def hear_text(self, sender, key, content, flood):
        name, number, at = number_of(content, "stream"), number_of(content, "number"), field(content, "at", int)
        text, nick = field(content, "text", str), field(content, "nick", str)
        if not wall_ms() - TOO_OLD_MS < at <= wall_ms() + AHEAD_MS_MAX:
            refused = {"kind": "refused", "stream": name, "number": number}
            self.send((sender, name), key, refused, flood)
            return
        stream = self.stream(sender, content)
        if number >= stream.next and (number == stream.next or len(stream.early) < EARLY_MAX):
            stream.early[number] = (nick, text)
        while (shown := stream.early.pop(stream.next, None)) is not None:
            self.tell("whisper", **{"from": {"id": sender, "nick": shown[0]}}, text=shown[1])
            stream.next += 1
        # It was told on stdout, and is remembered as long as this run.
        heard = {"kind": "heard", "stream": name, "number": stream.next - 1}
        self.send((sender, stream.answer_to or name), key, heard, flood)

    def hear_begin(self, sender, _key, content, _flood):
        stream, number = self.stream(sender, content), number_of(content, "number")
        stream.answer_to = number_of(content, "session")
        stream.next = max(stream.next, number)
        stream.early = {early: text for early, text in stream.early.items() if early >= stream.next}

    def hear_ping(self, sender, key, content, flood):
        pong = {"kind": "pong", "token": number_of(content, "token")}
        self.send((sender, number_of(content, "session")), key, pong, flood)

    def hear_heard(self, sender, _key, content, _flood):
        number = field(content, "number", int)
        if self.reader and sender == self.reader[0] and field(content, "stream", int) == self.node.session:
            self.confirm(number)

    def hear_refused(self, sender, _key, content, _flood):
        if self.reader and sender == self.reader[0] and field(content, "stream", int) == self.node.session:
            self.tell("refused", number=number_of(content, "number"))

    # What is whispered to one reader

    def is_for_one(self):
        return self.nick is not None

    def whisper(self, text, part):
        self.last += 1
        content = {"kind": "text", "stream": self.node.session, "number": self.last, "at": wall_ms()}
        content |= {"nick": self.node.nick, "text": text} | ({"part": True} if part else {})
        self.unconfirmed[self.last] = self.sealer.seal(self.reader[0], self.key(), content)
        self.send_more()

    def find_reader(self):
        """The one of that nick who can be whispered to, once it is there."""
        feeds = self.node.roster.feeds
        for key in self.node.roster.sessions() if self.nick is not None else ():
            if feeds[key].nick == self.nick and feeds[key].sealing and self.reader is None:
                self.reader = key
        return self.reader

    def key(self):
        return self.node.roster.feeds[self.reader].sealing

    def send_more(self):
        """As many as may be under way."""
        size = 0
        for number, sealed in sorted(self.unconfirmed.items())[:UNDER_WAY_MAX]:
            size += len(sealed)
            if number > self.sent_to and (size <= UNDER_WAY_BYTES_MAX or number == min(self.unconfirmed)):
                self.send_sealed(self.reader, sealed, False)
                self.sent_to = number
                self.retry_at = self.retry_at or time.monotonic() + self.pause

    def confirm(self, number):
        confirmed = [one for one in self.unconfirmed if one <= number]
        for one in confirmed:
            del self.unconfirmed[one]
        if confirmed:
            self.pause = RECEIPT_SECS
            self.retry_at = time.monotonic() + self.pause if self.unconfirmed else None
            self.send_more()

    def tick(self):
        if self.retry_at and time.monotonic() > self.retry_at and self.node.link:
            for number in sorted(self.unconfirmed)[:AGAIN_MAX]:
                self.send_sealed(self.reader, self.unconfirmed[number], True)
            self.pause = min(2 * self.pause, PAUSE_SECS_MAX)
            self.retry_at = time.monotonic() + self.pause

    # The way

    def send(self, session, key, content, flood):
        self.send_sealed(session, self.sealer.seal(session[0], key, content), flood)

    def send_sealed(self, session, sealed, flood):
        record = {"type": "whisper", "to": session[0], "session": session[1], "hops": HOPS}
        if flood:
            record["flood"] = 1 + secrets.randbelow(INTEGER_MAX)
        if self.node.link:
            self.node.link.send(record | {"sealed": sealed})


def number_of(content, name):
    """An integer from 1."""
    if (number := field(content, name, int)) == 0:
        raise LinkEnded("bad-record")
    return number

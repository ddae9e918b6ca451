"""One link: the greeting, what goes each way behind it, and its end, as the page has them in RECORDS, THE
GREETING, THE FLOOD and LIVENESS, as far as A SMALL PEER needs them. A step is one of its steps.
"""

import secrets
import time

from room import tell
from wire import (
    INTEGER_MAX,
    POST_START,
    Frames,
    LinkEnded,
    decode,
    encode,
    entries,
    feed_of,
    field,
    sign_frame,
    signed_hash,
    verify,
    wall_ms,
)

# BOUNDS
PING_SECS = 2
SILENT_SECS = 8
NEWS_SECS = 0.1
RENEW_MESSAGES = 8388608
CLOCKS_APART_MS_MAX = 86_400_000


class Link:
    """One connection to another node, from the dial to the exit record."""

    def __init__(self, node, connection):
        self.node = node
        self.connection = connection
        self.frames = Frames()
        self.heard = self.pinged = self.newsed = time.monotonic()
        self.state = "hello"
        self.peer_key = None
        self.aims = {}
        self.asked_all = self.node_asks_all = False
        self.next_own = None
        self.own_told = 0

    def fileno(self):
        return self.connection.socket.fileno()

    def send(self, record):
        self.connection.send(encode(record) + b"<MSGENCD>")

    def send_exit(self, reason, text=""):
        self.connection.send(encode({"type": "exit", "reason": reason, "text": text}) + b"<EXITENCD>")

    # Receiving

    def read(self):
        data = self.connection.receive()
        self.heard = self.pinged = time.monotonic()
        for frame, last in self.frames.cut(data):
            self.hear(frame, last)

    def hear(self, frame, last):
        if frame.startswith(b'{"type":"post"'):
            self.hear_post(frame)
            return
        record = decode(frame)
        if (record["type"] == "exit") != last:
            raise LinkEnded("bad-record")
        if record["type"] in ("post", "ack") and not frame.startswith(b'{"type":"ack",'):
            raise LinkEnded("bad-record")
        if not self.is_in_turn(record["type"]):
            raise LinkEnded("out-of-turn")
        if handler := getattr(self, "hear_" + record["type"], None):
            handler(record, frame)

    def is_in_turn(self, kind):
        if self.state == "hello":
            return kind in ("hello", "exit")
        if self.state == "pages":
            return kind not in ("hello", "want", "quiet", "news", "gap")
        return kind not in ("hello", "have", "all", "done")

    def hear_exit(self, record, _frame):
        raise LinkEnded(field(record, "reason", str))

    def hear_ping(self, record, _frame):
        self.send({"type": "pong", "token": field(record, "token", int)})

    def hear_hello(self, record, _frame):
        """Step 2: look at it, then commit."""
        node, self.peer_key = self.node, (field(record, "id", str), field(record, "session", int))
        if field(record, "version", int) != 1:
            raise LinkEnded("version")
        if field(record, "room", str) != node.room:
            raise LinkEnded("room")
        if field(record, "mode", str) != "mesh":
            raise LinkEnded("mode")
        if abs(field(record, "time", int) - wall_ms()) > CLOCKS_APART_MS_MAX:
            raise LinkEnded("clock")
        if self.connection.noise:
            proof = field(record, "proof", str, "")
            if not verify(self.peer_key[0], self.proof_hash("dialled"), proof):
                raise LinkEnded("bad-identity")
        hello = {"type": "hello", "version": 1, "id": node.id, "session": node.session}
        hello |= {"room": node.room, "mode": "mesh", "nick": node.nick}
        hello |= {"seen": self.connection.peer_address(), "listens": False, "time": wall_ms()}
        if self.connection.noise:
            hello["proof"] = node.key.sign(self.proof_hash("dialler")).signature.hex()
        self.send(hello)
        self.state = "pages"
        # Step 3. Only the own feed is named; of the others none is known on the first link.
        self.send({"type": "have", "feeds": [[*node.feed_key, len(node.posts)]]})
        self.asked_all = not node.roster.feeds
        if self.asked_all:
            self.send({"type": "all"})
        self.send({"type": "done"})
        self.own_told = len(node.posts)
        tell("linked", peer={"id": self.peer_key[0], "nick": field(record, "nick", str)})

    def proof_hash(self, side):
        return signed_hash("link", self.node.room, side.encode() + self.connection.handshake_hash())

    def hear_have(self, record, _frame):
        self.aims.update(entries(record))

    def hear_all(self, _record, _frame):
        self.node_asks_all = True

    def hear_done(self, _record, _frame):
        """Step 4, and the beginning of step 5."""
        self.state = "ready"
        is_named = self.node.feed_key in self.aims
        known = self.aims.pop(self.node.feed_key, 0)
        if known >= self.own_told or (self.node_asks_all and not is_named):
            self.next_own = known + 1
        for key in self.aims if not self.asked_all else ():
            self.want(key)
        self.node.link = self
        self.serve()
        self.look_at_roster()

    def want(self, key):
        start = self.node.have(key) + 1
        self.send({"type": "want", "author": key[0], "session": key[1], "from": start})

    def look_at_roster(self):
        """Who is there is known once all that the pages named has come."""
        self.aims = {key: aim for key, aim in self.aims.items() if self.node.have(key) < aim}
        if not self.aims and not self.node.roster_complete:
            self.node.roster_complete = True
            tell("ready")

    def hear_post(self, frame):
        if self.state != "ready":
            raise LinkEnded("out-of-turn")
        start = POST_START.match(frame)
        if start is None:
            raise LinkEnded("bad-record")
        author, session, number = start[1].decode(), int(start[2]), int(start[3])
        key = author, session
        have = self.node.have(key)
        if number <= have:
            return
        if number > have + 1:
            raise LinkEnded("future-number")
        if self.node.append(frame, start):
            self.acknowledge(key)
        self.look_at_roster()

    def acknowledge(self, key):
        node, feed = self.node, self.node.roster.feed(key)
        ack = {"type": "ack", "author": key[0], "session": key[1]}
        ack |= {"member": node.id, "member_session": node.session}
        ack |= {"first": feed.first, "last": feed.have}
        self.connection.send(sign_frame(node.key, "ack", node.room, ack) + b"<MSGENCD>")

    def hear_ack(self, record, frame):
        self.node.hear_ack(record, frame)

    def hear_gap(self, record, _frame):
        self.node.gap(record)
        self.look_at_roster()

    def hear_news(self, record, _frame):
        for key, number in entries(record):
            if number > self.node.have(key):
                self.want(key)

    def hear_whisper(self, record, _frame):
        if self.state == "ready":
            self.node.whispers.hear(record)

    def hear_trace(self, record, _frame):
        """One that asks for this node goes back; it leads to nobody else."""
        path = field(record, "path", list)
        asked = (field(record, "to", str), field(record, "session", int)) == self.node.feed_key
        if asked and path and path[-1] == self.peer_key[0] and not field(record, "back", bool, False):
            self.send(record | {"path": [*path, self.node.id], "back": True})

    # Sending the own feed (step 5)

    def hear_want(self, record, _frame):
        key, start = feed_of(record), field(record, "from", int)
        if key == self.node.feed_key:
            self.next_own = start if self.next_own is None else max(self.next_own, start)
            self.serve()
        elif field(record, "answer", bool, False):
            self.send({"type": "news", "feeds": [[key[0], key[1], 0]]})

    def hear_quiet(self, record, _frame):
        if feed_of(record) == self.node.feed_key:
            if self.next_own is not None:
                self.own_told = self.next_own - 1
            self.next_own = None

    def serve(self):
        """Sends what the own feed has from the cursor on, if it is open."""
        while self.next_own is not None and self.next_own <= len(self.node.posts):
            self.connection.send(self.node.posts[self.next_own - 1])
            self.next_own += 1

    def tick(self):
        now = time.monotonic()
        if self.state == "hello" and now > self.connection.deadline:
            raise LinkEnded("handshake-timeout")
        if now - self.heard > SILENT_SECS:
            raise LinkEnded("silent")
        if self.connection.messages_sent >= RENEW_MESSAGES:
            raise LinkEnded("renew")
        if self.state != "hello" and now - self.pinged > PING_SECS:
            self.pinged = now
            self.send({"type": "ping", "token": secrets.randbelow(INTEGER_MAX)})
        newest = len(self.node.posts)
        quiet = self.state == "ready" and self.next_own is None
        if quiet and newest > self.own_told and now - self.newsed > NEWS_SECS:
            self.newsed, self.own_told = now, newest
            self.send({"type": "news", "feeds": [[*self.node.feed_key, newest]]})

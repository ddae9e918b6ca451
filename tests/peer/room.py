"""The room as one node sees it: the own feed, the others' feeds, and the roster that follows from them, as
the page has them in POSTS, THE ROSTER, CONFIRMATION and TIME. Nothing here knows a socket.
"""

import json
import random
import secrets
import time

from nacl.signing import SigningKey

from whisper import Whispers
from wire import INTEGER_MAX, LinkEnded, decode, feed_of, field, is_signed, sign_frame, wall_ms

# BOUNDS
WINDOW_BYTES = 262144
WHISPERS_MAX = 250
POST_AGE_MS_MAX = 604_800_000
POST_AHEAD_MS_MAX = 86_400_000
CLOCK_PUSHED_MS_MAX = 120_000
SESSION_SILENT_MS = 300_000
UNANSWERED_SECS = 2
JOIN_RENEWED_SECS = 150
LOST_SECS = 1
LOST_AGAIN_SECS = 3
LOST_CHANCE_SECS = 2

# A link that ends for one of these was not lost (THE ROSTER).
GIVEN_UP = {"duplicate", "surplus", "full"}


def tell(event, **fields):
    """One line on stdout. Control characters stay escaped: `ensure_ascii` is on."""
    print(json.dumps({"event": event, **fields}), flush=True)


class Feed:
    """What is known of somebody's feed: how far it has been seen, and what the roster needs."""

    def __init__(self):
        self.have = 0
        self.first = 1
        self.nick = None
        self.sealing = None
        self.newest_ms = 0
        self.joined = 0
        self.left = False
        self.acked = (0, 0)

    def appended(self, number, at, nick, kind):
        self.have = number
        self.nick = nick
        self.newest_ms = min(at, wall_ms())
        self.joined = number if kind == "join" else self.joined
        self.left = kind == "leave"

    def confirms(self, first, last):
        return self.acked[0] <= first and self.acked[1] >= last


class Roster:
    """Who is present, folded from the posts of all feeds but the own one."""

    def __init__(self):
        self.feeds = {}
        self.lost = {}
        self.told = {}

    def feed(self, key):
        return self.feeds.setdefault(key, Feed())

    def claimed_lost(self, key, last):
        self.lost.setdefault(key, set()).add(last)

    def is_present(self, key):
        feed = self.feeds[key]
        return (
            feed.nick is not None
            and not feed.left
            and feed.have not in self.lost.get(key, ())
            and wall_ms() - feed.newest_ms <= SESSION_SILENT_MS
        )

    def sessions(self):
        return [key for key in self.feeds if self.is_present(key)]

    def tell_changes(self, own_id):
        """Tells of members who came, went or were renamed since the last call."""
        present = {}
        for key in self.sessions():
            if key[0] != own_id:
                present[key[0]] = self.feeds[key].nick
        for author, nick in present.items():
            if author not in self.told:
                tell("joined", member={"id": author, "nick": nick})
            elif self.told[author] != nick:
                tell("renamed", member={"id": author, "nick": nick}, old=self.told[author])
        for author, nick in self.told.items():
            if author not in present:
                left = any(feed.left for key, feed in self.feeds.items() if key[0] == author)
                tell("left" if left else "lost", member={"id": author, "nick": nick})
        self.told = present


class Watch:
    """A session to which a link was lost, and what was known of it at the last look."""

    def __init__(self, feed):
        self.due = time.monotonic() + LOST_SECS + random.uniform(0, LOST_CHANCE_SECS)
        self.have = feed.have
        self.joined = feed.joined

    def look_again(self, feed):
        """Returns whether it is time, and the session has posted nothing since the last look."""
        if time.monotonic() < self.due:
            return False
        self.due = time.monotonic() + LOST_AGAIN_SECS + random.uniform(0, LOST_CHANCE_SECS)
        had, self.have = self.have, feed.have
        return had == feed.have


class Node:
    """This node: its key and session, its own feed, and what it has seen. It outlives its links."""

    def __init__(self, room, nick):
        self.key = SigningKey.generate()
        self.id = self.key.verify_key.encode().hex()
        self.session = 1 + secrets.randbelow(INTEGER_MAX)
        self.room = room
        self.nick = nick
        self.roster = Roster()
        self.posts = []
        self.own_at = 0
        self.seen_at = 0
        self.posted = self.marked = self.linked = time.monotonic()
        self.first_say = self.last_say = None
        self.says = 0
        self.link = None
        self.watches = {}
        self.roster_complete = False
        self.whispers = Whispers(self, tell)
        self.join()

    @property
    def feed_key(self):
        return self.id, self.session

    def have(self, key):
        return len(self.posts) if key == self.feed_key else self.roster.feed(key).have

    # The own feed

    def post(self, kind, body, ack=False):
        """Makes the next post of the own feed, keeps it, and sends it where that is open."""
        wall = wall_ms()
        at = max(wall, self.own_at + 1)
        if self.seen_at <= wall + CLOCK_PUSHED_MS_MAX:
            at = max(at, self.seen_at + 1)
        self.own_at = at
        self.posted = time.monotonic()
        number = len(self.posts) + 1
        record = {"type": "post", "author": self.id, "session": self.session, "number": number}
        record |= {"at": at, "nick": self.nick}
        if ack:
            record["ack"] = True
            self.marked = self.posted
        record |= {"kind": kind, "body": body}
        self.posts.append(sign_frame(self.key, "post", self.room, record) + b"<MSGENCD>")
        if self.link:
            self.link.serve()

    def join(self):
        self.post("join", {"addresses": [], "passing": True, "sealing": self.whispers.sealer.public})

    def say(self, text, part):
        if self.first_say is None:
            self.first_say = len(self.posts) + 1
        self.last_say = len(self.posts) + 1
        self.says += 1
        self.post("say", {"text": text, "part": True} if part else {"text": text}, ack=True)

    def unconfirmed_bytes(self):
        """How much of the own feed somebody who is present has not acknowledged."""
        lasts = [self.roster.feeds[key].acked[1] for key in self.roster.sessions()]
        return sum(map(len, self.posts[min(lasts, default=0) :]))

    def unconfirmed_by(self):
        """The present sessions that do not hold all from the first say to the last."""
        if self.first_say is None:
            return []
        return [
            key
            for key in self.roster.sessions()
            if not self.roster.feeds[key].confirms(self.first_say, self.last_say)
        ]

    def is_confirmed(self):
        """Whether at least one session is present, and all that are hold what was said; or the one that it is for."""
        if self.whispers.is_for_one():
            return not self.whispers.unconfirmed
        return self.first_say is None or bool(self.roster.sessions()) and not self.unconfirmed_by()

    def may_say(self):
        if self.whispers.is_for_one():
            return self.whispers.find_reader() and len(self.whispers.unconfirmed) < WHISPERS_MAX
        return self.roster_complete and self.unconfirmed_bytes() < WINDOW_BYTES

    # The posts of others

    def append(self, frame, start):
        """Step 6, for a post that is the next one of its feed. Returns whether it asks for an ack."""
        author, session, number = start[1].decode(), int(start[2]), int(start[3])
        if not is_signed(author, "post", self.room, frame):
            raise LinkEnded("bad-signature")
        record = decode(frame)
        at, nick = field(record, "at", int), field(record, "nick", str)
        kind, body = field(record, "kind", str), field(record, "body", dict)
        ack = field(record, "ack", bool, False)
        feed = self.roster.feed((author, session))
        if not wall_ms() - POST_AGE_MS_MAX <= at <= wall_ms() + POST_AHEAD_MS_MAX:
            feed.have, feed.first = number, number + 1
            return False
        self.seen_at = max(self.seen_at, at)
        feed.appended(number, at, nick, kind)
        if kind == "join":
            feed.sealing = field(body, "sealing", str, None)
        elif kind == "say":
            self.show_say(author, nick, body)
        elif kind == "lost":
            self.hear_lost(feed_of(body), field(body, "last", int))
        self.roster.tell_changes(self.id)
        return ack

    def show_say(self, author, nick, body):
        text = field(body, "text", str)
        more = {name: True for name in ("action", "part") if field(body, name, bool, False)}
        tell("say", **{"from": {"id": author, "nick": nick}}, text=text, **more)

    def hear_lost(self, key, last):
        if key != self.feed_key:
            self.roster.claimed_lost(key, last)
        elif last == len(self.posts):
            self.join()

    def hear_ack(self, record, frame):
        """An ack for the own feed; one for another's feed has nowhere to go from here."""
        member = field(record, "member", str), field(record, "member_session", int)
        first, last = field(record, "first", int), field(record, "last", int)
        if feed_of(record) != self.feed_key or last > len(self.posts):
            return
        if is_signed(member[0], "ack", self.room, frame) and member in self.roster.feeds:
            feed = self.roster.feeds[member]
            feed.acked = (max(feed.acked[0], first), max(feed.acked[1], last))

    def gap(self, record):
        """The only link there is: every gap is final at once."""
        key, start, end = feed_of(record), field(record, "from", int), field(record, "to", int)
        feed = self.roster.feed(key)
        if start > feed.have + 1 or end < start:
            raise LinkEnded("future-number")
        if end > feed.have:
            tell("gap", **{"from": {"id": key[0], "nick": feed.nick}}, missed=end - feed.have)
            feed.have, feed.first = end, end + 1

    # Who vanished

    def lost_link_to(self, key, reason):
        if key in self.roster.feeds and self.roster.is_present(key) and reason not in GIVEN_UP:
            self.watches[key] = Watch(self.roster.feeds[key])

    def look_for_the_vanished(self):
        for key, watch in list(self.watches.items()):
            feed = self.roster.feeds[key]
            if feed.left or feed.joined > watch.joined or (self.link and self.link.peer_key == key):
                del self.watches[key]
            elif self.link and watch.look_again(feed) and self.roster.is_present(key):
                self.post("lost", {"author": key[0], "session": key[1], "last": feed.have})
                self.roster.claimed_lost(key, feed.have)

    # Time

    def unlinked_for(self):
        return time.monotonic() - self.linked

    def tick(self):
        now = self.linked = time.monotonic()
        if now - self.posted > JOIN_RENEWED_SECS:
            self.join()
        if self.unconfirmed_by() and now - self.marked > UNANSWERED_SECS:
            self.post("mark", {}, ack=True)
        self.whispers.tick()
        self.look_for_the_vanished()
        self.roster.tell_changes(self.id)

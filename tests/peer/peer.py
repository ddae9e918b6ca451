"""A peer of hobnob, written from man/hobnob-protocol.7 and nothing else.

    python3 peer.py [--room ROOM] [--room-key-file FILE] [--nick NICK] [--to NICK] [--plaintext] HOST:PORT

It is the page's A SMALL PEER: it dials one node, passes nothing on and keeps its own posts only. Lines of
stdin are said, with --to to that one alone; what others whisper to it is shown and confirmed. What happens is told on stdout, one JSON object a line. At the end of stdin it waits until all
who are present have acknowledged its words, and leaves. When its link breaks it dials again.

Exit codes: 0 all is confirmed; 1 the link ended, and dialling again did not help; 4 not confirmed by all;
5 refused. Words in capitals are sections of the page.

The files, bottom up: wire.py is bytes, roomkey.py room secrets, whisper.py what is private, room.py one node's view of
the room, link.py one link.
"""

import argparse
import bisect
import os
import select
import sys
import time

from link import Link
from room import Node, tell
from roomkey import secret_of
from wire import Connection, LinkEnded, encode

# BOUNDS
TEXT_BYTES_MAX = 64512
WHISPER_TEXT_BYTES_MAX = 47104
GOODBYE_SECS = 1.4

# This peer's own choices.
READ_BYTES = 65536
TICK_SECS = 0.05
DIAL_AGAIN_SECS = 20
DIAL_PAUSE_SECS = 0.2

# After these there is no use in dialling again, after banned not for some minutes (THE END OF A LINK).
REFUSALS = {"version", "room", "mode", "host-key", "plaintext", "secret", "clock", "banned"}


class Input:
    """stdin, cut into texts for says: whole lines that one read brings are said together."""

    def __init__(self, bytes_max):
        self.bytes_max = bytes_max
        self.rest = b""
        self.ended = False

    def fileno(self):
        return 0

    def read(self):
        """Reads once. Returns (text, part) for each say to make."""
        data = os.read(0, READ_BYTES)
        self.ended = not data
        self.rest += data
        end = len(self.rest) if self.ended else self.rest.rfind(b"\n") + 1
        lines, self.rest = self.rest[:end], self.rest[end:]
        text = lines.decode(errors="replace").removesuffix("\n")
        return list(cut_text(text, self.bytes_max)) if lines else []


def cut_text(text, bytes_max):
    """Pieces that fit; one that ends inside of a line is marked `part`."""
    while not fits(text, bytes_max):
        piece = text[: longest_fitting(text, bytes_max)]
        line_end = piece.rfind("\n")
        if line_end >= 0:
            yield text[:line_end], False
            text = text[line_end + 1 :]
        else:
            yield piece, True
            text = text[len(piece) :]
    yield text, False


def fits(text, bytes_max):
    return len(encode(text)) - 2 <= bytes_max


def longest_fitting(text, bytes_max):
    return bisect.bisect_left(range(1, bytes_max + 1), True, key=lambda end: not fits(text[:end], bytes_max))


def run_link(node, said, link, linger):
    """Serves a link until all is said, and confirmed (True) or waited for in vain (False)."""
    patience_ends = None
    while True:
        inputs = [link] + ([said] if node.may_say() and not said.ended else [])
        readable, _, _ = select.select(inputs, [], [], TICK_SECS)
        if link in readable:
            link.read()
        if said in readable:
            for text, part in said.read():
                (node.whispers.whisper if node.whispers.is_for_one() else node.say)(text, part)
        link.tick()
        node.tick()
        if said.ended and link.state == "ready":
            patience_ends = patience_ends or time.monotonic() + linger
            if node.is_confirmed() or time.monotonic() > patience_ends:
                return tell_outcome(node)


def tell_outcome(node):
    confirmed = node.is_confirmed()
    for author, session in node.unconfirmed_by():
        tell("unconfirmed", id=author, session=session)
    if confirmed and (node.says or node.whispers.last):
        tell("delivered", posts=node.says or node.whispers.last)
    return confirmed


def say_goodbye(node, link):
    """Step 9. Whoever does not close in time is not waited for."""
    deadline = time.monotonic() + GOODBYE_SECS
    try:
        node.post("leave", {})
        link.send_exit("goodbye")
        while select.select([link], [], [], max(deadline - time.monotonic(), 0))[0]:
            link.connection.receive()
    except (LinkEnded, OSError):
        pass


def answer_exit(link, reason):
    """Answers an exit record with the same word, or says why this side ends the link."""
    try:
        if reason != "vanished":
            link.send_exit(reason)
    except OSError:
        pass


def one_link(node, said, arguments, secret):
    """One link, from the dial to its end. Returns the exit code, or the word for which it ended too early."""
    link = None
    try:
        link = Link(node, Connection(arguments.address, node.room, secret, arguments.plaintext))
        confirmed = run_link(node, said, link, arguments.linger)
        say_goodbye(node, link)
        return 0 if confirmed else 4
    except (LinkEnded, OSError) as error:
        reason = error.reason if isinstance(error, LinkEnded) else "vanished"
        if link:
            answer_exit(link, reason)
            node.lost_link_to(link.peer_key, reason)
        return reason
    finally:
        node.link = None
        if link:
            link.connection.socket.close()


def parse_arguments():
    def address(text):
        host, _, port = text.rpartition(":")
        return host.strip("[]"), int(port)

    parser = argparse.ArgumentParser(description="A small peer of hobnob.")
    parser.add_argument("address", type=address, metavar="HOST:PORT")
    parser.add_argument("--room", default="lobby")
    parser.add_argument("--room-key-file", metavar="FILE")
    parser.add_argument("--nick", default="pia")
    parser.add_argument("--to", metavar="NICK")
    parser.add_argument("--plaintext", action="store_true")
    parser.add_argument("--linger", type=float, default=10, metavar="SECS")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    secret = None
    if arguments.room_key_file:
        with open(arguments.room_key_file, newline="", encoding="utf-8") as file:
            secret = secret_of(file.read(), arguments.room)
    node = Node(arguments.room, arguments.nick)
    node.whispers.nick = arguments.to
    said = Input(WHISPER_TEXT_BYTES_MAX if arguments.to else TEXT_BYTES_MAX)
    while node.unlinked_for() < DIAL_AGAIN_SECS:
        end = one_link(node, said, arguments, secret)
        if isinstance(end, int):
            return end
        tell("unlinked", reason=end)
        if end in REFUSALS:
            return 5
        time.sleep(DIAL_PAUSE_SECS)
    return 1


if __name__ == "__main__":
    sys.exit(main())

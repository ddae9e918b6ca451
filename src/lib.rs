//! hobnob: a group chat without a server, for people and for scripts.
//!
//! A node finds its peers, keeps a few links to them over TCP, and passes everybody's posts on to
//! everybody. Each post is signed by its author, numbered in its feed, and shown by every member exactly
//! once, in its author's order, whatever the links look like. What a pipe says is confirmed by all before
//! the run ends. This page is the map; what goes over a link is specified in `man/hobnob-protocol.7`.
//!
//! # The picture
//!
//! ```text
//!      stdin: terminal, pipe                 TCP
//!               |                        |        |
//!            [input]                 [accept]   [dial]     one thread; one a dial, with its handshake
//!               |                        |        |
//!               | Said, Command          |        |    [reader]   one a link: handshake,
//!               v                        v        v       v       frames, JSON, signatures
//!      +-------------------------------------------------------+
//!      | router thread                                         |
//!      |   owns the Room, and gives each link its threads      |
//!      |   Room: a pure state machine, no thread, no socket,   |
//!      |   no clock, no randomness of its own                  |
//!      +-------------------------------------------------------+
//!               | Event          | to be kept  | frames, shared
//!            [main]          [history]     [writer]   one a core, each with its share
//!               |                |             |      of the links for life
//!      stdout, stderr, terminal disk          TCP
//! ```
//!
//! A post's way through a node: a reader finds its frame ([`wire::frame`]), drops it unread if its
//! number was seen before, else parses it and checks the signature ([`room::intake`]), and hands the run of
//! all that arrived together to the router. [`room::Room::handle`] appends it, and says what
//! follows: show it, send these very bytes to those links, dial, close. The router carries that out without
//! ever waiting; writers put all that waits for a link into one write.
//!
//! # The rules
//!
//! - Threads and `std::net`, no async runtime. A value has one owner: the router owns the room. The one
//!   lock is [`room::intake::Seen`], written by the router and read by readers.
//! - The router never blocks. Readers and writers may block on its bounded channel; for readers that is the
//!   back-pressure towards TCP. No cycle of waits exists.
//! - Every queue is bounded, by a named constant with its reason in [`limits`]. What happens at the bound is
//!   decided: a slow link lags behind its cursors, a slow source waits for acks, a slow terminal is told
//!   how much it missed. Nothing is lost silently, and no slow peer holds up the others.
//! - The room is pure: time comes in as a value, chance from a seed, and nothing depends on the order of a
//!   hash map. So whole networks of rooms run in one thread, with real encoded frames, and a failure
//!   replays from its seed.
//! - What a peer does wrong ends its link with one word out of [`wire::end::End`] and nothing else. What only
//!   we can have done wrong is an assert. A thread that panics ends the program with a message.
//! - What is signed is what is sent: relays pass on the bytes that they received.
//! - Every link is encrypted unless both ends asked for the clear, and an identity is bound to the link on which it
//!   speaks. Strangers cost a bounded number of threads, bytes and moments.
//! - What is private is read by its addressee alone: it is sealed before the room sends it, opened in no other node, and
//!   kept on disk as it was sealed. It counts as delivered once it was shown, and that is remembered.
//! - Text of others reaches a terminal only through [`console::filter`]. JSON has the exact text.
//! - A disk that is slow, full or gone costs the chat nothing: what waits for it waits in the log.
//! - Dependencies point one way: `console`, `history` and `daemon` know `room`, `room` knows `wire`, `wire` knows
//!   neither.
//!
//! # The words
//!
//! No second name for the same thing.
//!
//! | word | meaning |
//! | --- | --- |
//! | node | a running hobnob: an identity and a session; peer: another node |
//! | identity | a key pair; its public half is the [id](identity::Id) |
//! | session | one run of an identity; random |
//! | member | an identity present in the room, near or far, with one session or several |
//! | away | of a member: by the word of all its sessions nobody sits there |
//! | passing | of a run: it ends with its input |
//! | link | one TCP connection to a peer, up after its greeting, ready after its pages of `have`; has a reader and a writer |
//! | frame | bytes on a link: one record and its delimiter; run: frames read together |
//! | record | the JSON value in a frame |
//! | post | a signed record that belongs to the room: join, say, nick, leave, lost, mark |
//! | feed | one author's posts of one session, numbered 1, 2, 3 … |
//! | log | the room's posts that this node keeps: by feed, and in the order in which it appended them |
//! | have | per feed, the last number seen; evicted posts and final holes count as seen |
//! | open, quiet | whether a link is sent a feed's posts, or only its newest number |
//! | cursor | per link and open feed the next number to send |
//! | copy | a post whose number was seen before |
//! | gap, hole | numbers that a peer says it does not have; what is missing here because of that |
//! | mark, ack | a post's request for answers; a member's signed answer, what it holds of a feed |
//! | window | the unacknowledged bytes up to which a pipe is read |
//! | unsaid | what was read while nobody was there to hear it, and is said when somebody is |
//! | roster | who is present: a fold over the posts |
//! | watch | the time in which a vanished peer may be found again, before it is told to be lost |
//! | history | what an identity keeps of a room on its disk, across runs |
//! | past | what a run takes up of it at its start |
//! | acquaintance | a peer that this identity had a link with in the room, and where: kept with the history |
//! | anchor | one of them to which a link is kept in a large room |
//! | secret | 32 bytes without which nobody gets a link into a closed room |
//! | room key | what people keep of it: a random key, or a passphrase from which it is computed |
//! | ticket | one line with all one needs to join: its hosts, the room, its secret |
//! | host | a member through whom others join, by a ticket that names its key and its addresses |
//! | remembered room | one that this user has joined by a ticket or a key, kept with it across runs |
//! | tag | digits that tell two closed rooms of one name apart, computed from the secret |
//! | mesh, hub | how the members of a room link: as equals, or all to one, the hub |
//! | claim, epoch, rank | what a member holds against others' claims to be the hub; how often it was claimed; how much it wants to be it |
//! | beat | a hub's sign of life |
//! | spare | of a link in hub mode: both ends have the same hub, and it carries no posts |
//! | mention | the own nick, as a word in what others say |
//! | contact | somebody kept by key, with nick and addresses; verified: the keys were compared by people |
//! | ignored, refused | of a key: nothing of it is shown, for good; in this run, as it came under a verified contact's name |
//! | whisper | something private, from one identity to another: its reader |
//! | envelope | the record that carries it: addressee, hops, and what is sealed |
//! | sealing key | what whispers to an identity are sealed to; stands in its joins |
//! | content | what is inside: a text, a receipt, a ping … |
//! | stream | what one session whispers to one reader, numbered 1, 2, 3 … |
//! | receipt | a reader's word up to where it has shown a stream: `heard` |
//! | talk | all that this node whispers to one reader, until there is a receipt |
//! | letter | a whisper that waits on the disk |
//! | way | how a whisper goes: over a link to its reader, through a peer, or over all links, as a flood |
//! | probe | a question whether, or over whom, somebody is reached: ping, trace |
//! | event | what the room tells the person or script in front of it |
//!
//! # The modules, in reading order
//!
//! 1. [`limits`]: every bound, its reason, and what happens one past it.
//! 2. [`private`]: files that only their owner may read. `digits`: how keys are written. [`identity`]: keys, kept in such files. [`token`]: how a
//!    line that people pass on is written. [`secret`]: what closes a room. [`ticket`]: what opens it.
//! 3. [`wire`]: bytes, no threads. [`wire::frame`] finds frames, [`wire::record`] gives them their meaning and
//!    signs and checks them, [`wire::end`] lists why links end, [`wire::secure`] makes a link out of a
//!    connection: the handshake, and the encrypted stream of bytes as two halves, [`wire::seal`] seals whispers for one
//!    reader and opens them.
//! 4. [`room`]: the core. [`room::event`] is what users see and want, [`room::intake`] what readers do with a
//!    frame, [`room::skeleton`] what a nick looks like, [`room::names`] whom a name means, [`room::rng`] the
//!    seeded chance. Inside: `boundary` (what goes in and comes out), `greet` (how a
//!    link begins and ends), `flood` (how posts come in), `serve` (how they go on), `pull` (`want`, `quiet` and
//!    `news`), `hole` (gaps), `recovery` (what was missed, and came), `mark` (acks on their way), `own` (what this node posts), `unsaid` (what was read and has to wait for somebody), `ending` (how its run ends), `verdict` (what its outcome is), `watch` (who
//!    vanished), `away` (who says that nobody sits there), `election` and `hub` (who is the hub, and what that means for links), `report` and `recall` (answers to the user), `past` (what is taken up of
//!    earlier runs, and how far this one is kept), `acquaintance` (whom the next one looks for), `whisper` (what is private; in it `talk`, what waits for one reader, `hearing`, how
//!    far others' streams were shown, `way`, which link leads there and what a relay does, `letters`, what outlives a run, `probe`); and the state they work on, `log`, `links`, `roster`, `overlay`
//!    (whom to link to), `pace` (what is confirmed, and the window), `local` (what waits to be shown).
//! 5. [`daemon`]: the threads, and the order in which they start and stop: `router`, `reader`, `writer`, `accept`,
//!    `place` (how many may be in their handshakes), `dial`; and `answering`: which key answers somewhere.
//! 6. [`console`]: the person or script. [`console::chunk`] cuts what is piped in into says, [`console::command`]
//!    reads slash commands, [`console::print`] and [`console::json`] write events, [`console::filter`] guards the
//!    terminal. [`console::mention`] finds the own nick in what others say, [`console::bell`] is what that rings. Inside:
//!    `recall` and `teller` (what was said earlier), `people` (what is asked about contacts, and of whom nothing is shown).
//! 7. [`lines`]: files that people may edit while runs keep them. [`known`]: the keys that the nicks had in earlier
//!    runs. [`contacts`]: the people whom one keeps, trusts or ignores. [`rooms`]: what closes the rooms that were joined. The console asks them.
//! 8. [`history`]: what is kept on disk, from run to run. Inside: `keeper` (the thread that writes), `load` (what goes
//!    into the room again), `query` (what people ask for), `peers` (whom the next run looks for), `letters` (whispers that wait, and up to where others' were shown), `whole` (how those two are replaced), `month`, `line` and `back` (files, their lines, and those from the
//!    end). [`moment`]: a time as somebody types it.
//! 9. [`addr`]: where a peer is said to be. [`args`]: the command line, and the manual that comes out of it.
//!    [`access`]: which room, by which secret, through whom, from options, files, variables and a prompt; inside, `place`:
//!    what a name means, `offer`: the tickets of `hobnob ticket`. [`spelling`]: words that were meant otherwise.
//!
//! `src/main.rs` ties them together: arguments, log, run, exit code.
//!
//! # The tests
//!
//! A file below `tests/library` (no process) and `tests/program` (the program as built) is a promise, named at its top. `tests/simulation` runs networks of rooms under delays, cuts,
//! crashes and restarts drawn from seeds; `tests/fuzz` holds what no bytes may break; `tests/bench` measures; `tests/library/protocol_page.rs` holds the
//! specification to the code, and `tests/program/python_peer.rs` to a peer that was written from it alone.

pub mod access;
pub mod addr;
pub mod args;
pub mod console;
pub mod contacts;
pub mod daemon;
mod digits;
pub mod history;
pub mod identity;
pub mod known;
pub mod limits;
pub mod lines;
pub mod moment;
pub mod private;
pub mod room;
pub mod rooms;
pub mod secret;
pub mod spelling;
pub mod ticket;
pub mod token;
pub mod wire;

//! Every bound of the program, with its reason and what happens one past it.
//!
//! Sizes are bytes, times are milliseconds unless the name says otherwise. A bound that a peer can
//! reach ends that peer's link or its turn, never the program.

/// What may be done at once, and the time after which as much may be done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u64,
    /// Milliseconds in which a full bucket empties.
    pub window_ms: u64,
}

// ---- frames -------------------------------------------------------------------------------

/// The longest frame, delimiter included. From the protocol: two frames fit a socket buffer, and a
/// hostile peer costs one such buffer. One byte more closes the link (`frame-too-long`).
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// How deep JSON in a frame may nest. Our own records need 4. One level more closes the link.
pub const JSON_DEPTH_MAX: usize = 32;

/// The largest number in a record: integers up to here are exact in every JSON implementation
/// (RFC 8259, section 6). A larger one closes the link.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

/// The encoded text of one say. With the largest header and the signature it fits a frame.
/// A longer line is cut into several says marked `part`.
pub const SAY_TEXT_BYTES_MAX: usize = 63 * 1024;

/// The longest nick. A longer one is refused where it is typed, and closes the link where it
/// comes from a peer.
pub const NICK_BYTES_MAX: usize = 64;

/// The longest room name, for the same reason as a nick.
pub const ROOM_NAME_BYTES_MAX: usize = 64;

/// The longest word of goodbye, and the longest reason to be away. Cut at the source; a longer one closes the link.
pub const WHY_BYTES_MAX: usize = 512;

/// The longest name or address of a host that is dialled: what DNS allows (RFC 1035, section 2.3.4, without
/// the root's dot). A longer one is refused where it is typed or read.
pub const HOST_BYTES_MAX: usize = 253;

/// Fields of a post, and of the body of a say. Ours have ten; later versions may add some. Each is compared
/// with all before it, so more closes the link.
pub const POST_FIELDS_MAX: usize = 64;

/// Addresses in a join. A node has few; each costs others a dial. More closes the link.
pub const ADDRESSES_PER_NODE_MAX: usize = 4;

/// Joins that tell of other addresses, at once and later. Beyond, they wait: who tells us every moment that it sees us
/// elsewhere makes us say no more than this.
pub const ADDRESS_JOINS: Rate = Rate { burst: 4, window_ms: 60_000 };

/// Feeds named in one `have` or `news`. An entry has 90 bytes at most, so 512 of them fit a frame.
pub const FEEDS_PER_PAGE_MAX: usize = 512;

// ---- readers and writers ------------------------------------------------------------------

/// What a reader takes from a socket at once, so the longest run. Four frames: long enough to
/// pay for the wake-ups, short enough that the router's queue stays small.
pub const READ_BYTES_MAX: usize = 128 * 1024;

/// Runs waiting for the router. With `READ_BYTES_MAX` this bounds them to 4 MiB; at the bound
/// readers block, which is the back-pressure towards TCP.
pub const ROUTER_QUEUE_RUNS_MAX: usize = 32;

/// Bytes of posts handed to a link's writer and not yet written. A link at the bound lags: its
/// cursors stay where they are until half of it is drained. Larger than a socket buffer needs,
/// smaller than a thousand links can afford.
pub const OUTBOX_BYTES_MAX: usize = 256 * 1024;

/// Bytes that a link which lags is sent of what one other link has brought, before it is the next one's turn: so
/// whoever brings a thousand feeds delays what others bring by this, not by all that. A few posts (a guess).
pub const SERVE_BYTES: usize = 16 * 1024;

/// Bytes of control records over `OUTBOX_BYTES_MAX` for a peer that asks and does not read.
/// One past it closes the link (`slow-reader`).
pub const OUTBOX_CONTROL_BYTES_MAX: usize = 512 * 1024;

/// The first line of a dialler. Ours have 15 bytes; a longer one is not read further (`bad-frame`).
pub const PREAMBLE_BYTES_MAX: usize = 32;

/// An exit record in the clear, in the place of a handshake message. A longer one is none.
pub const CLEAR_EXIT_BYTES_MAX: usize = 1_024;

/// What we put into one Noise message. The protocol allows 65,519; this is the size at which encryption is
/// fastest (measured), and four of them let a receiver's buffer stay small.
pub const NOISE_PAYLOAD_BYTES: usize = 16 * 1024;

/// Sealed bytes of a link that wait for its socket; more is sealed when these are written.
pub const SEALED_BYTES_MAX: usize = 64 * 1024;

/// The first buffer of a link for what arrives, and for what arrives encrypted; it grows as bytes come. A link that is
/// mostly silent holds no more.
pub const READ_BYTES_MIN: usize = 1024;

/// Places of a link's queue that are kept when it is empty.
pub const QUEUE_PLACES_KEPT: usize = 8;

/// Noise messages each way under one key. AES-GCM allows many more; the message beyond ends the link.
pub const LINK_RECORDS_MAX: u64 = 1 << 24;

/// After so many the link is made anew (`renew`): long before the bound.
pub const LINK_RECORDS_RENEW: u64 = 1 << 23;

/// Buffers in one gathering write; Linux refuses more than 1,024 (`UIO_MAXIOV`).
pub const WRITE_BUFFERS_MAX: usize = 64;

/// What goes to so many links, and is one of many, is written when `GATHER_MS` are over: a thousand who join are a
/// million frames in some ten thousand writes. A guess: below, a round of writes takes less than a millisecond.
pub const GATHERED_LINKS_MIN: usize = 64;

/// So many frames within `GATHER_MS` to so many links are many: more than people say. Fewer go at once.
pub const GATHERED_FRAMES_MIN: u32 = 10;

/// How long they are gathered: nobody notices it, and half of the writes are left of those with 20 (measured).
pub const GATHER_MS: u64 = 50;

/// When none has come for so long they are written at once: the burst is over. A guess: longer than the router takes
/// to come to the next, or to have its turn again on a busy machine.
pub const GATHER_PAUSE_MS: u64 = 10;

/// Writer threads: one a core, and more than eight bring nothing (a guess).
pub const WRITERS_MAX: usize = 8;

/// Stack of a reader thread; there can be thousands of them. JSON of depth 32 needs a tenth.
pub const READER_STACK_BYTES: usize = 256 * 1024;

// ---- links --------------------------------------------------------------------------------

/// Links that a node keeps. Each costs a thread and about four memory maps, and a process dies
/// near 16,000 threads (measured). One past it is closed before a thread is spawned for it.
pub const LINKS_ACCEPTED_MAX: usize = 4_000;

/// Links from one identity that are accepted: somebody who is in several places at once, or runs many jobs. Beyond, the
/// newest is refused (`full`), so that one key does not take all places. Counted where the key is proved.
pub const LINKS_PER_IDENTITY_MAX: usize = 64;

/// Links that have not said hello yet; beyond, the oldest of the busiest address is closed (`crowded`).
pub const LINKS_GREETING_MAX: usize = 64;

/// How long a handshake is left alone when more come from its own address: ours take a few round trips. Until
/// then the newcomer is refused (`crowded`).
pub const GREETING_MS_MIN: u64 = 1_000;

/// Handshakes of one address that come to nothing: two full houses of them at once (a guess). One that comes up does not
/// count. Beyond, the address is refused until some have faded (`crowded`).
pub const HOST_HANDSHAKES: Rate = Rate { burst: 2 * LINKS_GREETING_MAX as u64, window_ms: 10_000 };

/// Points for broken rules that are remembered of an address or a key, and how they fade: ten a minute. So a ban lasts
/// ten minutes at most after the last offence.
pub const OFFENCE_POINTS: Rate = Rate { burst: 200, window_ms: 1_200_000 };

/// With so many points an address or a key is refused (`banned`): two wrong signatures, or ten frames that
/// make no sense.
pub const BAN_POINTS: u64 = 100;

/// For so many points an address has one handshake less: keys cost nothing, so who is banned may come with another one.
pub const POINTS_PER_HANDSHAKE: u64 = 10;

/// Addresses, and keys, of which handshakes and offences are remembered. Beyond, the half that has fewer is
/// forgotten.
pub const DOOR_GUESTS_MAX: usize = 4_096;

/// Accepted connections in their handshakes, those included whose end is on its way: twice as many as may be
/// unfinished. At the bound no more are accepted until one has ended; they wait with the system.
pub const HANDSHAKES_MAX: usize = 2 * LINKS_GREETING_MAX;

/// Connections that the system holds until they are accepted. Beyond, it drops what comes, and who dials tries again
/// a second later; with 128 that was the lot of most in a crowd (measured). Systems may cut it down.
pub const LISTEN_BACKLOG: i32 = 1_024;

/// Links that a writer has closed and whose peers have not yet; a peer is given a moment to hear why. Beyond, the
/// one that has waited longest is cut off, so that a crowd that is turned away costs no more threads than this (a guess).
pub const LINKS_CLOSING_MAX: usize = 32;

/// The time in which a new link must have said hello. Then it is closed (`handshake-timeout`).
pub const HANDSHAKE_MS_MAX: u64 = 5_000;

/// The time in which a frame that began must end, beside what its bytes may take. Then the link is closed
/// (`frame-timeout`).
pub const FRAME_MS_MAX: u64 = 10_000;

/// The slowest link that is not late: an old modem, or a site behind a bad radio, has some hundred bytes a second (a guess).
/// Less than that in a message that does not end is no sign of life.
pub const LINK_BYTES_PER_S_MIN: u64 = 256;

/// The longest that a frame may take.
pub const FRAME_MS_LONGEST: u64 = FRAME_MS_MAX + FRAME_BYTES_MAX as u64 * 1_000 / LINK_BYTES_PER_S_MIN;

/// A younger link that we dialled may cross with the other side's dial; an older one that the
/// other side dials again is dead over there.
pub const DIALS_CROSS_MS_MAX: u64 = 5_000;

/// Silence on a link after which a ping is sent.
pub const LINK_PING_AFTER_MS: u64 = 2_000;

/// Pings of links are spread over so many ticks, up to a second.
pub const LINK_PING_PHASES: u64 = 20;

/// Silence after which a link is closed (`silent`).
pub const LINK_SILENT_MS_MAX: u64 = 8_000;

/// What a link may ask: `want`, `quiet` and `gap` count one, a page one and one more for every
/// `LINK_ENTRIES_PER_ASK` entries. At once it covers paging, wanting and quieting all feeds there can be, and
/// doing so again; then a thousand a second, which a large room under load does not need (a guess). Beyond, the link is
/// closed (`flood`).
pub const LINK_ASKS: Rate = Rate { burst: 4 * FEEDS_MAX as u64, window_ms: 60_000 };

/// Entries of a page that cost as much as one request: about what it takes to look at them.
pub const LINK_ENTRIES_PER_ASK: u64 = 32;

/// Pings, pongs and records of unknown kinds on a link. Ours sends one in two seconds; later versions may
/// add kinds that we skip. Beyond, the link is closed (`flood`).
pub const LINK_CHATTER: Rate = Rate { burst: 256, window_ms: 60_000 };

/// Posts of `lost` by a peer itself, on its link. One that obeys `LOSSES` stays below it. Beyond, the link is
/// closed (`flood`).
pub const LINK_LOSSES: Rate = Rate { burst: 3 * LOSSES.burst, window_ms: LOSSES.window_ms };

/// What a link says of the hub: one sends a beat twice a second, and a word of each new one comes over each link, in a wild
/// election some (a guess). Beyond, the link is closed (`flood`).
pub const LINK_ELECTION: Rate = Rate { burst: 600, window_ms: 60_000 };

/// How long after a gap notice the post behind it must have come; it is sent right behind it. Then the link is closed
/// (`empty-gap`).
pub const GAP_MS_MAX: u64 = FRAME_MS_LONGEST + FRAME_MS_MAX;

/// How long bytes may wait for a socket that takes none of them. A slow reader takes some now and then, and the system
/// asks for more when a third of its own buffer is empty (a guess). Then the link is
/// closed (`slow-reader`).
pub const LINK_STUCK_MS_MAX: u64 = 45_000;

/// Up to this many dialable members every node links to every other one.
pub const MESH_FULL_PEERS_MAX: usize = 8;

/// Links that a dialable node keeps to other dialable nodes in a larger room; beyond, those that
/// neither side needs are closed (`surplus`).
pub const MESH_LINKS_MAX: usize = 8;

/// Links that a node which nobody can dial keeps: one to live by, one in reserve.
pub const MESH_LINKS_UNDIALABLE: usize = 2;

/// Rings of all members, in a larger room, in each of which a node links to the next one. With those that come in this
/// makes six links, the active view of `HyParView` (DSN 2007).
pub const MESH_RINGS: usize = 3;

/// How long a surplus link is kept, so that a join is over before its first link goes.
pub const SURPLUS_LINK_MS: u64 = 10_000;

/// Members that are dialled in one /24, or IPv6 /64, of the Internet: an attacker has many addresses there for
/// the price of one. More are passed over.
pub const LINKS_PER_NETWORK_MAX: usize = 2;

/// Members who vanished and are still dialled now and then, so that a healed cut merges again.
pub const LOST_PEERS_MAX: usize = 64;

/// Addresses of peers there was a link with that are kept for the next run: eight times what a node links to, so that
/// some are there when most have moved. Beyond, those go that were linked longest ago.
pub const ACQUAINTANCES_MAX: usize = 64;

/// Of one identity: where it is, and where it was or is as well. Beyond, the older ones go.
pub const ACQUAINTANCE_ADDRESSES_MAX: usize = 2;

/// Dials of them under way at once: half of all, so that members do not wait behind hosts that are gone.
pub const ACQUAINTANCE_DIALS_MAX: usize = DIALS_MAX / 2;

/// Links to peers of earlier runs in a room too large for all to link to all, as long as there are some who keep them: members that
/// somebody else makes up do not surround a node that has been here before. A guess, as in Bitcoin (anchors).
pub const ANCHOR_LINKS: usize = 2;

/// The file that keeps them: a line has 160 bytes at most. A longer one is left alone, with a warning.
pub const PEERS_FILE_BYTES_MAX: u64 = 64 * 1024;

/// How often that file is written, at most: links come and go by the dozen while a room finds itself.
pub const PEERS_SAVE_MS: u64 = 3_000;

/// The first pause before an address is dialled again.
pub const DIAL_PAUSE_MS_MIN: u64 = 250;

/// The longest pause between two dials of an address in a large room.
pub const DIAL_PAUSE_MS_MAX: u64 = 60_000;

/// The same in a room of fewer than `SMALL_ROOM_MEMBERS`.
pub const DIAL_PAUSE_SMALL_ROOM_MS_MAX: u64 = 10_000;

/// See `DIAL_PAUSE_SMALL_ROOM_MS_MAX`.
pub const SMALL_ROOM_MEMBERS: usize = 16;

/// The first pause before another session is looked for at an address where one was not found; it doubles with each
/// further one, up to the longest. Long enough that made-up members cost whom they name little, short enough for one who
/// is back as a new session.
pub const STRANGER_PAUSE_MS_MIN: u64 = 2_000;

/// Addresses of which is remembered how dialling them went: four for each member of a large room, of whom few are
/// dialled. Beyond, the half that may be dialled soonest is forgotten.
pub const DIALLED_PLACES_MAX: usize = 4_096;

/// Dials under way at once; more wait for a turn.
pub const DIALS_MAX: usize = 8;

/// How long one TCP connect may take.
pub const DIAL_MS_MAX: u64 = 4_000;

// ---- the hub ------------------------------------------------------------------------------

/// How often a hub says that it is there.
pub const BEAT_MS: u64 = 500;

/// Silence after which a hub is suspected: three beats,
pub const HUB_DOWN_MS: u64 = 3 * BEAT_MS;

/// plus a random part, so that not all ask at once.
pub const HUB_DOWN_JITTER_MS: u64 = 250;

/// How much later each member claims to be the hub than the one before it: more than a round trip, so that one claim
/// is made in most cases (simulated).
pub const STAGGER_MS: u64 = 200;

/// Members who wait longer than the one before them; the rest waits as long as the last of these.
pub const STAGGER_POSITIONS_MAX: u64 = 10;

/// A random part of that.
pub const STAGGER_JITTER_MS: u64 = 50;

/// Links that are asked for the hub at a time.
pub const PROBED_LINKS_MAX: usize = 5;

/// The longest pause between two rounds of questions.
pub const PROBE_PAUSE_MS_MAX: u64 = 8_000;

/// How far an epoch may be above the highest one known, and one more for every second since: a room in two parts may have
/// changed its hub so often in the other one (a guess). What is above is not believed, so that nobody counts the
/// epochs up to their end.
pub const EPOCH_JUMP_MAX: u64 = 64;

/// Handovers of a hub to a greater claim. A cut that heals brings one. Beyond, the claim is not answered: nobody makes
/// the room hop.
pub const HANDOVERS: Rate = Rate { burst: 3, window_ms: 180_000 };

/// How long a hub that kept back posts is not followed again, the first time; each time it is twice as long,
pub const DISTRUSTED_MS_MIN: u64 = 60_000;

/// up to this.
pub const DISTRUSTED_MS_MAX: u64 = 3_600_000;

/// How many of those are remembered. Beyond, the oldest is forgotten.
pub const DISTRUSTED_MAX: usize = 64;

/// Spare links that a member keeps beside the one to the hub.
pub const HUB_SPARES: usize = 2;

/// How often the newest numbers are told on a spare link.
pub const SPARE_NEWS_MS: u64 = 2_000;

/// How long a hub has to bring what a spare link tells of. Then it is fetched there.
pub const WITHHELD_MS: u64 = 2_000;

/// How long the hub must have brought no post at all, before that is held against it, and
pub const IDLE_MS: u64 = 2 * BEAT_MS;

/// how many beats, one after the other: they come behind the posts that wait for the same link, so it is not slow.
pub const IDLE_BEATS: u64 = 2;

/// How long a new hub has to catch up before what it does not bring is held against it.
pub const HUB_SETTLES_MS: u64 = 10_000;

/// How long a hub that leaves waits until all have moved to the next one.
pub const HANDING_OVER_MS_MAX: u64 = 1_000;

/// The rank of a member of which nothing else was said: in the middle.
pub const RANK_DEFAULT: u8 = 128;

// ---- the log ------------------------------------------------------------------------------

/// The posts that a node keeps, frames and bookkeeping together. Beyond, the oldest of the author
/// who holds most goes.
pub const LOG_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a kept post costs beside its frame: the maps' entries and the header (measured roughly).
pub const POST_OVERHEAD_BYTES: usize = 320;

/// The age at which posts are evicted, and past which they are refused: seven days.
pub const POST_AGE_MS_MAX: u64 = 7 * 24 * 3_600_000;

/// How far ahead of our clock a post may be: a day. Beyond it is refused and counts as seen.
pub const POST_AHEAD_MS_MAX: u64 = 24 * 3_600_000;

/// How far a peer's clock may push ours ahead (from the threat list: two minutes).
pub const CLOCK_AHEAD_MS_MAX: u64 = 120_000;

/// Feeds that a node knows of. Beyond, sessions that are over are forgotten, the longest silent first; where there is
/// none, posts of new feeds are refused, with a warning.
pub const FEEDS_MAX: usize = 16_384;

/// Feeds of one author: a job that says something every minute is one more session each time. Beyond, the author's own
/// older ones are forgotten; if all are present, the new one is refused.
pub const SESSIONS_PER_AUTHOR_MAX: usize = 1_024;

/// Up to so many sessions are counted anew at each input that changes them; more are on the next tick only: a crowd that
/// joins one by one costs no more than its signatures.
pub const MEMBERS_COUNTED_AT_ONCE: usize = 256;

/// Sessions present at a time; with the largest joins, which are not evicted, they fill two fifths of the log. Beyond,
/// new ones are refused, with a warning.
pub const MEMBERS_MAX: usize = 10_000;

/// When a table is full, one in so many of it is forgotten at once, so that it is not searched for each new one.
pub const FEEDS_FORGOTTEN_PART: usize = 16;

/// When there was nothing to forget, this long passes before it is searched again.
pub const FEEDS_FULL_MS: u64 = 1_000;

/// Feeds that a link begins, or tells of, and that nobody has asked for. A thousand who join at once are no offence.
/// Beyond, they are turned away, and asked for when they go on.
pub const LINK_NEW_FEEDS: Rate = Rate { burst: 4_096, window_ms: 60_000 };

/// Feeds of which a link remembers something: all of ours and as many that only the peer has. A peer
/// that names more makes them up, and its link is closed (`out-of-turn`).
pub const LINK_FEEDS_MAX: usize = 2 * FEEDS_MAX;

/// Posts of one feed that wait behind a gap. Beyond, the highest are dropped and asked for again.
pub const WAITING_BYTES_MAX: usize = 1024 * 1024;

/// The same for all feeds together.
pub const WAITING_BYTES_TOTAL_MAX: usize = 8 * 1024 * 1024;

/// `leave` and `lost` younger than this are not evicted: who comes back must learn of them.
pub const ENDING_KEPT_MS: u64 = 300_000;

/// How old a post must be, by its author's clock, to count as one of the past although it comes as if it were said
/// now. A session whose author has a later one is judged after `SESSION_SILENT_MS_MAX`. Wrong clocks are off by minutes, or an
/// hour where daylight saving was got wrong; two may be wrong in opposite directions (a guess).
pub const REPLAYED_MS_MIN: u64 = 3 * 3_600_000;

/// Claims of `lost` remembered per feed; they name different last numbers. Beyond, the highest is dropped.
pub const LOST_CLAIMS_MAX: usize = 8;

/// Sessions of which no post has come, and of which claims of `lost` are remembered all the same; a guess. More are
/// dropped: `lost` is repeated.
pub const EARLY_CLAIMS_MAX: usize = 256;

/// Authors that are remembered for a clock that is ahead, so that each is told of once; a guess. Others are refused
/// without a word.
pub const UNTIMELY_MAX: usize = 1_024;

/// Signatures' ends that are remembered per feed, to tell a fork from a copy. Copies arrive within moments of each
/// other; of what came longer ago a fork is dropped as a copy.
pub const TAILS_MAX: usize = 16;

/// Notices (neither posts nor answers, nor who comes and goes) that wait for a slow terminal or reader of stdout. Beyond,
/// the oldest go and their count is told.
pub const NOTICES_MAX: usize = 1_024;

/// The same for who comes, goes or has another name: each session there can be may come and go. Beyond, the oldest go,
/// their count is told, and all who are here are told anew.
pub const ROSTER_NOTICES_MAX: usize = 2 * FEEDS_MAX;

/// Answers and whispers that wait for a slow reader of stdout, while commands in piped text are still taken; a guess.
pub const WORDS_MAX: usize = 1_024;

/// Commands on the way from the console to the router, which takes each at once.
pub const COMMANDS_MAX: usize = 16;

/// Posts that wait for a slow terminal or reader of stdout, in bytes. Beyond, this node's acks wait for
/// it, so that a source goes no faster than its readers' outputs move; one that stands still for
/// `MEMBER_STALLED_MS` is no longer waited for. An eighth of the log: with a full window of every
/// source behind it nothing is evicted unshown.
pub const LOCAL_LAG_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The longest line of the log, before what it quotes is filtered. The rest is cut: a fault may quote a frame.
pub const LOG_LINE_BYTES_MAX: usize = 1_024;

/// Feeds that are taken up from earlier runs, the newest ones: half of those that are known at a time. What the others
/// have said counts as seen.
pub const RESTORED_FEEDS_MAX: usize = FEEDS_MAX / 2;

/// The same for the feeds of one author.
pub const RESTORED_SESSIONS_PER_AUTHOR_MAX: usize = SESSIONS_PER_AUTHOR_MAX / 2;

/// Posts that wait to be kept on disk, in bytes. Beyond, this node's acks wait, as they do for a slow reader of stdout,
/// and no longer than for that: a disk that stands still holds up nobody. See `LOCAL_LAG_BYTES_MAX`.
pub const HISTORY_LAG_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Posts that go to the history's thread together: enough for a write to pay.
pub const HISTORY_BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Batches on the way there. At the bound they wait in the log, where `HISTORY_LAG_BYTES_MAX` counts them.
pub const HISTORY_BATCHES_MAX: usize = 8;

/// How often the history is synced: what a power cut may cost of it.
pub const HISTORY_SYNC_MS: u64 = 1_000;

/// What is written of a history and not synced, in bytes: it is kept in memory until it is, for after a sync that failed
/// nobody knows what has become of it. At the bound it is synced at once.
pub const HISTORY_UNSYNCED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How often writing is tried again when the disk is full, read-only or broken.
pub const HISTORY_RETRY_MS: u64 = 10_000;

/// How long the end of a run waits for the history to be written.
pub const HISTORY_CLOSE_MS_MAX: u64 = 2_000;

/// The longest line of a history: a frame in which each byte is escaped. A longer one is damaged, and skipped.
pub const HISTORY_LINE_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX + 64;

/// How far back from its end a history is read at the start of a run: eight logs, so that of feeds whose posts are
/// out of the log it is known how far they had come. It takes about a second. What is further back counts as never seen.
pub const HISTORY_SCAN_BYTES_MAX: usize = 8 * LOG_BYTES_MAX;

/// Messages that the log gives to whoever asks for earlier ones, in bytes; older ones are left out.
pub const RECALLED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Messages that `/history` shows where nothing else is said: a screenful. `/search` shows as many.
pub const RECALLED_LAST: usize = 20;

/// And at most.
pub const RECALLED_LAST_MAX: usize = 1_000;

/// Searches of the history under way at a time. One more is refused.
pub const RECALLS_MAX: usize = 4;

/// Events on the way from the router to the console.
pub const CONSOLE_QUEUE_EVENTS_MAX: usize = 64;

// ---- the flood ----------------------------------------------------------------------------

/// How often a quiet feed's newest number is told.
pub const NEWS_MS: u64 = 100;

/// More second than first copies on a link, in bytes, before it is told `quiet`.
pub const SURPLUS_BYTES_MAX: u64 = 16 * 1024;

/// A feed that others tell is newer and that has not advanced for this long is asked for.
pub const STALE_MS: u64 = 150;

/// A catch-up without progress for this long goes on over another link.
pub const PULL_MS: u64 = 1_000;

/// What a link brings that has come up beside others, and was said longer ago than this, was missed. What is
/// younger was on its way.
pub const RECOVERED_AGE_MS_MIN: u64 = 1_000;

/// A hole is final this long after the last answer when some merely had nothing.
pub const HOLE_NOTHING_MS: u64 = 1_000;

/// A hole is final after this long without an answer,
pub const HOLE_SILENT_MS: u64 = 5_000;

/// plus a random part, so that neighbours do not wait on each other.
pub const HOLE_JITTER_MS: u64 = 2_000;

// ---- confirmation and pacing --------------------------------------------------------------

/// Unmarked bytes after which a post is marked `ack`.
pub const MARK_BYTES: u64 = 64 * 1024;

/// The same per member, where that is more: every mark brings one answer a member.
pub const MARK_BYTES_PER_MEMBER: u64 = 4 * 1024;

/// A fraction of the window after which a post is marked, where that is more than the others:
/// sixteen marks a window steer it as well as sixty, at a quarter of the signatures.
pub const MARKS_PER_WINDOW: u64 = 16;

/// Unmarked bytes of this age get a mark.
pub const MARK_AFTER_MS: u64 = 250;

/// An unanswered mark is followed by another one after this long.
pub const MARK_AGAIN_MS: u64 = 2_000;

/// A member without progress for this long stops holding up the source.
pub const MEMBER_STALLED_MS: u64 = 2_000;

/// Marks of one author that are answered for what little it has said since: ours come once in 250 ms, from each of its
/// sessions. Those after `MARK_BYTES` are answered in any case, and the newest one beyond when its time comes.
pub const MARK_ANSWERS: Rate = Rate { burst: 20, window_ms: 1_000 };

/// Routes of marks remembered per feed. Beyond, the oldest goes: answers to it are dropped, and asked for again.
pub const MARK_ROUTES_MAX: usize = 16;

/// The unacknowledged bytes up to which stdin is read, at first, and those that wait while nobody is there; beyond, it blocks,
pub const WINDOW_BYTES_MIN: u64 = 256 * 1024;

/// and at most.
pub const WINDOW_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What the windows of all sources may have together: half of a log, so that it holds it all twice. It is shared by what each
/// has said lately: sessions that only mark take nothing of it.
pub const WINDOWS_BYTES_MAX: u64 = LOG_BYTES_MAX as u64 / 2;

/// Another feed with a mark this young is a source. What it has said for this long or twice as long counts as under way; from
/// `MARK_BYTES` on it is in haste, and takes an equal part.
pub const MARK_RECENT_MS: u64 = 5_000;

// ---- the roster ---------------------------------------------------------------------------

/// A silent session renews its join this often.
pub const JOIN_RENEW_MS: u64 = 150_000;

/// A session silent for this long is folded as lost.
pub const SESSION_SILENT_MS_MAX: u64 = 300_000;

/// A vanished peer is given this long to be found again,
pub const LOST_AFTER_MS: u64 = 1_000;

/// plus a random part, so that one neighbour speaks for all.
pub const LOST_JITTER_MS: u64 = 2_000;

/// Posts of `lost` by this node. All its links may go at once, and each is told of. Beyond, they wait.
pub const LOSSES: Rate = Rate { burst: LINKS_ACCEPTED_MAX as u64, window_ms: 60_000 };

/// How long a session may take to say that it is here, after somebody has said that it is lost: the claim must reach it
/// and its answer must come back, over some ten links each way.
pub const LOST_GRACE_MS: u64 = 1_500;

/// A session that is known from the disk alone is doubted after this long in the room: those who are still here have been
/// dialled by then, and who came back with us has, too. A guess.
pub const UNHEARD_AFTER_MS: u64 = 8_000;

/// Joins that tell that this node's user is away or back, at once and later. Beyond, they wait, and what holds then is told.
pub const AWAY_JOINS: Rate = Rate { burst: 4, window_ms: 60_000 };

/// How often it is told of one member that it is away or back: each is a line on a reader's screen. Beyond, it waits in the
/// same way.
pub const AWAYS_TOLD: Rate = Rate { burst: 4, window_ms: 60_000 };

/// Changes of this node's nick, at once and later. Beyond, a change waits, and only the last one is posted.
pub const RENAMES: Rate = Rate { burst: 4, window_ms: 60_000 };

/// How often it is told of one member that it has another nick: each is a line on a reader's screen, and may be a name that
/// is kept. Beyond, it waits, and the last one is told.
pub const RENAMES_TOLD: Rate = Rate { burst: 4, window_ms: 60_000 };

/// A vanished session that still shows as present is looked at again this often.
pub const LOST_AGAIN_MS: u64 = 3_000;

// ---- keys -----------------------------------------------------------------------------------

/// A file that keeps an identity: 64 digits and some white space. A longer one is damaged.
pub const KEY_FILE_BYTES_MAX: usize = 256;

/// A ticket or a random key, as a line. The longest ticket has 3,877; a terminal takes lines of up to
/// 4,095. A longer one is refused before it is looked at.
pub const TOKEN_BYTES_MAX: usize = 4_000;

/// Addresses in a ticket, of all its hosts together, so that it names up to eight hosts: some names, and what a
/// machine in two networks has. Each is dialled. With more a ticket is not made, and not taken.
pub const TICKET_ADDRESSES_MAX: usize = 8;

/// A file that holds a room key or a ticket: the longest line and some white space. A longer one is refused.
pub const SECRET_FILE_BYTES_MAX: usize = 4_096;

/// The longest passphrase. Nobody types a longer one; one byte more is refused.
pub const PASSPHRASE_BYTES_MAX: usize = 1_024;

/// The shortest passphrase: shorter ones are tried in days even at Argon2's pace. Refused below.
pub const PASSPHRASE_CHARS_MIN: usize = 8;

/// A passphrase shorter than this is taken with a warning: about four random words. A guess.
pub const PASSPHRASE_CHARS_STRONG: usize = 20;

/// What Argon2id takes for a passphrase: RFC 9106, section 4, the second recommended option. 64 MiB and
/// 0.2 s once at the start, which a small board can afford and who tries a billion of them cannot. All of a room
/// have to use the same.
pub const PASSPHRASE_MEMORY_KIB: u32 = 64 * 1024;

/// See `PASSPHRASE_MEMORY_KIB`.
pub const PASSPHRASE_PASSES: u32 = 3;

/// See `PASSPHRASE_MEMORY_KIB`.
pub const PASSPHRASE_LANES: u32 = 4;

// ---- names --------------------------------------------------------------------------------

/// Digits of a key in the tag behind a name that another one looks like, as in other short keys.
pub const KEY_TAG_DIGITS_MIN: usize = 8;

/// Where keys begin alike, so many digits more than they share: one that differs is overlooked (a guess).
pub const KEY_TAG_DIGITS_APART: usize = 2;

/// Digits that name a key where one is typed. Fewer are a nick, or nobody.
pub const KEY_START_DIGITS_MIN: usize = 4;

/// Others named when somebody comes who looks like them; a guess. More are tagged all the same.
pub const LOOKALIKES_TOLD_MAX: usize = 8;

/// Names with their keys that are known from earlier runs, of all rooms: four times a large room. Beyond,
/// those seen on one day only go, the oldest first.
pub const KNOWN_ENTRIES_MAX: usize = 4_096;

/// The file that holds them: a line has 430 bytes at most. A longer one is left alone, with a warning.
pub const KNOWN_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How often that file is written, at most: whoever comes under a new name each moment costs the disk no more. What a kill
/// may cost of it.
pub const KNOWN_SAVE_EVERY_MS: u64 = 10_000;

/// How long the end of a run waits for that file to be written.
pub const KNOWN_SAVE_MS_MAX: u64 = 1_000;

// ---- whispers -----------------------------------------------------------------------------

/// Links over which something private goes at the most: the widest of rooms is a dozen across. What has come so far is
/// dropped, and sent again.
pub const WHISPER_HOPS_MAX: u8 = 16;

/// Sealed bytes in a record, as base64. With all else it fits a frame. One more closes the link.
pub const SEALED_TEXT_BYTES_MAX: usize = 64_000;

/// What is sealed at once, before it is: so many make `SEALED_TEXT_BYTES_MAX` with the 96 that Noise adds.
pub const WHISPER_PLAIN_BYTES_MAX: usize = SEALED_TEXT_BYTES_MAX / 4 * 3 - 96;

/// The encoded text of one whisper. A longer one is cut into several, as a say is.
pub const WHISPER_TEXT_BYTES_MAX: usize = 46 * 1024;

/// Whispers to one reader that wait for it. A person's worth of a week; one more is refused where it is typed, and a
/// pipe is not read.
pub const WHISPERS_WAITING_MAX: usize = 1_000;

/// The same for all readers together, in bytes. See `WHISPERS_WAITING_MAX`.
pub const WHISPERS_WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a whisper waits for its reader. Then it is given up, and its sender told.
pub const WHISPER_AGE_MS_MAX: u64 = 7 * 24 * 3_600_000;

/// How long a reader remembers up to where it has shown a stream: longer than a whisper may wait, with a clock that
/// is a day behind and one that is a day ahead. What is older is refused, so it cannot be played again.
pub const WHISPER_REMEMBERED_MS: u64 = 10 * 24 * 3_600_000;

/// Whispers to one reader that are on their way: those of a round trip at some thousand a second.
pub const WHISPERS_UNDER_WAY_MAX: usize = 64;

/// The same in bytes: what a relay takes for one link. See `OUTBOX_BYTES_MAX`.
pub const WHISPERS_UNDER_WAY_BYTES_MAX: usize = 128 * 1024;

/// How many of those are sent again when nothing is heard of them: the first ones tell whether the way is open.
pub const WHISPERS_AGAIN_MAX: usize = 8;

/// How long a receipt may take before another way is tried: more than a disk takes to remember what was shown, and
/// a round trip over a dozen links.
pub const RECEIPT_MS_MAX: u64 = 1_500;

/// The longest pause between two tries while the reader is here.
pub const WHISPER_PAUSE_MS_MAX: u64 = 30_000;

/// How long a way goes over all links after one along one way was in vain. Then the latter is tried again.
pub const WHISPER_FLOODS_MS: u64 = 10_000;

/// A whisper that is under way for so long is kept on disk: most are shown before.
pub const WHISPER_KEPT_AFTER_MS: u64 = 1_000;

/// How long a link to somebody whom one whispers with is kept for that alone.
pub const WHISPER_LINK_MS: u64 = 60_000;

/// How long a direct link may take before somebody else who carries the whispers is named.
pub const WHISPER_DIAL_MS: u64 = 3_000;

/// Whispers that have come before their turn, of one sender. Beyond, they are dropped, and come again.
pub const WHISPERS_EARLY_MAX: usize = 2 * WHISPERS_UNDER_WAY_MAX;

/// Those of all senders together, in bytes: keys cost nothing.
pub const WHISPERS_EARLY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a whisper that waits costs beside its text, in bytes, rounded up.
pub const WHISPER_COST_BYTES: usize = 1_024;

/// Whispers that wait for a slow terminal or reader of stdout, in bytes. Beyond, what comes is dropped, and comes again.
pub const WHISPERS_UNSHOWN_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Streams that a reader remembers of one sender, one for each run of it that has whispered, and of all. Beyond, those
/// whose last whisper is oldest are forgotten, and what is no younger is refused in streams that are not known.
pub const WHISPER_STREAMS_PER_SENDER_MAX: usize = SESSIONS_PER_AUTHOR_MAX;

/// See `WHISPER_STREAMS_PER_SENDER_MAX`.
pub const WHISPER_STREAMS_MAX: usize = FEEDS_MAX;

/// Numbers of floods that are remembered, to pass each on once.
pub const FLOODS_REMEMBERED_MAX: usize = 4_096;

/// Whispers that a link brings along one way, in KiB, one at least for each: what a relay carries for nothing. Beyond, they
/// are dropped.
pub const LINK_WHISPERS: Rate = Rate { burst: 16 * 1024, window_ms: 4_000 };

/// The same for those that go over all links, each costs one on every link of the room.
pub const LINK_FLOODS: Rate = Rate { burst: 512, window_ms: 8_000 };

/// Traces that a link brings. Beyond, they are dropped.
pub const LINK_TRACES: Rate = Rate { burst: 32, window_ms: 10_000 };

/// How long the answer to a ping or a trace is waited for.
pub const PROBE_MS_MAX: u64 = 5_000;

/// The file that keeps whispers: all that may wait, and the streams that are remembered, many times over. A longer one is
/// left alone, with a warning.
pub const LETTERS_FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// It is written anew when it has grown to four times what it was then, but not below this size.
pub const LETTERS_FILE_BYTES_MIN: u64 = 1024 * 1024;

/// Pings and traces under way. One more is refused.
pub const PROBES_MAX: usize = 16;
// ---- contacts -----------------------------------------------------------------------------

/// People in the file of contacts, the ignored included: more than anybody knows by name (a guess). One more is refused
/// where it is asked for, and nothing is changed.
pub const CONTACTS_MAX: usize = 1_024;

/// Addresses of a contact: where it is, where it was, and what its owner has written. Beyond, those go where it was
/// longest ago.
pub const CONTACT_ADDRESSES_MAX: usize = 8;

/// The file that holds them: a line has 2,600 bytes at most, and some more for what people write beside it. A longer one
/// is left alone, with a warning, and it is not made longer.
pub const CONTACTS_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How old the last time may get in the file while its contact is here: what a power cut costs of it.
pub const CONTACT_SEEN_MS: i64 = 600_000;

/// How long the end of a run waits for that file to be written.
pub const CONTACTS_SAVE_MS_MAX: u64 = 1_000;

/// Keys that came under the names of verified contacts in a run. Beyond, one of them is forgotten, and refused again,
/// aloud, when it says something.
pub const REFUSED_KEYS_MAX: usize = 4_096;

/// Names of which it is remembered that they are no verified contact's. Beyond, all are looked at anew.
pub const GUARDED_NAMES_MAX: usize = FEEDS_MAX;

/// Groups of digits in a safety number, and
pub const SAFETY_GROUPS: usize = 8;

/// digits in a group: 40 digits are 132 bits, read aloud in half a minute. As a pair is attacked by any two keys that
/// collide, half of the bits count.
pub const SAFETY_GROUP_DIGITS: u32 = 5;

// ---- remembered rooms -----------------------------------------------------------------------

/// Rooms that are remembered: more than anybody is in (a guess). One more, and the one is forgotten that was used
/// longest ago.
pub const ROOMS_MAX: usize = 256;

/// Hosts of a remembered room. Beyond, those go that were named longest ago.
pub const ROOM_HOSTS_MAX: usize = 16;

/// The file that holds them: a line has 6,000 bytes at most, and some more for what people write beside it. A longer
/// one is left alone, with an error where a room is named, and it is not made longer.
pub const ROOMS_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Digits of the tag that tells two closed rooms of one name apart; more where these are the same.
pub const ROOM_TAG_DIGITS_MIN: usize = 4;

/// How long the end of a run waits for that file to be written.
pub const ROOMS_SAVE_MS_MAX: u64 = 1_000;

// ---- the end ------------------------------------------------------------------------------

/// How long a goodbye may take until it is written; with what the router gives the peers to close
/// their sides it stays under two seconds.
pub const LEAVE_MS_MAX: u64 = 1_400;

/// How much of that a run that ends with its input waits for others to confirm what it has said already, where a signal ends
/// it: answers take a round trip, and what is not confirmed then is told so. A guess.
pub const LEAVE_CONFIRM_MS: u64 = 500;

/// How often the room is told that time has passed while something is pending.
pub const TICK_MS: u64 = 50;

const _: () = assert!(LEAVE_CONFIRM_MS * 2 < LEAVE_MS_MAX, "most of a goodbye is left to say it");
const _: () = assert!(SAY_TEXT_BYTES_MAX + 640 <= FRAME_BYTES_MAX, "a say with the largest header fits a frame");
const _: () = assert!(SEALED_TEXT_BYTES_MAX + 512 <= FRAME_BYTES_MAX, "an envelope fits a frame");
const _: () =
    assert!(WHISPER_TEXT_BYTES_MAX + 640 <= WHISPER_PLAIN_BYTES_MAX, "a whisper with all around it is sealed");
const _: () =
    assert!(WHISPER_AGE_MS_MAX + 2 * POST_AHEAD_MS_MAX < WHISPER_REMEMBERED_MS, "what is shown is remembered");
const _: () = assert!(FEEDS_PER_PAGE_MAX * 110 + 64 <= FRAME_BYTES_MAX, "a full page fits a frame");
const _: () = assert!(NOISE_PAYLOAD_BYTES + 16 <= u16::MAX as usize, "a message's length fits its two bytes");
const _: () = assert!(u16::MAX as usize + 2 <= READ_BYTES_MAX, "the read buffer holds the longest message");
const _: () = assert!(FRAME_BYTES_MAX <= READ_BYTES_MAX, "the read buffer holds the longest frame");
const _: () = assert!(WINDOW_BYTES_MAX * 2 < LOG_BYTES_MAX as u64, "a window fits the log twice");
const _: () = assert!(WINDOW_BYTES_MAX <= WINDOWS_BYTES_MAX, "who is alone has a whole window");
const _: () = assert!(
    (LINK_PING_AFTER_MS + LINK_PING_PHASES * TICK_MS) * 2 < LINK_SILENT_MS_MAX,
    "a link is pinged twice before it is closed"
);
const _: () = assert!(MEMBERS_MAX < FEEDS_MAX && SESSIONS_PER_AUTHOR_MAX < FEEDS_MAX, "there is room for the others");
const _: () = assert!(MEMBERS_MAX <= ROSTER_NOTICES_MAX, "a newcomer is told of each member");
const _: () = assert!(LOST_GRACE_MS < LOST_AGAIN_MS, "a claim counts before it is made again");
const _: () = assert!(HUB_DOWN_MS >= 3 * BEAT_MS, "two beats may be missed");
const _: () = assert!(IDLE_BEATS * BEAT_MS <= IDLE_MS, "an idle hub beats so often");
const _: () = assert!(JOIN_RENEW_MS * 2 <= SESSION_SILENT_MS_MAX, "one renewal may fail");

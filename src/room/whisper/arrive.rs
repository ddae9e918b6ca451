//! What others whisper to this node, as it comes: texts in their turn, words of where a stream begins, receipts.

use std::sync::Arc;

use crate::identity::Id;
use crate::limits::{CLOCK_AHEAD_MS_MAX, POST_AHEAD_MS_MAX, WHISPER_AGE_MS_MAX, WHISPERS_UNSHOWN_BYTES_MAX};
use crate::room::event::{NotHeard, Person, Whisper};
use crate::room::{LinkId, Output, Room};
use crate::wire::record::FeedId;
use crate::wire::seal::{Content, Opened, Text};

use super::hearing::{Return, StreamId};
use super::{Heard, Note, stream_of, whisper_id};

impl Room {
    /// Something was sealed for us.
    pub(super) fn opened(&mut self, opened: Opened, back: Return, out: &mut Vec<Output>) {
        let Opened { from, key, content } = opened;
        match content {
            Content::Text(text) => self.text_arrived(from, text, back, out),
            Content::Begin { stream, number, session } => self.begin_arrived((from, stream), number, session, back),
            Content::Heard { stream, number } => self.receipt_arrived((from, stream), number, back.link, out),
            Content::Refused { stream, number } => self.refusal_arrived((from, stream), number, out),
            Content::Ping { token, .. } => {
                if !self.whispers.shut_out.contains(&from) {
                    self.answer_whisper(back, &key, &Content::Pong { token }, out);
                }
            }
            Content::Pong { token } => self.pong_arrived(from, token, back.link),
            Content::Unknown => {}
        }
    }

    pub(super) fn text_arrived(&mut self, from: Id, text: Text, back: Return, out: &mut Vec<Output>) {
        // What comes while this run ends comes again to the next one.
        if self.is_ending() {
            return;
        }
        let id = (from, text.stream);
        let wall = self.now.wall;
        let hearing = &self.whispers.hearing;
        let is_timely = text.at <= wall + POST_AHEAD_MS_MAX && text.at + WHISPER_AGE_MS_MAX + POST_AHEAD_MS_MAX > wall;
        let is_taken = !self.whispers.shut_out.contains(&from) && is_timely && !hearing.was_forgotten(id, text.at);
        // What was shown before is confirmed all the same.
        if !is_taken && !hearing.was_shown(id, text.number) {
            let refused = Content::Refused { stream: text.stream, number: text.number };
            return self.answer_whisper(back, &back.key, &refused, out);
        }
        let is_behind = self.whispers.hearing.unshown_bytes >= WHISPERS_UNSHOWN_BYTES_MAX;
        let stream = self.whispers.hearing.stream(id);
        stream.back = Some(back);
        if text.number != stream.next || is_behind {
            // One that was shown is confirmed again; of one that comes early its sender hears how far it has come.
            stream.owed = true;
            if text.number > stream.next {
                self.whispers.hearing.hold_early(id, text);
            }
            return;
        }
        self.queue_text(from, text);
        self.queue_early(id);
        if let Some(talk) = self.whispers.talks.get_mut(&from) {
            talk.learned = Some(back.link);
        }
        self.keep_link_to(from, back.session);
    }

    /// Those that waited for what has come.
    pub(super) fn queue_early(&mut self, id: StreamId) {
        while let Some(text) = self.whispers.hearing.take_early(id) {
            self.queue_text(id.0, text);
        }
    }

    pub(super) fn queue_text(&mut self, from: Id, text: Text) {
        let stream = self.whispers.hearing.stream((from, text.stream));
        stream.next = text.number + 1;
        stream.at = stream.at.max(text.at);
        self.whispers.hearing.queued(&text.text);
        self.whispers.last = Some(from);
        self.clock = self.clock.max(text.at.min(self.now.wall + CLOCK_AHEAD_MS_MAX));
        let me = Person { id: self.me.author, nick: self.config.nick.clone() };
        let whisper = Whisper {
            id: whisper_id(from, me.id, text.stream, text.number),
            from: Person { id: from, nick: text.nick },
            to: me,
            at: text.at,
            text: text.text,
            action: text.action,
            part: text.part,
            mine: false,
            backlog: text.at < self.started.wall,
        };
        self.local.whisper(Arc::new(whisper));
    }

    pub(super) fn begin_arrived(&mut self, id: StreamId, number: u64, session: u64, back: Return) {
        if self.whispers.shut_out.contains(&id.0) {
            return;
        }
        let stream = self.whispers.hearing.stream(id);
        stream.told_session = Some(session);
        stream.back = Some(back);
        if number > stream.next {
            self.whispers.hearing.begin(id, number);
            // What was queued before is shown all the same.
            self.whispers.hearing.skip(id, number - 1);
            self.queue_early(id);
        }
    }

    /// The user's side has shown one.
    pub(in crate::room) fn whisper_shown(&mut self, whisper: &Whisper) {
        if !whisper.mine
            && let Some((stream, number)) = stream_of(&whisper.id)
        {
            self.whispers.hearing.shown((whisper.from.id, stream), number, &whisper.text);
        }
    }

    /// Whether something is on its way to the user, or the receipt for it to its sender.
    pub(in crate::room) fn owes_receipts(&self) -> bool {
        let whispers = &self.whispers;
        whispers.hearing.unshown_bytes > 0 || whispers.hearing.is_due || whispers.keeping.is_some()
    }

    /// What was shown is kept, then confirmed.
    pub(in crate::room) fn answer_whispers(&mut self, out: &mut Vec<Output>) {
        let keep = self.config.keep;
        let mut notes = std::mem::take(&mut self.whispers.notes);
        let mut token = None;
        if self.whispers.owe_answers() {
            let hearing = &mut self.whispers.hearing;
            hearing.is_due = false;
            let mut streams = Vec::new();
            for (id, stream) in hearing.streams.iter_mut().filter(|(_, stream)| stream.shown > stream.asked) {
                stream.asked = stream.shown;
                if keep {
                    notes.push(Note::Heard(Heard { from: id.0, stream: id.1, number: stream.shown, at: stream.at }));
                    streams.push((*id, stream.shown));
                } else {
                    stream.kept = stream.shown;
                }
            }
            if !streams.is_empty() {
                token = Some(self.whispers.next_token);
                self.whispers.keeping = Some((self.whispers.next_token, streams));
                self.whispers.next_token += 1;
            }
        }
        if !notes.is_empty() && keep {
            out.push(Output::Keep { notes, token });
        }
        self.send_receipts(out);
    }

    /// The disk has it, or cannot have it.
    pub(in crate::room) fn whispers_kept(&mut self, token: u64) {
        let Some((_, streams)) = self.whispers.keeping.take_if(|(asked, _)| *asked == token) else { return };
        for (id, number) in streams {
            if let Some(stream) = self.whispers.hearing.streams.get_mut(&id) {
                stream.kept = stream.kept.max(number);
                stream.owed = true;
            }
        }
    }

    pub(super) fn send_receipts(&mut self, out: &mut Vec<Output>) {
        let keeping = self.whispers.keeping.is_some();
        let streams = self.whispers.hearing.streams.iter_mut();
        // One whose newest is being kept gets its receipt then.
        let due = streams.filter(|(_, stream)| stream.owed && !(keeping && stream.asked > stream.kept));
        let due: Vec<(StreamId, u64, Return, Option<u64>)> = due
            .filter_map(|(id, stream)| {
                stream.owed = false;
                Some((*id, stream.kept, stream.back?, stream.told_session))
            })
            .collect();
        for ((from, stream), number, back, told_session) in due {
            let told = told_session.unwrap_or(stream);
            let session = self.reader(from, Some(FeedId { author: from, session: told }));
            let back = Return { session: session.unwrap_or(back.session), ..back };
            self.answer_whisper(back, &back.key, &Content::Heard { stream, number }, out);
        }
    }

    pub(super) fn receipt_arrived(
        &mut self,
        (from, stream): StreamId,
        number: u64,
        link: LinkId,
        out: &mut Vec<Output>,
    ) {
        let now = self.now.mono;
        let Some(talk) = self.whispers.talks.get_mut(&from) else { return };
        let confirmed = talk.confirm(stream, number);
        if confirmed.is_empty() {
            // The reader does not know where the stream goes on.
            if talk.queue.front().is_some_and(|first| first.stream == stream && first.number > number + 1) && talk.begun
            {
                talk.begun = false;
                self.begin_stream(from, out);
            }
            return;
        }
        talk.progress(now);
        talk.learned = Some(link);
        self.settled(from, &confirmed);
        self.talk_on(from, out);
    }

    pub(super) fn refusal_arrived(&mut self, (from, stream): StreamId, number: u64, out: &mut Vec<Output>) {
        let Some(talk) = self.whispers.talks.get_mut(&from) else { return };
        // What came before it may well be shown.
        let Some(refused) = talk.take(stream, number) else { return };
        talk.progress(self.now.mono);
        self.gave_up(from, &[refused], NotHeard::Refused);
        self.talk_on(from, out);
    }
}

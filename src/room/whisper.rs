//! Whispers: what is said to one reader, wherever it is, and read by nobody else.
//!
//! Each is sealed when it is said, and waits with its sender until the reader's receipt has come; on the disk where that
//! takes longer than a moment. It goes the best way there is (`way`): over a link to the reader, else to the peer that
//! brings what the reader says, and where no receipt comes in time over all links. `talk` is what waits for one reader,
//! `arrive` how others' come and `hearing` how far, `pipe` a pipe that is for one reader, `letters` what of both outlives a run, `probe` asks whether and how somebody is
//! reached.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::identity::Id;
use crate::limits::{
    RECEIPT_MS_MAX, WHISPER_AGE_MS_MAX, WHISPER_KEPT_AFTER_MS, WHISPER_LINK_MS, WHISPERS_AGAIN_MAX,
    WHISPERS_WAITING_BYTES_MAX,
};
use crate::wire::record::FeedId;
use crate::wire::seal::{Content, Sealer, SealingKey, Text};

use super::event::{Event, NotHeard, Person, Said, WaitsFor, Whisper, Whom, private_messages};
use super::names::{Names, start_of};
use super::{LinkId, Output, Room};

mod arrive;
mod hearing;
mod letters;
mod pipe;
mod probe;
mod talk;
mod way;

pub use letters::{Heard, Letter, Letters, Note};

use hearing::{Hearing, StreamId};
use talk::{Item, Talk};

/// Silence after which it is told that a reader who seems to be here does not answer: a few tries.
const TRIES_UNTOLD: u32 = 2;

/// All that is private.
#[derive(Debug)]
pub(super) struct Whispers {
    sealer: Sealer,
    talks: BTreeMap<Id, Talk>,
    hearing: Hearing,
    floods: way::Floods,
    probes: probe::Probes,
    /// Whom nothing is taken from.
    shut_out: BTreeSet<Id>,
    /// Who may be meant though they are not here.
    contacts: Vec<(Person, Option<SealingKey>)>,
    /// Who whispered last, and with whom a private chat goes on.
    last: Option<Id>,
    partner: Option<Person>,
    /// Whom all that is piped in is for, once found,
    pipe: Pipe,
    /// that it was told that the pipe waits,
    is_pipe_told: bool,
    /// and that some of it was not taken, or was given up.
    has_failed: bool,
    /// What is to be kept,
    notes: Vec<Note>,
    /// the streams whose state is being kept, and under which token.
    keeping: Option<(u64, Vec<(StreamId, u64)>)>,
    next_token: u64,
}

/// Whom a pipe speaks to.
#[derive(Debug, Default)]
enum Pipe {
    #[default]
    Room,
    Sought(String),
    Found(Id),
}

impl Whispers {
    pub(super) fn new(sealer: Sealer, to: Option<String>) -> Self {
        Self {
            sealer,
            talks: BTreeMap::new(),
            hearing: Hearing::default(),
            floods: way::Floods::default(),
            probes: probe::Probes::default(),
            shut_out: BTreeSet::new(),
            contacts: Vec::new(),
            last: None,
            partner: None,
            pipe: to.map_or(Pipe::Room, Pipe::Sought),
            is_pipe_told: false,
            has_failed: false,
            notes: Vec::new(),
            keeping: None,
            next_token: 1,
        }
    }

    pub(super) fn sealing_key(&self) -> SealingKey {
        self.sealer.key()
    }

    pub(super) fn acquaint(&mut self, shut_out: BTreeSet<Id>, contacts: Vec<(Person, Option<SealingKey>)>) {
        (self.shut_out, self.contacts) = (shut_out, contacts);
    }

    /// What is sealed to a contact, as far as that was seen in earlier runs.
    fn contact_key(&self, id: Id) -> Option<SealingKey> {
        self.contacts.iter().find(|(person, _)| person.id == id).and_then(|(_, key)| *key)
    }

    /// Whether something was shown whose sender is owed a receipt.
    pub(super) fn owe_answers(&self) -> bool {
        self.hearing.is_due && self.keeping.is_none()
    }

    /// Whether what is piped in is for one reader.
    pub(super) fn is_pipe(&self) -> bool {
        !matches!(self.pipe, Pipe::Room)
    }

    /// Something was not taken, or cannot be done.
    pub(super) fn fail(&mut self) {
        self.has_failed = true;
    }

    /// How many whispers wait for their readers.
    pub(super) fn waiting(&self) -> usize {
        self.talks.values().map(|talk| talk.queue.len()).sum()
    }

    /// For whom some wait.
    pub(super) fn readers_awaited(&self) -> Vec<Person> {
        self.talks.values().filter(|talk| !talk.queue.is_empty()).map(|talk| talk.person.clone()).collect()
    }

    fn waiting_bytes(&self) -> usize {
        self.talks.values().map(Talk::bytes).sum()
    }
}

impl Room {
    /// How many whispers of ours wait for their readers.
    pub fn whispers_waiting(&self) -> usize {
        self.whispers.waiting()
    }

    /// Takes up what earlier runs have left.
    pub(super) fn take_up_letters(&mut self, letters: &Letters) {
        for letter in &letters.waiting {
            let person = Person { id: letter.to, nick: letter.nick.clone() };
            let now = self.now.mono;
            let talk = self.whispers.talks.entry(letter.to).or_insert_with(|| Talk::new(person, letter.key, now));
            talk.take_up(letter, now);
        }
        self.whispers.hearing.take_up(&letters.heard);
    }

    // ---- who is meant ---------------------------------------------------------------------------

    /// Whom somebody means, and what is sealed to them; or what to tell.
    pub(super) fn meant(&self, whom: &Whom) -> Result<(Person, Option<SealingKey>), String> {
        let (person, known_key) = match whom {
            Whom::Called(who) => (self.called(who)?, None),
            Whom::Known(person, key) => (person.clone(), *key),
            Whom::Last => {
                let last = self.whispers.last.ok_or("nobody has whispered to you yet")?;
                (self.talked_with(last).ok_or("who whispered last is not known any more")?, None)
            }
            Whom::Partner => {
                let partner = self.whispers.partner.as_ref().ok_or("there is no private chat: nothing was said")?;
                (self.talked_with(partner.id).ok_or("who is chatted with is not known any more")?, None)
            }
        };
        if person.id == self.me.author {
            return Err("that is you".to_owned());
        }
        let told =
            self.roster.sessions_of(person.id).filter_map(|(_, session)| Some((session.since, session.sealing?)));
        let newest = told.max_by_key(|(since, _)| *since).map(|(_, key)| key);
        let talked = self.whispers.talks.get(&person.id).map(|talk| talk.key);
        let kept = self.whispers.contact_key(person.id);
        Ok((person, newest.or(talked).or(known_key).or(kept)))
    }

    /// Somebody of whom there is a post, or something that waits.
    fn talked_with(&self, id: Id) -> Option<Person> {
        let contact = || self.whispers.contacts.iter().find(|(person, _)| person.id == id).map(|(person, _)| person);
        let talked = || self.whispers.talks.get(&id).map(|talk| &talk.person);
        self.person_of(id).or_else(|| talked().or_else(contact).cloned())
    }

    /// An identity by its newest name.
    pub(super) fn person_of(&self, id: Id) -> Option<Person> {
        let newest = self.roster.sessions_of(id).max_by_key(|(_, session)| session.since);
        newest.map(|(_, session)| Person { id, nick: session.nick.clone() })
    }

    /// By a name: those who are here and the contacts, then those who were. Who has taken the name of a contact that is not
    /// here is not written to in its place.
    fn called(&self, who: &str) -> Result<Person, String> {
        let is_other = |person: &&Person| person.id != self.me.author && !self.whispers.shut_out.contains(&person.id);
        let contacts = || self.whispers.contacts.iter().map(|(person, _)| person.clone());
        let among = |people: Vec<Person>| -> Vec<Person> {
            let names: Names = people.iter().collect();
            names.find(who).into_iter().filter(is_other).cloned().collect()
        };
        // By the name that it has here, where it is here.
        let mut found = among(contacts().chain(self.roster.people()).collect());
        if found.is_empty() {
            let talked = self.whispers.talks.values().map(|talk| talk.person.clone());
            found = among(self.roster.known_people().into_iter().chain(talked).collect());
        }
        match found.as_slice() {
            [person] => Ok(person.clone()),
            [] if self.roster.find(who).iter().any(|person| person.id == self.me.author) => {
                Err("that is you".to_owned())
            }
            [] => Err(format!("nobody here is called {who}, nor was, and nobody's key begins so")),
            people => {
                let tagged = |person: &Person| {
                    let other = people.iter().find(|other| other.id != person.id);
                    format!("{}#{}", person.nick, start_of(&person.id, other.map(|other| &other.id)))
                };
                let tagged: Vec<String> = people.iter().map(tagged).collect();
                Err(format!("{who} may be any of these, so say which: {}", tagged.join(", ")))
            }
        }
    }

    // ---- what we whisper ------------------------------------------------------------------------

    /// Says something to one reader.
    pub(super) fn whisper(&mut self, whom: &Whom, said: &Said, out: &mut Vec<Output>) {
        if let Err(why) = self.try_whisper(whom, said, out) {
            self.whispers.has_failed = true;
            self.local.notice(Event::Refused(why));
        }
    }

    fn try_whisper(&mut self, whom: &Whom, said: &Said, out: &mut Vec<Output>) -> Result<(), String> {
        let (person, key) = self.meant(whom)?;
        let nick = &person.nick;
        if self.whispers.shut_out.contains(&person.id) {
            return Err(format!("{nick} is shut out: nothing is said to them"));
        }
        let Some(key) = key else {
            return Err(format!("nothing can be sealed for {nick}: their key for that has not been seen here"));
        };
        let now = self.now.mono;
        let waiting_bytes = self.whispers.waiting_bytes();
        let talk = self.whispers.talks.entry(person.id).or_insert_with(|| Talk::new(person.clone(), key, now));
        if talk.is_full() || waiting_bytes >= WHISPERS_WAITING_BYTES_MAX {
            return Err(format!("too much waits for {nick} already; this was not said"));
        }
        (talk.person, talk.key) = (person.clone(), key);
        talk.used_at = now;
        let (stream, number) = (self.me.session, talk.last_number + 1);
        self.clock = self.now.wall.max(self.clock + 1);
        let at = self.clock;
        let (text, action, part) = (said.text.clone(), said.action, said.part);
        let content = Content::Text(Text { stream, number, at, nick: self.config.nick.clone(), text, action, part });
        let sealed = self.whispers.sealer.seal(person.id, &key, &content).map_err(|error| error.to_string())?;
        talk.last_number = number;
        talk.queue.push_back(Item { stream, number, at, sealed, since: now, kept: false, told: false });
        self.whispered += 1;
        if self.config.echo {
            let me = Person { id: self.me.author, nick: self.config.nick.clone() };
            let whisper = Whisper {
                id: whisper_id(me.id, person.id, stream, number),
                from: me,
                to: person.clone(),
                at,
                text: said.text.clone(),
                action,
                part,
                mine: true,
                backlog: false,
            };
            self.local.whisper(Arc::new(whisper));
        }
        self.talk_on(person.id, out);
        Ok(())
    }

    /// Begins or ends a private chat.
    pub(super) fn chat(&mut self, whom: Option<&Whom>, typed: bool, out: &mut Vec<Output>) {
        match whom.map(|whom| self.meant(whom)).transpose() {
            Ok(meant) => {
                let person = meant.map(|(person, _)| person);
                self.whispers.partner.clone_from(&person);
                self.local.notice(Event::Chatting(person));
            }
            Err(why) => {
                if !typed {
                    (self.whispers.partner, self.whispers.has_failed) = (None, true);
                }
                self.local.notice(Event::Refused(why));
            }
        }
        if typed {
            out.push(Output::Partner(self.whispers.partner.clone()));
        }
    }

    /// The session that whispers to somebody go to: the one so far, as long as it is here; else one with a link, one that
    /// stays, the newest.
    fn reader(&self, id: Id, so_far: Option<FeedId>) -> Option<FeedId> {
        let is_here = |feed: &FeedId| self.roster.is_present(feed) && !self.completion.is_hearsay(feed);
        if so_far.is_some_and(|feed| is_here(&feed)) {
            return so_far;
        }
        let sessions = self.roster.sessions_of(id).filter(|(feed, _)| is_here(feed));
        let worth = |(feed, session): &(&FeedId, &super::session::Session)| {
            (self.link_to(feed).is_some(), !session.passing, session.since)
        };
        sessions.max_by_key(worth).map(|(feed, _)| *feed)
    }

    /// Sends what may be sent to a reader now.
    fn talk_on(&mut self, id: Id, out: &mut Vec<Output>) {
        let so_far = self.whispers.talks.get(&id).and_then(|talk| talk.target);
        let linked = self.links.values().any(super::links::Link::is_ready);
        let target = self.reader(id, so_far).filter(|_| linked);
        let Some(talk) = self.whispers.talks.get_mut(&id).filter(|talk| !talk.queue.is_empty()) else { return };
        if talk.target != target {
            talk.turn_to(target);
        }
        let Some(target) = target else {
            return self.let_wait(id, if linked { WaitsFor::Reader } else { WaitsFor::Link });
        };
        let due = talk.due();
        if due.is_empty() {
            return;
        }
        if talk.under_way == 0 {
            talk.retry_at = self.now.mono + RECEIPT_MS_MAX;
        }
        talk.under_way = due.end;
        self.begin_stream(id, out);
        self.send_whispers(id, target, due, out);
    }

    /// A stream of an earlier run, or one of which the reader may not know, is begun by a word of where it goes on.
    fn begin_stream(&mut self, id: Id, out: &mut Vec<Output>) {
        let session = self.me.session;
        let Some(talk) = self.whispers.talks.get_mut(&id).filter(|talk| !talk.begun) else { return };
        talk.begun = true;
        let Some(first) = talk.queue.front() else { return };
        if first.stream == session && first.number == 1 {
            return;
        }
        let content = Content::Begin { stream: first.stream, number: first.number, session };
        let (Some(target), key) = (talk.target, talk.key) else { return };
        self.seal_and_send(target, &key, &content, None, out);
    }

    fn send_whispers(&mut self, id: Id, target: FeedId, which: std::ops::Range<usize>, out: &mut Vec<Output>) {
        let way = self.way_to(id, target);
        let Some(talk) = self.whispers.talks.get_mut(&id) else { return };
        talk.way = Some(way);
        talk.used_at = self.now.mono;
        let sealed: Vec<_> = talk.queue.range(which).map(|item| item.sealed.clone()).collect();
        for sealed in sealed {
            self.send_sealed(target, sealed, way, out);
        }
        self.seek_reader(id, target);
        self.name_way(id);
    }

    /// They wait, on the disk, and their sender is told so once.
    fn let_wait(&mut self, id: Id, why: WaitsFor) {
        self.keep_letters(id, 0);
        let me = self.me.author;
        let Some(talk) = self.whispers.talks.get_mut(&id) else { return };
        let untold = talk.queue.iter_mut().filter(|item| !item.told);
        let ids: Vec<String> = untold
            .map(|item| {
                item.told = true;
                whisper_id(me, id, item.stream, item.number)
            })
            .collect();
        if !ids.is_empty() {
            self.local.notice(Event::Waiting { to: talk.person.clone(), ids, why });
        }
    }

    /// Has those kept that have waited for so long.
    fn keep_letters(&mut self, id: Id, waited_ms: u64) {
        let now = self.now.mono;
        let Some(talk) = self.whispers.talks.get_mut(&id).filter(|_| self.config.keep) else { return };
        for item in talk.queue.iter_mut().filter(|item| !item.kept && now >= item.since + waited_ms) {
            item.kept = true;
            self.whispers.notes.push(Note::Waits(Letter {
                to: id,
                nick: talk.person.nick.clone(),
                key: talk.key,
                stream: item.stream,
                number: item.number,
                at: item.at,
                sealed: item.sealed.clone(),
            }));
        }
    }

    /// What is due by the clock.
    pub(super) fn whispers_due(&mut self, out: &mut Vec<Output>) {
        self.find_pipe_reader(out);
        let now = self.now.mono;
        let is_used = |talk: &Talk| !talk.queue.is_empty() || now < talk.used_at + WHISPER_LINK_MS;
        let used = self.whispers.talks.iter().filter(|(_, talk)| is_used(talk));
        for id in used.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.talk_on(id, out);
            self.try_again(id, out);
            self.keep_letters(id, WHISPER_KEPT_AFTER_MS);
            self.name_way(id);
        }
        self.probes_due();
    }

    /// No receipt has come in time: the first ones go again, over all links.
    fn try_again(&mut self, id: Id, out: &mut Vec<Output>) {
        let now = self.now.mono;
        let Some(talk) = self.whispers.talks.get_mut(&id) else { return };
        let Some(target) = talk.target.filter(|_| talk.under_way > 0 && now >= talk.retry_at) else { return };
        talk.fail(now);
        talk.floods_until = now + crate::limits::WHISPER_FLOODS_MS;
        talk.begun = talk.queue.front().is_some_and(|item| item.stream == self.me.session);
        let (tries, again) = (talk.tries, talk.under_way.min(WHISPERS_AGAIN_MAX));
        self.begin_stream(id, out);
        self.send_whispers(id, target, 0..again, out);
        if tries > TRIES_UNTOLD {
            self.let_wait(id, WaitsFor::Answer);
        }
    }

    /// A link is gone: what was under way over it is sent another way at once.
    pub(super) fn whispers_lost(&mut self, link: LinkId) {
        let is_over = |talk: &Talk| match talk.way {
            Some(talk::Way::Through(carrier)) => carrier == link,
            Some(talk::Way::Direct) => talk.target.is_some_and(|target| self.link_to(&target).is_none()),
            _ => false,
        };
        let ids: Vec<Id> = self.whispers.talks.iter().filter(|(_, talk)| is_over(talk)).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(talk) = self.whispers.talks.get_mut(&id) else { continue };
            // The next tick sends them.
            let target = talk.target;
            talk.turn_to(target);
            talk.way = None;
        }
    }

    /// A link has come up: whatever waits for an answer is tried again over it.
    pub(super) fn whispers_retried(&mut self) {
        let now = self.now.mono;
        for talk in self.whispers.talks.values_mut().filter(|talk| talk.tries > 1) {
            talk.retry_at = talk.retry_at.min(now + 100);
        }
    }

    // ---- what becomes of them ------------------------------------------------------------------

    /// The reader has shown these.
    fn settled(&mut self, to: Id, confirmed: &[Item]) {
        self.forget_kept(to, confirmed);
        let Some(person) = self.whispers.talks.get(&to).map(|talk| talk.person.clone()) else { return };
        let ids = confirmed.iter().map(|item| whisper_id(self.me.author, to, item.stream, item.number)).collect();
        let since = confirmed.first().map_or(0, |item| item.at);
        self.local.notice(Event::Heard { to: person, ids, since });
    }

    fn gave_up(&mut self, to: Id, items: &[Item], why: NotHeard) {
        self.forget_kept(to, items);
        let Some(person) = self.whispers.talks.get(&to).map(|talk| talk.person.clone()) else { return };
        let ids: Vec<String> =
            items.iter().map(|item| whisper_id(self.me.author, to, item.stream, item.number)).collect();
        if !ids.is_empty() {
            self.whispers.has_failed = true;
            self.local.notice(Event::Unheard { to: person, ids, why });
        }
    }

    fn forget_kept(&mut self, to: Id, items: &[Item]) {
        if let Some(last) = items.iter().rev().find(|item| item.kept) {
            self.whispers.notes.push(Note::Over { to, stream: last.stream, number: last.number });
        }
    }

    /// Once a minute: what has waited too long is given up, what can be forgotten is.
    pub(super) fn clean_up_whispers(&mut self, out: &mut Vec<Output>) {
        let (now, wall) = (self.now.mono, self.now.wall);
        self.whispers.hearing.clean_up(wall);
        let expired = |item: &Item| item.at + WHISPER_AGE_MS_MAX < wall;
        let mut old: VecDeque<(Id, Vec<Item>)> = VecDeque::new();
        for (id, talk) in &mut self.whispers.talks {
            let mut given_up = Vec::new();
            while let Some(item) = talk.queue.pop_front_if(|item| expired(item)) {
                given_up.push(item);
            }
            if !given_up.is_empty() {
                let target = talk.target;
                talk.turn_to(target);
                old.push_back((*id, given_up));
            }
        }
        for (id, items) in old {
            self.gave_up(id, &items, NotHeard::TooOld);
            self.talk_on(id, out);
        }
        let Self { whispers, .. } = self;
        let (partner, last) = (whispers.partner.as_ref().map(|person| person.id), whispers.last);
        // The stream's numbers go on as long as the run.
        whispers.talks.retain(|id, talk| {
            talk.last_number > 0
                || !talk.queue.is_empty()
                || Some(*id) == partner
                || Some(*id) == last
                || now < talk.used_at + WHISPER_LINK_MS
        });
    }

    // ---- the end --------------------------------------------------------------------------------

    /// The run ends: what waits is kept, or its sender told.
    pub(super) fn end_whispers(&mut self) {
        let unsaid = self.unsaid.whispers();
        if unsaid > 0 {
            let told = private_messages(unsaid);
            let verb = if unsaid == 1 { "was" } else { "were" };
            self.local.notice(Event::Warning(format!("{told} {verb} not said: it was not known yet who is here")));
        }
        let ids: Vec<Id> = self.whispers.talks.keys().copied().collect();
        for id in ids {
            self.keep_letters(id, 0);
            if !self.config.keep {
                let left: Vec<Item> =
                    self.whispers.talks.get_mut(&id).map(|talk| talk.queue.drain(..).collect()).unwrap_or_default();
                self.gave_up(id, &left, NotHeard::Ended);
            }
        }
        let waiting = self.whispers.waiting();
        if waiting > 0 {
            let told = private_messages(waiting);
            let verb = if waiting == 1 { "waits" } else { "wait" };
            self.local.notice(Event::Warning(format!("{told} {verb} for the next run")));
        }
    }
}

/// What tells a whisper from all others.
fn whisper_id(from: Id, to: Id, stream: u64, number: u64) -> String {
    format!("{from}/{to}/{stream}/{number}")
}

/// The stream and the number of a whisper.
fn stream_of(id: &str) -> Option<(u64, u64)> {
    let mut parts = id.rsplit('/');
    let number = parts.next()?.parse().ok()?;
    Some((parts.next()?.parse().ok()?, number))
}

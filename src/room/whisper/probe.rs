//! Is somebody reached, how fast, and over whom? Pings are sealed like whispers; a trace is in the open, and each node on
//! the way adds its name, so it tells what those nodes say.

use std::collections::BTreeMap;

use crate::identity::Id;
use crate::limits::{NUMBER_MAX, PROBE_MS_MAX, PROBES_MAX, WHISPER_HOPS_MAX};
use crate::room::event::{Event, Person, Whom};
use crate::room::links::Link;
use crate::room::{LinkId, Output, Room};
use crate::wire::record::{Control, FeedId, Trace};
use crate::wire::seal::Content;

/// A question under way.
#[derive(Debug)]
struct Probe {
    who: Person,
    asked_at: u64,
    is_trace: bool,
}

/// Those under way, by token.
#[derive(Debug, Default)]
pub(super) struct Probes(BTreeMap<u64, Probe>);

impl Room {
    /// Whether a question is under way.
    pub(in crate::room) fn is_probing(&self) -> bool {
        !self.whispers.probes.0.is_empty()
    }

    /// Asks somebody for a sign of life.
    pub(in crate::room) fn ping(&mut self, whom: &Whom, out: &mut Vec<Output>) {
        let asked = self.begin_probe(whom, false).and_then(|(token, target, person)| {
            let key = self.meant(&Whom::Known(person, None))?.1.ok_or("nothing can be sealed for them")?;
            Ok((token, target, key))
        });
        match asked {
            Ok((token, target, key)) => {
                let content = Content::Ping { token, session: self.me.session };
                self.seal_and_send(target, &key, &content, None, out);
            }
            Err(why) => self.local.notice(Event::Refused(why)),
        }
    }

    /// Asks which way leads to somebody.
    pub(in crate::room) fn trace(&mut self, whom: &Whom, out: &mut Vec<Output>) {
        match self.begin_probe(whom, true) {
            Ok((token, target, person)) => {
                let Some(link) = self.next_hop(&target, None) else {
                    self.whispers.probes.0.remove(&token);
                    let why = format!(
                        "no way to {} is known: nothing has come from there over a link that is up",
                        person.nick
                    );
                    return self.local.notice(Event::Refused(why));
                };
                let (to, session, path) = (target.author, target.session, vec![self.me.author]);
                self.send(link, &Control::Trace(Trace { token, to, session, path, back: false }), out);
            }
            Err(why) => self.local.notice(Event::Refused(why)),
        }
    }

    fn begin_probe(&mut self, whom: &Whom, is_trace: bool) -> Result<(u64, FeedId, Person), String> {
        let (who, _) = self.meant(whom)?;
        let so_far = self.whispers.talks.get(&who.id).and_then(|talk| talk.target);
        let target = self.reader(who.id, so_far).ok_or_else(|| format!("{} is not here", who.nick))?;
        if self.whispers.probes.0.len() >= PROBES_MAX {
            return Err("too many questions are under way".to_owned());
        }
        let token = self.rng.draw() % NUMBER_MAX + 1;
        self.whispers.probes.0.insert(token, Probe { who: who.clone(), asked_at: self.now.mono, is_trace });
        Ok((token, target, who))
    }

    pub(super) fn pong_arrived(&mut self, from: Id, token: u64, link: LinkId) {
        let asked = |probe: &Probe| !probe.is_trace && probe.who.id == from;
        if !self.whispers.probes.0.get(&token).is_some_and(asked) {
            return;
        }
        let Some(Probe { who, asked_at, .. }) = self.whispers.probes.0.remove(&token) else { return };
        if let Some(talk) = self.whispers.talks.get_mut(&from) {
            talk.learned = Some(link);
        }
        let through = self.through(from);
        self.local.notice(Event::Pinged { who, took_ms: Some(self.now.mono - asked_at), through });
    }

    /// Who carries what goes to somebody; nobody where there is a link.
    pub(in crate::room) fn through(&self, id: Id) -> Option<Person> {
        let target = self.reader(id, None)?;
        let link = self.next_hop(&target, None).filter(|_| self.link_to(&target).is_none())?;
        self.links.get(&link).and_then(Link::peer).map(|peer| peer.person)
    }

    /// A trace has come: it goes on with our name, comes back, or is ours.
    pub(in crate::room) fn trace_arrived(&mut self, link: LinkId, mut trace: Trace, out: &mut Vec<Output>) {
        let now = self.now.mono;
        let Some(state) = self.links.get_mut(&link).filter(|state| state.is_ready()) else { return };
        // Each says for itself that it was there.
        let sender = state.id();
        if !state.meter.allows_trace(now) {
            return;
        }
        let me = self.me.author;
        if trace.back {
            let Some(place) = trace.path.iter().position(|id| *id == me) else { return };
            if trace.path.get(place + 1).copied() != sender {
                return;
            }
            match place.checked_sub(1).and_then(|before| trace.path.get(before)) {
                Some(before) => {
                    let before = *before;
                    self.send_trace_to(before, &trace, out);
                }
                None => self.traced(&trace),
            }
            return;
        }
        let is_long = trace.path.len() > usize::from(WHISPER_HOPS_MAX);
        if is_long || trace.path.last().copied() != sender || trace.path.contains(&me) {
            return;
        }
        trace.path.push(me);
        if trace.addressee() == self.me {
            trace.back = true;
            return self.send(link, &Control::Trace(trace), out);
        }
        if let Some(onward) = self.next_hop(&trace.addressee(), Some(link)) {
            self.send(onward, &Control::Trace(trace), out);
        }
    }

    fn send_trace_to(&mut self, id: Id, trace: &Trace, out: &mut Vec<Output>) {
        let link = self.links.iter().find(|(_, link)| link.is_ready() && link.is_linked_to(&id)).map(|(id, _)| *id);
        if let Some(link) = link {
            self.send(link, &Control::Trace(trace.clone()), out);
        }
    }

    fn traced(&mut self, trace: &Trace) {
        let asked = |probe: &Probe| probe.is_trace && probe.who.id == trace.to;
        if !self.whispers.probes.0.get(&trace.token).is_some_and(asked) {
            return;
        }
        let Some(Probe { who, asked_at, .. }) = self.whispers.probes.0.remove(&trace.token) else { return };
        let path = trace.path.iter().map(|id| self.person_of(*id).unwrap_or_else(|| Person::nameless(*id))).collect();
        self.local.notice(Event::Traced { who, path, took_ms: self.now.mono - asked_at });
    }

    /// Those that nobody has answered in time.
    pub(super) fn probes_due(&mut self) {
        let now = self.now.mono;
        let late = self.whispers.probes.0.iter().filter(|(_, probe)| now >= probe.asked_at + PROBE_MS_MAX);
        for token in late.map(|(token, _)| *token).collect::<Vec<_>>() {
            let Some(Probe { who, is_trace, asked_at }) = self.whispers.probes.0.remove(&token) else { continue };
            let event = if is_trace {
                Event::Traced { who, path: Vec::new(), took_ms: now - asked_at }
            } else {
                let through = self.through(who.id);
                Event::Pinged { who, took_ms: None, through }
            };
            self.local.notice(event);
        }
    }
}

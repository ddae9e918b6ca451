//! Whom a node links to in a room of many.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hobnob::identity::Id;
use hobnob::limits::{DIAL_PAUSE_MS_MIN, DIALS_MAX, MESH_RINGS, TICK_MS};
use hobnob::room::overlay::{Candidate, Overlay, Reach, Rings, Target};
use hobnob::room::rng::{Rng, mix};
use hobnob::wire::record::FeedId;

/// So many members, each at its own address.
fn rings(count: u8) -> Rings {
    let member = |index: u8| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&mix(u64::from(index)).to_be_bytes());
        let addr = SocketAddr::new(Ipv4Addr::new(10, 0, 0, index).into(), 4646);
        Candidate { session: FeedId { author: Id(id), session: 1 }, addresses: Arc::new([addr]) }
    };
    Rings::new((0..count).map(member).collect())
}

fn planned(rings: &Rings, me: FeedId) -> Overlay {
    let mut overlay = Overlay::new(me, Reach::Dialable, &[]);
    overlay.plan(rings.clone(), std::iter::empty(), 0);
    overlay
}

fn session(target: &Target) -> FeedId {
    let Target::Member { session, .. } = target else { panic!("nobody was named") };
    *session
}

#[test]
fn each_links_to_one_in_each_ring_and_those_know_it() {
    let rings = rings(60);
    let mut dialled = BTreeSet::new();
    for member in rings.members() {
        let mut overlay = planned(&rings, member.session);
        let dials = overlay.due(&BTreeSet::new(), 0, &mut Rng::new(1));
        assert_eq!(dials.len(), MESH_RINGS);
        for (_, target) in &dials {
            let peer = session(target);
            dialled.insert(peer);
            assert!(planned(&rings, peer).needs(&member.session), "a link would be given up at its other end");
        }
        let needed =
            rings.members().iter().filter(|other| other.session != member.session && overlay.needs(&other.session));
        assert!(needed.count() <= 3 * MESH_RINGS);
    }
    assert_eq!(dialled.len(), rings.members().len(), "somebody follows nobody");
}

#[test]
fn who_does_not_answer_is_passed_over_at_once_and_tried_again_later() {
    let rings = rings(60);
    let mut overlay = planned(&rings, rings.members()[0].session);
    let (nobody, mut chance) = (BTreeSet::new(), Rng::new(1));
    let mut tried = BTreeSet::new();
    // The first ten of each ring are dead; none of them is waited for.
    for tick in 0..10 {
        let now = tick * TICK_MS / 10;
        let dials = overlay.due(&nobody, now, &mut chance);
        assert_eq!(dials.len(), MESH_RINGS);
        for (dial, target) in dials {
            assert!(tried.insert(session(&target)), "dialled twice in a moment");
            overlay.finish(dial);
            overlay.failed(&target, "refused", now, &mut chance);
        }
        assert!(overlay.is_plan_stale(now));
        overlay.plan(rings.clone(), std::iter::empty(), now);
    }
    let later = TICK_MS + 4 * DIAL_PAUSE_MS_MIN;
    assert!(overlay.is_plan_stale(later));
    overlay.plan(rings.clone(), std::iter::empty(), later);
    let again: Vec<FeedId> =
        overlay.due(&nobody, later, &mut chance).iter().map(|(_, target)| session(target)).collect();
    let dead = again.iter().filter(|session| tried.contains(session)).count();
    assert!(dead > 0 && dead < again.len(), "the dead beside others: {dead} of {}", again.len());
}

#[test]
fn who_is_there_is_dialled_before_those_who_were_lost_earlier() {
    let all = rings(200);
    let (there, lost) = all.members().split_at(100);
    let mut overlay = Overlay::new(there[0].session, Reach::Dialable, &[]);
    overlay.plan(Rings::default(), lost.iter().cloned(), 0);
    overlay.plan(Rings::new(there.to_vec()), lost.iter().cloned(), TICK_MS);
    let dials = overlay.due(&BTreeSet::new(), TICK_MS, &mut Rng::new(1));
    let is_there = |session| there.iter().any(|member| member.session == session);
    let living = dials.iter().filter(|(_, target)| is_there(session(target))).count();
    assert_eq!((living, dials.len()), (MESH_RINGS, DIALS_MAX));
}

//! The memory of agents.

use std::fs;
use std::hint::black_box;

use rustix::param::page_size;

use super::Name;
use crate::peer::{Frazil, Is, Peer, Rice, Rtc};
use crate::world::{Network, World};

/// How many agents stand side by side.
const AGENTS: usize = 10_000;
const HOSTS: usize = 4;

/// The bytes of a connected agent: its own size, and what it has on the heap. That is what is freed
/// with it, which the caller knows to count.
pub fn live(name: Name, freed: fn(&mut dyn FnMut()) -> usize) -> usize {
    match name {
        Name::Frazil => live_of::<Frazil>(freed),
        Name::Is => live_of::<Is<false>>(freed),
        Name::IsLikeStr0m => live_of::<Is<true>>(freed),
        Name::Rtc => live_of::<Rtc>(freed),
        Name::Rice => live_of::<Rice>(freed),
    }
}

fn live_of<P: Peer>(freed: fn(&mut dyn FnMut()) -> usize) -> usize {
    let ([agent, _], _) = World::<P>::settled(HOSTS, Network::default()).into_peers();
    let mut agent = Some(agent.into_agent());
    freed(&mut || drop(black_box(agent.take()))) + size_of::<P::Agent>()
}

/// What each of ten thousand agents adds to the resident memory of this process, which must not
/// have done anything before.
pub fn resident(name: Name) -> f64 {
    match name {
        Name::Frazil => resident_of::<Frazil>(),
        Name::Is => resident_of::<Is<false>>(),
        Name::IsLikeStr0m => resident_of::<Is<true>>(),
        Name::Rtc => resident_of::<Rtc>(),
        Name::Rice => resident_of::<Rice>(),
    }
}

fn resident_of<P: Peer>() -> f64 {
    // Code, tables and what the network needs are there before the first agent is counted.
    let mut network = World::<P>::settled(HOSTS, Network::default()).into_network();
    let mut agents: Vec<P::Agent> = Vec::with_capacity(AGENTS);
    let before = resident_bytes();
    while agents.len() < AGENTS {
        let (pair, back) = World::<P>::settled(HOSTS, network).into_peers();
        agents.extend(pair.map(P::into_agent));
        network = back;
    }
    let after = resident_bytes();
    black_box(&agents);
    (after - before) as f64 / AGENTS as f64
}

/// The second field of `statm`, in pages.
fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("this is Linux");
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("statm has a second field") * page_size()
}

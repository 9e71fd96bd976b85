//! Two agents in a virtual network: until they are connected, and from then on.

use std::time::Duration;

use super::{Outcome, Piece};
use crate::peer::Peer;
use crate::world::{Network, World};

struct Connect<P> {
    hosts: usize,
    only_last: bool,
    network: Option<Network>,
    world: Option<World<P>>,
}

pub(super) fn connect<P: Peer + 'static>(hosts: usize, only_last: bool) -> Box<dyn Piece> {
    Box::new(Connect::<P> { hosts, only_last, network: None, world: None })
}

impl<P: Peer> Piece for Connect<P> {
    /// Two agents are dropped here: their end does not belong to their beginning.
    fn prepare(&mut self) {
        let network = self.world.take().map(World::into_network);
        self.network = Some(network.unwrap_or_default());
    }

    fn run(&mut self) {
        let network = self.network.take().expect("it was prepared");
        self.world = Some(World::connected(self.hosts, self.only_last, network));
    }

    fn times(&self) -> u64 {
        1
    }

    fn is_long(&self) -> bool {
        true
    }

    fn outcome(&self) -> Option<Outcome> {
        let world = self.world.as_ref()?;
        let millis = world.selected_at().map(|at| at.as_millis());
        Some(Outcome { millis, packets: world.sent() })
    }
}

/// Two connected agents for which time passes.
struct Passing<P> {
    world: World<P>,
    time: Duration,
    /// Packets in the last run.
    packets: u64,
    /// A run counts as often as checks were sent and answered in it.
    per_check: bool,
}

impl<P: Peer> Piece for Passing<P> {
    fn run(&mut self) {
        let before = self.world.sent();
        self.world.run_for(self.time);
        self.packets = self.world.sent() - before;
    }

    fn times(&self) -> u64 {
        if self.per_check { self.packets / 2 } else { 1 }
    }

    fn is_long(&self) -> bool {
        true
    }

    fn outcome(&self) -> Option<Outcome> {
        Some(Outcome { millis: None, packets: self.packets })
    }
}

fn passing<P: Peer + 'static>(hosts: usize, minutes: u64, per_check: bool) -> Box<dyn Piece> {
    let world = World::<P>::settled(hosts, Network::default());
    let time = Duration::from_secs(60 * minutes);
    Box::new(Passing { world, time, packets: 0, per_check })
}

pub(super) fn minute<P: Peer + 'static>() -> Box<dyn Piece> {
    passing::<P>(4, 1, false)
}

/// With one pair, all that is sent is the checks of that pair and their answers.
pub(super) fn round_trip<P: Peer + 'static>() -> Box<dyn Piece> {
    passing::<P>(1, 10, true)
}

//! One run: two agents of one implementation in a world, until both have selected the same pair.

use std::time::Duration;

use frazil::Timestamp;
use frazil::sim::{Arrival, Datagram};

use super::place::Place;
use super::watch::{Seen, Watch, is_answer};
use super::{PATIENCE, Signalling, World};
use crate::peer::{Description, Path, Peer, Verdict};

/// A driver that is kept busy so often at one instant is in an endless loop.
const STALLED: u32 = 100_000;
/// The priority of the first candidate that is dead: the highest there is. A host's is lower.
const HIGHEST: u32 = 0x7fff_ffff;

/// What came of a run.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// When both sides had a valid pair: a check that was answered.
    pub valid: Option<Duration>,
    /// When both sides had selected the same pair.
    pub selected: Option<Duration>,
    /// Datagrams that both sides had sent by then, or in all.
    pub packets: u64,
    pub seen: Seen,
}

/// One of the two.
struct Side<P> {
    peer: P,
    deadline: Option<Duration>,
    answered_at: Option<Duration>,
    watch: Watch,
}

struct Run<P> {
    place: Place,
    sides: [Side<P>; 2],
    now: Duration,
    packets: u64,
}

pub(super) fn run<P: Peer>(world: World, seed: u64) -> Outcome {
    let place = Place::new(world, seed);
    let start = Duration::ZERO;
    let mut peers = [P::new(true, 1), P::new(false, 2)];
    let [of_controlling, of_controlled] = [0, 1].map(|index| {
        let side = &place.sides[index];
        let dead = side.dead.iter().zip(0..).map(|(addr, at)| P::told(*addr, HIGHEST - at));
        let mut description = peers[index].add_local(start, &side.addresses, &side.reflexive);
        description.candidates.splice(..0, dead);
        description
    });
    let sides =
        peers.map(|peer| Side { peer, deadline: None, answered_at: None, watch: Watch::default() });
    let mut run = Run { place, sides, now: start, packets: 0 };
    run.tell(1, &of_controlling);
    let answer_at = match world.signalling {
        Signalling::Instant => Duration::ZERO,
        Signalling::OneWay => Duration::from_millis(world.delay),
    };
    run.go(answer_at, &of_controlled);
    let valid = run.valid_at();
    let selected = run.is_selected().then_some(run.now);
    let mut seen = Seen::default();
    for side in &run.sides {
        seen.merge(side.watch.seen);
    }
    Outcome { valid, selected, packets: run.packets, seen }
}

impl<P: Peer> Run<P> {
    /// Lets time pass until both have selected the same pair, or patience ends.
    fn go(&mut self, answer_at: Duration, answer: &Description<P::Candidate>) {
        let mut answer = Some(answer);
        let mut busy = 0;
        while !self.is_selected() {
            let answer_at = answer.map(|_| answer_at);
            let deadlines = self.sides.iter().filter_map(|side| side.deadline);
            let arrival = self.place.network.next_arrival().map(Timestamp::as_duration);
            let Some(next) = deadlines.chain(arrival).chain(answer_at).min() else { return };
            if next > PATIENCE {
                return;
            }
            busy = if next > self.now { 0 } else { busy + 1 };
            assert!(busy < STALLED, "time stands still");
            self.now = self.now.max(next);
            if answer_at.is_some_and(|at| at <= self.now) {
                self.tell(0, answer.take().expect("it is told once"));
            }
            self.step();
        }
    }

    /// What is due now: datagrams first, as in [`crate::world`].
    fn step(&mut self) {
        let now = Timestamp::from_duration(self.now);
        while let Some(arrival) = self.place.network.receive(now) {
            self.receive(arrival);
        }
        for index in 0..2 {
            if self.sides[index].deadline.is_some_and(|at| at <= self.now) {
                self.sides[index].peer.timeout(self.now);
                self.drain(index);
            }
        }
    }

    fn tell(&mut self, index: usize, description: &Description<P::Candidate>) {
        self.sides[index].peer.set_remote(self.now, description);
        self.drain(index);
    }

    fn receive(&mut self, arrival: Arrival) {
        let index = self.place.side_of(arrival.host);
        let side = &mut self.sides[index];
        let Datagram { from, to, payload, .. } = arrival.datagram;
        let path = Path { local: to, remote: from };
        side.watch.received(path);
        let verdict = side.peer.receive(self.now, path, &payload);
        if verdict == Verdict::Consumed && is_answer(&payload) {
            side.answered_at.get_or_insert(self.now);
        }
        self.drain(index);
        let side = &self.sides[index];
        let says = side.peer.connected();
        assert!(
            says.is_none_or(|says| says == side.answered_at.is_some()),
            "an agent that says when it is connected has been answered then"
        );
    }

    fn drain(&mut self, index: usize) {
        let (side, network) = (&mut self.sides[index], &mut self.place.network);
        let (now, host) = (self.now, self.place.sides[index].host);
        let (watch, packets) = (&mut side.watch, &mut self.packets);
        side.peer.drain(now, |path, bytes| {
            *packets += 1;
            watch.sent(now, path, bytes);
            let datagram = Datagram::udp(path.local, path.remote, bytes);
            // Its fate is nothing that a sender is told here.
            let _ = network.send_from(Timestamp::from_duration(now), host, datagram);
        });
        side.watch.has_selected |= side.peer.selected().is_some();
        side.deadline = side.peer.deadline();
    }

    fn valid_at(&self) -> Option<Duration> {
        let [one, other] = &self.sides;
        Some(one.answered_at?.max(other.answered_at?))
    }

    fn is_selected(&self) -> bool {
        let [one, other] = &self.sides;
        let both = one.peer.selected().zip(other.peer.selected());
        both.is_some_and(|(one, other)| self.place.is_one([one, other]))
    }
}

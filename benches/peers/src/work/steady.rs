//! What a connected agent does all the time.

use std::hint::black_box;
use std::time::Duration;

use super::Piece;
use crate::message;
use crate::peer::{Path, Peer, Verdict};
use crate::world::{Network, World};

/// A connected agent, and datagrams for it.
pub(super) struct Connected<P> {
    peer: P,
    now: Duration,
    path: Path,
    datagrams: Vec<Vec<u8>>,
    next: usize,
    payload: Vec<u8>,
    /// Datagrams that it has sent.
    sent: u64,
}

impl<P: Peer> Connected<P> {
    pub(super) fn new(controlling: bool, datagrams: Vec<Vec<u8>>) -> Self {
        let world = World::<P>::settled(4, Network::default());
        let now = world.now();
        let ([one, other], _) = world.into_peers();
        let mut peer = if controlling { one } else { other };
        // The first byte is that of RTP.
        let payload = vec![0x80; 1200];
        let (path, _) = peer.send(now, &payload);
        Self { peer, now, path, datagrams, next: 0, payload, sent: 0 }
    }

    /// Takes the next of the datagrams, and sends what comes of it.
    pub(super) fn take(&mut self) -> Verdict {
        let datagram = &self.datagrams[self.next];
        let verdict = self.peer.receive(self.now, self.path, black_box(datagram));
        self.next = (self.next + 1) % self.datagrams.len();
        self.drain();
        verdict
    }

    fn drain(&mut self) {
        let sent = &mut self.sent;
        self.peer.drain(self.now, |path, bytes| {
            black_box((path, bytes));
            *sent += 1;
        });
    }

    fn take_data(&mut self) {
        let verdict = self.peer.receive(self.now, self.path, black_box(&self.payload));
        assert_eq!(verdict, Verdict::Data(self.payload.len()));
    }

    fn take_check(&mut self) {
        let sent = self.sent;
        assert_eq!(self.take(), Verdict::Consumed);
        assert_eq!(self.sent, sent + 1, "a check has one answer");
    }
}

/// The same operation, so many times in a run that reading the clock does not count.
pub(super) struct Repeated<S> {
    pub(super) state: S,
    pub(super) op: fn(&mut S),
    pub(super) times: u64,
}

impl<S> Piece for Repeated<S> {
    fn run(&mut self) {
        for _ in 0..self.times {
            (self.op)(&mut self.state);
        }
    }

    fn times(&self) -> u64 {
        self.times
    }
}

fn repeated<P: Peer + 'static>(
    controlling: bool,
    checks: bool,
    op: fn(&mut Connected<P>),
) -> Box<dyn Piece> {
    let datagrams = if checks { message::checks(controlling) } else { Vec::new() };
    let mut state = Connected::<P>::new(controlling, datagrams);
    // Whatever is due or grows at first is over before anything is measured.
    for _ in 0..1000 {
        if checks {
            state.take();
        }
    }
    for _ in 0..1000 {
        op(&mut state);
    }
    Box::new(Repeated { state, op, times: 64 })
}

pub(super) fn answer<P: Peer + 'static>(controlling: bool) -> Box<dyn Piece> {
    repeated::<P>(controlling, true, Connected::take_check)
}

pub(super) fn receive<P: Peer + 'static>() -> Box<dyn Piece> {
    repeated::<P>(true, false, Connected::take_data)
}

pub(super) fn send<P: Peer + 'static>() -> Box<dyn Piece> {
    repeated::<P>(true, false, |connected| {
        let (_, length) = black_box(connected.peer.send(connected.now, &connected.payload));
        assert_eq!(length, connected.payload.len());
    })
}

pub(super) fn answer_and_receive<P: Peer + 'static>() -> Box<dyn Piece> {
    repeated::<P>(true, true, |connected| {
        connected.take_check();
        connected.take_data();
    })
}

/// What a container of agents does at every tick with each that it does not know better.
pub(super) fn idle<P: Peer + 'static>() -> Box<dyn Piece> {
    let op: fn(&mut Connected<P>) = |connected| {
        connected.peer.timeout(connected.now);
        connected.drain();
        black_box(connected.peer.deadline());
    };
    let mut state = Connected::<P>::new(true, Vec::new());
    for _ in 0..1000 {
        op(&mut state);
    }
    let sent = state.sent;
    op(&mut state);
    assert_eq!(state.sent, sent, "something was due");
    Box::new(Repeated { state, op, times: 256 })
}

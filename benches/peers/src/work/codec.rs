//! STUN alone, and what cannot be avoided in it.

use std::hint::black_box;

use super::Piece;
use super::steady::Repeated;
use crate::floor;
use crate::message;
use crate::peer::{Codec, Credentials};

struct Decode<C> {
    codec: C,
    checks: Vec<Vec<u8>>,
}

impl<C: Codec> Piece for Decode<C> {
    fn prepare(&mut self) {
        self.codec.reset();
    }

    fn run(&mut self) {
        for check in self.checks.iter().take(C::BATCH) {
            assert!(self.codec.decode(black_box(check)));
        }
    }

    fn times(&self) -> u64 {
        C::BATCH as u64
    }
}

struct Encode<C>(C);

impl<C: Codec> Piece for Encode<C> {
    fn prepare(&mut self) {
        self.0.reset();
    }

    fn run(&mut self) {
        for _ in 0..C::BATCH {
            assert!(black_box(self.0.encode()) > 20);
        }
    }

    fn times(&self) -> u64 {
        C::BATCH as u64
    }
}

pub(super) fn decode(codec: impl Codec + 'static) -> Box<dyn Piece> {
    Box::new(Decode { codec, checks: message::checks(true) })
}

pub(super) fn encode(codec: impl Codec + 'static) -> Box<dyn Piece> {
    Box::new(Encode(codec))
}

/// A check, the key for it, and a buffer for what is written.
struct Floor {
    check: Vec<u8>,
    key: floor::Key,
    out: Vec<u8>,
}

impl Floor {
    fn repeated(op: fn(&mut Self)) -> Box<dyn Piece> {
        let key = floor::key(Credentials::of(true).pwd.as_bytes());
        let state = Self { check: message::check(true, 0), key, out: Vec::with_capacity(2048) };
        Box::new(Repeated { state, op, times: 64 })
    }
}

pub(super) fn floor_of_answering() -> Box<dyn Piece> {
    Floor::repeated(|floor| {
        floor.out.clear();
        let check = black_box(&floor.check);
        assert!(floor::floor(check, &floor.key, [10, 1, 0, 1], 5000, &mut floor.out));
        black_box(&floor.out);
    })
}

pub(super) fn floor_of_decoding() -> Box<dyn Piece> {
    Floor::repeated(|floor| {
        let decoded = floor::decode(black_box(&floor.check), &floor.key).expect("it is authentic");
        black_box((decoded.username, decoded.priority, decoded.tie_breaker));
    })
}

pub(super) fn floor_of_encoding() -> Box<dyn Piece> {
    Floor::repeated(|floor| {
        floor.out.clear();
        let username = b"ctrllled:ctrlling".as_slice();
        let check = floor::Decoded { username, priority: 0x6e00_01ff, tie_breaker: 1 };
        floor::encode(black_box([0x5a; 12]), black_box(&check), &floor.key, &mut floor.out);
        black_box(&floor.out);
    })
}

//! Datagrams that nobody wants, from the address of the peer.

use super::Piece;
use super::steady::{Connected, Repeated};
use crate::message;
use crate::peer::Peer;

fn refuse<P: Peer + 'static>(datagrams: Vec<Vec<u8>>, times: u64) -> Box<dyn Piece> {
    let state = Connected::<P>::new(true, datagrams);
    let op: fn(&mut Connected<P>) = |connected| {
        connected.take();
    };
    Box::new(Repeated { state, op, times })
}

pub(super) fn forged<P: Peer + 'static>() -> Box<dyn Piece> {
    refuse::<P>(vec![message::forged()], 64)
}

pub(super) fn full_of_integrity<P: Peer + 'static>() -> Box<dyn Piece> {
    refuse::<P>(vec![message::full_of_integrity()], 1)
}

pub(super) fn full_of_nothing<P: Peer + 'static>() -> Box<dyn Piece> {
    refuse::<P>(vec![message::full_of_nothing()], 1)
}

/// One in four of the datagrams without a header looks like STUN by its first two bits.
pub(super) fn random<P: Peer + 'static>(with_header: bool) -> Box<dyn Piece> {
    let datagrams = message::random(with_header);
    let times = datagrams.len() as u64;
    refuse::<P>(datagrams, times)
}

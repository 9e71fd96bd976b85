//! Every pair of the nine kinds of NAT, against the oracle: a cut of what
//! `examples/nat-matrix.rs` runs in full.

#[path = "../examples/nat-matrix/matrix.rs"]
mod matrix;

use matrix::{Cell, KINDS};

/// The ordered pairs with and without a relay; each with one seed of its own.
fn cells(loss: u8) -> impl Iterator<Item = Cell> {
    KINDS.iter().enumerate().flat_map(move |(row, one)| {
        KINDS.iter().enumerate().flat_map(move |(column, other)| {
            let seed = (row * KINDS.len() + column) as u64;
            [false, true].map(|relay| Cell { nats: [*one, *other], relay, loss, seed })
        })
    })
}

fn agree(loss: u8, every: usize) {
    let mut connected = 0;
    let mut relayed = 0;
    for cell in cells(loss).step_by(every) {
        let report = cell.run().unwrap_or_else(|failure| panic!("{failure}"));
        connected += usize::from(report.connected_after.is_some());
        relayed += usize::from(cell.relay && !report.outlook.is_direct());
    }
    assert!(connected > 0 && relayed > 0);
}

#[test]
fn without_loss_every_pair_of_nats_comes_to_what_the_oracle_says() {
    agree(0, 1);
}

#[test]
fn with_some_loss_as_well() {
    agree(5, 3);
}

#[test]
fn with_heavy_loss_as_well() {
    agree(20, 3);
}

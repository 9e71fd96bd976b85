//! The parts by themselves. What the whole does stands in `tests/mdns.rs`.

mod bucket;
mod name;
mod scan;
mod write;

use super::name::MdnsName;

/// The name of the examples in the draft.
const NAME: &str = "1f4712db-ea17-4bcf-a596-105139dfd8bf.local";

/// The same on the wire.
const WIRE: &[u8] = b"\x241f4712db-ea17-4bcf-a596-105139dfd8bf\x05local\x00";

fn name() -> MdnsName {
    NAME.parse().unwrap()
}

/// A header: id, flags and the four counts.
fn header(id: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    let [questions, answers, authorities, additional] = counts;
    let words = [id, flags, questions, answers, authorities, additional];
    words.into_iter().flat_map(u16::to_be_bytes).collect()
}

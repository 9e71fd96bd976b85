//! Messages of a stream in pieces of any size.

use proptest::prelude::*;

use crate::turn::ChannelData;
use crate::turn::deframer::Deframer;

/// Three messages: STUN, ChannelData with padding, ChannelData without payload.
fn stream() -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut stun = vec![0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
    stun.extend([1; 12]);
    stun.extend([0x80, 0x22, 0, 4, b'a', b'b', b'c', b'd']);
    let frames = vec![stun, vec![0x40, 1, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0], vec![0x4f, 0xff, 0, 0]];
    (frames.concat(), frames)
}

/// U22, W21
#[test]
fn padding_belongs_to_the_message_and_not_to_its_payload() {
    let (bytes, frames) = stream();
    let mut input = &bytes[28..];
    let mut deframer = Deframer::default();
    let frame = deframer.next(&mut input).unwrap().unwrap();
    assert_eq!(frame.bytes(), frames[1]);
    assert_eq!(ChannelData::parse(frame.bytes()).unwrap().payload, [1, 2, 3, 4, 5]);
}

#[test]
fn what_arrives_whole_is_not_copied() {
    let (bytes, _) = stream();
    let mut input = &bytes[..];
    let mut deframer = Deframer::default();
    let frame = deframer.next(&mut input).unwrap().unwrap();
    assert_eq!(frame.bytes().as_ptr(), bytes.as_ptr());
}

#[test]
fn a_stream_of_something_else_is_found_out() {
    for bytes in [&[0x16, 3, 1, 0, 5][..], &[0x50], &[0x80], &[0, 1, 0, 0, 1]] {
        let mut deframer = Deframer::default();
        let (last, before) = bytes.split_last().unwrap();
        assert_eq!(deframer.next(&mut &before[..]), Ok(None), "{bytes:?}");
        deframer.next(&mut &[*last][..]).unwrap_err();
    }
}

proptest! {
    #[test]
    fn pieces_make_the_same_messages(cuts in prop::collection::vec(1_usize..20, 1..50)) {
        let (bytes, frames) = stream();
        let mut deframer = Deframer::default();
        let mut seen = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.into_iter().chain([bytes.len()]) {
            let (mut piece, next) = rest.split_at(cut.min(rest.len()));
            rest = next;
            while let Some(frame) = deframer.next(&mut piece).unwrap() {
                seen.push(frame.bytes().to_vec());
            }
            prop_assert!(piece.is_empty());
        }
        prop_assert_eq!(seen, frames);
    }
}

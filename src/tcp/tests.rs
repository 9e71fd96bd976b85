use proptest::collection::vec;
use proptest::prelude::*;

use super::{Deframer, TooLong, frame_head};
use crate::turn::Frame;

const NO_LIMIT: usize = 65_535;

fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = Vec::new();
    for message in messages {
        stream.extend((message.len() as u16).to_be_bytes());
        stream.extend(message);
    }
    stream
}

/// What comes out of a stream that arrives in these pieces.
fn cut(stream: &[u8], pieces: &[usize], limit: usize) -> Result<Vec<Vec<u8>>, TooLong> {
    let mut deframer = Deframer::default();
    let mut messages = Vec::new();
    let mut rest = stream;
    let mut pieces = pieces.iter().cycle();
    while !rest.is_empty() {
        let size = pieces.next().map_or(rest.len(), |size| (*size).clamp(1, rest.len()));
        let (mut piece, after) = rest.split_at(size);
        rest = after;
        while let Some(frame) = deframer.next(&mut piece, limit)? {
            messages.push(frame.bytes().to_vec());
            if let Frame::Kept(message) = frame {
                deframer.give_back(message);
                assert_eq!(Some(deframer.kept()), messages.last().map(Vec::as_slice));
            }
        }
        assert!(piece.is_empty());
    }
    Ok(messages)
}

#[test]
fn a_message_that_arrives_whole_is_not_copied() {
    let stream = framed(&[b"one".to_vec(), b"three".to_vec()]);
    let mut input = &stream[..];
    let mut deframer = Deframer::default();
    assert_eq!(deframer.next(&mut input, NO_LIMIT), Ok(Some(Frame::Input(&stream[2..5]))));
    assert_eq!(deframer.next(&mut input, NO_LIMIT), Ok(Some(Frame::Input(&stream[7..12]))));
    assert_eq!(deframer.next(&mut input, NO_LIMIT), Ok(None));
}

#[test]
fn a_stream_may_come_byte_by_byte() {
    let messages = [b"one".to_vec(), vec![7; 300], b"x".to_vec()];
    assert_eq!(cut(&framed(&messages), &[1], NO_LIMIT), Ok(messages.to_vec()));
}

#[test]
fn empty_frames_carry_nothing() {
    let stream = framed(&[vec![], b"one".to_vec(), vec![], vec![], b"two".to_vec(), vec![]]);
    let expected = vec![b"one".to_vec(), b"two".to_vec()];
    assert_eq!(cut(&stream, &[1], NO_LIMIT), Ok(expected.clone()));
    assert_eq!(cut(&stream, &[usize::MAX], NO_LIMIT), Ok(expected));
}

#[test]
fn a_frame_beyond_the_limit_ends_the_stream_as_soon_as_its_head_is_there() {
    for pieces in [1, 2, 3, 100] {
        assert_eq!(cut(&[0, 9, 1], &[pieces], 8), Err(TooLong));
    }
    assert_eq!(cut(&framed(&[vec![1; 8]]), &[1], 8), Ok(vec![vec![1; 8]]));
}

#[test]
fn what_is_announced_takes_no_room_before_it_arrives() {
    let mut deframer = Deframer::default();
    let mut input = &[0xff, 0xff, 1, 2][..];
    assert_eq!(deframer.next(&mut input, NO_LIMIT), Ok(None));
    assert!(deframer.partial_capacity() < 64);
}

#[test]
fn a_head_says_the_length_of_what_fits_into_a_frame() {
    assert_eq!(frame_head(0), Some([0, 0]));
    assert_eq!(frame_head(65_535), Some([0xff, 0xff]));
    assert_eq!(frame_head(65_536), None);
}

proptest! {
    /// RFC 4571 on a stream that TCP cuts and joins as it likes.
    #[test]
    fn any_split_and_merge_gives_the_same_messages(
        messages in vec(vec(any::<u8>(), 0..40), 0..12),
        pieces in vec(1usize..64, 1..8),
    ) {
        let expected: Vec<_> =
            messages.iter().filter(|message| !message.is_empty()).cloned().collect();
        prop_assert_eq!(cut(&framed(&messages), &pieces, NO_LIMIT), Ok(expected));
    }

    #[test]
    fn hostile_bytes_end_the_same_however_they_arrive(
        stream in vec(prop_oneof![Just(0u8), 0u8..4, any::<u8>()], 0..200),
        pieces in vec(1usize..32, 1..6),
        limit in 1usize..400,
    ) {
        let whole = cut(&stream, &[usize::MAX], limit);
        let split = cut(&stream, &pieces, limit);
        prop_assert_eq!(whole.is_err(), split.is_err());
        if let (Ok(whole), Ok(split)) = (whole, split) {
            prop_assert_eq!(whole, split);
        }
    }
}

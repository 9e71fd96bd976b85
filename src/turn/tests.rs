//! ChannelData, and where messages end on a stream.

use proptest::prelude::*;

use super::channel_data::ChannelDataError;
use super::frame::NotTurn;
use super::{ChannelData, frame_len, is_channel};

#[test]
fn a_message_is_its_head_and_its_payload() {
    let bytes = [0x41, 0x23, 0x00, 0x03, 1, 2, 3];
    let message = ChannelData { channel: 0x4123, payload: &[1, 2, 3] };
    assert_eq!(ChannelData::parse(&bytes), Ok(message));
    assert_eq!(ChannelData::head(0x4123, 3), Some([0x41, 0x23, 0x00, 0x03]));
    assert_eq!(ChannelData::head(0x4123, 65_536), None);
}

/// RFC 8656 §12.4: "Note that 0 is a valid length."
#[test]
fn an_empty_payload_is_one() {
    let message = ChannelData { channel: 0x4000, payload: &[] };
    assert_eq!(ChannelData::parse(&[0x40, 0, 0, 0]), Ok(message));
}

#[test]
fn what_claims_more_than_there_is_is_short() {
    for bytes in [&[][..], &[0x40], &[0x40, 0, 0], &[0x40, 0, 0, 1], &[0x40, 0, 0xff, 0xff, 1]] {
        assert_eq!(ChannelData::parse(bytes), Err(ChannelDataError::Short));
    }
}

/// RFC 8656 §12, table 2
#[test]
fn channels_have_numbers_of_their_own() {
    for (number, expected) in
        [(0x0000, false), (0x3fff, false), (0x4000, true), (0x4fff, true), (0x5000, false)]
    {
        assert_eq!(is_channel(number), expected);
        let [n0, n1] = number.to_be_bytes();
        let bytes = [n0, n1, 0, 0];
        let parsed = ChannelData::parse(&bytes);
        assert_eq!(parsed.err(), (!expected).then_some(ChannelDataError::NoChannel));
    }
}

#[test]
fn frames_end_where_their_kind_says() {
    let header = [0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
    for len in 0..header.len() {
        assert_eq!(frame_len(&header[..len]), Ok(None), "{len} bytes do not tell");
    }
    assert_eq!(frame_len(&header), Ok(Some(28)));
    for (len, whole) in [(0, 4), (1, 8), (3, 8), (4, 8), (5, 12), (0xffff, 65_540)] {
        let [l0, l1] = u16::to_be_bytes(len);
        assert_eq!(frame_len(&[0x4f, 0xff, l0, l1]), Ok(Some(whole)));
        assert_eq!(frame_len(&[0x4f, 0xff, l0]), Ok(None));
    }
}

#[test]
fn what_is_neither_kind_is_found_out_as_early_as_can_be() {
    for bytes in [
        &[0x50][..],
        &[0x80],
        &[0xff],
        &[0, 1, 0, 2],
        &[0, 1, 0, 0, 0x20],
        &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x43],
    ] {
        assert_eq!(frame_len(bytes), Err(NotTurn), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        channel in 0x4000_u16..=0x4fff,
        payload in prop::collection::vec(any::<u8>(), 0..100),
        follows in prop::collection::vec(any::<u8>(), 0..10),
    ) {
        let mut bytes = ChannelData::head(channel, payload.len()).unwrap().to_vec();
        bytes.extend(&payload);
        bytes.extend(ChannelData::padding(payload.len()));
        prop_assert_eq!(bytes.len() % 4, 0);
        prop_assert_eq!(frame_len(&bytes), Ok(Some(bytes.len())));
        bytes.extend(follows);
        let message = ChannelData { channel, payload: &payload };
        prop_assert_eq!(ChannelData::parse(&bytes), Ok(message));
    }

    /// More bytes never take back what fewer have said.
    #[test]
    fn a_frame_does_not_change_its_mind(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut said = None;
        for len in 0..=bytes.len() {
            match (said, frame_len(&bytes[..len])) {
                (None, Ok(None)) => {}
                (None, decided) => said = Some(decided),
                (Some(before), now) => prop_assert_eq!(before, now),
            }
        }
        if let Some(Ok(Some(len))) = said {
            prop_assert!(len <= 65_552 && len % 4 == 0);
        }
    }
}

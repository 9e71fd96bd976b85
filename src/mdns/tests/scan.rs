//! Messages by hand, whole and broken, and any bytes, held against `simple_dns`.

use core::net::IpAddr;

use proptest::prelude::*;
use simple_dns::rdata::RData;
use simple_dns::{Name, Packet};

use super::{NAME, WIRE, header};
use crate::mdns::scan::{A, AAAA, IN, LocalName, Malformed, TOP_BIT, scan};

/// A record behind its name.
fn record(kind: u16, class: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = [kind, class].map(u16::to_be_bytes).concat();
    bytes.extend(ttl.to_be_bytes());
    bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend(data);
    bytes
}

/// A question for A of the name that these bytes are.
fn asking(name: &[u8]) -> Vec<u8> {
    [&header(0, 0, [1, 0, 0, 0]), name, &[0, 1, 0, 1]].concat()
}

fn asked(bytes: &[u8]) -> Option<String> {
    let name = scan(bytes).unwrap().questions().next().unwrap().name?;
    Some(name.key()?.as_str().to_owned())
}

#[test]
fn questions_and_answers_are_shown_and_other_sections_are_not() {
    let bytes = [
        &header(7, 0x8400, [1, 2, 1, 1]),
        WIRE,
        &[0, 28, 0x80, 1],
        // A name that points to the one of the question, then one that uses its end only.
        &[0xc0, 12],
        &record(A, IN | TOP_BIT, 120, &[192, 0, 2, 1]),
        &[4, b'h', b'o', b's', b't', 0xc0, 12 + 37],
        &record(AAAA, IN, 60, &[1; 16]),
        &[0xc0, 12],
        &record(A, IN, 9, &[192, 0, 2, 2]),
        &[0],
        &record(41, 1440, 0, &[]),
    ]
    .concat();
    let message = scan(&bytes).unwrap();
    assert!(message.is_response() && message.is_plain());
    assert_eq!(message.id(), 7);
    let question = message.questions().next().unwrap();
    assert_eq!((question.kind, question.class), (AAAA, IN | TOP_BIT));
    assert_eq!(message.questions().count(), 1);
    let answers: Vec<_> = message
        .answers()
        .map(|record| (record.name.unwrap().key().unwrap().as_str().to_owned(), record.addr()))
        .collect();
    let first: IpAddr = "192.0.2.1".parse().unwrap();
    let second: IpAddr = [1_u8; 16].into();
    assert_eq!(answers, [(NAME.into(), Some(first)), ("host.local".into(), Some(second))]);
}

#[test]
fn names_are_compared_in_lower_case_and_shown_as_they_stand() {
    let bytes = asking(b"\x03AbC\x05LOCAL\x00");
    assert_eq!(asked(&bytes).unwrap(), "abc.local");
    let name = scan(&bytes).unwrap().questions().next().unwrap().name.unwrap();
    assert_eq!(name.labels(), [&b"AbC"[..], b"LOCAL"]);
}

#[test]
fn other_names_are_walked_over() {
    for name in [
        &b"\x00"[..],
        b"\x05local\x00",
        b"\x01a\x01b\x05local\x00",
        b"\x01a\x06locals\x00",
        // A dot in a label, and bytes that are no text.
        b"\x03a.b\x05local\x00",
        b"\x02\xff\xfe\x05local\x00",
    ] {
        assert_eq!(asked(&asking(name)), None, "{name:?}");
    }
}

#[test]
fn a_pointer_leads_back_or_the_message_is_malformed() {
    for name in [
        &b"\xc0\x0c"[..], // to itself
        b"\xc0\x0e",      // forward
        b"\xff\xff",      // beyond the end
        b"\x01a\xc0\x0c", // to the start of its own name
        b"\x01a\xc0\x0d", // into its own label
        b"\x40abc",       // a label type that does not exist
        b"\x80abc",
        b"\x05loc", // cut short
        b"\xc0",
    ] {
        assert_eq!(scan(&asking(name)).map(|_| ()), Err(Malformed), "{name:?}");
    }
    // Two names that point at each other: the first one would have to point forward.
    let bytes =
        [&header(0, 0, [2, 0, 0, 0]), &[0xc0, 18][..], &[0, 1, 0, 1], &[0xc0, 12], &[0, 1, 0, 1]];
    assert_eq!(scan(&bytes.concat()).map(|_| ()), Err(Malformed));
}

/// Else a message could hold thousands of pointers in a row, and each of its names follow them all.
#[test]
fn a_name_follows_127_pointers_at_most() {
    for (count, whole) in [(127_u16, true), (128, false)] {
        // Data that ends a name, and pointers behind it that lead to one another.
        let first = 12 + 1 + 10;
        let mut data = vec![0];
        for number in 0..count - 1 {
            let to = if number == 0 { first } else { first + 1 + 2 * (number - 1) };
            data.extend((0xc000 | to).to_be_bytes());
        }
        let last = 0xc000 | (first + 1 + 2 * (count - 2));
        let bytes = [
            &header(0, 0x8400, [0, 2, 0, 0]),
            &[0][..],
            &record(16, IN, 1, &data),
            &last.to_be_bytes(),
            &record(A, IN, 1, &[192, 0, 2, 1]),
        ]
        .concat();
        assert_eq!(scan(&bytes).is_ok(), whole, "{count}");
    }
}

#[test]
fn a_name_has_255_octets_at_most() {
    let label = [&[63][..], &[b'a'; 63]].concat();
    let fits = [label.repeat(3), vec![61], vec![b'a'; 61], vec![0]].concat();
    assert_eq!(fits.len(), 255);
    assert!(scan(&asking(&fits)).is_ok());
    let too_long = [label.repeat(3), vec![62], vec![b'a'; 62], vec![0]].concat();
    assert_eq!(scan(&asking(&too_long)).map(|_| ()), Err(Malformed));
}

#[test]
fn counts_that_the_bytes_do_not_hold_cost_nothing() {
    for counts in
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0xffff; 4], [0, 0, 0, 0xffff]]
    {
        assert_eq!(scan(&header(0, 0, counts)).map(|_| ()), Err(Malformed), "{counts:?}");
    }
    let full = asking(WIRE);
    for len in 0..full.len() {
        assert_eq!(scan(&full[..len]).map(|_| ()), Err(Malformed), "{len}");
    }
    // 256 entries are read, 257 are not.
    for (count, whole) in [(256_u16, true), (257, false)] {
        let entries = [0, 0, 1, 0, 1].repeat(count.into());
        let bytes = [header(0, 0, [count, 0, 0, 0]), entries].concat();
        assert_eq!(scan(&bytes).is_ok(), whole);
    }
}

#[test]
fn a_record_of_another_length_class_or_type_has_no_address() {
    for (kind, class, data) in [
        (A, IN, &[1, 2, 3][..]),
        (A, IN, &[1, 2, 3, 4, 5]),
        (AAAA, IN, &[1; 4]),
        (A, 3, &[1, 2, 3, 4]),
        (16, IN, &[1, 2, 3, 4]),
        (A, IN, &[]),
    ] {
        let bytes =
            [&header(0, 0x8400, [0, 1, 0, 0]), WIRE, &record(kind, class, 1, data)].concat();
        let record = scan(&bytes).unwrap().answers().next().unwrap();
        assert_eq!(record.addr(), None, "{kind} {class} {data:?}");
    }
}

/// Pieces of messages, so that more than noise is read.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => Just(WIRE.to_vec()),
        3 => Just(b"\x01a\x05LOCAL\x00".to_vec()),
        3 => (0_u8..80).prop_map(|at| vec![0xc0, at]),
        3 => Just(vec![0, 1, 0x80, 1]),
        3 => any::<[u8; 4]>().prop_map(|ip| record(A, IN, 120, &ip)),
        3 => any::<[u8; 16]>().prop_map(|ip| record(AAAA, IN | TOP_BIT, 120, &ip)),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let counts = [0_u16..3, 0..4, 0..2, 0..2];
    let pieces = proptest::collection::vec(piece(), 0..12);
    let flags = prop_oneof![Just(0_u16), Just(0x8400), any::<u16>()];
    (any::<u16>(), flags, counts, pieces).prop_map(|(id, flags, counts, pieces)| {
        [header(id, flags, counts), pieces.concat()].concat()
    })
}

/// The name as `LocalName` shows it.
fn labels_of(name: &Name<'_>) -> Option<Vec<Vec<u8>>> {
    let labels: Vec<Vec<u8>> =
        name.get_labels().iter().map(|label| label.as_ref().to_vec()).collect();
    let is_local = labels.len() == 2 && labels[1].eq_ignore_ascii_case(b"local");
    is_local.then_some(labels)
}

fn shown(name: Option<LocalName<'_>>) -> Option<Vec<Vec<u8>>> {
    name.map(|name| name.labels().map(<[u8]>::to_vec).to_vec())
}

fn compare(bytes: &[u8]) {
    let Ok(message) = scan(bytes) else { return };
    let (questions, answers) = (message.questions().count(), message.answers().count());
    assert!(questions + answers <= 256);
    // The other codec refuses a message for any record or bit that it does not know.
    let Ok(packet) = Packet::parse(bytes) else { return };
    assert_eq!(packet.id(), message.id());
    assert_eq!((packet.questions.len(), packet.answers.len()), (questions, answers));
    for (theirs, ours) in packet.questions.iter().zip(message.questions()) {
        assert_eq!(labels_of(&theirs.qname), shown(ours.name));
        assert_eq!(u16::from(theirs.qtype), ours.kind);
        assert_eq!(theirs.unicast_response, ours.class & TOP_BIT != 0);
    }
    for (theirs, ours) in packet.answers.iter().zip(message.answers()) {
        assert_eq!(labels_of(&theirs.name), shown(ours.name));
        if u16::from(theirs.rdata.type_code()) != 41 {
            assert_eq!(theirs.ttl, ours.ttl);
        }
        match &theirs.rdata {
            RData::A(a) if ours.data.len() == 4 && ours.class & !TOP_BIT == IN => {
                assert_eq!(ours.addr(), Some(IpAddr::V4(a.address.into())));
            }
            RData::AAAA(a) if ours.data.len() == 16 && ours.class & !TOP_BIT == IN => {
                assert_eq!(ours.addr(), Some(IpAddr::V6(a.address.into())));
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_both_read_both_read_alike(bytes in message()) {
        compare(&bytes);
    }

    #[test]
    fn any_bytes_are_read_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        compare(&bytes);
    }
}

//! Wire vectors by hand, from RFC 1035 §4 and RFC 6762 §18.

use super::{NAME, WIRE, header, name};
use crate::mdns::write::{self, Answer, Asked};

#[test]
fn a_question_has_no_id_no_flags_and_the_unicast_bit_when_asked_for() {
    for (ipv6, unicast, tail) in [
        (false, true, [0, 1, 0x80, 1]),
        (false, false, [0, 1, 0, 1]),
        (true, true, [0, 28, 0x80, 1]),
        (true, false, [0, 28, 0, 1]),
    ] {
        let mut buf = b"before".to_vec();
        let range = write::question(&mut buf, &name(), ipv6, unicast);
        let expected = [&header(0, 0, [1, 0, 0, 0]), WIRE, &tail].concat();
        assert_eq!(buf[range.clone()], expected);
        assert_eq!((range.start, range.end), (6, buf.len()));
    }
}

/// RFC 6762 §6.1: the types of the records that there are, here A alone, stand in a bit map.
#[test]
fn an_answer_is_authoritative_flushes_caches_and_denies_other_records() {
    let (name, mut buf) = (name(), Vec::new());
    let addr = "192.0.2.1".parse().unwrap();
    let range = write::answer(&mut buf, &Answer { name: &name, addr, ttl: 120, asked: None });
    let record = [0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4, 192, 0, 2, 1];
    let denial = [0xc0, 12, 0, 47, 0x80, 1, 0, 0, 0, 120, 0, 47];
    let only_a = [0, 1, 0x40];
    let head = header(0, 0x8400, [0, 1, 0, 1]);
    let expected = [&head, WIRE, &record, &denial, WIRE, &only_a].concat();
    assert_eq!(buf[range], expected);

    // A goodbye has the record alone.
    let addr = "2001:db8::1".parse().unwrap();
    let range = write::answer(&mut buf, &Answer { name: &name, addr, ttl: 0, asked: None });
    let record = [0, 28, 0x80, 1, 0, 0, 0, 0, 0, 16];
    let data = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(buf[range], [&header(0, 0x8400, [0, 1, 0, 0]), WIRE, &record, &data].concat());
}

/// RFC 6762 §6.7.
#[test]
fn a_legacy_answer_repeats_id_and_question_and_flushes_nothing() {
    let (name, mut buf) = (name(), b"before".to_vec());
    let upper = NAME.to_ascii_uppercase();
    let (label, domain) = upper.split_once('.').unwrap();
    let labels = [label, domain].map(|label| label.as_bytes().into());
    let asked = Asked { id: 0xbeef, labels, kind: 255, class: 1 };
    let addr = "192.0.2.1".parse().unwrap();
    let answer = Answer { name: &name, addr, ttl: 10, asked: Some(&asked) };
    let range = write::answer(&mut buf, &answer);
    let question = [0, 255, 0, 1];
    // The name of the record points to that of the question.
    let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 10, 0, 4, 192, 0, 2, 1];
    let wire = WIRE.to_ascii_uppercase();
    let expected = [&header(0xbeef, 0x8400, [1, 1, 0, 0]), &wire[..], &question, &record].concat();
    assert_eq!(buf[range], expected);
}

//! The attributes of TURN (RFC 8656 §18).

use super::super::turn::{
    Family, Icmp, address_error_code, channel_number, even_port, first_of_four, icmp,
};
use super::super::{attribute, scan};
use super::request;

#[test]
fn what_was_written_is_read() {
    let unreachable = Icmp { kind: 3, code: 4, data: 1280 };
    let server = "[2001:db8::1]:3478".parse().unwrap();
    let bytes = request(|w| {
        w.channel_number(0x4001)
            .first_of_four(attribute::REQUESTED_TRANSPORT, 17)
            .address_error_code(Family::V6, 440)
            .icmp(unreachable)
            .alternate_server(server)
            .unknown_attributes(&[0x0024, 0x7fff]);
    });
    let scan = scan(&bytes).unwrap();
    let find = |kind| scan.find(kind).unwrap();
    assert_eq!(find(attribute::CHANNEL_NUMBER), [0x40, 0x01, 0, 0]);
    assert_eq!(channel_number(find(attribute::CHANNEL_NUMBER)), Some(0x4001));
    assert_eq!(find(attribute::REQUESTED_TRANSPORT), [17, 0, 0, 0]);
    assert_eq!(first_of_four(find(attribute::REQUESTED_TRANSPORT)), Some(17));
    assert_eq!(find(attribute::ADDRESS_ERROR_CODE)[..4], [2, 0, 4, 40]);
    assert_eq!(&find(attribute::ADDRESS_ERROR_CODE)[4..], b"Address Family not Supported");
    let error = address_error_code(find(attribute::ADDRESS_ERROR_CODE));
    assert_eq!(error, Some((Family::V6, 440)));
    assert_eq!(find(attribute::ICMP), [0, 0, 3, 4, 0, 0, 5, 0]);
    assert_eq!(icmp(find(attribute::ICMP)), Some(unreachable));
    assert_eq!(attribute::address(find(attribute::ALTERNATE_SERVER)), Some(server));
    assert_eq!(find(attribute::UNKNOWN_ATTRIBUTES), [0x00, 0x24, 0x7f, 0xff]);
}

#[test]
fn reserved_parts_are_not_looked_at() {
    assert_eq!(channel_number(&[0x40, 0x01, 0xff, 0xff]), Some(0x4001));
    assert_eq!(first_of_four(&[17, 0xff, 0xff, 0xff]), Some(17));
    assert_eq!(even_port(&[0x80]), Some(true));
    assert_eq!(even_port(&[0x7f]), Some(false));
    assert_eq!(icmp(&[9, 9, 1, 2, 0, 0, 0, 3]), Some(Icmp { kind: 1, code: 2, data: 3 }));
    assert_eq!(address_error_code(&[1, 0xff, 0xf8 | 5, 8]), Some((Family::V4, 508)));
}

#[test]
fn values_of_another_size_or_family_are_none() {
    for value in [&[][..], &[1], &[1, 2, 3], &[1, 2, 3, 4, 5]] {
        assert_eq!(channel_number(value), None);
        assert_eq!(first_of_four(value), None);
        assert_eq!(icmp(value), None);
    }
    assert_eq!((even_port(&[]), even_port(&[0x80, 0])), (None, None));
    for value in [&[3, 0, 4, 40][..], &[1, 0, 9, 0], &[1, 0, 4]] {
        assert_eq!(address_error_code(value), None);
    }
    assert_eq!(Family::from_number(0).or(Family::from_number(3)), None);
}

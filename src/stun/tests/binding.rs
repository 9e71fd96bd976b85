//! Connectivity checks and Binding responses.

use super::super::{
    CheckRequest, Class, MalformedAttribute, attribute, mapped_address, method, scan,
    xor_mapped_address,
};
use super::{message, request};
use crate::candidate::network::Network;
use crate::config::Role;

fn read(bytes: &[u8]) -> Result<CheckRequest<'_>, MalformedAttribute> {
    CheckRequest::read(&scan(bytes).unwrap())
}

#[test]
fn a_check_is_read_as_it_was_written() {
    for (role, use_candidate, nomination, network) in [
        (Role::Controlling, true, Some(3), Some(Network::new(0xffff, 999))),
        (Role::Controlling, false, None, Some(Network::new(1, 0))),
        (Role::Controlled, false, None, None),
    ] {
        let check = CheckRequest {
            username: Some(b"remote:local"),
            priority: Some(0x6e7f_1eff),
            use_candidate,
            role: Some((role, 0xfedc_ba98_7654_3210)),
            nomination,
            network,
        };
        let bytes = request(|w| check.write(w));
        assert_eq!(read(&bytes), Ok(check));
    }
    let nothing = CheckRequest::default();
    let bytes = request(|w| nothing.write(w));
    assert_eq!(bytes.len(), 20);
    assert_eq!(read(&bytes), Ok(nothing));
}

#[test]
fn a_known_attribute_of_a_wrong_size_is_malformed() {
    for (kind, right) in [
        (attribute::PRIORITY, 4),
        (attribute::USE_CANDIDATE, 0),
        (attribute::ICE_CONTROLLED, 8),
        (attribute::ICE_CONTROLLING, 8),
    ] {
        for len in 0..=12 {
            let bytes = request(|w| {
                w.attribute(kind, &vec![0; len]);
            });
            let expected = (len != right).then_some(MalformedAttribute(kind));
            assert_eq!(read(&bytes).err(), expected, "{kind:#x} of {len} bytes");
        }
    }
}

/// 0xC001 is also the number of an attribute of others, and no RFC has assigned NETWORK-INFO.
#[test]
fn a_nomination_or_network_of_a_wrong_size_is_none() {
    for kind in [attribute::NOMINATION, attribute::GOOG_NETWORK_INFO] {
        for len in (0..=12).filter(|len| *len != 4) {
            let bytes = request(|w| {
                w.attribute(kind, &vec![1; len]).u32(attribute::PRIORITY, 5);
            });
            let check = read(&bytes).unwrap();
            assert_eq!((check.nomination, check.network, check.priority), (None, None, Some(5)));
        }
    }
}

/// NETWORK-INFO: 16 bits of number, 16 bits of cost, of which there are 999 at most.
#[test]
fn a_network_is_read_with_a_cost_within_bounds() {
    for (value, id, cost) in
        [(0x0003_0384, 3, 900), (0xffff_ffff, 0xffff, 999), (0x0000_03e8, 0, 999), (0, 0, 0)]
    {
        let bytes = request(|w| {
            w.u32(attribute::GOOG_NETWORK_INFO, value).u32(attribute::GOOG_NETWORK_INFO, 7);
        });
        assert_eq!(read(&bytes).unwrap().network, Some(Network { id, cost }), "{value:#x}");
    }
}

#[test]
fn of_equal_attributes_the_first_counts() {
    let bytes = request(|w| {
        w.username(&[b"a"]).u32(attribute::PRIORITY, 1).u64(attribute::ICE_CONTROLLED, 1);
        w.username(&[b"b"]).u32(attribute::PRIORITY, 2).u64(attribute::ICE_CONTROLLED, 2);
        w.u32(attribute::NOMINATION, 1).u32(attribute::NOMINATION, 2);
    });
    let check = read(&bytes).unwrap();
    assert_eq!(check.username, Some(&b"a"[..]));
    assert_eq!(check.priority, Some(1));
    assert_eq!(check.nomination, Some(1));
    assert_eq!(check.role, Some((Role::Controlled, 1)));
}

#[test]
fn a_check_in_both_roles_is_malformed() {
    let bytes = request(|w| {
        w.u64(attribute::ICE_CONTROLLED, 1).u64(attribute::ICE_CONTROLLING, 1);
    });
    assert_eq!(read(&bytes), Err(MalformedAttribute(attribute::ICE_CONTROLLING)));
}

/// U24
#[test]
fn unknown_and_unexpected_attributes_of_a_check_are_ignored() {
    let bytes = request(|w| {
        w.u32(0xc059, 1).attribute(attribute::ERROR_CODE, &[1]);
        w.u32(attribute::PRIORITY, 9).attribute(0xdead, &[1, 2, 3]);
    });
    assert_eq!(read(&bytes), Ok(CheckRequest { priority: Some(9), ..CheckRequest::default() }));
}

/// rice-proto counted such a response as a success.
#[test]
fn regression_error_response_with_xor_mapped_address_is_no_success() {
    let addr = "192.0.2.1:5".parse().unwrap();
    for class in [Class::Error, Class::Request, Class::Indication] {
        let bytes = message(class, method::BINDING, |w| {
            w.error_code(487, "").xor_address(attribute::XOR_MAPPED_ADDRESS, addr);
        });
        assert_eq!(xor_mapped_address(&scan(&bytes).unwrap()), None);
        assert_eq!(mapped_address(&scan(&bytes).unwrap()), None);
    }
}

/// RFC 8489 §6.3.3
#[test]
fn servers_of_old_answer_with_a_plain_address() {
    let old = [0, 1, 0, 7, 192, 0, 2, 7];
    let bytes = message(Class::Success, method::BINDING, |w| {
        w.attribute(attribute::MAPPED_ADDRESS, &old);
    });
    let response = scan(&bytes).unwrap();
    assert_eq!(mapped_address(&response), Some("192.0.2.7:7".parse().unwrap()));
    assert_eq!(xor_mapped_address(&response), None);

    let bytes = message(Class::Success, method::BINDING, |w| {
        w.attribute(attribute::MAPPED_ADDRESS, &old)
            .xor_address(attribute::XOR_MAPPED_ADDRESS, "[2001:db8::1]:9".parse().unwrap());
    });
    assert_eq!(mapped_address(&scan(&bytes).unwrap()), Some("[2001:db8::1]:9".parse().unwrap()));
}

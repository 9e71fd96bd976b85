//! RFC 8656 §7.2: Allocate.

use core::time::Duration;

use super::super::TurnMethod;
use super::{Scripted, addr, at, config};
use crate::stun::attribute::{
    ADDITIONAL_ADDRESS_FAMILY, ADDRESS_ERROR_CODE, DONT_FRAGMENT, EVEN_PORT, LIFETIME, PRIORITY,
    REQUESTED_ADDRESS_FAMILY, REQUESTED_TRANSPORT, RESERVATION_TOKEN, SOFTWARE, UNKNOWN_ATTRIBUTES,
    XOR_MAPPED_ADDRESS, XOR_RELAYED_ADDRESS,
};
use crate::stun::turn::{Family, UDP, address_error_code};
use crate::stun::{Fingerprint, Writer, method};

const V4: u8 = 1;
const V6: u8 = 2;

#[test]
fn an_allocation_has_a_relayed_address_a_lifetime_and_the_address_of_its_client() {
    let mut client = Scripted::new(config());
    let answer = client.allocate(|_| {});
    assert_eq!(answer.code(), 0);
    assert_eq!(answer.all(XOR_RELAYED_ADDRESS).len(), 1);
    let relayed = answer.relayed();
    assert_eq!(relayed.ip(), addr(super::LISTEN).ip());
    assert!((49152..=65535).contains(&relayed.port()));
    assert_eq!(answer.lifetime(), 600);
    assert_eq!(answer.all(XOR_MAPPED_ADDRESS), [client.from]);
    assert_eq!(answer.find(SOFTWARE), Some(&b"frazil simulator"[..]));
    assert!(client.server.is_open(relayed));
    assert_eq!(client.server.poll_timeout(), Some(at(600)));
}

#[test]
fn a_client_that_sends_fingerprints_gets_them_back() {
    let mut client = Scripted::new(config());
    for with in [false, true] {
        let answer = client.ask(method::BINDING, |w| {
            if with {
                w.fingerprint();
            }
        });
        let expected = if with { Fingerprint::Good } else { Fingerprint::Absent };
        assert_eq!(answer.scan().fingerprint(), expected);
    }
}

/// "If this computed value is greater than the default lifetime, then the server uses the computed
/// lifetime […]. Otherwise, the server uses the default lifetime."
#[test]
fn the_lifetime_is_between_the_default_and_the_maximum() {
    for (wanted, granted) in
        [(0, 600), (1, 600), (600, 600), (601, 601), (3600, 3600), (3601, 3600), (u32::MAX, 3600)]
    {
        let mut client = Scripted::new(config());
        let answer = client.allocate(|w| {
            w.u32(LIFETIME, wanted);
        });
        assert_eq!(answer.lifetime(), granted);
        assert_eq!(client.server.poll_timeout(), Some(at(u64::from(granted))));
    }
}

#[test]
fn a_repeated_request_gets_the_same_allocation() {
    let mut client = Scripted::new(config());
    client.call(method::ALLOCATE, |_| {});
    let request = client.request(method::ALLOCATE, |w| {
        w.first_of_four(REQUESTED_TRANSPORT, UDP);
    });
    let first = client.send(&request).unwrap();
    client.advance(2);
    let second = client.send(&request).unwrap();
    assert_eq!(second.relayed(), first.relayed());
    assert_eq!((first.lifetime(), second.lifetime()), (600, 598));
    assert_eq!(client.server.allocations().count(), 1);
    assert_eq!(client.server.stats().retransmissions(), 1);
    assert_eq!(client.server.stats().successes(TurnMethod::Allocate), 2);
}

#[test]
fn a_second_allocation_on_the_same_5_tuple_is_a_mismatch() {
    let (mut client, relayed) = Scripted::allocated(config());
    let answer = client.allocate(|_| {});
    assert_eq!(answer.code(), 437);
    assert!(client.trusts(&answer));
    client.from = addr("192.0.2.1:5001");
    assert_ne!(client.allocate(|_| {}).relayed(), relayed);
}

#[test]
fn a_transaction_id_of_somebody_else_is_no_repetition() {
    let (mut client, _) = Scripted::allocated(config());
    client.requests -= 1;
    client.login("bob", "another secret");
    let answer = client.ask(method::ALLOCATE, |w| {
        w.first_of_four(REQUESTED_TRANSPORT, UDP);
    });
    assert_eq!(answer.code(), 437);
    assert_eq!(client.server.stats().retransmissions(), 0);
}

#[test]
fn requested_transport_is_needed_and_is_udp() {
    let mut client = Scripted::new(config());
    client.call(method::ALLOCATE, |_| {});
    assert_eq!(client.ask(method::ALLOCATE, |_| {}).code(), 400);
    let malformed = client.ask(method::ALLOCATE, |w| {
        w.attribute(REQUESTED_TRANSPORT, &[17]);
    });
    assert_eq!(malformed.code(), 400);
    // 6 is what RFC 6062 asks for.
    for protocol in [0, 6, 18, 255] {
        let answer = client.ask(method::ALLOCATE, |w| {
            w.first_of_four(REQUESTED_TRANSPORT, protocol);
        });
        assert_eq!(answer.code(), 442);
    }
}

#[test]
fn unknown_attributes_are_listed() {
    let mut client = Scripted::new(config());
    let answer = client.allocate(|w| {
        w.u32(PRIORITY, 1).attribute(0x7ff0, &[]).attribute(0xfff0, &[1]);
    });
    assert_eq!(answer.code(), 420);
    assert_eq!(answer.find(UNKNOWN_ATTRIBUTES), Some(&[0x00, 0x24, 0x7f, 0xf0][..]));
    assert!(client.trusts(&answer));
    assert_eq!(client.server.allocations().count(), 0);
}

#[test]
fn even_port_and_reservation_token_are_not_supported() {
    let even_port = |w: &mut Writer<'_>| {
        w.attribute(EVEN_PORT, &[0x80]);
    };
    let token = |w: &mut Writer<'_>| {
        w.attribute(RESERVATION_TOKEN, &[7; 8]);
    };
    let mut client = Scripted::new(config());
    assert_eq!(client.allocate(even_port).find(UNKNOWN_ATTRIBUTES), Some(&[0x00, 0x18][..]));
    assert_eq!(client.allocate(token).find(UNKNOWN_ATTRIBUTES), Some(&[0x00, 0x22][..]));
}

#[test]
fn what_contradicts_itself_is_a_bad_request() {
    type Write = fn(&mut Writer<'_>);
    let contradictions: [Write; 7] = [
        |w| {
            w.attribute(RESERVATION_TOKEN, &[7; 8]).attribute(EVEN_PORT, &[0]);
        },
        |w| {
            w.attribute(RESERVATION_TOKEN, &[7; 8]).first_of_four(REQUESTED_ADDRESS_FAMILY, V4);
        },
        |w| {
            w.attribute(RESERVATION_TOKEN, &[7; 8]).first_of_four(ADDITIONAL_ADDRESS_FAMILY, V6);
        },
        |w| {
            w.attribute(EVEN_PORT, &[0x80]).first_of_four(ADDITIONAL_ADDRESS_FAMILY, V6);
        },
        |w| {
            w.first_of_four(REQUESTED_ADDRESS_FAMILY, V4)
                .first_of_four(ADDITIONAL_ADDRESS_FAMILY, V6);
        },
        |w| {
            w.first_of_four(ADDITIONAL_ADDRESS_FAMILY, V4);
        },
        |w| {
            w.attribute(REQUESTED_ADDRESS_FAMILY, &[V4]);
        },
    ];
    let mut client = Scripted::new(config());
    for contradiction in contradictions {
        assert_eq!(client.allocate(contradiction).code(), 400);
    }
    let long_lifetime = client.allocate(|w| {
        w.u64(LIFETIME, 600);
    });
    assert_eq!(long_lifetime.code(), 400);
    assert_eq!(client.server.allocations().count(), 0);
}

#[test]
fn a_family_that_is_not_there_is_not_supported() {
    let requested = |family| {
        move |w: &mut Writer<'_>| {
            w.first_of_four(REQUESTED_ADDRESS_FAMILY, family);
        }
    };
    let mut only_v4 = config();
    only_v4.relay_ipv6 = None;
    let mut client = Scripted::new(only_v4);
    assert_eq!(client.allocate(requested(V6)).code(), 440);
    assert_eq!(client.allocate(requested(3)).code(), 440);
    assert!(client.allocate(requested(V4)).relayed().is_ipv4());

    let mut only_v6 = config();
    only_v6.relay_ipv4 = None;
    let mut client = Scripted::new(only_v6);
    assert_eq!(client.allocate(|_| {}).code(), 440, "without the attribute it is IPv4");
    assert_eq!(client.allocate(requested(V4)).code(), 440);
    assert!(client.allocate(requested(V6)).relayed().is_ipv6());
}

fn dual(w: &mut Writer<'_>) {
    w.first_of_four(ADDITIONAL_ADDRESS_FAMILY, V6);
}

#[test]
fn a_dual_allocation_has_an_address_of_each_family() {
    let mut client = Scripted::new(config());
    let answer = client.allocate(dual);
    let relayed = answer.all(XOR_RELAYED_ADDRESS);
    assert_eq!(relayed.len(), 2);
    assert!(relayed[0].is_ipv4() && relayed[1].is_ipv6());
    assert_eq!(answer.find(ADDRESS_ERROR_CODE), None);
}

#[test]
fn half_a_dual_allocation_comes_with_the_reason() {
    let mut without_v6 = config();
    without_v6.relay_ipv6 = None;
    let mut client = Scripted::new(without_v6);
    let request = {
        let challenge = client.ask(method::ALLOCATE, dual);
        client.learn(&challenge);
        client.request(method::ALLOCATE, |w| {
            w.first_of_four(REQUESTED_TRANSPORT, UDP);
            dual(w);
        })
    };
    // The repetition says it again.
    for _ in 0..2 {
        let answer = client.send(&request).unwrap();
        assert_eq!(answer.code(), 0);
        assert!(answer.relayed().is_ipv4());
        let error = address_error_code(answer.find(ADDRESS_ERROR_CODE).unwrap());
        assert_eq!(error, Some((Family::V6, 440)));
    }

    let mut one_port = config();
    one_port.relay_ports = 50_000..=50_000;
    let mut client = Scripted::new(one_port);
    assert!(client.allocate(|_| {}).relayed().is_ipv4());
    client.from = addr("192.0.2.1:5001");
    let answer = client.allocate(dual);
    assert!(answer.relayed().is_ipv6());
    let error = address_error_code(answer.find(ADDRESS_ERROR_CODE).unwrap());
    assert_eq!(error, Some((Family::V4, 508)));
    client.from = addr("192.0.2.1:5002");
    assert_eq!(client.allocate(dual).code(), 508);
}

#[test]
fn dont_fragment_is_unknown_to_a_server_that_cannot_do_it() {
    for (supported, code) in [(true, 0), (false, 420)] {
        let mut config = config();
        config.dont_fragment = supported;
        let mut client = Scripted::new(config);
        let answer = client.allocate(|w| {
            w.flag(DONT_FRAGMENT);
        });
        assert_eq!(answer.code(), code);
        assert_eq!(answer.find(UNKNOWN_ATTRIBUTES).is_some(), !supported);
    }
}

#[test]
fn every_port_is_given_once_and_none_where_the_server_listens() {
    let mut config = config();
    config.relay_ports = 3470..=3479;
    let mut client = Scripted::new(config);
    let mut ports = Vec::new();
    for port in 5000..5009 {
        client.from.set_port(port);
        ports.push(client.allocate(|_| {}).relayed().port());
    }
    let drawn = ports.clone();
    ports.sort_unstable();
    assert_eq!(ports, (3470..=3479).filter(|port| *port != 3478).collect::<Vec<_>>());
    assert_ne!(drawn, ports, "the seed says where to look first");
    client.from.set_port(5009);
    assert_eq!(client.allocate(|_| {}).code(), 508);
}

#[test]
fn quotas_are_by_user_and_capacity_is_for_all() {
    let mut config = config();
    config.limits.allocations_per_user = 2;
    config.limits.allocations = 3;
    let mut client = Scripted::new(config);
    let mut code = |port, username, password| {
        client.from.set_port(port);
        client.login(username, password);
        client.allocate(|_| {}).code()
    };
    assert_eq!(code(5000, "alice", "secret"), 0);
    assert_eq!(code(5001, "alice", "secret"), 0);
    assert_eq!(code(5002, "alice", "secret"), 486);
    assert_eq!(code(5003, "bob", "another secret"), 0);
    assert_eq!(code(5004, "bob", "another secret"), 508);
}

#[test]
fn an_allocation_ends_with_its_lifetime_and_gives_its_port_back() {
    let (mut client, relayed) = Scripted::allocated(config());
    client.server.handle_timeout(at(600) + Duration::ZERO);
    assert!(!client.server.is_open(relayed));
    assert_eq!(client.server.stats().expired(), 1);
    assert_eq!(client.server.poll_timeout(), None);
    client.now = at(600);
    assert_eq!(client.refresh(|_| {}).code(), 437);
    assert_eq!(client.allocate(|_| {}).code(), 0);
}

#[test]
fn whoever_comes_may_allocate_where_nobody_has_credentials() {
    let mut config = config();
    config.users.clear();
    let mut client = Scripted::new(config);
    let answer = client.ask(method::ALLOCATE, |w| {
        w.first_of_four(REQUESTED_TRANSPORT, UDP);
    });
    assert_eq!(answer.code(), 0);
    assert!(!answer.scan().has_integrity() && !answer.scan().has_integrity_sha256());
    assert_eq!(client.server.allocations().next().unwrap().username, None);
}

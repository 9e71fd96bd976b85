//! RFC 8489 §9.2.4: each check of the long-term credential mechanism.

use super::super::{PasswordAlgorithm, TurnMethod, TurnRejected};
use super::{Answer, SHA256, Scripted, Way, addr, config};
use crate::stun::attribute::{
    NONCE, PASSWORD_ALGORITHM, PASSWORD_ALGORITHMS, REALM, REQUESTED_TRANSPORT, USERHASH, USERNAME,
    XOR_MAPPED_ADDRESS,
};
use crate::stun::long_term::SecurityFeatures;
use crate::stun::turn::UDP;
use crate::stun::{Class, Writer, method};

const WAYS: [Way; 3] =
    [Way::Rfc5389, Way::Rfc8489(PasswordAlgorithm::Md5), Way::Rfc8489(PasswordAlgorithm::Sha256)];

/// What every 401 and 438 has, and what it has not.
fn is_challenge(answer: &Answer) {
    assert_eq!(answer.find(REALM), Some(&b"example.org"[..]));
    let nonce = answer.find(NONCE).expect("a nonce");
    let features = SecurityFeatures { password_algorithms: true, username_anonymity: true };
    assert_eq!(SecurityFeatures::read(nonce), Some(features));
    assert_eq!(answer.find(PASSWORD_ALGORITHMS), Some(&[0, 2, 0, 0, 0, 1, 0, 0][..]));
    let scan = answer.scan();
    assert!(!scan.has_integrity() && !scan.has_integrity_sha256());
    assert_eq!((scan.find(USERNAME), scan.find(USERHASH)), (None, None));
}

/// A request of which the test writes every attribute of the mechanism; then it is signed.
fn signed(client: &mut Scripted, write: impl Fn(&Scripted, &mut Writer<'_>)) -> u16 {
    let key = client.key();
    let before = client.clone();
    let bytes = client.bare(Class::Request, method::ALLOCATE, |w| {
        w.first_of_four(REQUESTED_TRANSPORT, UDP);
        write(&before, w);
        w.integrity_sha256(&key.sha256);
    });
    client.send(&bytes).unwrap().code()
}

/// A client that has a nonce and nothing else.
fn challenged() -> Scripted {
    let mut client = Scripted::new(config());
    let answer = client.ask(method::ALLOCATE, |_| {});
    client.learn(&answer);
    client
}

#[test]
fn a_request_without_integrity_is_challenged() {
    let mut client = Scripted::new(config());
    for method in
        [method::ALLOCATE, method::REFRESH, method::CREATE_PERMISSION, method::CHANNEL_BIND]
    {
        let answer = client.ask(method, |_| {});
        assert_eq!(answer.code(), 401);
        is_challenge(&answer);
    }
    assert_eq!(client.server.stats().rejected(TurnRejected::Error(401)), 4);
}

#[test]
fn every_way_to_authenticate_is_answered_in_kind() {
    for way in WAYS {
        for anonymous in [false, true] {
            let mut client = Scripted::new(config());
            (client.way, client.anonymous) = (way, anonymous);
            let answer = client.allocate(|_| {});
            assert_eq!(answer.code(), 0, "{way:?}");
            assert!(client.trusts(&answer), "{way:?}");
            assert_eq!(answer.find(NONCE), None);
            let allocation = client.server.allocations().next().unwrap();
            assert_eq!(allocation.username.as_deref(), Some("alice"));
            // Errors that come after authentication are authentic as well.
            let answer = client.ask(method::CHANNEL_BIND, |_| {});
            assert_eq!(answer.code(), 400);
            assert!(client.trusts(&answer), "{way:?}");
        }
    }
}

/// "using the same password, compute the value for the MESSAGE-INTEGRITY attribute"
#[test]
fn an_algorithm_may_be_named_with_message_integrity_and_is_answered_with_sha256() {
    let mut client = challenged();
    let key = client.key();
    let bytes = client.clone().bare(Class::Request, method::ALLOCATE, |w| {
        w.first_of_four(REQUESTED_TRANSPORT, UDP)
            .username(&[b"alice"])
            .attribute(REALM, &client.realm)
            .attribute(NONCE, &client.nonce)
            .attribute(PASSWORD_ALGORITHMS, &client.algorithms)
            .password_algorithm(PasswordAlgorithm::Sha256)
            .integrity(&key.sha1);
    });
    let answer = client.send(&bytes).unwrap();
    assert_eq!(answer.code(), 0);
    assert!(answer.scan().verify_sha256(&key.sha256));
}

#[test]
fn integrity_without_username_realm_or_nonce_is_a_bad_request_without_a_challenge() {
    let left_out = [USERNAME, REALM, NONCE];
    for missing in left_out {
        let mut client = challenged();
        let key = client.key();
        let bytes = client.clone().bare(Class::Request, method::ALLOCATE, |w| {
            for (kind, value) in
                [(USERNAME, &b"alice"[..]), (REALM, &client.realm), (NONCE, &client.nonce)]
            {
                if kind != missing {
                    w.attribute(kind, value);
                }
            }
            w.integrity_sha256(&key.sha256);
        });
        let answer = client.send(&bytes).unwrap();
        assert_eq!(answer.code(), 400);
        assert_eq!((answer.find(NONCE), answer.find(REALM)), (None, None));
        assert!(!answer.scan().has_integrity_sha256());
    }
}

#[test]
fn the_list_of_algorithms_must_come_back_as_it_was_and_with_one_of_its_entries() {
    type Value = Option<&'static [u8]>;
    const LIST: [u8; 8] = [0, 2, 0, 0, 0, 1, 0, 0];
    let cases: [(Value, Value, u16); 7] = [
        (Some(&LIST), Some(&[0, 2, 0, 0]), 0),
        (None, Some(&[0, 2, 0, 0]), 400),
        (Some(&LIST), None, 400),
        (Some(&[0, 1, 0, 0]), Some(&[0, 1, 0, 0]), 400),
        (Some(&[0, 1, 0, 0, 0, 2, 0, 0]), Some(&[0, 2, 0, 0]), 400),
        (Some(&LIST), Some(&[0, 3, 0, 0]), 400),
        (Some(&LIST), Some(&[0, 2, 0, 4, 1, 2, 3, 4]), 400),
    ];
    for (list, chosen, code) in cases {
        let mut client = challenged();
        let got = signed(&mut client, |client, w| {
            w.username(&[b"alice"]).attribute(REALM, &client.realm).attribute(NONCE, &client.nonce);
            if let Some(list) = list {
                w.attribute(PASSWORD_ALGORITHMS, list);
            }
            if let Some(chosen) = chosen {
                w.attribute(PASSWORD_ALGORITHM, chosen);
            }
        });
        assert_eq!(got, code, "{list:?} {chosen:?}");
    }
}

/// §9.2.1: whoever strips the feature from the nonce has a nonce that the server never gave.
#[test]
fn a_nonce_whose_features_were_changed_is_stale() {
    let mut client = challenged();
    client.way = Way::Rfc5389;
    client.nonce[9] = b'A';
    assert_eq!(client.ask(method::ALLOCATE, |_| {}).code(), 438);
}

#[test]
fn an_unknown_user_a_wrong_password_and_another_realm_are_challenged_again() {
    for way in WAYS {
        for (username, password) in [("carol", "secret"), ("alice", "Secret")] {
            let mut client = Scripted::new(config());
            client.way = way;
            client.login(username, password);
            let answer = client.allocate(|_| {});
            assert_eq!(answer.code(), 401, "{way:?}");
            is_challenge(&answer);
        }
        let mut client = challenged();
        client.way = way;
        client.realm = b"example.com".to_vec();
        assert_eq!(client.ask(method::ALLOCATE, |_| {}).code(), 401);
    }
    let mut client = challenged();
    client.anonymous = true;
    client.login("carol", "secret");
    assert_eq!(client.ask(method::ALLOCATE, |_| {}).code(), 401);
}

#[test]
fn every_bit_of_a_request_is_covered() {
    let mut client = challenged();
    let request = client.request(method::ALLOCATE, |w| {
        w.first_of_four(REQUESTED_TRANSPORT, UDP);
    });
    for at in 20..request.len() {
        let mut changed = request.clone();
        changed[at] ^= 1;
        let answer = client.send(&changed);
        assert!(answer.is_none_or(|answer| answer.code() >= 400), "byte {at}");
    }
    assert_eq!(client.server.allocations().count(), 0);
    assert_eq!(client.send(&request).unwrap().code(), 0);
}

#[test]
fn a_nonce_expires_and_the_new_one_is_good_for_as_long() {
    let (mut client, _) = Scripted::allocated(config());
    client.server.behaviour_mut().nonce_lifetime = core::time::Duration::from_secs(100);
    client.advance(99);
    assert_eq!(client.ask(method::REFRESH, |_| {}).code(), 0);
    client.advance(1);
    let answer = client.ask(method::REFRESH, |_| {});
    assert_eq!(answer.code(), 438);
    is_challenge(&answer);
    client.learn(&answer);
    client.advance(99);
    assert_eq!(client.ask(method::REFRESH, |_| {}).code(), 0);
    client.advance(1);
    assert_eq!(client.ask(method::REFRESH, |_| {}).code(), 438);
}

#[test]
fn nonces_can_be_expired_all_at_once() {
    let (mut client, _) = Scripted::allocated(config());
    client.server.expire_nonces();
    assert_eq!(client.ask(method::REFRESH, |_| {}).code(), 438);
    assert_eq!(client.refresh(|_| {}).code(), 0);
}

/// "The server MUST NOT choose the same NONCE for two requests unless they have the same source IP
/// address and port."
#[test]
fn a_nonce_is_for_one_source_address() {
    let mut client = challenged();
    let first = client.nonce.clone();
    client.from = addr("192.0.2.1:5001");
    let answer = client.ask(method::ALLOCATE, |w| {
        w.first_of_four(REQUESTED_TRANSPORT, UDP);
    });
    assert_eq!(answer.code(), 438);
    assert_ne!(answer.find(NONCE), Some(&first[..]));
}

#[test]
fn a_made_up_nonce_is_stale() {
    let mut client = challenged();
    for nonce in [&b"obMatJos2wAAA"[..], b"x", b"obMatJos2wAAA0000000000000000", &[0xff; 61]] {
        client.nonce = nonce.to_vec();
        client.way = if nonce.len() > 60 || nonce == b"x" { Way::Rfc5389 } else { SHA256 };
        assert_eq!(client.ask(method::ALLOCATE, |_| {}).code(), 438, "{nonce:?}");
    }
}

#[test]
fn a_server_without_algorithms_is_one_of_rfc_5389() {
    let mut config = config();
    config.password_algorithms.clear();
    config.username_anonymity = false;
    let mut client = Scripted::new(config);
    client.way = Way::Rfc5389;
    let challenge = client.ask(method::ALLOCATE, |_| {});
    assert_eq!(challenge.find(PASSWORD_ALGORITHMS), None);
    assert!(challenge.find(NONCE).unwrap().starts_with(b"obMatJos2AAAA"));
    let answer = client.allocate(|_| {});
    assert_eq!(answer.code(), 0);
    assert!(client.trusts(&answer));
    // USERHASH is not taken: there is no username in such a request.
    client.anonymous = true;
    assert_eq!(client.ask(method::REFRESH, |_| {}).code(), 400);
}

#[test]
fn usernames_realms_and_passwords_are_compared_as_opaque_strings() {
    let mut config = config().with_user("Zoe\u{308}", "pass\u{3000}word");
    config.realm = "\"example.org\"\0".to_owned();
    let mut client = Scripted::new(config);
    client.login("Zo\u{eb}", "pass word");
    assert_eq!(client.allocate(|_| {}).code(), 0);
}

#[test]
fn binding_needs_credentials_only_where_it_is_asked_to() {
    let mut client = Scripted::new(config());
    let answer = client.ask(method::BINDING, |_| {});
    assert_eq!(answer.all(XOR_MAPPED_ADDRESS), [client.from]);
    assert!(!answer.scan().has_integrity_sha256());

    let mut config = config();
    config.authenticate_binding = true;
    let mut client = Scripted::new(config);
    assert_eq!(client.ask(method::BINDING, |_| {}).code(), 401);
    let answer = client.call(method::BINDING, |_| {});
    assert_eq!(answer.all(XOR_MAPPED_ADDRESS), [client.from]);
    assert!(client.trusts(&answer));
    assert_eq!(client.server.stats().successes(TurnMethod::Binding), 1);
}

#[test]
fn attributes_behind_the_integrity_attribute_are_not_seen() {
    let mut client = challenged();
    let mut request = client.request(method::ALLOCATE, |_| {});
    // REQUESTED-TRANSPORT, appended by somebody on the way.
    request.extend([0x00, 0x19, 0, 4, 17, 0, 0, 0]);
    let len = u16::try_from(request.len() - 20).unwrap();
    request[2..4].copy_from_slice(&len.to_be_bytes());
    assert_eq!(client.send(&request).unwrap().code(), 400);
    assert_eq!(client.server.allocations().count(), 0);
}

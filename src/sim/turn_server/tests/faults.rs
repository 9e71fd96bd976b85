//! What can be made to go wrong goes wrong in just that way.

use core::time::Duration;

use super::super::super::link::Probability;
use super::super::{TurnMethod, TurnRefusal, TurnRejected, TurnRoute, TurnTamper};
use super::{Answer, Scripted, addr, at, config};
use crate::stun::attribute::{
    ALTERNATE_DOMAIN, ALTERNATE_SERVER, NONCE, REALM, XOR_MAPPED_ADDRESS, address,
};
use crate::stun::{method, scan};

#[test]
fn the_next_requests_of_a_method_are_answered_with_an_error() {
    for code in [300, 400, 403, 437, 440, 441, 442, 443, 486, 500, 508, 699] {
        let (mut client, _) = Scripted::allocated(config());
        client.server.refuse(TurnMethod::Refresh, TurnRefusal::new(code), 2);
        for _ in 0..2 {
            let answer = client.ask(method::REFRESH, |_| {});
            assert_eq!(answer.code(), code);
            assert!(client.trusts(&answer));
        }
        assert_eq!(client.permit(super::PEER).code(), 0, "other methods work");
        assert_eq!(client.ask(method::REFRESH, |_| {}).code(), 0);
        assert_eq!(client.server.stats().rejected(TurnRejected::Error(code)), 2);
    }
}

#[test]
fn a_refusal_can_be_taken_back_and_replaced() {
    let (mut client, _) = Scripted::allocated(config());
    client.server.refuse(TurnMethod::Refresh, TurnRefusal::new(403), 9);
    client.server.refuse(TurnMethod::Refresh, TurnRefusal::new(500), 9);
    assert_eq!(client.ask(method::REFRESH, |_| {}).code(), 500);
    client.server.refuse(TurnMethod::Refresh, TurnRefusal::new(500), 0);
    assert_eq!(client.ask(method::REFRESH, |_| {}).code(), 0);
}

#[test]
fn a_refusal_waits_for_somebody_who_has_proved_who_it_is() {
    let mut client = Scripted::new(config());
    client.server.refuse(TurnMethod::Allocate, TurnRefusal::new(486), 1);
    assert_eq!(client.ask(method::ALLOCATE, |_| {}).code(), 401);
    assert_eq!(client.allocate(|_| {}).code(), 486);
    assert_eq!(client.allocate(|_| {}).code(), 0);
}

#[test]
fn challenges_that_are_asked_for_carry_a_nonce_that_works() {
    for code in [401, 438] {
        let (mut client, _) = Scripted::allocated(config());
        client.server.refuse(TurnMethod::Refresh, TurnRefusal::new(code), 1);
        let answer = client.ask(method::REFRESH, |_| {});
        assert_eq!(answer.code(), code);
        assert!(answer.find(NONCE).is_some() && answer.find(REALM).is_some());
        assert!(!answer.scan().has_integrity_sha256());
        client.learn(&answer);
        assert_eq!(client.ask(method::REFRESH, |_| {}).code(), 0);
    }
}

#[test]
fn another_server_is_named_for_both_families_and_with_its_domain() {
    let (v4, v6) = (addr("198.51.100.2:3478"), addr("[2001:db8::2]:3478"));
    let refusal =
        TurnRefusal::try_alternate(v4).with_other_family(v6).with_domain("two.example.org");
    let servers = |answer: &Answer| -> Vec<_> {
        let attributes = answer.scan().attributes().filter(|(kind, _)| *kind == ALTERNATE_SERVER);
        attributes.map(|(_, value)| address(value).unwrap()).collect()
    };

    let mut client = Scripted::new(config());
    client.server.refuse(TurnMethod::Allocate, refusal.clone().unauthenticated(), 1);
    let answer = client.ask(method::ALLOCATE, |_| {});
    assert_eq!((answer.code(), servers(&answer)), (300, vec![v4, v6]));
    assert!(!answer.scan().has_integrity_sha256());

    let (mut client, _) = Scripted::allocated(config());
    client.server.refuse(TurnMethod::Refresh, refusal, 1);
    let answer = client.ask(method::REFRESH, |_| {});
    assert_eq!((answer.code(), servers(&answer)), (300, vec![v4, v6]));
    assert_eq!(answer.find(ALTERNATE_DOMAIN), Some(&b"two.example.org"[..]));
    assert!(client.trusts(&answer));
}

#[test]
fn an_answer_is_held_back_and_what_is_relayed_is_not() {
    let (mut client, relayed) = Scripted::allocated(config());
    client.permit(super::PEER);
    client.server.behaviour_mut().response_delay = Duration::from_secs(3);
    let request = client.request(method::REFRESH, |_| {});
    assert!(client.send(&request).is_none());
    assert_eq!(client.server.poll_timeout(), Some(at(3)));
    client.server.handle_datagram(at(1), relayed, addr(super::PEER), b"hello");
    assert!(client.drain().is_some());
    client.server.handle_timeout(at(2));
    assert!(client.drain().is_none());
    client.server.handle_timeout(at(3));
    assert_eq!(client.server.poll_timeout(), Some(at(600)), "what is due is no deadline");
    assert_eq!(client.drain().unwrap().code(), 0);
}

#[test]
fn a_silent_server_answers_nothing_and_relays() {
    let (mut client, relayed) = Scripted::allocated(config());
    client.permit(super::PEER);
    client.server.behaviour_mut().silent = true;
    for method in [method::BINDING, method::REFRESH] {
        let request = client.request(method, |_| {});
        assert!(client.send(&request).is_none());
    }
    assert_eq!(client.server.stats().rejected(TurnRejected::Silent), 2);
    client.server.handle_datagram(client.now, relayed, addr(super::PEER), b"hello");
    assert!(client.drain().is_some());
    client.server.behaviour_mut().silent = false;
    assert_eq!(client.refresh(|_| {}).code(), 0);
}

#[test]
fn a_share_of_the_requests_is_lost() {
    let mut client = Scripted::new(config());
    client.server.behaviour_mut().request_loss = Probability::percent(25);
    let answered = (0..1000).filter(|_| {
        let request = client.request(method::BINDING, |_| {});
        client.send(&request).is_some()
    });
    let answered = u64::try_from(answered.count()).unwrap();
    assert!((700..800).contains(&answered), "{answered}");
    assert_eq!(client.server.stats().rejected(TurnRejected::Lost), 1000 - answered);
    assert_eq!(client.server.stats().successes(TurnMethod::Binding), answered);
}

#[test]
fn a_server_that_crashed_knows_nobody() {
    let (mut client, relayed) = Scripted::allocated(config());
    client.permit(super::PEER);
    client.server.open_connection(client.now, 1, addr(super::LISTEN), client.from).unwrap();
    client.server.behaviour_mut().response_delay = Duration::from_secs(1);
    let request = client.request(method::REFRESH, |_| {});
    assert!(client.send(&request).is_none());
    client.server.crash();
    assert!(!client.server.is_open(relayed));
    assert_eq!(client.server.poll_timeout(), None);
    assert_eq!((client.server.poll_closed(), client.server.poll_closed()), (Some(1), None));
    client.server.behaviour_mut().response_delay = Duration::ZERO;
    assert_eq!(client.ask(method::REFRESH, |_| {}).code(), 438, "the nonce is of another life");
    assert_eq!(client.refresh(|_| {}).code(), 437);
    assert_eq!(client.allocate(|_| {}).code(), 0);
}

#[test]
fn the_lifetime_that_is_told_may_be_a_lie() {
    for told in [0, 1, u32::MAX] {
        let mut client = Scripted::new(config());
        client.server.behaviour_mut().told_lifetime = Some(told);
        assert_eq!(client.allocate(|_| {}).lifetime(), told);
        assert_eq!(client.refresh(|_| {}).lifetime(), told);
        assert_eq!(client.server.poll_timeout(), Some(at(600)));
    }
}

#[test]
fn lifetimes_may_be_as_short_and_as_long_as_one_likes() {
    let mut client = Scripted::new(config());
    client.server.behaviour_mut().max_lifetime = Duration::from_secs(10);
    assert_eq!(client.allocate(|_| {}).lifetime(), 10);
    client.server.behaviour_mut().max_lifetime = Duration::ZERO;
    assert_eq!(client.refresh(|_| {}).lifetime(), 0);
    client.server.handle_timeout(client.now);
    assert_eq!(client.server.allocations().count(), 0);
    assert_eq!(client.server.poll_timeout(), None);

    client.server.behaviour_mut().max_lifetime = Duration::MAX;
    client.server.behaviour_mut().default_lifetime = Duration::MAX;
    assert_eq!(client.allocate(|_| {}).lifetime(), u32::MAX);
    assert_eq!(client.server.poll_timeout(), None, "the end of time is no deadline");
    client.advance(1_000_000);
    assert_eq!(client.refresh(|_| {}).code(), 0);
}

#[test]
fn an_answer_may_come_from_another_address() {
    let mut client = Scripted::new(config());
    let other = addr("198.51.100.66:3478");
    client.server.behaviour_mut().answer_from = Some(other);
    let request = client.request(method::BINDING, |_| {});
    client.server.handle_datagram(client.now, addr(super::LISTEN), client.from, &request);
    let (route, _) = client.server.poll_transmit().unwrap();
    let remote = client.from;
    assert_eq!(route, TurnRoute::Datagram { local: other, remote, dont_fragment: false });
}

/// An answer to a refresh, of a server that does this to its answers.
fn tampered(client: &mut Scripted, tamper: TurnTamper) -> Vec<u8> {
    client.server.behaviour_mut().tamper = Some(tamper);
    let request = client.request(method::REFRESH, |_| {});
    let Answer(bytes) = client.send(&request).unwrap();
    bytes
}

#[test]
fn an_answer_may_be_truncated_forged_or_noise() {
    let (mut client, _) = Scripted::allocated(config());
    let whole = client.ask(method::REFRESH, |_| {});
    assert!(client.trusts(&whole));

    for len in [0, 1, 19, 20, 40] {
        let bytes = tampered(&mut client, TurnTamper::Truncate(len));
        assert_eq!(bytes.len(), len);
        assert!(scan(&bytes).is_err());
    }
    let foreign = Answer(tampered(&mut client, TurnTamper::ForeignKey));
    assert!(foreign.scan().has_integrity_sha256() && !client.trusts(&foreign));
    let bare = Answer(tampered(&mut client, TurnTamper::NoIntegrity));
    assert!(bare.code() == 0 && !bare.scan().has_integrity_sha256());
    let other = Answer(tampered(&mut client, TurnTamper::OtherTransaction));
    assert!(client.trusts(&other));
    assert!(!other.scan().transaction_id().as_bytes().starts_with(b"test"));
    let noise = tampered(&mut client, TurnTamper::Noise);
    assert_eq!(noise.len(), whole.0.len());
    assert!(scan(&noise).is_err());
}

#[test]
fn answers_without_integrity_can_be_tampered_with_as_well() {
    let mut client = Scripted::new(config());
    for tamper in [TurnTamper::ForeignKey, TurnTamper::NoIntegrity] {
        client.server.behaviour_mut().tamper = Some(tamper);
        let answer = client.ask(method::BINDING, |_| {});
        assert_eq!(answer.all(XOR_MAPPED_ADDRESS), [client.from]);
    }
    client.server.behaviour_mut().tamper = Some(TurnTamper::OtherTransaction);
    let answer = client.ask(method::BINDING, |_| {});
    assert!(!answer.scan().transaction_id().as_bytes().starts_with(b"test"));
}

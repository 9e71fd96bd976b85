//! Policies in a log.

use std::sync::Arc;

use crate::candidate::CandidateKind;
use crate::config::MdnsMode;
use crate::policy::{
    AcceptanceWaits, AddressRewriteRule, AddressRewriteRules, AddressUse, IpPrefix, LocalFilter,
    NetworkType, Policies, RemoteFilter, RewriteMode, Selection, TransportPolicy,
};
use crate::uri::ServerTransport;

use super::wire::{Malformed, Put, Reader, Sink, Take, fields, variants};

fields! { Policies from Self::default() => {
    1 transport,
    2 kinds,
    3 networks,
    4 turn_transports,
    5 local,
    6 remote,
    7 rewrite,
    8 hide_related,
    9 acceptance,
} }

fields! { LocalFilter from Self::default() => {
    1 allow_interfaces,
    2 deny_interfaces,
    3 allow,
    4 deny,
} }

fields! { RemoteFilter from Self::default() => { 1 allow, 2 deny, 3 private_from_private, } }

fields! { AcceptanceWaits from Self::default() => {
    1 host,
    2 server_reflexive,
    3 peer_reflexive,
    4 relayed,
} }

fields! { AddressRewriteRule from Self::new(CandidateKind::Host, Vec::new()) => {
    1 external,
    2 local,
    3 interface,
    4 prefix,
    5 kind,
    6 mode,
    7 networks,
} }

variants! { TransportPolicy => { 0 All, 1 NoHost, 2 Relay, } }
variants! { NetworkType => { 0 Udp4, 1 Udp6, 2 Tcp4, 3 Tcp6, } }
variants! { ServerTransport => { 0 Udp, 1 Dtls, 2 Tcp, 3 Tls, } }
variants! { RewriteMode => { 0 Replace, 1 Append, } }
variants! { AddressUse => { 0 None, 1 Streams, 2 Servers, 3 Host, } }
variants! { MdnsMode => { 0 Off, 1 Query, 2 QueryAndGather, } }

impl Put for Arc<Policies> {
    fn put(&self, out: &mut impl Sink) {
        Policies::put(self, out);
    }
}

impl Take for Arc<Policies> {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Policies::take(from).map(Self::new)
    }
}

impl<T: Put + Ord> Put for Selection<T> {
    fn put(&self, out: &mut impl Sink) {
        self.items().put_all(out);
    }
}

impl<T: Take + Ord> Take for Selection<T> {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(<Vec<T> as Take>::take(from)?.into_iter().collect())
    }
}

impl Put for IpPrefix {
    fn put(&self, out: &mut impl Sink) {
        self.to_string().put(out);
    }
}

impl Take for IpPrefix {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        String::take(from)?.parse().map_err(|_| Malformed::Value)
    }
}

impl Put for AddressRewriteRules {
    fn put(&self, out: &mut impl Sink) {
        self.rules().put_all(out);
    }
}

impl Take for AddressRewriteRules {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::new(Take::take(from)?).map_err(|_| Malformed::Value)
    }
}

/// A slice is written as a vector is.
trait PutAll {
    fn put_all(&self, out: &mut impl Sink);
}

impl<T: Put> PutAll for [T] {
    fn put_all(&self, out: &mut impl Sink) {
        self.len().put(out);
        for item in self {
            item.put(out);
        }
    }
}

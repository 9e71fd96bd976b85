//! Priorities of candidates and pairs (RFC 8445 §5.1.2, §6.1.2.3), the local preferences of
//! multihomed and dual-stack hosts (RFC 8421) and of TCP (RFC 6544 §4.2). Pure functions.

use super::{CandidateKind, CandidateTransport, TcpType};

/// RFC 8445 §5.1.2.2: the recommended type preferences. Those of TCP are lower, so that every
/// UDP path with the same number of relays comes first (RFC 6544 §4.2).
pub(crate) const fn type_preference(kind: CandidateKind, transport: CandidateTransport) -> u8 {
    match (kind, transport) {
        (CandidateKind::Host, CandidateTransport::Udp) => 126,
        (CandidateKind::PeerReflexive, CandidateTransport::Udp) => 110,
        (CandidateKind::ServerReflexive, CandidateTransport::Udp) => 100,
        (CandidateKind::Host, CandidateTransport::Tcp(_)) => 90,
        (CandidateKind::PeerReflexive, CandidateTransport::Tcp(_)) => 80,
        (CandidateKind::ServerReflexive, CandidateTransport::Tcp(_)) => 70,
        (CandidateKind::Relayed, _) => 0,
    }
}

/// RFC 8445 §5.1.2.1: the recommended formula. Its one value that would be no priority, 0, is
/// given as 1.
pub(crate) fn candidate_priority(
    type_preference: u8,
    local_preference: u16,
    component: u16,
) -> u32 {
    let [high, low] = local_preference.to_be_bytes();
    let component = u8::try_from(256u16.saturating_sub(component)).unwrap_or(u8::MAX);
    u32::from_be_bytes([type_preference.min(126), high, low, component]).max(1)
}

/// The local preference of a candidate that is obtained for another one, as a NAT shows it: its place
/// among others is that of its base, but over TCP the directions rank anew (RFC 6544 §4.2).
pub(crate) fn obtained_preference(
    kind: CandidateKind,
    transport: CandidateTransport,
    base: u16,
) -> u16 {
    match transport {
        CandidateTransport::Udp => base,
        CandidateTransport::Tcp(direction) => {
            tcp_local_preference(kind, direction, base & TCP_SINGLE_PREFERENCE)
        }
    }
}

/// RFC 8445 §7.1.1: the PRIORITY of a check, which is what a peer-reflexive candidate learned
/// from that check will have. For a relayed candidate as well.
pub(crate) fn peer_reflexive_priority(
    local_preference: u16,
    component: u16,
    transport: CandidateTransport,
) -> u32 {
    let kind = CandidateKind::PeerReflexive;
    let preference = obtained_preference(kind, transport, local_preference);
    candidate_priority(type_preference(kind, transport), preference, component)
}

/// The local preference within a priority of the recommended formula.
#[cfg_attr(not(test), expect(dead_code, reason = "the tests take priorities apart by it"))]
pub(crate) const fn local_preference_of(priority: u32) -> u16 {
    let [_, high, low, _] = priority.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// RFC 8445 §6.1.2.3: `2^32*MIN(G,D) + 2*MAX(G,D) + (G>D?1:0)`, with the priority of the
/// controlling agent's candidate as G. It only saturates on candidate priorities above 2^31 - 1,
/// which are none.
pub(crate) fn pair_priority(controlling: u32, controlled: u32) -> u64 {
    let low = u64::from(controlling.min(controlled));
    let high = u64::from(controlling.max(controlled));
    (low << 32).saturating_add(high << 1).saturating_add(u64::from(controlling > controlled))
}

/// The only other-pref of a TCP candidate that has no rival (RFC 6544 §4.2).
pub(crate) const TCP_SINGLE_PREFERENCE: u16 = 8191;

/// RFC 6544 §4.2: `2^13 * direction-pref + other-pref`. A larger `other` counts as 8191.
///
/// Through a NAT a simultaneous open has the best chance; without one it has the worst.
pub(crate) fn tcp_local_preference(kind: CandidateKind, direction: TcpType, other: u16) -> u16 {
    let reflexive = matches!(kind, CandidateKind::ServerReflexive | CandidateKind::PeerReflexive);
    let direction_preference: u16 = match (direction, reflexive) {
        (TcpType::Active, false) | (TcpType::SimultaneousOpen, true) => 6,
        (TcpType::Passive, false) | (TcpType::Active, true) => 4,
        (TcpType::SimultaneousOpen, false) | (TcpType::Passive, true) => 2,
    };
    (direction_preference << 13) | other.min(TCP_SINGLE_PREFERENCE)
}

/// What ranks the address of a host candidate among the others of its component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostAddress {
    pub(crate) ipv6: bool,
    /// What using its interface costs. Addresses that cost more come after all that cost less,
    /// and are not intermingled with them (RFC 8421 §3).
    pub(crate) cost: u16,
}

/// RFC 8421 §4: a local preference for each of the addresses, in their order. The best gets
/// `next`, the others what follows below it; all are distinct, as long as `next` is not less than
/// the number of addresses.
///
/// Within one cost IPv6 starts, and an IPv4 address follows after every Hi of IPv6. What is equal
/// ranks as it was added.
pub(crate) fn local_preferences(addresses: &[HostAddress], next: u16) -> Vec<u16> {
    let mut by_cost: Vec<(usize, HostAddress)> = addresses.iter().copied().enumerate().collect();
    by_cost.sort_by_key(|(_, address)| address.cost);

    let mut preferences = vec![0; addresses.len()];
    let mut preference = next;
    for equal_cost in by_cost.chunk_by(|(_, a), (_, b)| a.cost == b.cost) {
        for index in intermingle(equal_cost) {
            if let Some(slot) = preferences.get_mut(index) {
                *slot = preference;
            }
            preference = preference.saturating_sub(1);
        }
    }
    preferences
}

/// The indices of addresses of one cost, best first: blocks of Hi IPv6 addresses, each with an
/// IPv4 address behind it.
fn intermingle(addresses: &[(usize, HostAddress)]) -> impl Iterator<Item = usize> + use<> {
    let ipv4 = addresses.iter().filter(|(_, address)| !address.ipv6).count();
    // Hi = (N4 + N6) / N4. Without IPv4 there is one block, without end.
    let head_start = addresses.len().checked_div(ipv4).unwrap_or(usize::MAX);

    let (mut ipv6_seen, mut ipv4_seen) = (0usize, 0usize);
    let mut ranked: Vec<(usize, bool, usize)> = addresses
        .iter()
        .map(|&(index, address)| {
            let (seen, block) = if address.ipv6 {
                let block = ipv6_seen.checked_div(head_start).unwrap_or_default();
                (&mut ipv6_seen, block)
            } else {
                let block = ipv4_seen;
                (&mut ipv4_seen, block)
            };
            *seen = seen.saturating_add(1);
            (block, !address.ipv6, index)
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, _, index)| index)
}

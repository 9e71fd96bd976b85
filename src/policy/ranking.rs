//! Local preferences of what servers give (RFC 8445 §5.1.2.1).

use crate::uri::ServerTransport;

/// What ranks a server-reflexive or relayed candidate among those of its kind and component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Obtained {
    /// How the server is reached.
    pub(crate) transport: ServerTransport,
    /// The rank of the local address among the host candidates of the component, from 0.
    pub(crate) local: u16,
    /// The place of the server in the order in which servers were added, from 0.
    pub(crate) server: u16,
    /// The second address of an allocation that has one of each family (RFC 8656 §7.2).
    pub(crate) additional: bool,
}

/// RFC 8445 §5.1.2.1: a local preference that no candidate of the same kind and component has.
/// `taken` is what those have.
///
/// UDP comes before DTLS, TCP and TLS; then the order of local addresses, of servers, and of the
/// addresses of one allocation. A first candidate over UDP has 65535. None of that needs to know
/// what other servers will answer, so a preference that was signalled never has to change. What has
/// no place left of its own, behind 64 servers or 64 addresses, takes the next free one.
pub(crate) fn obtained_preference(obtained: Obtained, taken: &[u16]) -> u16 {
    let transport: u16 = match obtained.transport {
        ServerTransport::Udp => 0,
        ServerTransport::Dtls => 1,
        ServerTransport::Tcp => 2,
        ServerTransport::Tls => 3,
    };
    // Two bits, six bits, six bits; two bits for the addresses of one allocation.
    let rank = transport << 14
        | obtained.local.min(63) << 8
        | obtained.server.min(63) << 2
        | u16::from(obtained.additional);
    let wish = !rank;
    let below = (0..=wish).rev();
    let above = wish..=u16::MAX;
    below.chain(above).find(|preference| !taken.contains(preference)).unwrap_or_default()
}

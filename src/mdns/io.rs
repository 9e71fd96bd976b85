//! What goes in and comes out: arrivals, transmits, events, and what is counted.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::ops::Range;

/// A link on which multicast reaches others: the number that the caller gives to a network
/// interface, such as its index. A caller that does not tell interfaces apart gives them one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MdnsLink(pub u32);

/// A query, from [`Mdns::query`](super::Mdns::query) to its one event. Ids are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MdnsQueryId(pub(super) u32);

impl MdnsQueryId {
    /// The number behind the id.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// How a datagram came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MdnsArrival {
    /// The interface that received it.
    pub link: MdnsLink,
    /// The address that it was sent to. One that is no group, such as the address of the socket
    /// when the system does not say, counts as unicast.
    pub local: SocketAddr,
    /// Where it came from.
    pub remote: SocketAddr,
    /// The source address lies in a prefix of the interface. RFC 6762 §11 asks for this check of
    /// what was sent to a unicast address, and only the caller knows the prefixes. What was sent
    /// to the group has come from the link in any case.
    pub on_link: bool,
}

impl MdnsArrival {
    /// A datagram whose source was not compared with the prefixes of the interface.
    #[must_use]
    pub const fn new(link: MdnsLink, local: SocketAddr, remote: SocketAddr) -> Self {
        Self { link, local, remote, on_link: false }
    }

    /// The same with a source that is in a prefix of the interface.
    #[must_use]
    pub const fn on_link(mut self) -> Self {
        self.on_link = true;
        self
    }
}

/// What a message is, which decides on the socket that sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MdnsMessage {
    /// A question. A socket on port 5353 that nobody else on the machine shares is the right one
    /// (RFC 6762 §5.2). Where a responder of the system has that port as well, unicast answers may
    /// go to it (§15.1): then a socket on a port of its own.
    Query,
    /// A response. It leaves from port 5353, or nobody reads it (RFC 6762 §6).
    Response,
}

/// A datagram to send, with an IP TTL of 255 (RFC 6762 §11).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MdnsTransmit {
    /// 224.0.0.251:5353, `[ff02::fb]:5353` or the host that has asked.
    pub to: SocketAddr,
    /// The interface, or each that there is.
    pub link: Option<MdnsLink>,
    /// What it is.
    pub message: MdnsMessage,
    /// Where it stands in the buffer.
    pub range: Range<usize>,
}

/// What became of a query. Each query that is not cancelled has one event.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MdnsEvent {
    /// The name stands for this address. It is a secret of the one who published it: it belongs
    /// into no statistics and no log (draft §3.3.1), and `Debug` leaves it out.
    Resolved {
        /// The query.
        query: super::MdnsQueryId,
        /// The address.
        addr: IpAddr,
        /// Where the answer came from. A link-local address is one of this link.
        link: MdnsLink,
    },
    /// The name stands for no address that could be used.
    Failed {
        /// The query.
        query: super::MdnsQueryId,
        /// Why.
        reason: MdnsQueryFailure,
    },
}

impl fmt::Debug for MdnsEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolved { query, addr: _, link } => f
                .debug_struct("Resolved")
                .field("query", query)
                .field("link", link)
                .finish_non_exhaustive(),
            Self::Failed { query, reason } => {
                f.debug_struct("Failed").field("query", query).field("reason", reason).finish()
            }
        }
    }
}

/// Why a query has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MdnsQueryFailure {
    /// Nobody has answered in time.
    TimedOut,
    /// Whoever answered gave several addresses (draft §3.2.2).
    SeveralAddresses,
}

/// An address that `Debug` does not show.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Hidden(pub(super) IpAddr);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hidden")
    }
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MdnsReceived {
    /// It has asked for names that are published: the answers wait to be polled, or do so already.
    Answered,
    /// It has answered queries.
    Resolved,
    /// Nothing.
    Ignored(MdnsIgnored),
}

/// Why a datagram was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MdnsIgnored {
    /// Longer than 9000 bytes (RFC 6762 §17).
    TooLarge,
    /// No DNS message, or one of more than 256 questions and records.
    Malformed,
    /// An operation or an error that multicast DNS does not have (RFC 6762 §18.3, §18.11).
    Unsupported,
    /// A source that no host has, or a response from another port than 5353 (RFC 6762 §6).
    Source,
    /// Sent to a unicast address from beyond the link (RFC 6762 §11).
    OffLink,
    /// It asks for nothing that is published there, and answers nothing that is asked for.
    Irrelevant,
    /// The querier knows the answer (RFC 6762 §7.1).
    KnownAnswer,
    /// Several addresses for one name (draft §3.2.2).
    SeveralAddresses,
    /// An address that no other host has.
    UnusableAddress,
    /// `limits.answer_rate` is exhausted, or too much is asked in one message.
    RateLimited,
    /// `limits.answers` wait to be polled.
    QueueFull,
}

const IGNORED: [MdnsIgnored; 11] = [
    MdnsIgnored::TooLarge,
    MdnsIgnored::Malformed,
    MdnsIgnored::Unsupported,
    MdnsIgnored::Source,
    MdnsIgnored::OffLink,
    MdnsIgnored::Irrelevant,
    MdnsIgnored::KnownAnswer,
    MdnsIgnored::SeveralAddresses,
    MdnsIgnored::UnusableAddress,
    MdnsIgnored::RateLimited,
    MdnsIgnored::QueueFull,
];

/// How many datagrams were ignored, by reason, and how many goodbyes and announcements found no
/// room.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MdnsCounters {
    ignored: [u64; IGNORED.len()],
    pub(super) dropped_notices: u64,
}

impl MdnsCounters {
    /// Datagrams ignored for this reason.
    #[must_use]
    pub fn ignored(&self, reason: MdnsIgnored) -> u64 {
        self.all_ignored().find(|(other, _)| *other == reason).map_or(0, |(_, count)| count)
    }

    /// Every reason, with its count.
    pub fn all_ignored(&self) -> impl Iterator<Item = (MdnsIgnored, u64)> {
        IGNORED.into_iter().zip(self.ignored)
    }

    /// Announcements and goodbyes for which there was no room in `limits.names`.
    #[must_use]
    pub const fn dropped_notices(&self) -> u64 {
        self.dropped_notices
    }

    pub(super) fn ignore(&mut self, reason: MdnsIgnored) {
        let counts = IGNORED.iter().zip(&mut self.ignored);
        for (_, count) in counts.filter(|(other, _)| **other == reason) {
            *count = count.saturating_add(1);
        }
    }
}

impl fmt::Debug for MdnsCounters {
    /// The counts that are not zero, by name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ignored = self.all_ignored().map(|(reason, count)| (format!("{reason:?}"), count));
        let notices = [("dropped_notices".to_owned(), self.dropped_notices)];
        f.debug_map().entries(ignored.chain(notices).filter(|(_, count)| *count > 0)).finish()
    }
}

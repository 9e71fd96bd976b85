//! Names for the things of an agent, and the table that looks them up.
//!
//! An id is a number that is given once and never again: it names its thing for as long as that
//! lives, and afterwards names nothing. It is not an index into anything.

use core::fmt;
use core::num::NonZeroU64;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            /// The number behind the id, unique among the ids of its kind within one agent.
            #[must_use]
            pub const fn get(self) -> u32 {
                self.0
            }
        }

        impl Id for $name {
            fn new(number: u32) -> Self {
                Self(number)
            }
        }
    };
}

id! {
    /// A data stream of an agent (RFC 8445 §4): one checklist, one or more components.
    StreamId
}
id! {
    /// A local or a remote candidate.
    CandidateId
}
id! {
    /// A candidate pair.
    PairId
}
id! {
    /// A STUN or TURN server.
    ServerId
}
id! {
    /// A UDP socket that the agent has asked for beside those of its candidates.
    SocketId
}
id! {
    /// A name that the agent wants to be resolved.
    LookupId
}

/// A stream connection (TCP or TLS) that the caller carries. Within a [`Mux`](crate::Mux) no two have
/// the same, whichever agents they are of; otherwise within one agent.
// Aligned like the addresses beside which it stands: a route is no larger for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(Rust, packed(4))]
pub struct ConnectionId(NonZeroU64);

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectionId").field(&self.get()).finish()
    }
}

impl ConnectionId {
    pub(crate) const fn new(number: u64) -> Self {
        // The niche keeps what may have no connection as small as what has one.
        Self(NonZeroU64::MIN.saturating_add(number))
    }

    /// The number behind the id. Newer connections have greater ones.
    #[must_use]
    pub const fn get(self) -> u64 {
        let Self(number) = self;
        number.get().saturating_sub(1)
    }
}

/// What one server is asked from one local address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskId(u32);

impl Id for TaskId {
    fn new(number: u32) -> Self {
        Self(number)
    }
}

/// A number that a [`Table`] hands out.
pub(crate) trait Id: Copy + Ord {
    fn new(number: u32) -> Self;
}

/// Values under ids that are never given twice, in the order of their insertion.
///
/// A sorted vector: the tables of an agent hold at most some hundred entries, a look-up is a few
/// comparisons, and iteration has one order on every platform.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Table<K, V> {
    next: u32,
    entries: Vec<(K, V)>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { next: 0, entries: Vec::new() }
    }
}

impl<K: Id, V> Table<K, V> {
    /// Adds a value. `None` when all ids have been given, which takes 2^32 insertions.
    pub(crate) fn insert(&mut self, value: V) -> Option<K> {
        let next = self.next.checked_add(1)?;
        let id = K::new(self.next);
        self.next = next;
        self.entries.push((id, value));
        Some(id)
    }

    pub(crate) fn remove(&mut self, id: K) -> Option<V> {
        let at = self.position(id)?;
        Some(self.entries.remove(at).1)
    }

    pub(crate) fn get_mut(&mut self, id: K) -> Option<&mut V> {
        let at = self.position(id)?;
        self.entries.get_mut(at).map(|(_, value)| value)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut V)> {
        self.entries.iter_mut().map(|(id, value)| (*id, value))
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(K, &mut V) -> bool) {
        self.entries.retain_mut(|(id, value)| keep(*id, value));
    }

    pub(crate) fn get(&self, id: K) -> Option<&V> {
        let at = self.position(id)?;
        self.entries.get(at).map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (K, &V)> + Clone {
        self.entries.iter().map(|(id, value)| (*id, value))
    }

    /// Gives back spare capacity.
    pub(crate) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn position(&self, id: K) -> Option<usize> {
        self.entries.binary_search_by(|(other, _)| other.cmp(&id)).ok()
    }
}

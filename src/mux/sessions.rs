//! The names of sessions, and the sessions by their names.

use crate::IceAgent;
use crate::agent::Names;
use crate::id::ConnectionId;
use crate::time::Timestamp;

use smallvec::SmallVec;

/// Bits of a tag that hold the place; the rest holds the low bits of the generation.
const PLACE_BITS: u32 = 22;
const PLACES: u32 = 1 << PLACE_BITS;

/// A session of a [`Mux`](crate::Mux): the place that it has, and how many had it before. It is not
/// given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    pub(super) place: u32,
    generation: u32,
}

impl SessionId {
    /// One number for it, unique within its `Mux`.
    #[must_use]
    pub fn get(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.place)
    }

    /// What transaction ids say of it.
    pub(super) const fn tag(self) -> u32 {
        self.generation << PLACE_BITS | self.place
    }
}

/// A path as the tables know it.
pub(super) type PathHash = u64;

/// What a session is to a path on which its agent would take data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Data goes to it.
    Owner,
    /// Another session had it first.
    Waiting,
    /// Another session has proved itself there since.
    Displaced,
}

/// An agent, and what the tables hold of it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) agent: IceAgent,
    /// What the username fragments in the table depended on.
    pub(super) names: Names,
    pub(super) ufrags: SmallVec<[u64; 1]>,
    /// What the paths in the table depended on.
    pub(super) revision: u32,
    pub(super) paths: Vec<(PathHash, Standing)>,
    /// Some path of it is another session's.
    pub(super) contested: bool,
    pub(super) sockets: Vec<u64>,
    /// Its connections in the table, and what they depended on.
    pub(super) connections: Vec<ConnectionId>,
    pub(super) connections_revision: u32,
    /// It is in the list of those that have something to send, or to tell.
    pub(super) sends: bool,
    pub(super) tells: bool,
    /// When it may start a transaction, if the pacing of all has given it a slot.
    pub(super) slot: Option<Timestamp>,
}

impl Session {
    /// A session that no table knows of.
    pub(super) fn new(id: SessionId, agent: IceAgent) -> Self {
        Self {
            id,
            agent,
            names: Names::default(),
            ufrags: SmallVec::new(),
            revision: 0,
            paths: Vec::new(),
            contested: false,
            sockets: Vec::new(),
            connections: Vec::new(),
            connections_revision: 0,
            sends: false,
            tells: false,
            slot: None,
        }
    }
}

/// The sessions.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    places: Vec<Place>,
    free: Vec<u32>,
    count: usize,
}

#[derive(Clone, Debug)]
struct Place {
    generation: u32,
    session: Option<Box<Session>>,
}

impl Sessions {
    /// A place for one more session, if there is any, to be filled at once.
    pub(super) fn vacant(&mut self) -> Option<SessionId> {
        if self.free.is_empty() {
            let place = u32::try_from(self.places.len()).ok().filter(|&next| next < PLACES)?;
            self.places.push(Place { generation: 0, session: None });
            self.free.push(place);
        }
        let place = *self.free.last()?;
        let generation = self.places.get(usize::try_from(place).ok()?)?.generation;
        Some(SessionId { place, generation })
    }

    /// Puts a session into the place that was vacant.
    pub(super) fn fill(&mut self, session: Session) {
        let place = usize::try_from(session.id.place).ok();
        if let Some(entry) = place.and_then(|place| self.places.get_mut(place)) {
            entry.session = Some(Box::new(session));
            self.free.pop();
            self.count = self.count.saturating_add(1);
        }
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Box<Session>> {
        let entry = self.places.get_mut(usize::try_from(id.place).ok()?)?;
        if entry.generation != id.generation {
            return None;
        }
        let session = entry.session.take()?;
        self.count = self.count.saturating_sub(1);
        // A place whose generations are used up is not given again.
        if let Some(next) = entry.generation.checked_add(1) {
            entry.generation = next;
            self.free.push(id.place);
        }
        Some(session)
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        self.at(id.place).filter(|session| session.id == id)
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.at_mut(id.place).filter(|session| session.id == id)
    }

    /// The session at a place, whichever it is.
    pub(super) fn at(&self, place: u32) -> Option<&Session> {
        self.places.get(usize::try_from(place).ok()?)?.session.as_deref()
    }

    pub(super) fn at_mut(&mut self, place: u32) -> Option<&mut Session> {
        self.places.get_mut(usize::try_from(place).ok()?)?.session.as_deref_mut()
    }

    /// The session that a transaction id names.
    pub(super) fn tagged(&self, tag: u32) -> Option<SessionId> {
        let session = self.at(tag & (PLACES.wrapping_sub(1)))?;
        (session.id.tag() == tag).then_some(session.id)
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.places.iter().filter_map(|place| place.session.as_deref())
    }
}

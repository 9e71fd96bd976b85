//! The servers that an agent was given, and how far the names of their hosts are resolved.

use core::hash::{Hash, Hasher};
use core::net::IpAddr;
use std::collections::VecDeque;

use smallvec::SmallVec;

use super::outcome::ServerFailure;
use super::server::{Server, ServerCredentials};
use crate::id::{LookupId, ServerId, Table};
use crate::time::Timestamp;
use crate::uri::ServerHost;

/// Addresses of one name that are tried, of each family.
const ADDRESSES: usize = 4;

/// What a server's name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Resolution {
    Unknown,
    Asked(LookupId),
    Known(SmallVec<[IpAddr; 2]>),
    Failed,
}

#[derive(Clone, Debug, Hash)]
struct Entry {
    server: Server,
    resolution: Resolution,
    /// The owner has been told that nobody can ask it.
    reported: bool,
    record: Record,
}

/// What a server has failed with last, for whoever asks. It decides nothing.
#[derive(Clone, Debug, Default)]
struct Record(Option<Box<(Timestamp, ServerFailure)>>);

impl Hash for Record {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// How far a server's name is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Never,
    Asked,
    Done,
    Failed,
}

/// The servers of an agent, by id.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Entries {
    table: Table<ServerId, Entry>,
    /// Those whose names could not be resolved, to be told.
    unresolved: VecDeque<ServerId>,
}

impl Entries {
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn add(&mut self, server: Server) -> Option<ServerId> {
        let resolution = match server.uri().host() {
            ServerHost::Ip(ip) => Resolution::Known(SmallVec::from_slice(&[ip.to_canonical()])),
            ServerHost::Name(_) => Resolution::Unknown,
        };
        let entry = Entry { server, resolution, reported: false, record: Record::default() };
        self.table.insert(entry)
    }

    pub(super) fn remove(&mut self, id: ServerId) {
        self.table.remove(id);
    }

    pub(crate) fn get(&self, id: ServerId) -> Option<&Server> {
        self.table.get(id).map(|entry| &entry.server)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (ServerId, &Server)> {
        self.table.iter().map(|(id, entry)| (id, &entry.server))
    }

    /// The servers whose addresses are known.
    pub(super) fn resolved(&self) -> impl Iterator<Item = (ServerId, &Server, &[IpAddr])> {
        self.table.iter().filter_map(|(id, entry)| match &entry.resolution {
            Resolution::Known(ips) => Some((id, &entry.server, &**ips)),
            _ => None,
        })
    }

    /// All servers, with how far they are resolved and what they have failed with last.
    pub(crate) fn explained(
        &self,
    ) -> impl Iterator<Item = (ServerId, &Server, Lookup, Option<&(Timestamp, ServerFailure)>)>
    {
        self.table.iter().map(|(id, entry)| {
            let lookup = match entry.resolution {
                Resolution::Unknown => Lookup::Never,
                Resolution::Asked(_) => Lookup::Asked,
                Resolution::Known(_) => Lookup::Done,
                Resolution::Failed => Lookup::Failed,
            };
            (id, &entry.server, lookup, entry.record.0.as_deref())
        })
    }

    /// Keeps what a server has failed with.
    pub(crate) fn note_failure(&mut self, now: Timestamp, id: ServerId, failure: &ServerFailure) {
        if let Some(entry) = self.table.get_mut(id) {
            entry.record = Record(Some(Box::new((now, failure.clone()))));
        }
    }

    /// Whether there is such a server.
    pub(super) fn set_credentials(&mut self, id: ServerId, credentials: ServerCredentials) -> bool {
        let entry = self.table.get_mut(id);
        entry.map(|entry| entry.server.set_credentials(credentials)).is_some()
    }

    /// Asks what the names stand for that nobody has asked yet, or that stood for nothing.
    pub(super) fn resolve(&mut self, mut ask: impl FnMut(&str) -> LookupId) {
        for (_, entry) in self.table.iter_mut() {
            entry.reported = false;
            if matches!(entry.resolution, Resolution::Unknown | Resolution::Failed) {
                let ServerHost::Name(name) = entry.server.uri().host() else { continue };
                entry.resolution = Resolution::Asked(ask(name.as_str()));
            }
        }
    }

    /// Whether an answer is waited for.
    pub(super) fn is_resolving(&self) -> bool {
        self.table.iter().any(|(_, entry)| matches!(entry.resolution, Resolution::Asked(_)))
    }

    /// The names that have not been answered for are taken for unknown ones.
    pub(super) fn give_up(&mut self) {
        for (id, entry) in self.table.iter_mut() {
            if matches!(entry.resolution, Resolution::Asked(_)) {
                entry.resolution = Resolution::Failed;
                self.unresolved.push_back(id);
            }
        }
    }

    /// What a name stands for. Whether it was asked.
    pub(crate) fn answer(&mut self, lookup: LookupId, ips: &[IpAddr]) -> bool {
        let mut entries = self.table.iter_mut();
        let asked = entries.find(|(_, entry)| entry.resolution == Resolution::Asked(lookup));
        let Some((id, entry)) = asked else { return false };
        let mut known = SmallVec::<[IpAddr; 2]>::new();
        for ip in ips.iter().map(IpAddr::to_canonical) {
            let of_family = known.iter().filter(|other| other.is_ipv4() == ip.is_ipv4()).count();
            if !known.contains(&ip) && of_family < ADDRESSES {
                known.push(ip);
            }
        }
        if known.is_empty() {
            entry.resolution = Resolution::Failed;
            self.unresolved.push_back(id);
        } else {
            entry.resolution = Resolution::Known(known);
        }
        true
    }

    /// The next server that nobody asks, though its addresses are known.
    pub(super) fn poll_unasked(&mut self, is_asked: impl Fn(ServerId) -> bool) -> Option<ServerId> {
        let (id, entry) = self.table.iter_mut().find(|(id, entry)| {
            !entry.reported && matches!(entry.resolution, Resolution::Known(_)) && !is_asked(*id)
        })?;
        entry.reported = true;
        Some(id)
    }

    /// The next server whose name stands for nothing.
    pub(crate) fn poll_unresolved(&mut self) -> Option<ServerId> {
        self.unresolved.pop_front()
    }
}

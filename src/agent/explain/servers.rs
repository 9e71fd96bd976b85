//! What became of every server.

use super::super::IceAgent;
use super::super::io::{CandidateView, GatheringState};
use crate::gather::{Lookup, ServerFailure};
use crate::id::ServerId;
use crate::time::Timestamp;
use crate::uri::ServerUri;

/// What became of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerExplanation {
    /// Its id.
    pub id: ServerId,
    /// Where it is.
    pub uri: ServerUri,
    /// How far it is.
    pub situation: ServerSituation,
    /// The candidates that it has given and that there still are.
    pub candidates: Vec<CandidateView>,
    /// When and with what it has failed last, from any of the addresses that it was asked from. It
    /// may have given candidates nevertheless.
    pub failure: Option<(Timestamp, ServerFailure)>,
}

/// How far a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerSituation {
    /// It was not asked: gathering has not begun.
    NotAsked,
    /// Its name is being resolved.
    Resolving,
    /// It was asked, and has not answered yet.
    Asked,
    /// It has given what it was asked for.
    Answered,
    /// It has failed.
    Failed,
    /// There is no local address from which it could be asked.
    OutOfReach,
    /// It has given nothing that is still there.
    Fruitless,
}

impl IceAgent {
    pub(super) fn explain_servers(&self) -> Vec<ServerExplanation> {
        let Some(servers) = &self.servers else { return Vec::new() };
        let explained = servers.entries.explained().map(|(id, server, lookup, failure)| {
            let tasks = || servers.tasks().filter(move |(_, task)| task.server == id);
            let given = tasks().flat_map(|(_, task)| task.reflexive.iter().chain(&task.relayed));
            let candidates: Vec<CandidateView> =
                given.filter_map(|id| self.candidates.view_local(*id)).collect();
            let situation = if tasks().any(|(_, task)| task.fruitful) {
                ServerSituation::Answered
            } else if tasks().any(|(_, task)| task.is_awaited()) {
                ServerSituation::Asked
            } else if failure.is_some() || lookup == Lookup::Failed {
                ServerSituation::Failed
            } else {
                match (lookup, self.gathering) {
                    (Lookup::Asked, _) => ServerSituation::Resolving,
                    (_, GatheringState::New) | (Lookup::Never, _) => ServerSituation::NotAsked,
                    _ if tasks().next().is_none() => ServerSituation::OutOfReach,
                    _ => ServerSituation::Fruitless,
                }
            };
            let (uri, failure) = (server.uri().clone(), failure.cloned());
            ServerExplanation { id, uri, situation, candidates, failure }
        });
        explained.collect()
    }
}

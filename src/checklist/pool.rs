//! The candidates of one component, and which pairs of them have been formed (RFC 8445 §6.1.2.2
//! to §6.1.2.5).
//!
//! A pool forms pairs one by one, best first, as the checklist has room for them. The rows are
//! the bases of the local candidates, which is all that pruning needs: two local candidates with
//! one base are one row, so a redundant pair cannot arise.

use smallvec::SmallVec;

use crate::config::Role;
use crate::id::CandidateId;

use super::endpoint::Endpoint;
use super::pair::priority_in;

#[derive(Clone, Debug, Hash)]
struct Row {
    endpoint: Endpoint,
    /// A bit for each column: formed at some time, so not to be formed again.
    formed: SmallVec<[u64; 1]>,
    /// Where in `by_priority` the first column may stand that is neither formed nor unsuitable.
    cursor: usize,
}

/// A pair that could be formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prospect {
    pub(super) local: Endpoint,
    pub(super) remote: Endpoint,
    pub(super) priority: u64,
    row: usize,
    column: usize,
}

/// What has become of a pair that there could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nomination has concluded, and nothing is formed any more.
    Closed,
    /// One of its candidates is not known here: not conveyed, not signalled, or of no list.
    Unknown,
    /// It was formed at some time.
    Formed,
    /// It had no room so far.
    Free,
}

/// The candidates of one component.
#[derive(Clone, Debug, Hash)]
pub(super) struct Pool {
    pub(super) component: u16,
    /// Until nomination has concluded.
    open: Option<Box<Open>>,
}

/// What forming needs.
#[derive(Clone, Debug, Default, Hash)]
struct Open {
    /// Best first.
    rows: Vec<Row>,
    columns: Vec<Endpoint>,
    /// Indices into `columns`, best first.
    by_priority: Vec<usize>,
}

impl Pool {
    pub(super) fn new(component: u16) -> Self {
        Self { component, open: Some(Box::default()) }
    }

    /// Nomination has concluded: nothing more is formed, and what forming needs is given up.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Adds a local candidate. With a base that is known already it is redundant for pairing, and
    /// the one with the higher priority stands (RFC 8445 §6.1.2.4).
    pub(super) fn add_local(&mut self, endpoint: Endpoint, base: CandidateId) {
        let Some(Open { rows, .. }) = self.open.as_deref_mut() else { return };
        let row = match rows.iter().position(|row| row.endpoint.id == base) {
            Some(at) => {
                let mut row = rows.remove(at);
                row.endpoint.priority = row.endpoint.priority.max(endpoint.priority);
                row
            }
            None => Row {
                // RFC 8445 §6.1.2.4: checks leave from the base.
                endpoint: Endpoint { id: base, ..endpoint },
                formed: SmallVec::new(),
                cursor: 0,
            },
        };
        let priority = row.endpoint.priority;
        let at = rows.partition_point(|other| other.endpoint.priority >= priority);
        rows.insert(at, row);
    }

    /// Removes a base with its row.
    pub(super) fn remove_local(&mut self, base: CandidateId) {
        if let Some(open) = &mut self.open {
            open.rows.retain(|row| row.endpoint.id != base);
        }
    }

    /// Adds a signalled remote candidate.
    pub(super) fn add_remote(&mut self, endpoint: Endpoint) {
        let Some(Open { rows, columns, by_priority }) = self.open.as_deref_mut() else { return };
        let column = columns.len();
        let at = by_priority.partition_point(|&other| {
            columns.get(other).is_some_and(|other| other.priority >= endpoint.priority)
        });
        columns.push(endpoint);
        by_priority.insert(at, column);
        for row in rows {
            row.cursor = row.cursor.min(at);
        }
    }

    /// Notes that a pair exists which the pool did not form: a triggered check made it.
    pub(super) fn mark_formed(&mut self, local: CandidateId, remote: CandidateId) {
        let Some(Open { rows, columns, .. }) = self.open.as_deref_mut() else { return };
        let Some(column) = columns.iter().position(|endpoint| endpoint.id == remote) else {
            return;
        };
        if let Some(row) = rows.iter_mut().find(|row| row.endpoint.id == local) {
            set_bit(&mut row.formed, column);
        }
    }

    /// Takes back that a pair was formed, since it made room before it was checked.
    pub(super) fn mark_unformed(&mut self, local: CandidateId, remote: CandidateId) {
        let Some(Open { rows, columns, by_priority }) = self.open.as_deref_mut() else { return };
        let Some(column) = columns.iter().position(|endpoint| endpoint.id == remote) else {
            return;
        };
        let at = by_priority.iter().position(|&other| other == column).unwrap_or(0);
        if let Some(row) = rows.iter_mut().find(|row| row.endpoint.id == local) {
            clear_bit(&mut row.formed, column);
            row.cursor = row.cursor.min(at);
        }
    }

    /// Marks a prospect as formed.
    pub(super) fn take(&mut self, prospect: &Prospect) {
        let row = self.open.as_mut().and_then(|open| open.rows.get_mut(prospect.row));
        if let Some(row) = row {
            set_bit(&mut row.formed, prospect.column);
        }
    }

    /// The best pair that was never formed. A pair's priority grows with each of its candidates'
    /// (RFC 8445 §6.1.2.3), so the best of a row is its first free column.
    pub(super) fn best(&mut self, role: Role) -> Option<Prospect> {
        let Open { rows, columns, by_priority } = self.open.as_deref_mut()?;
        let top = columns.get(*by_priority.first()?)?.priority;
        let mut best: Option<Prospect> = None;
        for (index, row) in rows.iter_mut().enumerate() {
            let bound = priority_in(role, row.endpoint.priority, top);
            if best.is_some_and(|best| bound <= best.priority) {
                break;
            }
            let Some((column, remote)) = advance(row, columns, by_priority) else {
                continue;
            };
            let priority = priority_in(role, row.endpoint.priority, remote.priority);
            if best.is_none_or(|best| priority > best.priority) {
                best = Some(Prospect { local: row.endpoint, remote, priority, row: index, column });
            }
        }
        best
    }

    /// What has become of the pair of a base and a remote candidate that can be one.
    pub(super) fn fate(&self, base: CandidateId, remote: CandidateId) -> Fate {
        let Some(open) = &self.open else { return Fate::Closed };
        let row = open.rows.iter().find(|row| row.endpoint.id == base);
        let column = open.columns.iter().position(|endpoint| endpoint.id == remote);
        match (row, column) {
            (Some(row), Some(column)) if bit(&row.formed, column) => Fate::Formed,
            (Some(_), Some(_)) => Fate::Free,
            _ => Fate::Unknown,
        }
    }

    /// Whether [`best`](Self::best) would find one.
    pub(super) fn has_prospect(&self) -> bool {
        let Some(open) = &self.open else { return false };
        open.rows.iter().any(|row| {
            open.by_priority.iter().skip(row.cursor).any(|&column| {
                open.columns.get(column).is_some_and(|remote| {
                    row.endpoint.reach.pairs_with(remote.reach) && !bit(&row.formed, column)
                })
            })
        })
    }
}

/// Moves a row's cursor to its best free column.
fn advance(row: &mut Row, columns: &[Endpoint], order: &[usize]) -> Option<(usize, Endpoint)> {
    loop {
        let &column = order.get(row.cursor)?;
        let remote = *columns.get(column)?;
        if row.endpoint.reach.pairs_with(remote.reach) && !bit(&row.formed, column) {
            return Some((column, remote));
        }
        row.cursor = row.cursor.saturating_add(1);
    }
}

const fn split(index: usize) -> (usize, u64) {
    (index >> 6, 1 << (index & 63))
}

fn bit(bits: &[u64], index: usize) -> bool {
    let (word, mask) = split(index);
    bits.get(word).is_some_and(|bits| bits & mask != 0)
}

fn set_bit(bits: &mut SmallVec<[u64; 1]>, index: usize) {
    let (word, mask) = split(index);
    if bits.len() <= word {
        bits.resize(word.saturating_add(1), 0);
    }
    if let Some(bits) = bits.get_mut(word) {
        *bits |= mask;
    }
}

fn clear_bit(bits: &mut SmallVec<[u64; 1]>, index: usize) {
    let (word, mask) = split(index);
    if let Some(bits) = bits.get_mut(word) {
        *bits &= !mask;
    }
}

//! What is under way for each pair foundation (RFC 8445 §6.1.2.6, RFC 8838 §12), so that
//! freezing needs no search through the pairs.

/// The foundations of a pair's two candidates, by their numbers within the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PairFoundation {
    pub(crate) local: u16,
    pub(crate) remote: u16,
}

/// The place of a pair in its column of RFC 8838's figure: checklist, component, then priority.
/// The smallest is the topmost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Rank {
    pub(super) list: usize,
    pub(super) component: u16,
    /// Larger priorities come first.
    pub(super) priority: core::cmp::Reverse<u64>,
}

/// What the pairs of one foundation are doing.
#[derive(Clone, Debug, Hash)]
pub(super) struct Column {
    foundation: PairFoundation,
    /// Pairs of it that are listed.
    pairs: usize,
    /// Those of them that are Waiting or In-Progress.
    pub(super) active: usize,
    /// One of them has succeeded.
    pub(super) succeeded: bool,
    topmost: Rank,
}

/// The columns of all foundations, sorted by foundation.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Foundations {
    columns: Vec<Column>,
}

impl Foundations {
    /// Counts a pair in. Whether it is the topmost of its column.
    pub(super) fn enter(&mut self, foundation: PairFoundation, rank: Rank) -> bool {
        match self.position(foundation) {
            Ok(at) => self.columns.get_mut(at).is_some_and(|column| {
                column.pairs = column.pairs.saturating_add(1);
                let topmost = rank <= column.topmost;
                column.topmost = column.topmost.min(rank);
                topmost
            }),
            Err(at) => {
                self.columns.insert(
                    at,
                    Column { foundation, pairs: 1, active: 0, succeeded: false, topmost: rank },
                );
                true
            }
        }
    }

    /// Counts a pair out, which was Waiting or In-Progress if `active`.
    pub(super) fn leave(&mut self, foundation: PairFoundation, active: bool) {
        if let Ok(at) = self.position(foundation) {
            if let Some(column) = self.columns.get_mut(at) {
                column.pairs = column.pairs.saturating_sub(1);
                column.active = column.active.saturating_sub(usize::from(active));
                if column.pairs == 0 && !column.succeeded {
                    self.columns.remove(at);
                }
            }
        }
    }

    pub(super) fn get(&self, foundation: PairFoundation) -> Option<&Column> {
        self.columns.get(self.position(foundation).ok()?)
    }

    pub(super) fn get_mut(&mut self, foundation: PairFoundation) -> Option<&mut Column> {
        let at = self.position(foundation).ok()?;
        self.columns.get_mut(at)
    }

    pub(super) fn shrink(&mut self) {
        self.columns.shrink_to_fit();
    }

    pub(super) fn clear(&mut self) {
        self.columns.clear();
    }

    fn position(&self, foundation: PairFoundation) -> Result<usize, usize> {
        self.columns.binary_search_by(|column| column.foundation.cmp(&foundation))
    }
}

//! Permissions (RFC 8656 §9, §10): wanted for as long as their owner wants them, asked for in
//! batches, renewed by the clock and not by data.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::ask::BATCH;
use crate::time::Timestamp;

/// RFC 8656 §9
const LIFETIME: Duration = Duration::from_secs(300);
/// A renewal that is not answered takes 39.5 s, so one fits in before the end.
const RENEW_AFTER: Duration = Duration::from_secs(240);
/// What is due within this time is renewed together.
const TOGETHER: Duration = Duration::from_secs(30);
/// How long a server that has refused a renewal is left alone.
pub(super) const PAUSE: Duration = Duration::from_secs(15);

#[derive(Clone, Debug, Hash)]
struct Permission {
    /// Until when the server relays; the beginning of time before it has ever said so.
    granted: Timestamp,
    /// When it is to be asked for; none while that is under way, or when it is not wanted.
    due: Option<Timestamp>,
    /// It has been asked for, so that the server may have granted it.
    asked: bool,
    /// A batch with it was refused: only alone does an answer say whose fault that was.
    alone: bool,
    /// The server has said no, and is not asked again.
    refused: bool,
    wanted: bool,
}

/// The permissions of one allocation.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Permissions(BTreeMap<IpAddr, Permission>);

impl Permissions {
    /// Wants one. `false` if there are `limit` already.
    pub(super) fn want(&mut self, ip: IpAddr, now: Timestamp, limit: usize) -> bool {
        if let Some(permission) = self.0.get_mut(&ip) {
            if !permission.wanted {
                permission.wanted = true;
                permission.due = Some(now);
            }
            return true;
        }
        let keep = |it: &Permission| it.wanted || it.refused || it.granted > now;
        self.0.retain(|_, permission| keep(permission));
        if self.0.len() >= limit {
            return false;
        }
        self.0.insert(
            ip,
            Permission {
                granted: Timestamp::ZERO,
                due: Some(now),
                asked: false,
                alone: false,
                refused: false,
                wanted: true,
            },
        );
        true
    }

    /// It is not renewed any more.
    pub(super) fn unwant(&mut self, ip: IpAddr) {
        if let Some(permission) = self.0.get_mut(&ip) {
            permission.wanted = false;
            permission.due = None;
        }
    }

    /// Whether it is asked for, or renewed.
    pub(super) fn is_wanted(&self, ip: IpAddr) -> bool {
        self.0.get(&ip).is_some_and(|permission| permission.wanted)
    }

    pub(super) fn is_refused(&self, ip: IpAddr) -> bool {
        self.0.get(&ip).is_some_and(|permission| permission.refused)
    }

    pub(super) fn wanted(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().filter(|(_, permission)| permission.wanted).map(|(ip, _)| *ip)
    }

    /// Whether the server relays to this address.
    pub(super) fn is_granted(&self, ip: IpAddr, now: Timestamp) -> bool {
        self.0.get(&ip).is_some_and(|permission| permission.granted > now)
    }

    /// Whether the server may relay from this address.
    pub(super) fn is_believed(&self, ip: IpAddr, now: Timestamp) -> bool {
        self.0.get(&ip).is_some_and(|permission| {
            permission.granted > now || (permission.wanted && permission.asked)
        })
    }

    /// When the next one is to be asked for.
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        self.0.values().filter_map(|permission| permission.due).min()
    }

    /// What to ask for now, which counts as asked for.
    pub(super) fn take_due(&mut self, now: Timestamp) -> SmallVec<[IpAddr; BATCH]> {
        let mut batch = SmallVec::new();
        let is_due = |due: Option<Timestamp>| due.is_some_and(|due| due <= now);
        let first = self.0.iter_mut().find(|(_, permission)| is_due(permission.due));
        let Some((ip, first)) = first else { return batch };
        batch.push(*ip);
        (first.due, first.asked) = (None, true);
        if first.alone {
            return batch;
        }
        for (ip, permission) in &mut self.0 {
            let soon = permission.due.is_some_and(|due| due <= now + TOGETHER);
            if soon && !permission.alone && batch.len() < BATCH {
                batch.push(*ip);
                (permission.due, permission.asked) = (None, true);
            }
        }
        batch
    }

    /// The server relays from now on; whether it did not before.
    pub(super) fn grant(&mut self, ip: IpAddr, now: Timestamp) -> bool {
        let Some(permission) = self.0.get_mut(&ip) else { return false };
        let new = permission.granted <= now;
        permission.granted = now + LIFETIME;
        permission.alone = false;
        permission.due = permission.wanted.then_some(now + RENEW_AFTER);
        new
    }

    /// The server has refused this one, and will not be asked again. What it has granted before
    /// stays as long as it was to stay.
    pub(super) fn refuse(&mut self, ip: IpAddr) {
        self.unwant(ip);
        if let Some(permission) = self.0.get_mut(&ip) {
            (permission.asked, permission.refused) = (false, true);
        }
    }

    /// It is to be asked for again then, alone if a batch was refused.
    pub(super) fn again(&mut self, ip: IpAddr, at: Timestamp, alone: bool) {
        if let Some(permission) = self.0.get_mut(&ip).filter(|permission| permission.wanted) {
            permission.due = Some(at);
            permission.alone |= alone;
        }
    }

    /// The allocation is gone. What is wanted is to be asked for when there is another one.
    pub(super) fn restart(&mut self, now: Timestamp) {
        self.0.retain(|_, permission| permission.wanted);
        for permission in self.0.values_mut() {
            *permission = Permission {
                granted: Timestamp::ZERO,
                due: Some(now),
                asked: false,
                alone: false,
                refused: false,
                wanted: true,
            };
        }
    }

    /// Removes those that are not to be kept; the first of them, to be called until it is `None`.
    pub(super) fn remove_one(&mut self, remove: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let ip = self.0.keys().copied().find(|ip| remove(*ip))?;
        self.0.remove(&ip);
        Some(ip)
    }
}

//! The allocations of a server, by client and by relayed address.

use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;
use core::time::Duration;
use std::collections::BTreeMap;

use super::allocation::{Allocation, Client, Relay};
use crate::stun::turn::Family;
use crate::time::Timestamp;

#[derive(Clone, Debug, Default)]
pub(super) struct Allocations {
    by_client: BTreeMap<Client, Allocation>,
    by_relay: BTreeMap<SocketAddr, Client>,
    /// When the first of all relayed addresses expires, so that time costs nothing until then.
    next_expiry: Option<Timestamp>,
}

impl Allocations {
    pub(super) fn len(&self) -> usize {
        self.by_client.len()
    }

    pub(super) fn of_user(&self, user: Option<usize>) -> usize {
        self.by_client.values().filter(|allocation| allocation.user == user).count()
    }

    pub(super) fn get(&self, client: &Client) -> Option<&Allocation> {
        self.by_client.get(client)
    }

    pub(super) fn get_mut(&mut self, client: &Client) -> Option<&mut Allocation> {
        self.by_client.get_mut(client)
    }

    /// Whose relayed address it is.
    pub(super) fn owner(&self, relayed: SocketAddr) -> Option<Client> {
        self.by_relay.get(&relayed).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Client, &Allocation)> {
        self.by_client.iter()
    }

    pub(super) const fn next_expiry(&self) -> Option<Timestamp> {
        self.next_expiry
    }

    /// A port of `ip` that is not taken: the first one after `offset` steps into the range.
    pub(super) fn free_port(
        &self,
        ip: IpAddr,
        ports: &RangeInclusive<u16>,
        offset: u32,
        listen: &[SocketAddr],
    ) -> Option<SocketAddr> {
        let (first, last) = (*ports.start(), *ports.end());
        let count = u32::from(last.checked_sub(first)?).saturating_add(1);
        let offset = offset.checked_rem(count)?;
        let split = first.saturating_add(u16::try_from(offset).ok()?);
        (split..=last)
            .chain(first..split)
            .map(|port| SocketAddr::new(ip, port))
            .find(|addr| !self.by_relay.contains_key(addr) && !listen.contains(addr))
    }

    pub(super) fn insert(&mut self, client: Client, allocation: Allocation) {
        for relay in &allocation.relays {
            self.by_relay.insert(relay.addr, client);
        }
        self.by_client.insert(client, allocation);
        self.update();
    }

    /// RFC 8656 §8.2: gives the relayed addresses of a client another lifetime, all of them or
    /// that of one family; with no lifetime they are deleted.
    pub(super) fn refresh(
        &mut self,
        client: &Client,
        family: Option<Family>,
        lifetime: Option<Duration>,
        now: Timestamp,
    ) {
        let Some(allocation) = self.by_client.get_mut(client) else { return };
        let concerns = |relay: &Relay| family.is_none_or(|f| f == Family::of(relay.addr.ip()));
        match lifetime {
            Some(lifetime) => {
                for relay in allocation.relays.iter_mut().filter(|relay| concerns(relay)) {
                    relay.expires = now + lifetime;
                }
            }
            None => {
                let gone = allocation.relays.iter().filter(|relay| concerns(relay));
                let gone: Vec<SocketAddr> = gone.map(|relay| relay.addr).collect();
                self.remove_relays(&gone);
            }
        }
        self.update();
    }

    pub(super) fn remove(&mut self, client: &Client) {
        self.refresh(client, None, None, Timestamp::ZERO);
    }

    /// Deletes the relayed addresses whose time is over, and says how many.
    pub(super) fn expire(&mut self, now: Timestamp) -> usize {
        if self.next_expiry.is_none_or(|next| next > now) {
            return 0;
        }
        let relays = self.by_client.values().flat_map(|allocation| &allocation.relays);
        let gone: Vec<SocketAddr> =
            relays.filter(|relay| relay.expires <= now).map(|relay| relay.addr).collect();
        self.remove_relays(&gone);
        self.update();
        gone.len()
    }

    fn remove_relays(&mut self, gone: &[SocketAddr]) {
        for addr in gone {
            let Some(client) = self.by_relay.remove(addr) else { continue };
            let Some(allocation) = self.by_client.get_mut(&client) else { continue };
            allocation.remove_relay(*addr);
            if allocation.relays.is_empty() {
                self.by_client.remove(&client);
            }
        }
    }

    fn update(&mut self) {
        self.next_expiry = self.by_client.values().filter_map(Allocation::expires).min();
    }
}

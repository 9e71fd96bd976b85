//! Names of multicast DNS: those that stand for the addresses of this agent, and those of its peer.
//!
//! Until there is a name to publish or to ask for, there is no socket. A process with many agents
//! would have one [`Multicast`] for all of them.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use frazil::{
    LookupId, MdnsConfig, MdnsEvent, MdnsLink, MdnsName, MdnsQueryFailure, MdnsQueryId, Timestamp,
};
use mio::Token;

use super::event_loop::Entrance;
use super::multicast::Multicast;

/// The names of one agent.
pub(crate) struct LocalNames {
    events: Arc<Entrance>,
    seed: [u8; 32],
    /// The addresses in use.
    hosts: Vec<IpAddr>,
    multicast: Option<Multicast>,
    published: Vec<(IpAddr, MdnsName)>,
    asked: Vec<(MdnsQueryId, LookupId, String)>,
}

/// What a name stands for.
pub(crate) struct Answer {
    pub(crate) lookup: LookupId,
    pub(crate) name: String,
    pub(crate) address: io::Result<IpAddr>,
}

impl LocalNames {
    pub(crate) const fn new(events: Arc<Entrance>, seed: [u8; 32]) -> Self {
        Self {
            events,
            seed,
            hosts: Vec::new(),
            multicast: None,
            published: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// An address has come into use: names are published and asked for on its network.
    pub(crate) fn add_host(&mut self, ip: IpAddr) -> io::Result<()> {
        self.hosts.push(ip);
        match &mut self.multicast {
            Some(multicast) => join(multicast, &self.events, &[ip]),
            None => Ok(()),
        }
    }

    /// An address is given up, with its name.
    #[allow(dead_code, reason = "not every example loses an address")]
    pub(crate) fn remove_host(&mut self, now: Timestamp, ip: IpAddr) {
        self.hosts.retain(|host| *host != ip);
        let Some(multicast) = &mut self.multicast else { return };
        for (_, name) in self.published.iter().filter(|(host, _)| *host == ip) {
            multicast.mdns.unpublish(now, name);
        }
        self.published.retain(|(host, _)| *host != ip);
        // The farewell of the name still leaves from there.
        multicast.transmit(now);
        multicast.leave(ip);
    }

    /// From now on, whoever asks for the name is told the address.
    pub(crate) fn publish(&mut self, now: Timestamp, name: MdnsName, ip: IpAddr) -> io::Result<()> {
        let multicast = self.multicast()?;
        let link = multicast.links().find(|(host, _)| *host == ip).map(|(_, link)| link);
        let link: MdnsLink = link.ok_or_else(|| io::Error::other("no multicast on its network"))?;
        multicast.mdns.publish(now, name.clone(), ip, link).map_err(io::Error::other)?;
        self.published.push((ip, name));
        Ok(())
    }

    /// Nobody is told of the name any more.
    pub(crate) fn withdraw(&mut self, now: Timestamp, name: &MdnsName) {
        self.published.retain(|(_, published)| published != name);
        if let Some(multicast) = &mut self.multicast {
            multicast.mdns.unpublish(now, name);
        }
    }

    /// Asks for a name.
    pub(crate) fn resolve(
        &mut self,
        now: Timestamp,
        lookup: LookupId,
        name: &str,
    ) -> io::Result<()> {
        let query = self.multicast()?.mdns.query(now, name).map_err(io::Error::other)?;
        self.asked.push((query, lookup, name.to_owned()));
        Ok(())
    }

    /// Takes back all names: the agent is closed.
    pub(crate) fn leave(&mut self, now: Timestamp) {
        if let Some(multicast) = &mut self.multicast {
            for (_, name) in self.published.drain(..) {
                multicast.mdns.unpublish(now, &name);
            }
        }
    }

    /// The next name that is known, or known not to be found.
    pub(crate) fn next(&mut self) -> Option<Answer> {
        loop {
            let (query, address) = match self.multicast.as_mut()?.mdns.poll_event()? {
                MdnsEvent::Resolved { query, addr, .. } => (query, Ok(addr)),
                MdnsEvent::Failed { query, reason } => (query, Err(failure(reason))),
                _ => continue,
            };
            let place = self.asked.iter().position(|(asked, ..)| *asked == query);
            if let Some((_, lookup, name)) = place.map(|place| self.asked.swap_remove(place)) {
                return Some(Answer { lookup, name, address });
            }
        }
    }

    pub(crate) fn note_ready(&mut self, token: Token) {
        if let Some(multicast) = &mut self.multicast {
            multicast.note_ready(token);
        }
    }

    /// Takes one datagram; whether there was one.
    pub(crate) fn receive(&mut self, now: Timestamp) -> bool {
        self.multicast.as_mut().is_some_and(|multicast| multicast.receive(now))
    }

    pub(crate) fn transmit(&mut self, now: Timestamp) {
        if let Some(multicast) = &mut self.multicast {
            multicast.transmit(now);
        }
    }

    pub(crate) fn expire(&mut self, now: Timestamp) {
        if let Some(multicast) = &mut self.multicast {
            multicast.expire(now);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.multicast.as_ref()?.deadline()
    }

    /// The sockets, which are there from the first name on.
    fn multicast(&mut self) -> io::Result<&mut Multicast> {
        let multicast = match self.multicast.take() {
            Some(multicast) => multicast,
            None => {
                let config = MdnsConfig::default();
                let mut made = Multicast::new(config, self.seed).map_err(io::Error::other)?;
                join(&mut made, &self.events, &self.hosts)?;
                made
            }
        };
        Ok(self.multicast.insert(multicast))
    }
}

/// Asks and answers on the networks of these addresses, or of those of them where it can be done (an
/// IPv6 address may not be settled yet).
fn join(multicast: &mut Multicast, events: &Entrance, hosts: &[IpAddr]) -> io::Result<()> {
    let mut joined = Ok(());
    for interface in if_addrs::get_if_addrs()? {
        if hosts.contains(&interface.ip()) {
            joined = multicast.join(events, interface).or(joined);
        }
    }
    if multicast.links().next().is_some() { Ok(()) } else { joined }
}

fn failure(reason: MdnsQueryFailure) -> io::Error {
    match reason {
        MdnsQueryFailure::TimedOut => io::ErrorKind::TimedOut.into(),
        MdnsQueryFailure::SeveralAddresses => io::Error::other("it stands for several addresses"),
        _ => io::Error::other("not found"),
    }
}

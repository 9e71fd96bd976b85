//! Names of servers. To resolve one may take seconds, so that each has a thread of its own.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use frazil::LookupId;
use mio::Waker;

use super::event_loop::EventLoop;

/// A name that was looked up.
pub(crate) struct Found {
    pub(crate) lookup: LookupId,
    pub(crate) name: String,
    pub(crate) addresses: io::Result<Vec<IpAddr>>,
}

/// The receiving end of all the threads.
pub(crate) struct Names {
    sender: Sender<Found>,
    found: Receiver<Found>,
    waker: Arc<Waker>,
}

impl Names {
    pub(crate) fn new(events: &EventLoop) -> Self {
        let (sender, found) = channel();
        Self { sender, found, waker: events.waker() }
    }

    /// Starts to look up a name.
    pub(crate) fn resolve(&self, lookup: LookupId, name: String) -> io::Result<()> {
        let (sender, waker) = (self.sender.clone(), Arc::clone(&self.waker));
        let resolve = move || {
            let addresses = resolve(&name);
            // Without a receiver the process is about to end.
            if sender.send(Found { lookup, name, addresses }).is_ok() {
                waker.wake().ok();
            }
        };
        thread::Builder::new().name("name".to_owned()).spawn(resolve).map(drop)
    }

    pub(crate) fn next(&self) -> Option<Found> {
        self.found.try_recv().ok()
    }
}

fn resolve(name: &str) -> io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<_> = (name, 0).to_socket_addrs()?.map(|addr| addr.ip()).collect();
    addresses.dedup();
    Ok(addresses)
}

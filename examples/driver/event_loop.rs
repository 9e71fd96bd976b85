//! The clock, and where the thread sleeps until something happens.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use frazil::Timestamp;
use mio::{Events, Poll, Registry, Token, Waker};

const WAKER: Token = Token(0);

/// The clock and the sockets' readiness.
pub(crate) struct EventLoop {
    poll: Poll,
    ready: Events,
    start: Instant,
    entrance: Arc<Entrance>,
}

/// Where things are registered that the loop is to wait for, from wherever they are made.
pub(crate) struct Entrance {
    registry: Registry,
    /// How many tokens were given out.
    tokens: AtomicUsize,
    waker: Waker,
}

impl EventLoop {
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let registry = poll.registry().try_clone()?;
        let entrance = Entrance { registry, tokens: AtomicUsize::new(1), waker };
        Ok(Self {
            poll,
            ready: Events::with_capacity(256),
            start: Instant::now(),
            entrance: Arc::new(entrance),
        })
    }

    /// The agent's time: the epoch is the start of the loop.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_duration(self.start.elapsed())
    }

    pub(crate) fn entrance(&self) -> Arc<Entrance> {
        Arc::clone(&self.entrance)
    }

    #[allow(dead_code, reason = "not every example has sockets of its own beside the driver's")]
    pub(crate) fn registry(&self) -> &Registry {
        self.entrance.registry()
    }

    #[allow(dead_code, reason = "not every example has sockets of its own beside the driver's")]
    pub(crate) fn token(&self) -> Token {
        self.entrance.token()
    }

    /// Whether another thread has ended the last wait.
    pub(crate) fn is_woken(&self) -> bool {
        self.ready().any(|token| token == WAKER)
    }

    /// Sleeps until something is ready, or until `deadline`; without one, for as long as it takes.
    pub(crate) fn wait(&mut self, deadline: Option<Timestamp>) -> io::Result<()> {
        let timeout = deadline.map(|at| at - self.now());
        match self.poll.poll(&mut self.ready, timeout) {
            // A signal. The caller looks at its deadlines and comes back.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.ready.clear();
                Ok(())
            }
            other => other,
        }
    }

    /// What the last wait found.
    pub(crate) fn ready(&self) -> impl Iterator<Item = Token> {
        self.ready.iter().map(mio::event::Event::token)
    }
}

impl Entrance {
    pub(crate) const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A token that nothing else has.
    pub(crate) fn token(&self) -> Token {
        Token(self.tokens.fetch_add(1, Ordering::Relaxed))
    }

    /// Ends the sleep of the loop, from another thread.
    pub(crate) fn wake(&self) -> io::Result<()> {
        self.waker.wake()
    }
}

//! The clock, and where the thread sleeps until something happens.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use frazil::Timestamp;
use mio::{Events, Poll, Registry, Token, Waker};

const WAKER: Token = Token(0);

/// The clock and the sockets' readiness.
pub(crate) struct EventLoop {
    poll: Poll,
    ready: Events,
    start: Instant,
    /// How many tokens were given out.
    tokens: usize,
    waker: Arc<Waker>,
}

impl EventLoop {
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok(Self {
            poll,
            ready: Events::with_capacity(256),
            start: Instant::now(),
            tokens: 1,
            waker,
        })
    }

    /// The agent's time: the epoch is the start of the loop.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_duration(self.start.elapsed())
    }

    pub(crate) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// A token that nothing else has.
    pub(crate) fn token(&mut self) -> Token {
        let token = Token(self.tokens);
        self.tokens = self.tokens.saturating_add(1);
        token
    }

    /// What other threads end the sleep with. There is one, for all of them.
    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
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

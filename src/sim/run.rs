//! How time moves in a world: from one thing that is due to the next.

use super::datagram::{Datagram, DatagramId};
use super::error::WorldError;
use super::node::AgentIndex;
use super::server::ServerIndex;
use super::stats::increment;
use super::world::World;
use crate::time::Timestamp;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A signal arrives.
    Signal {
        /// When.
        at: Timestamp,
        /// The agent that gets it.
        to: AgentIndex,
    },
    /// A datagram arrives, goes on from the line of a gateway, or turns out to have no way.
    Datagram(DatagramId),
    /// A timer of TCP is due.
    Tcp {
        /// When.
        at: Timestamp,
    },
    /// The network reports that a datagram did not get through.
    Report {
        /// When.
        at: Timestamp,
    },
    /// A server has something to do.
    Server {
        /// When.
        at: Timestamp,
        /// The server.
        server: ServerIndex,
    },
    /// A deadline comes.
    Timeout {
        /// When it is handled.
        at: Timestamp,
        /// The agent whose deadline it is.
        agent: AgentIndex,
    },
}

impl Step {
    /// When it happens.
    #[must_use]
    pub const fn at(self) -> Timestamp {
        match self {
            Self::Signal { at, .. }
            | Self::Report { at }
            | Self::Tcp { at }
            | Self::Server { at, .. }
            | Self::Timeout { at, .. } => at,
            Self::Datagram(id) => id.arrival(),
        }
    }
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its condition does not hold any more.
    Condition,
    /// The time has come until which it was to run.
    Limit,
    /// Nothing is left that could happen.
    Idle,
}

/// What a filter says of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It arrives, with whatever the filter has changed.
    Deliver,
    /// It is lost.
    Drop,
}

impl World {
    /// What happens next; nothing when nothing is left. Until then a test may change it.
    ///
    /// # Errors
    /// An agent that was lent out breaks its contract.
    pub fn next_step(&mut self) -> Result<Option<Step>, WorldError> {
        self.settle()?;
        let signal = self.channel.next().map(|(at, to)| Step::Signal { at, to });
        let datagram = self.network.next_underway().map(Step::Datagram);
        let tcp = self.network.next_tcp().map(|at| Step::Tcp { at });
        let report = self.network.next_report().map(|at| Step::Report { at });
        let chore = self.chores.first().map(|&(deadline, server)| {
            // As below.
            Step::Server { at: deadline.max(self.now), server }
        });
        let timeout = self.deadlines.first().map(|&(deadline, agent)| {
            // A deadline may have passed while nobody ran the world.
            Step::Timeout { at: deadline.max(self.now), agent }
        });
        // The first of equal ones: inputs come before timeouts.
        Ok([signal, datagram, tcp, report, chore, timeout]
            .into_iter()
            .flatten()
            .min_by_key(|step| step.at()))
    }

    /// Lets the next thing happen, and says what it was; nothing when nothing is left.
    ///
    /// # Errors
    /// An agent breaks its contract.
    pub fn step(&mut self) -> Result<Option<Step>, WorldError> {
        let step = self.next_step()?;
        if let Some(step) = step {
            self.perform(step)?;
        }
        Ok(step)
    }

    /// Runs until `limit`, and is there then.
    ///
    /// # Errors
    /// An agent breaks its contract.
    pub fn run_until(&mut self, limit: Timestamp) -> Result<(), WorldError> {
        self.run(limit, |_| true, |_, _| Verdict::Deliver)?;
        self.advance(limit);
        Ok(())
    }

    /// Runs while a condition holds, but not past `limit`. Looks before every step.
    ///
    /// # Errors
    /// An agent breaks its contract.
    pub fn run_while(
        &mut self,
        condition: impl FnMut(&Self) -> bool,
        limit: Timestamp,
    ) -> Result<End, WorldError> {
        self.run(limit, condition, |_, _| Verdict::Deliver)
    }

    /// Runs until nothing is left, but not past `limit`: an agent that keeps a path alive is
    /// never idle.
    ///
    /// # Errors
    /// An agent breaks its contract.
    pub fn run_until_idle(&mut self, limit: Timestamp) -> Result<End, WorldError> {
        self.run(limit, |_| true, |_, _| Verdict::Deliver)
    }

    /// Runs until `limit`, and is there then. Asks `filter` about every datagram as it is about to
    /// arrive at a host or, from outside, at a gateway; it may drop or alter it.
    ///
    /// # Errors
    /// An agent breaks its contract.
    pub fn run_filtered(
        &mut self,
        limit: Timestamp,
        filter: impl FnMut(Timestamp, &mut Datagram) -> Verdict,
    ) -> Result<(), WorldError> {
        self.run(limit, |_| true, filter)?;
        self.advance(limit);
        Ok(())
    }

    fn run(
        &mut self,
        limit: Timestamp,
        mut condition: impl FnMut(&Self) -> bool,
        mut filter: impl FnMut(Timestamp, &mut Datagram) -> Verdict,
    ) -> Result<End, WorldError> {
        loop {
            let next = self.next_step()?;
            if !condition(self) {
                return Ok(End::Condition);
            }
            let Some(step) = next else { return Ok(End::Idle) };
            if step.at() > limit {
                self.advance(limit);
                return Ok(End::Limit);
            }
            if let Step::Datagram(id) = step {
                let crossed = self.network.has_crossed(id);
                let datagram = self.network.underway_mut(id).filter(|_| crossed);
                if datagram.is_some_and(|datagram| filter(id.arrival(), datagram) == Verdict::Drop)
                {
                    self.network.remove(id);
                    continue;
                }
            }
            self.perform(step)?;
        }
    }

    fn perform(&mut self, step: Step) -> Result<(), WorldError> {
        self.advance(step.at());
        increment(&mut self.stats.steps);
        self.happen(step)?;
        self.receive_tcp()
    }

    fn happen(&mut self, step: Step) -> Result<(), WorldError> {
        match step {
            Step::Signal { .. } => self.receive_signal(),
            Step::Datagram(id) => match self.network.arrive(id) {
                Some(arrival) => self.receive_datagram(arrival),
                None => Ok(()),
            },
            Step::Tcp { .. } => {
                self.network.tcp_time_out();
                Ok(())
            }
            Step::Report { .. } => self.receive_report(),
            Step::Server { server, .. } => {
                self.time_out_server(server);
                Ok(())
            }
            Step::Timeout { agent, .. } => self.time_out(agent),
        }
    }
}

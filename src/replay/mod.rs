//! Record a session, and play it again (feature `replay`).
//!
//! An agent does the same whenever it gets the same configuration, seed, calls and times. So a
//! [`Recorder`] around it writes just those down, and a [`Replay`] of what was written is the session
//! once more, byte for byte: on another machine, in a debugger, step by step. With each input the
//! log holds a check value of all that the agent has put out so far, so that a replay by another
//! version of the crate names the first input at which that version behaves otherwise.
//!
//! ```
//! use frazil::replay::{Recorder, Replay};
//! use frazil::{AgentConfig, LocalAddress, Role, Timestamp};
//!
//! let now = Timestamp::ZERO;
//! let mut agent = Recorder::new(AgentConfig::new(Role::Controlling), [7; 32])?;
//! let stream = agent.streams().next().expect("the configuration starts with one");
//! agent.add_local(now, stream, 1, LocalAddress::udp("192.0.2.1:5000".parse()?))?;
//! agent.gather(now);
//! while agent.poll_event(now).is_some() {}
//! let log = agent.take_log(); // write it to a file, now and then
//!
//! let mut replay = Replay::new(&log)?;
//! while let Some(step) = replay.step()? {
//!     println!("{:?} {:?} {:?}", step.at, step.input, step.outcome);
//! }
//! assert_eq!(replay.agent().state_digest(), agent.state_digest());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A log is a secret
//!
//! It holds the seed, from which the credentials and all transaction ids follow, the peer's
//! credentials and the addresses of both sides. Whoever has it can forge the messages of that
//! session. Of application data there are the sizes and the first four bytes of each packet.
//!
//! There is no mode that hides the addresses. The messages of a check are authenticated together with
//! the addresses in them (XOR-MAPPED-ADDRESS under MESSAGE-INTEGRITY), foundations and the order of
//! pairs depend on them, and a log without the true ones could not be replayed. What is fit to be
//! shown to others is a trace with pseudonyms.
//!
//! # The format
//!
//! `frazil-replay`, a version, the configuration and the seed, then one record an input: the number
//! of the call, the nanoseconds since the input before, its arguments, and four bytes of the running
//! hash over everything that was put out. Numbers are variable-length; fields have numbers of their
//! own, so that a field that is new has its default when an older log is read. A poll that found
//! nothing is not written, nor is a timeout at which nothing was due: they have changed nothing.

mod calls;
mod hash;
mod outputs;
mod payload;
mod play;
mod policies;
mod recorder;
#[cfg(test)]
mod tests;
mod values;
mod wire;

pub use calls::{CALLS, Input};
pub use payload::Payload;
pub use play::{Outcome, Replay, ReplayError, Step};
pub use recorder::{LOG_LIMIT, Recorder};
pub use wire::Malformed;

/// What every log begins with.
const MAGIC: &[u8; 13] = b"frazil-replay";

/// The version of the format.
const VERSION: u64 = 1;

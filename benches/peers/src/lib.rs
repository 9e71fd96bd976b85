//! The same work on `frazil` and on its Rust peers.
//!
//! [`peer`] has one adapter for each implementation behind one trait, [`world`] the virtual
//! network between two of them, [`work`] the pieces of work and [`table`] what is printed. Times
//! and allocations are taken by different binaries: an allocator that counts would slow down
//! most those who allocate most. [`times`] is about virtual time alone: on networks with loss and
//! NATs, over many seeds.

pub mod clock;
#[path = "../../floor.rs"]
mod floor;
pub mod message;
pub mod options;
pub mod peer;
pub mod table;
pub mod times;
pub mod work;
pub mod world;

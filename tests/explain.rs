//! Why did it fail? Each cause is built as a topology, or played by a scripted peer, and the verdict
//! has to name it.

#[path = "explain/choices.rs"]
mod choices;
mod common;
#[path = "explain/pairs.rs"]
mod pairs;
#[path = "explain/scripted.rs"]
mod scripted;
#[path = "explain/topologies.rs"]
mod topologies;

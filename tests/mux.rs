//! `Mux`: many agents behind shared sockets and listeners.

mod common;
#[path = "mux/life.rs"]
mod life;
#[path = "mux/model.rs"]
mod model;
#[path = "mux/pacing.rs"]
mod pacing;
#[path = "mux/paths.rs"]
mod paths;
#[path = "mux/pending.rs"]
mod pending;
#[path = "mux/routing.rs"]
mod routing;
#[path = "mux/stage.rs"]
mod stage;
#[path = "mux/streams.rs"]
mod streams;

//! A bridge from the trace of an agent to the crate `tracing`, on two agents in the simulator.
//!
//! `cargo run --example tracing --features sim`

use std::error::Error;
use std::time::Duration;

use frazil::sim::{Link, World};
use frazil::trace::{TraceAddresses, TraceData, TraceEvent};
use frazil::{AgentConfig, Role, Timestamp};
use tracing::{debug, debug_span, info, trace, warn};

fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).without_time().init();
    let mut world = World::new([7; 32]);
    world.network_mut().set_default_link(Link::delayed(Duration::from_millis(10)));
    let mut agents = Vec::new();
    for (role, socket) in
        [(Role::Controlling, "192.0.2.1:5000"), (Role::Controlled, "192.0.2.2:6000")]
    {
        let mut config = AgentConfig::new(role);
        config.trace = true;
        let agent = world.add_agent(config)?;
        world.add_socket(agent, socket.parse()?)?;
        agents.push((agent, role));
    }
    world.connect(agents[0].0, agents[1].0)?;
    for &(agent, _) in &agents {
        world.start(agent)?;
    }
    while world.now() < Timestamp::from_millis(500) {
        let done = world.step()?.is_none();
        for &(agent, role) in &agents {
            let _span = debug_span!("agent", ?role).entered();
            let agent = world.agent_mut(agent).ok_or("no such agent")?;
            while let Some(event) = agent.poll_trace() {
                forward(&event);
            }
        }
        if done {
            break;
        }
    }
    Ok(())
}

/// One event, as an event of `tracing`. Its level says how much it matters, and its fields can be
/// filtered; what is left of it goes along as JSON.
fn forward(event: &TraceEvent) {
    let (name, at) = (event.data.name(), event.at.as_duration());
    let json = event.json(&TraceAddresses::Shown);
    match &event.data {
        TraceData::ConnectionState(state) => info!(target: "frazil", ?at, ?state, "{name}"),
        TraceData::SelectedPair { local, remote, .. } => {
            info!(target: "frazil", ?at, local = %local.addr, remote = %remote.addr, "{name}");
        }
        TraceData::ConsentLost { .. }
        | TraceData::RestartNeeded
        | TraceData::CheckExpired { cancelled: false, .. }
        | TraceData::EventsLost { .. } => warn!(target: "frazil", ?at, %json, "{name}"),
        TraceData::CheckSent { .. }
        | TraceData::CheckReceived { .. }
        | TraceData::ResponseSent { .. }
        | TraceData::ResponseReceived { .. }
        | TraceData::DatagramIgnored { .. } => trace!(target: "frazil", ?at, %json, "{name}"),
        _ => debug!(target: "frazil", ?at, %json, "{name}"),
    }
}

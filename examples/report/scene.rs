//! Sessions in the simulator, to have something to look at.

use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use frazil::sim::{Link, Obtain, Probability, TurnServerConfig, World};
use frazil::trace::{TraceAddresses, TraceHeader};
use frazil::{AgentConfig, Policies, Role, Timestamp, TransportPolicy};

/// Two agents with two addresses each; the traces of both.
pub(crate) fn play(name: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let slow = Link::delayed(Duration::from_millis(25));
    let (link, until) = match name {
        "good" => (slow, Duration::from_secs(20)),
        "lossy" => {
            let mobile = slow.with_jitter(Duration::from_millis(15));
            (mobile.with_loss(Probability::percent(30)), Duration::from_secs(20))
        }
        "relayed" => (slow, Duration::from_secs(20)),
        "failed" => (slow.with_loss(Probability::ALWAYS), Duration::from_secs(45)),
        other => {
            return Err(format!("no scene is called {other}: good, lossy, relayed, failed").into());
        }
    };
    let mut world = World::new([11; 32]);
    world.network_mut().set_default_link(link);
    let turn = TurnServerConfig::new("203.0.113.1:3478".parse()?).with_user("alice", "secret");
    let relay = if name == "relayed" { Some(world.add_server(turn)?) } else { None };
    let mut sides = Vec::new();
    for (role, title, addresses) in [
        (Role::Controlling, "controlling", ["192.0.2.1:5000", "198.51.100.1:5000"]),
        (Role::Controlled, "controlled", ["192.0.2.2:6000", "198.51.100.2:6000"]),
    ] {
        let mut config = AgentConfig::new(role);
        config.trace = true;
        if relay.is_some() {
            let mut policies = Policies::default();
            policies.transport = TransportPolicy::Relay;
            config.policies = Some(Arc::new(policies));
        }
        let agent = world.add_agent(config)?;
        for address in addresses {
            world.add_socket(agent, address.parse()?)?;
        }
        if let Some(server) = relay {
            world.obtain(agent, server, Obtain::Relayed)?;
        }
        let title = format!("{title}, in the simulator, scene {name}");
        let text = format!("\u{1e}{}\n", TraceHeader { title: &title });
        sides.push((agent, text));
    }
    world.connect(sides[0].0, sides[1].0)?;
    for (agent, _) in &sides {
        world.start(*agent)?;
    }
    while world.now() < Timestamp::from_duration(until) {
        let done = world.step()?.is_none();
        for (agent, text) in &mut sides {
            let agent = world.agent_mut(*agent).ok_or("no such agent")?;
            while let Some(event) = agent.poll_trace() {
                writeln!(text, "\u{1e}{}", event.json(&TraceAddresses::Shown))?;
            }
        }
        if done {
            break;
        }
    }
    Ok(sides.into_iter().map(|(_, text)| text).collect())
}

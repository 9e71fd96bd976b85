//! Calls and bytes in any order: nothing panics, nothing spins, nothing grows without bound.

use std::time::Duration;

use frazil::{ConnectionId, Credentials, LocalAddress, Parameters, Role};

use crate::common::{addr, plain};
use crate::script::{HERE, Script};

/// A generator of one's own: the same on every machine.
struct Draw(u32);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % bound
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        if all.is_empty() { None } else { Some(all[self.below(all.len())]) }
    }
}

fn settle(script: &mut Script) {
    script.drain();
    for round in 0.. {
        match script.agent.poll_timeout() {
            Some(at) if at <= script.now => script.agent.handle_timeout(script.now),
            _ => break,
        }
        script.drain();
        assert!(round < 8, "still due: {:?}", script.agent.timeout_reason());
    }
}

#[test]
fn any_order_of_calls_is_survived() {
    for seed in 0..400 {
        let mut draw = Draw(seed);
        let mut config = plain([Role::Controlling, Role::Controlled][draw.below(2)]);
        config.consent = draw.below(2) == 0;
        config.continual = true;
        config.limits.connections = 8;
        let local = LocalAddress::tcp_active(addr(HERE).ip());
        let mut script = Script::new(config, local);
        let passive = LocalAddress::tcp_passive(addr(HERE));
        script.agent.add_local(script.now, script.stream, 1, passive).unwrap();
        script.start();
        let mut accepted: Vec<ConnectionId> = Vec::new();
        for step in 0..150 {
            let mut known: Vec<ConnectionId> =
                script.opened().into_iter().map(|(id, _, _)| id).collect();
            known.extend(&accepted);
            let id = draw.of(&known);
            match (draw.below(12), id) {
                (0, _) => {
                    let from = format!("192.0.2.2:{}", 50_000 + draw.below(6));
                    let id = script.agent.connection_accepted(script.now, addr(HERE), addr(&from));
                    accepted.extend(id);
                }
                (1 | 2, Some(id)) => script.agent.connection_opened(script.now, id),
                (3, Some(id)) => script.agent.connection_closed(script.now, id),
                (4, Some(id)) => {
                    let bytes: Vec<u8> = (0..draw.below(60)).map(|_| draw.below(4) as u8).collect();
                    script.feed(id, &bytes);
                }
                (5 | 6, Some(id)) => {
                    let check = script.check(draw.below(2) == 0);
                    script.frame(id, &check);
                }
                (7 | 8, Some(id)) => {
                    let requests = script.requests();
                    if let Some((on, request)) = requests.last() {
                        let on = if draw.below(4) == 0 { id } else { *on };
                        script.answer(on, &request.clone());
                    }
                }
                (9, _) => {
                    let port = 4_000 + draw.below(3);
                    let kind = ["active", "passive", "so"][draw.below(3)];
                    let line =
                        format!("1 1 TCP 1671430143 192.0.2.2 {port} typ host tcptype {kind}");
                    let _ = script.remote(&line);
                }
                (10, _) if draw.below(6) == 0 => {
                    let _ = script.agent.prepare_restart(script.now);
                    settle(&mut script);
                    let ufrag = format!("peer{step}");
                    let pwd = format!("peerpasswordpeerpassword{step}");
                    let credentials = Credentials::new(&ufrag, &pwd).unwrap();
                    let told = script.agent.set_remote(script.now, Parameters::new(credentials));
                    assert_eq!(told, Ok(()));
                }
                (10, _) if draw.below(8) == 0 => {
                    let local = script.agent.local_candidates().next().map(|local| local.id);
                    if let Some(local) = local {
                        let _ = script.agent.remove_local(script.now, local);
                    }
                }
                (11, _) => {
                    let until = script.now + Duration::from_millis(draw.below(9_000) as u64);
                    settle(&mut script);
                    script.run_until(until);
                }
                _ => {}
            }
            settle(&mut script);
        }
        // Left alone it comes to rest, or waits for what a peer has to do.
        let until = script.now + Duration::from_secs(300);
        script.run_until(until);
        assert!(script.opened().len() < 100, "seed {seed}: {}", script.opened().len());
        script.agent.close(script.now);
        script.drain();
        assert_eq!(script.agent.poll_timeout(), None);
    }
}

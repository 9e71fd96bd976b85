//! Any order, loss and duplication of datagrams, and whatever happens meanwhile: in the end data is
//! relayed again.

use proptest::prelude::*;

use super::super::{Fact, Families, Phase};
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Faults(Vec<Fault>),
    Wait(u64),
    Permit(u8),
    Forget(u8),
    Bind(u8),
    Unbind(u8),
    Crash,
    ExpireNonces,
    Cut(bool),
    Move(u16),
    Data(Vec<u8>),
    Credentials,
    Unreachable,
}

fn step() -> impl Strategy<Value = Step> {
    let fault =
        prop_oneof![Just(Fault::None), Just(Fault::Lost), Just(Fault::Doubled), Just(Fault::Late)];
    prop_oneof![
        4 => prop::collection::vec(fault, 1..30).prop_map(Step::Faults),
        6 => (0_u64..700).prop_map(Step::Wait),
        2 => any::<u8>().prop_map(Step::Permit),
        1 => any::<u8>().prop_map(Step::Forget),
        2 => any::<u8>().prop_map(Step::Bind),
        1 => any::<u8>().prop_map(Step::Unbind),
        1 => Just(Step::Crash),
        1 => Just(Step::ExpireNonces),
        1 => any::<bool>().prop_map(Step::Cut),
        1 => (5000_u16..5100).prop_map(Step::Move),
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Step::Data),
        1 => Just(Step::Credentials),
        1 => Just(Step::Unreachable),
    ]
}

fn peer(number: u8) -> SocketAddr {
    SocketAddr::new([203, 0, 113, number % 12 + 1].into(), 7000)
}

impl World {
    fn take(&mut self, step: Step) {
        match step {
            Step::Faults(faults) => self.faults.extend(faults),
            Step::Wait(secs) => self.run(secs),
            Step::Permit(number) => {
                let _ = self.client.permit(self.now, peer(number).ip());
            }
            Step::Forget(number) => self.client.forget(peer(number).ip()),
            Step::Bind(number) => {
                let _ = self.client.bind(self.now, peer(number));
            }
            Step::Unbind(number) => self.client.unbind(peer(number)),
            Step::Crash => self.server.crash(),
            Step::ExpireNonces => self.server.expire_nonces(),
            Step::Cut(cut) => self.cut = cut,
            Step::Move(port) => self.moves_to(&format!("192.0.2.1:{port}")),
            Step::Data(bytes) => self.give_client(addr(LISTEN), &bytes),
            Step::Credentials => self.client.update_credentials(self.now, alice()),
            Step::Unreachable => self.client.unreachable(self.now, None),
        }
    }

    /// The network is good again, and the owner does what it is asked to.
    fn heal(&mut self) {
        self.cut = false;
        self.faults.clear();
        for port in 6000..6010 {
            self.run(1200);
            if matches!(self.client.phase, Phase::NeedsPort) {
                self.moves_to(&format!("192.0.2.1:{port}"));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn in_the_end_data_is_relayed(
        steps in prop::collection::vec(step(), 0..40),
        both in any::<bool>(),
    ) {
        let families = if both { Families::Both } else { Families::V4 };
        let mut world = World::new(AllocationConfig { families, ..client() }, server());
        for step in steps {
            world.take(step);
            world.run(0);
        }
        world.heal();
        world.client.permit(world.now, addr(PEER).ip()).unwrap();
        world.run(60);
        world.assert_relays(addr(PEER));
        prop_assert_eq!(world.client.relayed().len(), 1 + usize::from(both));
        world.client.close(world.now);
        world.run(60);
        prop_assert_eq!(world.facts.last(), Some(&Fact::Closed));
    }

    /// What arrives from the address of the server need not come from the server.
    #[test]
    fn bytes_of_anybody_change_nothing(
        messages in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..80)), 0..40),
    ) {
        let mut world = World::bound();
        let before = format!("{:?}", world.client.phase);
        let slots = (world.client.slot_at(), world.client.poll_timeout());
        for (head, body) in messages {
            let mut bytes = head.to_be_bytes().to_vec();
            bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
            bytes.extend([0x21, 0x12, 0xa4, 0x42]);
            bytes.extend(body);
            world.give_client(addr(LISTEN), &bytes);
        }
        prop_assert_eq!(format!("{:?}", world.client.phase), before);
        prop_assert_eq!((world.client.slot_at(), world.client.poll_timeout()), slots);
        world.assert_relays(addr(PEER));
    }
}

//! Any calls and any bytes.

use std::time::Duration;

use frazil::{Mdns, MdnsArrival, MdnsConfig, MdnsEvent, MdnsName, MdnsTransmit, Timestamp};
use proptest::prelude::*;

use crate::link::{LINK, groups};

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Publish(u8, u8),
    Unpublish(u8),
    Query(u8),
    Cancel(u8),
    /// Up to three questions or records of names in use.
    Message {
        response: bool,
        port: u16,
        entries: Vec<(u8, bool, u8)>,
    },
    Bytes(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u64..3_000_000_000).prop_map(Step::Wait),
        (0_u8..6, any::<u8>()).prop_map(|(name, addr)| Step::Publish(name, addr)),
        (0_u8..6).prop_map(Step::Unpublish),
        (0_u8..6).prop_map(Step::Query),
        any::<u8>().prop_map(Step::Cancel),
        (
            any::<bool>(),
            prop_oneof![Just(5353_u16), 0..9000_u16],
            proptest::collection::vec((0_u8..6, any::<bool>(), any::<u8>()), 0..4)
        )
            .prop_map(|(response, port, entries)| Step::Message {
                response,
                port,
                entries
            }),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(Step::Bytes),
    ]
}

fn name(number: u8) -> MdnsName {
    MdnsName::from_random([number; 16])
}

fn message(response: bool, entries: &[(u8, bool, u8)]) -> Vec<u8> {
    let count = u8::try_from(entries.len()).unwrap();
    let (flags, counts) = if response { (0x84, [0, count]) } else { (0, [count, 0]) };
    let mut bytes = vec![0, 7, flags, 0, 0, counts[0], 0, counts[1], 0, 0, 0, 0];
    for (number, bit, byte) in entries {
        bytes.push(36);
        bytes.extend(&name(*number).as_str().as_bytes()[..36]);
        bytes.extend(b"\x05local\x00\x00\x01");
        bytes.extend([if *bit { 0x80 } else { 0 }, 1]);
        if response {
            bytes.extend([0, 0, 0, 120, 0, 4, 192, 0, 2, *byte]);
        }
    }
    bytes
}

/// Everything that came out.
#[derive(Debug, Default, PartialEq)]
struct Output {
    transmits: Vec<(MdnsTransmit, Vec<u8>)>,
    events: Vec<MdnsEvent>,
    deadlines: Vec<Option<Timestamp>>,
}

fn run(mdns: &mut Mdns, now: &mut Timestamp, steps: &[Step]) -> Output {
    let (mut output, mut queries) = (Output::default(), Vec::new());
    for step in steps {
        let arrival =
            |port: u16| MdnsArrival::new(LINK, groups()[0], ([192, 0, 2, 9], port).into());
        let is_datagram = matches!(step, Step::Message { .. } | Step::Bytes(_));
        match step {
            Step::Wait(nanos) => *now = *now + Duration::from_nanos(*nanos),
            Step::Publish(number, addr) => {
                let _ = mdns.publish(*now, name(*number), [192, 0, 2, *addr].into(), LINK);
            }
            Step::Unpublish(number) => {
                mdns.unpublish(*now, &name(*number));
            }
            Step::Query(number) => queries.extend(mdns.query(*now, name(*number).as_str())),
            Step::Cancel(at) if !queries.is_empty() => {
                mdns.cancel(*now, queries[usize::from(*at) % queries.len()]);
            }
            Step::Cancel(_) => {}
            Step::Message { response, port, entries } => {
                mdns.handle_datagram(*now, arrival(*port), &message(*response, entries));
            }
            Step::Bytes(bytes) => {
                mdns.handle_datagram(*now, arrival(5353), bytes);
            }
        }
        mdns.handle_timeout(*now);
        let (mut buf, before) = (Vec::new(), output.transmits.len());
        while let Some(transmit) = mdns.poll_transmit(*now, &mut buf) {
            let bytes = buf[transmit.range.clone()].to_vec();
            assert!(!bytes.is_empty() && bytes.len() < 200);
            output.transmits.push((transmit, bytes));
        }
        assert!(output.transmits.len() - before <= if is_datagram { 8 } else { 64 });
        output.events.extend(std::iter::from_fn(|| mdns.poll_event()));
        let deadline = mdns.poll_timeout();
        assert!(deadline.is_none_or(|at| at > *now), "{deadline:?} at {now:?}");
        output.deadlines.push(deadline);
    }
    output
}

/// How many events a query has.
fn events_of(output: &Output) -> Vec<u32> {
    let mut ids: Vec<_> = output
        .events
        .iter()
        .map(|event| match event {
            MdnsEvent::Resolved { query, .. } | MdnsEvent::Failed { query, .. } => query.get(),
            other => panic!("{other:?}"),
        })
        .collect();
    ids.sort_unstable();
    ids
}

proptest! {
    #[test]
    fn a_value_a_twin_and_a_clone_do_the_same(
        steps in proptest::collection::vec(step(), 0..40),
        more in proptest::collection::vec(step(), 0..20),
        announce: bool,
    ) {
        let mut config = MdnsConfig::default();
        config.announce = announce;
        let mut value = Mdns::new(config.clone(), [1; 32]).unwrap();
        let mut twin = Mdns::new(config, [1; 32]).unwrap();
        let (mut now, mut twin_now) = (Timestamp::ZERO, Timestamp::ZERO);
        let output = run(&mut value, &mut now, &steps);
        prop_assert_eq!(&output, &run(&mut twin, &mut twin_now, &steps));

        let (mut clone, mut clone_now) = (value.clone(), now);
        let after = run(&mut value, &mut now, &more);
        prop_assert_eq!(&after, &run(&mut clone, &mut clone_now, &more));

        // A query has one event at most, and all end.
        let end = run(&mut value, &mut now, &vec![Step::Wait(3_000_000_000); 8]);
        let mut ids = [events_of(&output), events_of(&after), events_of(&end)].concat();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), count);
        prop_assert_eq!(value.poll_timeout(), None);
    }
}

#[test]
fn it_is_a_plain_value() {
    fn plain<T: Clone + std::fmt::Debug + Send + Sync>() {}
    plain::<Mdns>();
}

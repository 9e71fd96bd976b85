use proptest::prelude::*;

use crate::policy::{PortRange, PortRangeError};

#[test]
fn a_range_begins_at_its_offset_and_goes_round() {
    let range = PortRange::new(5000, 5002).unwrap();
    let rows = [(0, [5000, 5001, 5002]), (1, [5001, 5002, 5000]), (2, [5002, 5000, 5001])];
    for (offset, expected) in rows {
        assert_eq!(range.ports(offset).collect::<Vec<_>>(), expected);
        assert_eq!(range.ports(offset + 3).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_lowest_port_of_zero_means_1024() {
    let range = PortRange::new(0, 2000).unwrap();
    assert_eq!((range.min(), range.max()), (1024, 2000));
    assert_eq!(PortRange::new(0, 1024).unwrap().ports(7).collect::<Vec<_>>(), [1024]);
    assert_eq!(PortRange::new(0, 1023), Err(PortRangeError));
}

#[test]
fn no_range_at_all_lets_the_system_choose_once() {
    assert_eq!(PortRange::new(0, 0), Ok(PortRange::ANY));
    assert_eq!(PortRange::default(), PortRange::ANY);
    assert_eq!(PortRange::ANY.ports(40_000).collect::<Vec<_>>(), [0]);
}

#[test]
fn a_lowest_port_above_the_highest_is_refused() {
    assert_eq!(PortRange::new(5001, 5000), Err(PortRangeError));
    assert_eq!(PortRange::new(5000, 0), Err(PortRangeError));
}

#[test]
fn the_whole_range_ends() {
    let range = PortRange::new(1, u16::MAX).unwrap();
    assert_eq!(range.ports(u16::MAX).count(), 65_535);
    assert_eq!(range.ports(u16::MAX).next(), Some(1));
}

proptest! {
    #[test]
    fn every_port_comes_once_and_only_those(
        min in 1..=u16::MAX, count in 0..500u16, offset in any::<u16>(),
    ) {
        let range = PortRange::new(min, min.saturating_add(count)).unwrap();
        let ports: Vec<u16> = range.ports(offset).collect();
        let mut sorted = ports.clone();
        sorted.sort_unstable();
        let all: Vec<u16> = (range.min()..=range.max()).collect();
        prop_assert_eq!(sorted, all);
        // Every start has its turn: the offset counts from the lowest port.
        prop_assert_eq!(ports[0], min + offset % u16::try_from(ports.len()).unwrap());
    }
}

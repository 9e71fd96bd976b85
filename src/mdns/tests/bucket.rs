use crate::mdns::bucket::Bucket;
use crate::time::Timestamp;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn take(bucket: &mut Bucket, now: Timestamp) -> usize {
    (0..1000).take_while(|_| bucket.take(now)).count()
}

#[test]
fn it_holds_what_a_second_brings_and_no_more() {
    let mut bucket = Bucket::new(4);
    assert_eq!(take(&mut bucket, at(0)), 4);
    assert_eq!(take(&mut bucket, at(249)), 0);
    assert_eq!(take(&mut bucket, at(250)), 1);
    assert_eq!(take(&mut bucket, at(750)), 2);
    assert_eq!(take(&mut bucket, at(1_000_000)), 4);
}

#[test]
fn it_is_ready_when_it_says_so_and_not_before() {
    for rate in [1, 3, 7, 64, u16::MAX] {
        let mut bucket = Bucket::new(rate);
        let now = at(5);
        while bucket.take(now) {}
        let ready = bucket.ready();
        assert!(ready > now, "{rate}");
        assert!(!bucket.take(Timestamp::from_nanos(ready.as_nanos() - 1)), "{rate}");
        assert!(bucket.take(ready), "{rate}");
    }
}

//! Two clocks and a median.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The time that this thread has run. For what takes longer than a time slice: whatever else the
/// machine does meanwhile does not count. Reading it is a system call.
pub fn cpu(work: impl FnOnce()) -> Duration {
    let start = clock_gettime(ClockId::ThreadCPUTime);
    work();
    let end = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(end - start).expect("a thread's time does not run back")
}

/// The time that has passed. For what is short: an interruption spoils one sample of many, and the
/// median does not see it. Reading it is cheap.
pub fn wall(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// The middle of the samples, with nothing interpolated.
pub fn median<T: PartialOrd + Copy>(samples: &mut [T]) -> T {
    samples.sort_by(|a, b| a.partial_cmp(b).expect("samples are numbers"));
    samples[samples.len() / 2]
}

/// Takes samples until so much time has passed, but at least one; their median, in nanoseconds.
pub fn sample(budget: Duration, mut one: impl FnMut() -> Duration) -> f64 {
    let start = Instant::now();
    let mut samples = Vec::new();
    while samples.is_empty() || start.elapsed() < budget {
        samples.push(one().as_nanos() as f64);
    }
    median(&mut samples)
}

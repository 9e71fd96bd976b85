//! Ranges of local ports.

/// The ports to which the caller's sockets are bound.
///
/// ```
/// use frazil::PortRange;
///
/// let range = PortRange::new(5000, 5003)?;
/// let ports: Vec<u16> = range.ports(2).collect(); // the offset is drawn at random
/// assert_eq!(ports, [5002, 5003, 5000, 5001]);
/// # Ok::<(), frazil::PortRangeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    /// Zero only if `max` is zero as well.
    min: u16,
    max: u16,
}

/// What no privileged service has (RFC 6335 §6).
const FIRST_USER_PORT: u16 = 1024;

impl PortRange {
    /// Whichever port the system gives.
    pub const ANY: Self = Self { min: 0, max: 0 };

    /// The ports from `min` to `max`, both included. A `min` of 0 stands for 1024; 0 and 0 is
    /// [`ANY`](Self::ANY).
    ///
    /// # Errors
    /// There is no such port.
    pub const fn new(min: u16, max: u16) -> Result<Self, PortRangeError> {
        let min = if min == 0 && max != 0 { FIRST_USER_PORT } else { min };
        if min > max { Err(PortRangeError) } else { Ok(Self { min, max }) }
    }

    /// The lowest port.
    #[must_use]
    pub const fn min(&self) -> u16 {
        self.min
    }

    /// The highest port.
    #[must_use]
    pub const fn max(&self) -> u16 {
        self.max
    }

    /// Every port once: from the one that is `offset` behind the lowest, counted round, to the one
    /// before it. [`ANY`](Self::ANY) gives 0, which makes the system choose.
    #[must_use]
    pub fn ports(&self, offset: u16) -> Ports {
        let last = self.max.saturating_sub(self.min);
        let offset = match last.checked_add(1) {
            Some(count) => offset.checked_rem(count).unwrap_or_default(),
            None => offset,
        };
        Ports { range: *self, next: Some(self.min.saturating_add(offset)), left: last }
    }
}

impl Default for PortRange {
    fn default() -> Self {
        Self::ANY
    }
}

/// The ports of a [`PortRange`], each once.
#[derive(Clone, Debug)]
pub struct Ports {
    range: PortRange,
    next: Option<u16>,
    /// How many come behind `next`.
    left: u16,
}

impl Iterator for Ports {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        let port = self.next?;
        self.next = self.left.checked_sub(1).map(|left| {
            self.left = left;
            if port == self.range.max { self.range.min } else { port.saturating_add(1) }
        });
        Some(port)
    }
}

/// Why two ports are no range: the lower one, 1024 where it is 0, is above the higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lowest port is above the highest")]
pub struct PortRangeError;

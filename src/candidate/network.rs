//! The network behind a candidate, and what using it costs, as libwebrtc tells it: the extensions
//! `network-id` and `network-cost` of a candidate line, and the attribute NETWORK-INFO of checks.

use super::Candidate;
use super::sdp::decimal;

/// The most that a network may cost.
const MAX_COST: u16 = 999;

/// A network and what using it costs. Zeros are told by nobody, and stand for what is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Network {
    /// A number that the side it belongs to gives to one of its interfaces.
    pub(crate) id: u16,
    /// 0 (free) to 999 (avoid).
    pub(crate) cost: u16,
}

impl Network {
    /// The name of the extension for the number.
    pub(crate) const ID: &'static str = "network-id";
    /// The name of the extension for the cost.
    pub(crate) const COST: &'static str = "network-cost";

    /// What costs more than the most counts as that.
    pub(crate) fn new(id: u16, cost: u16) -> Self {
        Self { id, cost: cost.min(MAX_COST) }
    }

    /// The value of NETWORK-INFO: the number, then the cost.
    pub(crate) fn from_bits(value: u32) -> Self {
        let [i0, i1, c0, c1] = value.to_be_bytes();
        Self::new(u16::from_be_bytes([i0, i1]), u16::from_be_bytes([c0, c1]))
    }

    /// The opposite of [`from_bits`](Self::from_bits).
    pub(crate) fn to_bits(self) -> u32 {
        (u32::from(self.id) << 16) | u32::from(self.cost)
    }

    /// Adds the extensions to those of a candidate line. What costs nothing is not told, as libwebrtc
    /// has it.
    pub(crate) fn tell(self, extensions: &mut Vec<(String, String)>) {
        for (name, value) in [(Self::ID, self.id), (Self::COST, self.cost)] {
            if value > 0 {
                extensions.push((name.to_owned(), value.to_string()));
            }
        }
    }

    /// Whether anything has been told.
    pub(crate) fn is_told(self) -> bool {
        self != Self::default()
    }
}

impl Candidate {
    /// The number of the network that it is on, among those of its side: the extension
    /// `network-id` of libwebrtc. `None` without it, and when its value is not a number of 16 bits.
    #[must_use]
    pub fn network_id(&self) -> Option<u16> {
        decimal(self.extension(Network::ID)?, 5)
    }

    /// What using that network costs its side, 0 (free) to 999 (avoid): the extension `network-cost`
    /// of libwebrtc, where a larger value stands for 999. `None` without it, and when its value is
    /// not a number of 16 bits.
    ///
    /// ```
    /// # use frazil::Candidate;
    /// let line = "1 1 UDP 2130706431 203.0.113.5 54321 typ host network-id 3 network-cost 900";
    /// let candidate: Candidate = line.parse()?;
    /// assert_eq!((candidate.network_id(), candidate.network_cost()), (Some(3), Some(900)));
    /// # Ok::<(), frazil::CandidateParseError>(())
    /// ```
    #[must_use]
    pub fn network_cost(&self) -> Option<u16> {
        let cost: u16 = decimal(self.extension(Network::COST)?, 5)?;
        Some(cost.min(MAX_COST))
    }

    /// Both, as far as they are told.
    pub(crate) fn network(&self) -> Network {
        Network::new(self.network_id().unwrap_or_default(), self.network_cost().unwrap_or_default())
    }
}

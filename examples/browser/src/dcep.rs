//! The Data Channel Establishment Protocol: the two messages of RFC 8832 §5.

use sctp_proto::ReliabilityType;

const DATA_CHANNEL_ACK: u8 = 0x02;
const DATA_CHANNEL_OPEN: u8 = 0x03;

/// The bit of a channel type that says "unordered".
const UNORDERED: u8 = 0x80;

/// The priority "below normal" (RFC 8831 §6.4), a browser's default.
const PRIORITY: u16 = 256;

/// RFC 8832 §5.1: what opens a channel on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) label: String,
    pub(crate) protocol: String,
    pub(crate) unordered: bool,
    pub(crate) reliability: Reliability,
}

/// How long a message is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reliability {
    Reliable,
    /// That many retransmissions.
    Retransmissions(u32),
    /// That many milliseconds.
    Lifetime(u32),
}

impl Reliability {
    /// As `sctp-proto` takes it.
    pub(crate) const fn of_stream(self) -> (ReliabilityType, u32) {
        match self {
            Self::Reliable => (ReliabilityType::Reliable, 0),
            Self::Retransmissions(count) => (ReliabilityType::Rexmit, count),
            Self::Lifetime(millis) => (ReliabilityType::Timed, millis),
        }
    }
}

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Open(Open),
    /// RFC 8832 §5.2.
    Ack,
}

/// The message is none of RFC 8832.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message of the data channel protocol")]
pub(crate) struct Malformed;

impl Message {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        match bytes {
            // Later versions may have more to say here.
            [DATA_CHANNEL_ACK, ..] => Ok(Self::Ack),
            [DATA_CHANNEL_OPEN, kind, _, _, a, b, c, d, l0, l1, p0, p1, text @ ..] => {
                let parameter = u32::from_be_bytes([*a, *b, *c, *d]);
                let label = usize::from(u16::from_be_bytes([*l0, *l1]));
                let protocol = usize::from(u16::from_be_bytes([*p0, *p1]));
                let (label, rest) = text.split_at_checked(label).ok_or(Malformed)?;
                let protocol = rest.get(..protocol).ok_or(Malformed)?;
                let reliability = match kind & !UNORDERED {
                    0 => Reliability::Reliable,
                    1 => Reliability::Retransmissions(parameter),
                    2 => Reliability::Lifetime(parameter),
                    _ => return Err(Malformed),
                };
                Ok(Self::Open(Open {
                    label: String::from_utf8(label.to_vec()).map_err(|_| Malformed)?,
                    protocol: String::from_utf8(protocol.to_vec()).map_err(|_| Malformed)?,
                    unordered: kind & UNORDERED != 0,
                    reliability,
                }))
            }
            _ => Err(Malformed),
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let Self::Open(open) = self else { return vec![DATA_CHANNEL_ACK] };
        let (kind, parameter) = match open.reliability {
            Reliability::Reliable => (0, 0),
            Reliability::Retransmissions(count) => (1, count),
            Reliability::Lifetime(millis) => (2, millis),
        };
        // Label and protocol are ours, and short.
        let length = |text: &str| u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut bytes = vec![DATA_CHANNEL_OPEN, kind | if open.unordered { UNORDERED } else { 0 }];
        bytes.extend(PRIORITY.to_be_bytes());
        bytes.extend(parameter.to_be_bytes());
        bytes.extend(length(&open.label));
        bytes.extend(length(&open.protocol));
        bytes.extend(open.label.as_bytes());
        bytes.extend(open.protocol.as_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Open {
        Open {
            label: "grüße".to_owned(),
            protocol: "echo".to_owned(),
            unordered: true,
            reliability: Reliability::Lifetime(500),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for message in [Message::Open(open()), Message::Ack] {
            assert_eq!(Message::parse(&message.to_bytes()), Ok(message));
        }
    }

    #[test]
    fn a_message_that_is_cut_short_is_refused() {
        let bytes = Message::Open(open()).to_bytes();
        for len in 0..bytes.len() {
            assert_eq!(Message::parse(&bytes[..len]), Err(Malformed), "{len} bytes");
        }
    }

    #[test]
    fn the_fields_stand_where_rfc_8832_has_them() {
        let bytes = [3, 0x81, 0, 0, 0, 0, 0, 7, 0, 1, 0, 0, b'x'];
        let open = Open {
            label: "x".to_owned(),
            protocol: String::new(),
            unordered: true,
            reliability: Reliability::Retransmissions(7),
        };
        assert_eq!(Message::parse(&bytes), Ok(Message::Open(open)));
    }
}

//! Data channels (RFC 8831) on the streams of the association.

use std::collections::{BTreeMap, BTreeSet};

use sctp_proto::{Association, PayloadProtocolIdentifier as Ppid, StreamEvent};

use crate::dcep::{self, Open, Reliability};

/// Bytes that wait to be sent on one channel before nothing more is read from it: what is not read
/// closes the receive window, and so slows the peer down.
const HIGH_WATER: usize = 256 * 1024;

/// A stream of SCTP, which is what a channel is called by.
pub(crate) type ChannelId = u16;

/// A message of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Text(String),
    Binary(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelState {
    /// Opened by this side; the peer has not acknowledged it.
    Opening,
    Open,
    Closing,
}

#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) label: String,
    pub(crate) state: ChannelState,
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// What has happened to a channel.
#[derive(Debug)]
pub(crate) enum ChannelEvent {
    /// The peer and this side agree on it.
    Opened,
    Message(ChannelId, Message),
    /// By its label.
    Closed(String),
}

/// Why a channel cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelError {
    #[error("SCTP: {0}")]
    Sctp(#[from] sctp_proto::Error),
    #[error("no stream is free")]
    Full,
    #[error("no such channel")]
    Unknown,
}

/// All channels of an association.
#[derive(Default)]
pub(crate) struct Channels {
    all: BTreeMap<ChannelId, Channel>,
    /// Streams that may have something to read.
    readable: BTreeSet<ChannelId>,
}

impl Channels {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ChannelId, &Channel)> {
        self.all.iter().map(|(id, channel)| (*id, channel))
    }

    /// Opens a channel. RFC 8832 §6: the client of DTLS has the even streams.
    pub(crate) fn open(
        &mut self,
        association: &mut Association,
        is_client: bool,
        label: &str,
    ) -> Result<(), ChannelError> {
        let first = ChannelId::from(!is_client);
        let mut ids = (first..ChannelId::MAX).step_by(2);
        let id = ids.find(|id| !self.all.contains_key(id)).ok_or(ChannelError::Full)?;
        let open = dcep::Message::Open(Open {
            label: label.to_owned(),
            protocol: String::new(),
            unordered: false,
            reliability: Reliability::Reliable,
        });
        association.open_stream(id, Ppid::Binary)?.write_with_ppi(&open.to_bytes(), Ppid::Dcep)?;
        self.add(id, label.to_owned(), ChannelState::Opening);
        Ok(())
    }

    fn add(&mut self, id: ChannelId, label: String, state: ChannelState) {
        self.all.insert(id, Channel { label, state, received: 0, sent: 0 });
    }

    pub(crate) fn send(
        &mut self,
        association: &mut Association,
        id: ChannelId,
        message: &Message,
    ) -> Result<(), ChannelError> {
        let channel = self.all.get_mut(&id).ok_or(ChannelError::Unknown)?;
        let (bytes, filled, empty) = match message {
            Message::Text(text) => (text.as_bytes(), Ppid::String, Ppid::StringEmpty),
            Message::Binary(bytes) => (bytes.as_slice(), Ppid::Binary, Ppid::BinaryEmpty),
        };
        // RFC 8831 §6.6: SCTP has no empty messages, so that one byte stands for them.
        let (bytes, ppid) = if bytes.is_empty() { (&[0][..], empty) } else { (bytes, filled) };
        association.stream(id)?.write_with_ppi(bytes, ppid)?;
        channel.sent = channel.sent.saturating_add(1);
        Ok(())
    }

    /// RFC 8831 §6.7: closing a channel resets its stream.
    pub(crate) fn close_all(&mut self, association: &mut Association) {
        for (&id, channel) in &mut self.all {
            channel.state = ChannelState::Closing;
            // A stream that is gone is closed.
            if let Ok(mut stream) = association.stream(id) {
                stream.close().ok();
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes note of what SCTP says of its streams.
    pub(crate) fn on_stream_event(
        &mut self,
        association: &mut Association,
        event: StreamEvent,
    ) -> Option<ChannelEvent> {
        match event {
            StreamEvent::Opened { .. } => {
                // What it is for is in its first message.
                while let Some(stream) = association.accept_stream() {
                    self.readable.insert(stream.stream_identifier());
                }
            }
            StreamEvent::Readable { id } => {
                self.readable.insert(id);
            }
            // The peer has closed the channel, and is told that it is closed by the same means;
            // `sctp-proto` resets our direction by itself.
            StreamEvent::Finished { id } => {
                self.readable.remove(&id);
                return Some(ChannelEvent::Closed(self.all.remove(&id)?.label));
            }
            _ => {}
        }
        None
    }

    /// The next message of any channel that is not behind with sending.
    pub(crate) fn read(&mut self, association: &mut Association) -> Option<ChannelEvent> {
        let waiting: Vec<ChannelId> = self.readable.iter().copied().collect();
        for id in waiting {
            loop {
                let Ok(mut stream) = association.stream(id) else {
                    self.readable.remove(&id);
                    break;
                };
                if stream.buffered_amount().is_ok_and(|waiting| waiting > HIGH_WATER) {
                    break;
                }
                let Ok(Some(chunks)) = stream.read_sctp() else {
                    self.readable.remove(&id);
                    break;
                };
                let mut bytes = vec![0; chunks.len()];
                if chunks.read(&mut bytes).is_err() {
                    continue;
                }
                if let Some(event) = self.on_message(association, id, chunks.ppi, bytes) {
                    return Some(event);
                }
            }
        }
        None
    }

    fn on_message(
        &mut self,
        association: &mut Association,
        id: ChannelId,
        ppid: Ppid,
        bytes: Vec<u8>,
    ) -> Option<ChannelEvent> {
        let message = match ppid {
            Ppid::Dcep => return self.on_dcep(association, id, &bytes),
            Ppid::String => Message::Text(String::from_utf8_lossy(&bytes).into_owned()),
            Ppid::Binary => Message::Binary(bytes),
            Ppid::StringEmpty => Message::Text(String::new()),
            Ppid::BinaryEmpty => Message::Binary(Vec::new()),
            _ => return None,
        };
        let channel = self.all.get_mut(&id)?;
        channel.received = channel.received.saturating_add(1);
        Some(ChannelEvent::Message(id, message))
    }

    fn on_dcep(
        &mut self,
        association: &mut Association,
        id: ChannelId,
        bytes: &[u8],
    ) -> Option<ChannelEvent> {
        match dcep::Message::parse(bytes) {
            Ok(dcep::Message::Open(open)) if !self.all.contains_key(&id) => {
                let mut stream = association.stream(id).ok()?;
                let (kind, value) = open.reliability.of_stream();
                // The acknowledgement goes out in order and for sure, what follows as was agreed.
                stream.write_with_ppi(&dcep::Message::Ack.to_bytes(), Ppid::Dcep).ok()?;
                stream.set_reliability_params(open.unordered, kind, value).ok()?;
                self.add(id, open.label, ChannelState::Open);
                Some(ChannelEvent::Opened)
            }
            Ok(dcep::Message::Ack) => {
                let channel = self.all.get_mut(&id)?;
                if channel.state != ChannelState::Opening {
                    return None;
                }
                channel.state = ChannelState::Open;
                Some(ChannelEvent::Opened)
            }
            // RFC 8832 §6 has the stream closed for what makes no sense.
            _ => {
                association.stream(id).ok()?.close().ok();
                None
            }
        }
    }
}

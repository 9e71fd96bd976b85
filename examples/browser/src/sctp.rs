//! SCTP (RFC 9260) over DTLS (RFC 8261): one association, and no addresses.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use bytes::Bytes;
use frazil::Timestamp;
use sctp_proto::{
    Association, AssociationHandle, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    ServerConfig,
};

use crate::clock::Clock;

/// The port that the descriptions name.
pub(crate) const PORT: u16 = 5000;

/// RFC 8261 §5: SCTP sees no addresses here, but `sctp-proto` wants one.
const PEER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT));

/// User data of a packet, so that it is 1200 bytes of UDP with all that is put around it (RFC 8831
/// §5): the header of SCTP and of a DATA chunk, and the record of DTLS.
const PAYLOAD: u32 = 1200 - 12 - 16 - 37;

/// One association. Its timers are those of SCTP: retransmissions, delayed acknowledgements,
/// heartbeats.
///
/// It waits for the browser to begin: browsers always do, whoever is the client of DTLS.
pub(crate) struct Sctp {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    clock: Clock,
}

impl Sctp {
    pub(crate) fn new(clock: Clock) -> Self {
        let mut config = EndpointConfig::new();
        config.max_payload_size(PAYLOAD);
        let endpoint = Endpoint::new(Arc::new(config), Some(Arc::new(ServerConfig::default())));
        Self { endpoint, association: None, clock }
    }

    /// Begins, as a browser does.
    #[cfg(test)]
    pub(crate) fn connect(&mut self) {
        let config = sctp_proto::ClientConfig::default();
        self.association = Some(self.endpoint.connect(config, PEER).unwrap());
    }

    pub(crate) fn receive(&mut self, now: Timestamp, packet: &[u8]) {
        let (now, packet) = (self.clock.instant(now), Bytes::copy_from_slice(packet));
        match self.endpoint.handle(now, PEER, None, None, packet) {
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                self.endpoint.reject_new_associations();
                self.association = Some((handle, association));
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some((_, association)) = &mut self.association {
                    association.handle_event(event);
                }
            }
            None => {}
        }
    }

    /// Packets to encrypt and send; to be called until it returns `None`.
    pub(crate) fn poll_transmit(&mut self, now: Timestamp) -> Option<Vec<Bytes>> {
        let now = self.clock.instant(now);
        let ours = self.endpoint.poll_transmit();
        let transmit = ours.or_else(|| self.association.as_mut()?.1.poll_transmit(now))?;
        match transmit.payload {
            Payload::RawEncode(packets) => Some(packets),
            // What was received, which is not what is sent.
            Payload::PartialDecode(_) => Some(Vec::new()),
        }
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        let (handle, association) = self.association.as_mut()?;
        while let Some(event) = association.poll_endpoint_event() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                association.handle_event(event);
            }
        }
        association.poll()
    }

    pub(crate) fn expire(&mut self, now: Timestamp) {
        if self.deadline().is_some_and(|at| at <= now) {
            let now = self.clock.instant(now);
            if let Some((_, association)) = &mut self.association {
                association.handle_timeout(now);
            }
        }
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let (_, association) = self.association.as_ref()?;
        Some(self.clock.timestamp(association.poll_timeout()?))
    }

    pub(crate) fn association(&mut self) -> Option<&mut Association> {
        self.association.as_mut().map(|(_, association)| association)
    }

    pub(crate) fn state(&self) -> &'static str {
        match &self.association {
            None => "new",
            Some((_, association)) if association.is_handshaking() => "connecting",
            Some((_, association)) if association.is_closed() => "closed",
            Some(_) => "connected",
        }
    }
}

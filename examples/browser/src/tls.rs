//! DTLS (RFC 6347, RFC 9147) between ICE and SCTP.

use std::sync::Arc;
use std::time::Duration;

use dimpl::{Config, Dtls, DtlsCertificate, Output, ProtocolVersion, certificate};
use frazil::Timestamp;

use crate::clock::Clock;
use crate::sdp::Fingerprint;

/// Room for the largest record.
const RECORD: usize = 17_000;

/// The largest datagram that the handshake makes: what fits into a check, `Embedding::max_packet`.
const MTU: usize = 984;

/// With nothing to wait for, `dimpl` names a time that is years away.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// What this program is called in certificates, for as long as it runs.
#[derive(Clone)]
pub(crate) struct Identity {
    config: Arc<Config>,
    certificate: DtlsCertificate,
    pub(crate) fingerprint: Fingerprint,
}

/// Why there is no encryption, or no more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("DTLS: {0}")]
    Dtls(#[from] dimpl::Error),
    #[error("no certificate: {0}")]
    Certificate(String),
    #[error("the browser has another certificate than it has signalled")]
    Fingerprint,
}

impl Identity {
    pub(crate) fn new() -> Result<Self, TlsError> {
        // A cookie asks whether somebody lives at the address that a ClientHello comes from. ICE has
        // asked before, so that round trip is saved.
        let config = Config::builder().mtu(MTU).use_server_cookie(false).build()?;
        let certificate = certificate::generate_self_signed_certificate()
            .map_err(|error| TlsError::Certificate(error.to_string()))?;
        let fingerprint = Fingerprint::sha256(certificate.fingerprint());
        Ok(Self { config: Arc::new(config), certificate, fingerprint })
    }
}

/// One DTLS connection. Its timer is the one of the handshake.
pub(crate) struct Tls {
    dtls: Dtls,
    clock: Clock,
    /// What the browser has signalled (RFC 8122): the certificate has to fit.
    expected: Fingerprint,
    connected: bool,
    /// The newest time that was told.
    now: Timestamp,
    deadline: Option<Timestamp>,
    buffer: Vec<u8>,
}

/// What DTLS wants.
pub(crate) enum Record<'a> {
    /// A datagram to send.
    Datagram(&'a [u8]),
    /// The handshake is done, and the browser is who it said it is.
    Connected,
    /// What the peer sent.
    Plaintext(&'a [u8]),
    /// The peer has closed.
    Closed,
}

impl Tls {
    /// Which version it is depends on what both sides can; `active` is the client.
    pub(crate) fn new(
        identity: &Identity,
        clock: Clock,
        now: Timestamp,
        active: bool,
        expected: Fingerprint,
    ) -> Result<Self, TlsError> {
        let (config, certificate) = (identity.config.clone(), identity.certificate.clone());
        let mut dtls = Dtls::new_auto(config, certificate, clock.instant(now));
        dtls.set_active(active);
        dtls.handle_timeout(clock.instant(now))?;
        let buffer = vec![0; RECORD];
        Ok(Self { dtls, clock, expected, connected: false, now, deadline: None, buffer })
    }

    pub(crate) fn receive(&mut self, now: Timestamp, datagram: &[u8]) -> Result<(), TlsError> {
        self.now = now;
        self.dtls.handle_timeout(self.clock.instant(now))?;
        Ok(self.dtls.handle_packet(datagram)?)
    }

    /// Encrypts what is to be sent. [`poll`](Self::poll) has the result.
    pub(crate) fn send(&mut self, plaintext: &[u8]) -> Result<(), TlsError> {
        self.dtls.send_application_data(plaintext)?;
        Ok(())
    }

    /// Says goodbye. [`poll`](Self::poll) has the alert.
    pub(crate) fn close(&mut self) -> Result<(), TlsError> {
        Ok(self.dtls.close()?)
    }

    /// To be called until it returns `None`.
    pub(crate) fn poll(&mut self) -> Result<Option<Record<'_>>, TlsError> {
        // What is of no use here is SRTP keys and what a later version may add.
        let record = loop {
            match self.dtls.poll_output(&mut self.buffer) {
                Output::Timeout(at) => {
                    let at = self.clock.timestamp(at);
                    self.deadline = (at - self.now < NEVER).then_some(at);
                    return Ok(None);
                }
                Output::Packet(datagram) => break (Kind::Datagram, datagram.len()),
                Output::ApplicationData(plaintext) => break (Kind::Plaintext, plaintext.len()),
                Output::PeerCert(der) => {
                    let hash = certificate::calculate_fingerprint(der);
                    if Fingerprint::sha256(hash) != self.expected {
                        return Err(TlsError::Fingerprint);
                    }
                }
                Output::Connected => {
                    self.connected = true;
                    return Ok(Some(Record::Connected));
                }
                Output::CloseNotify => return Ok(Some(Record::Closed)),
                Output::BufferTooSmall { needed } => self.buffer.resize(needed, 0),
                _ => {}
            }
        };
        let bytes = self.buffer.get(..record.1).unwrap_or_default();
        Ok(Some(match record.0 {
            Kind::Datagram => Record::Datagram(bytes),
            Kind::Plaintext => Record::Plaintext(bytes),
        }))
    }

    pub(crate) fn expire(&mut self, now: Timestamp) -> Result<(), TlsError> {
        if self.deadline.is_some_and(|at| at <= now) {
            // The next drain says when to come back.
            (self.now, self.deadline) = (now, None);
            self.dtls.handle_timeout(self.clock.instant(now))?;
        }
        Ok(())
    }

    pub(crate) const fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    pub(crate) fn is_active(&self) -> bool {
        self.dtls.is_active()
    }

    /// `None` until the handshake is done.
    pub(crate) fn version(&self) -> Option<&'static str> {
        match self.dtls.protocol_version().filter(|_| self.connected)? {
            ProtocolVersion::DTLS1_2 => Some("1.2"),
            ProtocolVersion::DTLS1_3 => Some("1.3"),
            _ => Some("other"),
        }
    }
}

/// Which record lies at the start of the buffer.
enum Kind {
    Datagram,
    Plaintext,
}

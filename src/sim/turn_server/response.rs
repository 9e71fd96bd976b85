//! Responses: how the result of a request is written, and what is done to it on the way.

use rand_chacha::rand_core::Rng;

use super::TurnServer;
use super::allocation::{Allocation, Client};
use super::auth::Seal;
use super::behaviour::{TurnMethod, TurnTamper};
use super::output::TurnRoute;
use super::request::{Failure, Success};
use super::stats::TurnRejected;
use crate::sim::dice::transaction_id;
use crate::stun::attribute::{
    ALTERNATE_DOMAIN, LIFETIME, SOFTWARE, XOR_MAPPED_ADDRESS, XOR_RELAYED_ADDRESS,
};
use crate::stun::message::reason;
use crate::stun::{Class, Fingerprint, IntegrityKey, IntegrityKeySha256, Scan, Writer};
use crate::time::Timestamp;

impl TurnServer {
    /// Answers one request, or not.
    pub(super) fn handle_request(&mut self, method: TurnMethod, client: &Client, scan: &Scan<'_>) {
        let lost = self.happens(self.behaviour.request_loss);
        if lost {
            return self.stats.reject(TurnRejected::Lost);
        }
        if self.behaviour.silent {
            return self.stats.reject(TurnRejected::Silent);
        }
        let (seal, outcome) = self.process(method, client, scan);
        let bytes = self.render(method, client, scan, seal, &outcome);
        match &outcome {
            Ok(_) => self.stats.succeed(method),
            Err(failure) => self.stats.reject(TurnRejected::Error(failure.code())),
        }
        let mut route = client.route();
        if let (TurnRoute::Datagram { local, .. }, Some(addr)) =
            (&mut route, self.behaviour.answer_from)
        {
            *local = addr;
        }
        let due = self.now + self.behaviour.response_delay;
        self.push(due, route, bytes);
    }

    fn render(
        &mut self,
        method: TurnMethod,
        client: &Client,
        scan: &Scan<'_>,
        seal: Seal,
        outcome: &Result<Success, Failure>,
    ) -> Vec<u8> {
        let id = match self.behaviour.tamper {
            Some(TurnTamper::OtherTransaction) => transaction_id(&mut self.rng),
            _ => scan.transaction_id(),
        };
        let class = if outcome.is_ok() { Class::Success } else { Class::Error };
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, class, method.number(), id);
        match outcome {
            Ok(success) => self.write_success(&mut writer, client, *success),
            Err(failure) => self.write_failure(&mut writer, client, failure),
        }
        // RFC 8656 §5
        if let (TurnMethod::Allocate | TurnMethod::Refresh, Some(software)) =
            (method, &self.config.software)
        {
            writer.attribute(SOFTWARE, software.as_bytes());
        }
        write_seal(&mut writer, &seal, self.behaviour.tamper);
        if scan.fingerprint() != Fingerprint::Absent {
            writer.fingerprint();
        }
        writer.finish();
        match self.behaviour.tamper {
            Some(TurnTamper::Truncate(len)) => bytes.truncate(len),
            Some(TurnTamper::Noise) => self.rng.fill_bytes(&mut bytes),
            _ => {}
        }
        bytes
    }

    fn write_success(&self, writer: &mut Writer<'_>, client: &Client, success: Success) {
        match success {
            Success::Binding => {
                writer.xor_address(XOR_MAPPED_ADDRESS, client.mapped());
            }
            Success::Allocate => {
                let Some(allocation) = self.allocations.get(client) else { return };
                for relay in &allocation.relays {
                    writer.xor_address(XOR_RELAYED_ADDRESS, relay.addr);
                }
                let left = seconds_left(allocation, self.now);
                writer
                    .u32(LIFETIME, self.behaviour.told_lifetime.unwrap_or(left))
                    .xor_address(XOR_MAPPED_ADDRESS, client.mapped());
                if let Some((family, code)) = allocation.address_error {
                    writer.address_error_code(family, code);
                }
            }
            Success::Refresh(lifetime) => {
                writer.u32(LIFETIME, self.behaviour.told_lifetime.unwrap_or(lifetime));
            }
            Success::Done => {}
        }
    }

    fn write_failure(&self, writer: &mut Writer<'_>, client: &Client, failure: &Failure) {
        let code = failure.code();
        writer.error_code(code, reason(code));
        match failure {
            Failure::Code(_) => {}
            Failure::Challenge(_) => self.auth.challenge(writer, client, self.now),
            Failure::Unknown(kinds) => {
                writer.unknown_attributes(kinds);
            }
            Failure::Refusal(refusal) => {
                for server in &refusal.alternates {
                    writer.alternate_server(*server);
                }
                if let Some(domain) = &refusal.domain {
                    writer.attribute(ALTERNATE_DOMAIN, domain.as_bytes());
                }
            }
        }
    }
}

impl Failure {
    pub(super) const fn code(&self) -> u16 {
        match self {
            Self::Code(code) | Self::Challenge(code) => *code,
            Self::Unknown(_) => 420,
            Self::Refusal(refusal) => refusal.code,
        }
    }
}

/// RFC 8489 §9.2.4: the integrity attribute, as the request had it.
fn write_seal(writer: &mut Writer<'_>, seal: &Seal, tamper: Option<TurnTamper>) {
    const FOREIGN: &[u8] = b"not the key of this user";
    match (tamper, seal) {
        (Some(TurnTamper::NoIntegrity), _) | (_, Seal::None) => {}
        (Some(TurnTamper::ForeignKey), Seal::Sha1(_)) => {
            writer.integrity(&IntegrityKey::short_term(FOREIGN));
        }
        (Some(TurnTamper::ForeignKey), Seal::Sha256(_)) => {
            writer.integrity_sha256(&IntegrityKeySha256::short_term(FOREIGN));
        }
        (_, Seal::Sha1(key)) => {
            writer.integrity(&key.sha1);
        }
        (_, Seal::Sha256(key)) => {
            writer.integrity_sha256(&key.sha256);
        }
    }
}

/// RFC 8656 §7.2: the time to expiry, rounded down so that no client refreshes too late.
fn seconds_left(allocation: &Allocation, now: Timestamp) -> u32 {
    let left = allocation.expires().map(|expires| expires - now).unwrap_or_default();
    u32::try_from(left.as_secs()).unwrap_or(u32::MAX)
}

//! A handshake as DTLS has them, of which only the shape is there: whose turn it is, how large its
//! packets are, who has keys when. And its timer, as RFC 6347 §4.2.4 has it.

use std::time::Duration;

use frazil::Timestamp;

/// The first byte of a handshake record.
const HANDSHAKE: u8 = 22;

/// RFC 6347 §4.2.4.1, RFC 9147 §5.8.2: doubled each time.
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);

/// Flights that follow one another. The client has those of even numbers.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// The sizes of the packets of each flight, about those that self-signed ECDSA certificates make.
    flights: &'static [&'static [usize]],
    /// With which flight the client, and with which one the server has the keys of the application.
    keys: [usize; 2],
}

/// RFC 9147 §5.7; the last flight is an ACK.
pub(crate) const DTLS13: Shape =
    Shape { name: "DTLS 1.3", flights: &[&[260], &[880], &[720], &[40]], keys: [1, 2] };

/// RFC 6347 §4.2.4, without a cookie.
pub(crate) const DTLS12: Shape =
    Shape { name: "DTLS 1.2", flights: &[&[220], &[760], &[640], &[90]], keys: [3, 2] };

/// A server that needs two packets, as with certificates of RSA or with ML-KEM.
pub(crate) const LARGE: Shape = Shape {
    name: "DTLS 1.3, two packets a flight",
    flights: &[&[900, 500], &[900, 900], &[900, 200], &[40]],
    keys: [1, 2],
};

/// One side of it.
#[derive(Debug)]
pub(crate) struct Handshake {
    shape: &'static Shape,
    client: bool,
    /// The flight of the peer that is to come, and which of its packets have.
    awaited: usize,
    arrived: Vec<bool>,
    /// The newest flight of this side.
    flight: Option<usize>,
    /// Numbers of records: of the next one, and those that have come.
    record: u16,
    records: Vec<u16>,
    timeout: Duration,
    timer: Option<Timestamp>,
    /// Since when it has the keys of the application.
    pub(crate) keys: Option<Timestamp>,
}

impl Handshake {
    pub(crate) fn new(shape: &'static Shape, client: bool) -> Self {
        Self {
            shape,
            client,
            awaited: usize::from(client),
            arrived: Vec::new(),
            flight: None,
            record: 0,
            records: Vec::new(),
            timeout: FIRST_TIMEOUT,
            timer: None,
            keys: None,
        }
    }

    /// The first flight, for a client that has not begun.
    pub(crate) fn begin(&mut self) -> Option<Vec<Vec<u8>>> {
        self.may_begin().then(|| {
            self.flight = Some(0);
            self.packets(0)
        })
    }

    pub(crate) fn may_begin(&self) -> bool {
        self.client && self.flight.is_none()
    }

    /// A packet has come; the flight that it calls for.
    pub(crate) fn receive(&mut self, now: Timestamp, packet: &[u8]) -> Option<Vec<Vec<u8>>> {
        let &[HANDSHAKE, flight, index, high, low, ..] = packet else { return None };
        let (flight, index) = (usize::from(flight), usize::from(index));
        let record = u16::from_be_bytes([high, low]);
        if self.records.contains(&record) {
            return None;
        }
        self.records.push(record);
        if flight + 2 == self.awaited {
            // RFC 6347 §4.2.4: it is sent again, so ours was lost.
            return self.flight.filter(|_| index == 0).map(|flight| self.packets(flight));
        }
        if flight != self.awaited {
            return None;
        }
        self.arrived.resize(self.shape.flights[flight].len(), false);
        self.arrived[index] = true;
        if self.arrived.contains(&false) {
            return None;
        }
        self.arrived.clear();
        self.awaited += 2;
        (self.timer, self.timeout) = (None, FIRST_TIMEOUT);
        if flight == self.shape.keys[usize::from(!self.client)] {
            self.keys = Some(now);
        }
        let next = flight + 1;
        (next < self.shape.flights.len()).then(|| {
            self.flight = Some(next);
            self.packets(next)
        })
    }

    /// The newest flight has been sent on a path: from now on it has to be answered.
    pub(crate) fn sent(&mut self, now: Timestamp) {
        let answered = self.flight.is_none_or(|flight| flight + 1 >= self.shape.flights.len());
        self.timer = (!answered).then_some(now + self.timeout);
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.timer
    }

    /// The flight that is to be sent again.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Option<Vec<Vec<u8>>> {
        self.timer.take_if(|at| *at <= now)?;
        self.timeout *= 2;
        self.flight.map(|flight| self.packets(flight))
    }

    fn packets(&mut self, flight: usize) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for (index, size) in self.shape.flights[flight].iter().enumerate() {
            let [high, low] = self.record.to_be_bytes();
            self.record += 1;
            let mut packet = vec![HANDSHAKE, flight as u8, index as u8, high, low];
            packet.resize(*size, 0);
            packets.push(packet);
        }
        packets
    }
}

//! The only look at received bytes: a view of a DNS message (RFC 1035 §4) that copies nothing.
//!
//! `scan` walks over the whole message once, so that what follows cannot fail. It follows names in
//! full, since compression may put their end anywhere before, but shows only those of one label
//! and `.local`; of records it shows the bytes. Whatever an unknown record holds does no harm.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smallvec::SmallVec;

use super::name::LOCAL;

/// RFC 6762 §17: no message is larger, headers included.
pub(super) const MAX_MESSAGE: usize = 9000;
/// Questions and records of a message. However short one is, its name may take `MAX_NAME` octets and
/// `MAX_POINTERS` steps to read.
const MAX_ENTRIES: u32 = 256;
/// RFC 1035 §2.3.4.
const MAX_NAME: usize = 255;
/// A name has no more labels than that, and no compression has a pointer that leads to a pointer.
const MAX_POINTERS: usize = 127;
const HEADER: usize = 12;

/// TYPE A (RFC 1035 §3.2.2).
pub(super) const A: u16 = 1;
/// TYPE AAAA (RFC 3596 §2.1).
pub(super) const AAAA: u16 = 28;
/// QTYPE `*` and QCLASS `*` (RFC 1035 §3.2.3, §3.2.5).
pub(super) const ANY: u16 = 255;
/// CLASS IN.
pub(super) const IN: u16 = 1;
/// RFC 6762 §5.4, §10.2: in a question it asks for unicast, in a record it flushes caches.
pub(super) const TOP_BIT: u16 = 0x8000;

/// The bytes are no DNS message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A message that was walked over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan<'a> {
    bytes: &'a [u8],
    flags: u16,
    questions: u16,
    answers: u16,
    answers_at: usize,
}

/// One label and `local`, as they stand in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LocalName<'a> {
    label: &'a [u8],
    domain: &'a [u8],
}

/// A question; a name that is not of one label and `.local` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question<'a> {
    pub(super) name: Option<LocalName<'a>>,
    pub(super) kind: u16,
    pub(super) class: u16,
}

/// A resource record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) name: Option<LocalName<'a>>,
    pub(super) kind: u16,
    pub(super) class: u16,
    pub(super) ttl: u32,
    pub(super) data: &'a [u8],
}

/// Walks over a message.
pub(super) fn scan(bytes: &[u8]) -> Result<Scan<'_>, Malformed> {
    read(bytes).ok_or(Malformed)
}

fn read(bytes: &[u8]) -> Option<Scan<'_>> {
    let (flags, questions, answers) = (u16_at(bytes, 2)?, u16_at(bytes, 4)?, u16_at(bytes, 6)?);
    let others = u32::from(u16_at(bytes, 8)?).checked_add(u32::from(u16_at(bytes, 10)?))?;
    let records = others.checked_add(u32::from(answers))?;
    if records.checked_add(u32::from(questions))? > MAX_ENTRIES {
        return None;
    }
    let mut at = HEADER;
    for _ in 0..questions {
        at = question(bytes, at)?.1;
    }
    let answers_at = at;
    for _ in 0..records {
        at = record(bytes, at)?.1;
    }
    Some(Scan { bytes, flags, questions, answers, answers_at })
}

impl<'a> Scan<'a> {
    pub(super) fn id(&self) -> u16 {
        u16_at(self.bytes, 0).unwrap_or_default()
    }

    pub(super) const fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    /// RFC 6762 §18.3, §18.11: messages with another OPCODE or RCODE are ignored. The other bits
    /// mean nothing here.
    pub(super) const fn is_plain(&self) -> bool {
        self.flags & 0x780f == 0
    }

    pub(super) fn questions(&self) -> impl Iterator<Item = Question<'a>> + use<'a> {
        entries(self.bytes, HEADER, self.questions, question)
    }

    /// The answer section; what stands in the sections behind it was not asked for.
    pub(super) fn answers(&self) -> impl Iterator<Item = Record<'a>> + Clone + use<'a> {
        entries(self.bytes, self.answers_at, self.answers, record)
    }
}

/// Reads what starts at a position, and says where it ends.
type Reader<'a, T> = fn(&'a [u8], usize) -> Option<(T, usize)>;

fn entries<'a, T>(
    bytes: &'a [u8],
    mut at: usize,
    count: u16,
    read: Reader<'a, T>,
) -> impl Iterator<Item = T> + Clone {
    (0..count).map_while(move |_| {
        let (entry, end) = read(bytes, at)?;
        at = end;
        Some(entry)
    })
}

impl<'a> LocalName<'a> {
    /// The name as names are compared (RFC 6762 §16), if it is text.
    pub(super) fn key(&self) -> Option<Key> {
        let mut bytes = SmallVec::new();
        bytes.extend_from_slice(self.label);
        bytes.push(b'.');
        bytes.extend_from_slice(LOCAL.as_bytes());
        bytes.make_ascii_lowercase();
        // A dot inside a label is no end of it.
        (bytes.is_ascii() && !self.label.contains(&b'.')).then_some(Key(bytes))
    }

    /// The two labels in the case in which they were written.
    pub(super) const fn labels(&self) -> [&'a [u8]; 2] {
        [self.label, self.domain]
    }
}

/// A name in lower case, to look up.
#[derive(Clone, Debug)]
pub(super) struct Key(SmallVec<[u8; 96]>);

impl Key {
    pub(super) fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Record<'_> {
    /// The address of an A or AAAA record of the internet.
    pub(super) fn addr(&self) -> Option<IpAddr> {
        if self.class & !TOP_BIT != IN {
            return None;
        }
        match self.kind {
            A => Some(Ipv4Addr::from(<[u8; 4]>::try_from(self.data).ok()?).into()),
            AAAA => Some(Ipv6Addr::from(<[u8; 16]>::try_from(self.data).ok()?).into()),
            _ => None,
        }
    }
}

/// The question that starts at `at`, and where it ends.
fn question(bytes: &[u8], at: usize) -> Option<(Question<'_>, usize)> {
    let (name, at) = name(bytes, at)?;
    let kind = u16_at(bytes, at)?;
    let class = u16_at(bytes, at.checked_add(2)?)?;
    Some((Question { name, kind, class }, at.checked_add(4)?))
}

/// The record that starts at `at`, and where it ends.
fn record(bytes: &[u8], at: usize) -> Option<(Record<'_>, usize)> {
    let (name, at) = name(bytes, at)?;
    let (fixed, rest) = bytes.get(at..)?.split_first_chunk::<10>()?;
    let [k0, k1, c0, c1, t0, t1, t2, t3, l0, l1] = *fixed;
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    let record = Record {
        name,
        kind: u16::from_be_bytes([k0, k1]),
        class: u16::from_be_bytes([c0, c1]),
        ttl: u32::from_be_bytes([t0, t1, t2, t3]),
        data: rest.get(..len)?,
    };
    Some((record, at.checked_add(10)?.checked_add(len)?))
}

/// The name that starts at `at`, and where it ends there. RFC 1035 §4.1.4: a pointer is to a name
/// that occurred before, so each leads further back than where the piece at hand began, and there
/// is no loop.
fn name(bytes: &[u8], start: usize) -> Option<(Option<LocalName<'_>>, usize)> {
    let mut labels = [&[][..]; 2];
    let (mut count, mut length, mut pointers) = (0_usize, 1_usize, 0_usize);
    let (mut at, mut piece, mut end) = (start, start, None);
    loop {
        let first = *bytes.get(at)?;
        let next = at.checked_add(1)?;
        match first >> 6 {
            0b00 if first == 0 => {
                let [label, domain] = labels;
                let is_local = count == 2 && domain.eq_ignore_ascii_case(LOCAL.as_bytes());
                let name = is_local.then_some(LocalName { label, domain });
                return Some((name, end.unwrap_or(next)));
            }
            0b00 => {
                let behind = next.checked_add(usize::from(first))?;
                length = length.checked_add(usize::from(first))?.checked_add(1)?;
                if length > MAX_NAME {
                    return None;
                }
                if let Some(slot) = labels.get_mut(count) {
                    *slot = bytes.get(next..behind)?;
                }
                count = count.checked_add(1)?;
                at = behind;
            }
            0b11 => {
                let to = usize::from(u16_at(bytes, at)? & 0x3fff);
                pointers = pointers.checked_add(1)?;
                if to >= piece || pointers > MAX_POINTERS {
                    return None;
                }
                end = end.or_else(|| at.checked_add(2));
                (at, piece) = (to, to);
            }
            _ => return None,
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

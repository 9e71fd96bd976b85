//! The messages that are sent, written by `simple_dns`.

use core::net::IpAddr;
use core::ops::Range;
use std::borrow::Cow;

use simple_dns::rdata::{NSEC, NsecTypeBitMap, RData};
use simple_dns::{
    CLASS, Label, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, ResourceRecord, TYPE,
};

use super::name::MdnsName;

/// The question that a legacy unicast response repeats (RFC 6762 §6.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) id: u16,
    pub(super) labels: [Box<[u8]>; 2],
    /// A, AAAA or any; of the internet or any.
    pub(super) kind: u16,
    pub(super) class: u16,
}

/// What a response says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    pub(super) name: &'a MdnsName,
    pub(super) addr: IpAddr,
    /// In seconds.
    pub(super) ttl: u32,
    pub(super) asked: Option<&'a Asked>,
}

/// Appends one question (RFC 6762 §18). Its id is zero. A message has no second one, so that the
/// simplest responder reads it.
pub(super) fn question(
    buf: &mut Vec<u8>,
    name: &MdnsName,
    ipv6: bool,
    unicast: bool,
) -> Range<usize> {
    let mut packet = Packet::new_query(0);
    let kind = if ipv6 { TYPE::AAAA } else { TYPE::A };
    let class = QCLASS::CLASS(CLASS::IN);
    let name = Name::new_unchecked(name.as_str());
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind), class, unicast));
    append(buf, &packet)
}

/// The type bit map of a name that has an A record alone (RFC 4034 §4.1.2): bit 1 of the first octet.
const HAS_A: &[u8] = &[0x40];
/// And of one that has an AAAA record alone: bit 28.
const HAS_AAAA: &[u8] = &[0, 0, 0, 0x08];

/// Appends a response: the record, and that the name has no other one (RFC 6762 §6.1), which answers
/// whoever has asked for both families at once. Neither a resolver of unicast DNS nor a goodbye has use
/// for that.
pub(super) fn answer(buf: &mut Vec<u8>, answer: &Answer<'_>) -> Range<usize> {
    let mut packet = Packet::new_reply(answer.asked.map_or(0, |asked| asked.id));
    packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    if let Some(asked) = answer.asked {
        packet.questions.extend(repeated(asked));
    }
    let (data, bitmap) = match answer.addr {
        IpAddr::V4(ip) => (RData::A(ip.into()), HAS_A),
        IpAddr::V6(ip) => (RData::AAAA(ip.into()), HAS_AAAA),
    };
    let name = match answer.asked {
        Some(asked) => name_of(asked),
        None => Name::new_unchecked(answer.name.as_str()),
    };
    if answer.asked.is_none() && answer.ttl > 0 {
        let types = NsecTypeBitMap { window_block: 0, bitmap: Cow::Borrowed(bitmap) };
        let nothing_else =
            RData::NSEC(NSEC { next_name: name.clone(), type_bit_maps: vec![types] });
        let record = ResourceRecord::new(name.clone(), CLASS::IN, answer.ttl, nothing_else);
        packet.additional_records.push(record.with_cache_flush(true));
    }
    let record = ResourceRecord::new(name, CLASS::IN, answer.ttl, data);
    // RFC 6762 §6.7, §10.2: old resolvers do not know the bit.
    packet.answers.push(record.with_cache_flush(answer.asked.is_none()));
    append(buf, &packet)
}

fn repeated(asked: &Asked) -> Option<Question<'_>> {
    let kind = QTYPE::try_from(asked.kind).ok()?;
    let class = QCLASS::try_from(asked.class).ok()?;
    Some(Question::new(name_of(asked), kind, class, false))
}

fn name_of(asked: &Asked) -> Name<'_> {
    let [label, domain] = &asked.labels;
    Name::new_with_labels(&[Label::new_unchecked(&**label), Label::new_unchecked(&**domain)])
}

fn append(buf: &mut Vec<u8>, packet: &Packet<'_>) -> Range<usize> {
    let start = buf.len();
    // Positions in compressed names count from the start of the message, so it is written apart.
    if let Ok(bytes) = packet.build_bytes_vec_compressed() {
        buf.extend_from_slice(&bytes);
    }
    start..buf.len()
}

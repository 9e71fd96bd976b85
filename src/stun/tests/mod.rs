//! What the tests of STUN have in common: published messages, and messages made for a test.

mod attribute;
mod binding;
mod differential;
mod hostile;
mod integrity;
mod long_term;
mod message;
mod peek;
mod scan;
mod transaction;
mod turn;
mod vectors;
mod write;

use super::{Class, IntegrityKey, TransactionId, Writer, method};

const ID: TransactionId = TransactionId::new(*b"abcdefghijkl");
const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

/// RFC 5769 §2.1
const REQUEST: &str = "
    000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74
    002400046e0001ff80290008932ff9b151263b36000600096576746a3a6836765920202000080014
    9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";

/// RFC 5769 §2.2
const RESPONSE_V4: &str = "
    0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f722000200008
    0001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";

/// RFC 5769 §2.3
const RESPONSE_V6: &str = "
    010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f722000200014
    0002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275
    bfe3ed4180280004c8fb0b4c";

/// RFC 5769 §2.4
const LONG_TERM_REQUEST: &str = "
    000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe3
    82b900000015001c662f2f3439396b39353464364f4c33346f4c39465354767936347341
    0014000b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666";

/// RFC 8489 appendix B.1, with erratum 6268
const SHA256_REQUEST: &str = "
    000100902112a44278ad3433c6ad72c029da412e001e00204a3cf38fef6992bda952c6780417da0f
    24819415569e60b205c46e41407f1704001500296f624d61744a6f733241414143662f2f3439396b
    39353464364f4c33346f4c394653547679363473410000000014000b6578616d706c652e6f726700
    001d000400020000001c0020b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278c
    c6518e65";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn key() -> IntegrityKey {
    IntegrityKey::short_term(PASSWORD)
}

/// A message with whatever `write` puts into it.
fn message(class: Class, method: u16, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buf = Vec::new();
    let mut writer = Writer::new(&mut buf, class, method, ID);
    write(&mut writer);
    assert!(!writer.finish().is_empty());
    buf
}

fn request(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    message(Class::Request, method::BINDING, write)
}

/// A message of the given attributes, byte for byte, with the length set to what there is.
fn raw(message_type: u16, attributes: &[u8]) -> Vec<u8> {
    let mut bytes = message_type.to_be_bytes().to_vec();
    bytes.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    bytes.extend([0x21, 0x12, 0xa4, 0x42]);
    bytes.extend(ID.as_bytes());
    bytes.extend(attributes);
    bytes
}

use super::super::attribute::{PRIORITY, USERNAME};
use super::super::peek::{Peek, peek};
use super::super::{Class, TransactionId, Writer, method};

fn message(class: Class, method: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, class, method, TransactionId::new([7; 12]));
    for (kind, value) in attributes {
        writer.attribute(*kind, value);
    }
    writer.finish();
    bytes
}

fn request(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    message(Class::Request, method::BINDING, attributes)
}

#[test]
fn a_request_names_its_addressee_before_the_colon() {
    let username: (u16, &[u8]) = (USERNAME, b"ours:theirs:more");
    assert_eq!(peek(&request(&[username])), Some(Peek::Request(Some(b"ours"))));
    let behind = request(&[(PRIORITY, &[0; 4]), username, (USERNAME, b"other:one")]);
    assert_eq!(peek(&behind), Some(Peek::Request(Some(b"ours"))));
}

#[test]
fn a_request_without_a_colon_or_a_username_names_nobody() {
    assert_eq!(peek(&request(&[])), Some(Peek::Request(None)));
    assert_eq!(peek(&request(&[(USERNAME, b"ours")])), Some(Peek::Request(None)));
    let buried: Vec<(u16, &[u8])> =
        (0..64).map(|_| (PRIORITY, &[0; 4][..])).chain([(USERNAME, &b"a:b"[..])]).collect();
    assert_eq!(peek(&request(&buried)), Some(Peek::Request(None)));
}

#[test]
fn a_truncated_attribute_ends_the_look() {
    let mut bytes = request(&[(USERNAME, b"ours:theirs")]);
    bytes.truncate(bytes.len() - 4);
    assert_eq!(peek(&bytes), Some(Peek::Request(None)));
}

#[test]
fn responses_of_all_methods_are_known_by_their_transaction() {
    for class in [Class::Success, Class::Error] {
        for method in [method::BINDING, method::ALLOCATE] {
            let id = TransactionId::new([7; 12]);
            assert_eq!(peek(&message(class, method, &[])), Some(Peek::Response(id)));
        }
    }
}

#[test]
fn indications_and_requests_of_other_methods_are_other_things() {
    assert_eq!(peek(&message(Class::Indication, method::BINDING, &[])), Some(Peek::Other));
    let refresh = message(Class::Request, method::REFRESH, &[(USERNAME, b"a:b")]);
    assert_eq!(peek(&refresh), Some(Peek::Other));
}

#[test]
fn data_is_no_stun() {
    assert_eq!(peek(&[0x80; 100]), None);
    assert_eq!(peek(&[]), None);
    assert_eq!(peek(&request(&[])[..19]), None);
}

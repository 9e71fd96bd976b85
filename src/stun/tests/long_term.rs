//! Long-term credentials, nonces and password algorithms (RFC 8489 §9.2).

use proptest::prelude::*;

use super::super::long_term::{LongTerm, NotOpaque, PasswordAlgorithm, SecurityFeatures};
use super::super::{IntegrityKey, scan, userhash};
use super::{LONG_TERM_REQUEST, SHA256_REQUEST, hex, request};

const USERNAME: &str = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}";

fn of_the_rfc() -> LongTerm {
    LongTerm::new(USERNAME, "example.org", "TheMatrIX").unwrap()
}

/// RFC 5769 §2.4 and RFC 8489 appendix B.1. Their password was prepared with SASLprep, which maps
/// what OpaqueString does not allow: that is the next test.
#[test]
fn the_keys_verify_the_published_messages() {
    let bytes = hex(LONG_TERM_REQUEST);
    let credentials = of_the_rfc();
    assert!(scan(&bytes).unwrap().verify(&credentials.key(PasswordAlgorithm::Md5).sha1));
    let bytes = hex(SHA256_REQUEST);
    let scan = scan(&bytes).unwrap();
    assert!(scan.verify_sha256(&credentials.key(PasswordAlgorithm::Sha256).sha256));
    let hash = scan.find(super::super::attribute::USERHASH);
    assert_eq!(hash, Some(&credentials.userhash()[..]));
    assert_eq!(hash, Some(&userhash(USERNAME.as_bytes(), b"example.org")[..]));
}

/// RFC 8265 §4.2.2: a soft hyphen is not allowed in an OpaqueString, where SASLprep removed it.
#[test]
fn the_password_of_the_rfc_before_its_preparation_is_no_opaque_string() {
    let raw = LongTerm::new(USERNAME, "example.org", "The\u{AD}M\u{AA}tr\u{2168}");
    assert_eq!(raw, Err(NotOpaque));
}

/// RFC 8489 §9.2.2: "the resulting hash being 0x8493fbc53ba582fb4c044c456bdc40eb".
#[test]
fn the_md5_key_of_the_rfc() {
    let key = LongTerm::new("user", "realm", "pass").unwrap().key(PasswordAlgorithm::Md5);
    let bytes = request(|w| {
        w.integrity(&IntegrityKey::short_term(&hex("8493fbc53ba582fb4c044c456bdc40eb")));
    });
    assert!(scan(&bytes).unwrap().verify(&key.sha1));
}

#[test]
fn the_algorithm_of_the_password_and_the_integrity_attribute_are_chosen_apart() {
    let credentials = of_the_rfc();
    let (md5, sha256) =
        (credentials.key(PasswordAlgorithm::Md5), credentials.key(PasswordAlgorithm::Sha256));
    for (key, other) in [(&md5, &sha256), (&sha256, &md5)] {
        let bytes = request(|w| {
            w.integrity(&key.sha1);
        });
        assert!(scan(&bytes).unwrap().verify(&key.sha1));
        assert!(!scan(&bytes).unwrap().verify(&other.sha1));
        let bytes = request(|w| {
            w.integrity_sha256(&key.sha256);
        });
        assert!(scan(&bytes).unwrap().verify_sha256(&key.sha256));
        assert!(!scan(&bytes).unwrap().verify_sha256(&other.sha256));
    }
}

/// RFC 8489 §9.2.2: "with any quotes and trailing nulls removed"; RFC 8265 §4.2.2: non-ASCII spaces
/// become spaces, and the result is in normalization form C.
#[test]
fn credentials_are_prepared() {
    let plain = LongTerm::new("Zo\u{eb}", "example.org", "a b").unwrap();
    assert_eq!(LongTerm::new("Zoe\u{308}", "example.org", "a\u{3000}b"), Ok(plain.clone()));
    assert_eq!(LongTerm::new("\"Zo\u{eb}\"\0", "\"example.org\"", "a b\0\0"), Ok(plain.clone()));
    assert_ne!(LongTerm::new("zo\u{eb}", "example.org", "a b"), Ok(plain.clone()), "case counts");
    assert_ne!(LongTerm::new("Zo\u{eb}", "example.org", "\"a b\""), Ok(plain));
    for (username, realm, password) in
        [("", "r", "p"), ("u", "", "p"), ("u", "r", ""), ("u\0v", "r", "p"), ("u", "r\n", "p")]
    {
        assert_eq!(LongTerm::new(username, realm, password), Err(NotOpaque));
    }
}

#[test]
fn credentials_do_not_show_the_password() {
    let shown = format!("{:?}", LongTerm::new("user", "realm", "pass").unwrap());
    assert_eq!(shown, r#"LongTerm { username: "user", realm: "realm", .. }"#);
}

/// RFC 8489 §9.2: three bytes with bit 0 as the most significant bit, in base64.
#[test]
fn security_features_are_the_first_bits_of_the_cookie() {
    let all = [(false, false, b'A'), (false, true, b'Q'), (true, false, b'g'), (true, true, b'w')];
    for (password_algorithms, username_anonymity, first) in all {
        let features = SecurityFeatures { password_algorithms, username_anonymity };
        let cookie = features.cookie();
        assert_eq!(&cookie[..9], b"obMatJos2");
        assert_eq!(&cookie[9..], [first, b'A', b'A', b'A']);
        assert_eq!(SecurityFeatures::read(&[&cookie[..], b"random"].concat()), Some(features));
    }
}

/// The vector of appendix B.1 has a bit that is not assigned: its author counted from the other
/// end.
#[test]
fn bits_that_are_not_assigned_mean_nothing() {
    let nonce = b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA";
    assert_eq!(SecurityFeatures::read(nonce), Some(SecurityFeatures::default()));
    let all = SecurityFeatures { password_algorithms: true, username_anonymity: true };
    assert_eq!(SecurityFeatures::read(b"obMatJos2////"), Some(all));
}

#[test]
fn a_nonce_without_a_whole_cookie_announces_nothing() {
    for nonce in [b"obMatJos2+AAA", b"obMatJos2/AAA"] {
        let all = SecurityFeatures { password_algorithms: true, username_anonymity: true };
        assert_eq!(SecurityFeatures::read(nonce), Some(all));
    }
    for nonce in [&b""[..], b"obMatJos2", b"obMatJos2wAA", b"obmatjos2wAAA", b"obMatJos2w=AA"] {
        assert_eq!(SecurityFeatures::read(nonce), None);
    }
}

#[test]
fn algorithms_have_a_number_and_no_parameters() {
    let (md5, sha256) = (PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256);
    let bytes = request(|w| {
        w.password_algorithms(&[sha256, md5]).password_algorithm(md5);
    });
    let scan = scan(&bytes).unwrap();
    let list = scan.find(super::super::attribute::PASSWORD_ALGORITHMS);
    assert_eq!(list, Some(&[0, 2, 0, 0, 0, 1, 0, 0][..]));
    let chosen = scan.find(super::super::attribute::PASSWORD_ALGORITHM);
    assert_eq!(chosen, Some(&[0, 1, 0, 0][..]));
    assert_eq!(PasswordAlgorithm::read(&[0, 1, 0, 0]), Some(md5));
    assert_eq!(PasswordAlgorithm::read(&[0, 2, 0, 0]), Some(sha256));
    for value in [&[][..], &[0, 0, 0, 0], &[0, 3, 0, 0], &[0, 2, 0], &[0, 2, 0, 1, 0, 0, 0, 0]] {
        assert_eq!(PasswordAlgorithm::read(value), None);
    }
}

proptest! {
    /// What was prepared stays as it is when it is prepared again, as it is when it was received.
    #[test]
    fn preparation_is_done_once(username in "[ a-z\u{3000}e\u{301}\u{ad}\u{212b}]{0,8}") {
        if let Ok(once) = LongTerm::new(&username, "r", "p") {
            let spaces = once.username().chars().any(|c| c == '\u{3000}');
            prop_assert!(!spaces, "{once:?}");
            prop_assert_eq!(LongTerm::new(once.username(), "r", "p"), Ok(once.clone()));
        }
    }

    #[test]
    fn any_text_is_prepared_or_refused(
        username in any::<String>(), realm in any::<String>(), password in any::<String>(),
    ) {
        let _ = LongTerm::new(&username, &realm, &password);
    }

    #[test]
    fn any_nonce_is_read(nonce in prop::collection::vec(any::<u8>(), 0..40)) {
        let with_cookie = [&b"obMatJos2"[..], &nonce].concat();
        let read = SecurityFeatures::read(&with_cookie);
        let base64 = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/');
        let sound = nonce.len() >= 4 && nonce[..4].iter().all(base64);
        prop_assert_eq!(read.is_some(), sound);
    }
}

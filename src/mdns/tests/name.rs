use proptest::prelude::*;

use crate::mdns::{MdnsName, MdnsNameError};

#[test]
fn a_name_is_a_version_4_uuid_and_local() {
    // draft-04 §3.1.1; RFC 4122 §4.4: version and variant are set, all else is random.
    let zeros = MdnsName::from_random([0; 16]);
    assert_eq!(zeros.as_str(), "00000000-0000-4000-8000-000000000000.local");
    let ones = MdnsName::from_random([0xff; 16]);
    assert_eq!(ones.as_str(), "ffffffff-ffff-4fff-bfff-ffffffffffff.local");
    let count = core::array::from_fn(|at| u8::try_from(at).unwrap());
    let count = MdnsName::from_random(count);
    assert_eq!(count.as_str(), "00010203-0405-4607-8809-0a0b0c0d0e0f.local");
    assert!(zeros.is_uuid() && ones.is_uuid() && count.is_uuid());
}

#[test]
fn what_has_no_single_label_before_local_is_no_name() {
    let not_local =
        ["", "local", "a", "a.b", "a.local.", "a.b.local", "a.locals", ".local.", "a..local"];
    for text in not_local {
        assert_eq!(text.parse::<MdnsName>(), Err(MdnsNameError::NotLocal), "{text:?}");
    }
    let long = format!("{}.local", "a".repeat(64));
    for text in
        [".local", "-a.local", "a-.local", "a b.local", "a_b.local", "ä.local", "a\0.local", &long]
    {
        assert_eq!(text.parse::<MdnsName>(), Err(MdnsNameError::Label), "{text:?}");
    }
    let longest = format!("{}.local", "a".repeat(63));
    assert_eq!(longest.parse::<MdnsName>().unwrap().as_str(), longest);
}

#[test]
fn only_the_form_of_a_uuid_counts_as_one() {
    let is_uuid = |text: &str| text.parse::<MdnsName>().unwrap().is_uuid();
    assert!(is_uuid("1F4712DB-EA17-4BCF-A596-105139DFD8BF.local"));
    for other in [
        "printer.local",
        "1f4712dbea174bcfa596105139dfd8bf.local",
        "1f4712db-ea17-4bcf-a596-105139dfd8b.local",
        "1f4712db-ea17-4bcf-a596-105139dfd8bff.local",
        "1f4712db-ea17-4bcfa-596-105139dfd8bf.local",
        "1f4712dg-ea17-4bcf-a596-105139dfd8bf.local",
        "1f4712db--ea17-bcf-a596-105139dfd8bf.local",
    ] {
        assert!(!is_uuid(other), "{other}");
    }
}

proptest! {
    #[test]
    fn what_was_read_is_in_lower_case_and_reads_the_same(text in "[a-zA-Z0-9-]{1,63}\\.[lL][oO][cC][aA][lL]") {
        if let Ok(name) = text.parse::<MdnsName>() {
            prop_assert_eq!(name.as_str(), text.to_ascii_lowercase());
            prop_assert_eq!(name.to_string().parse::<MdnsName>(), Ok(name));
        }
    }

    #[test]
    fn what_was_drawn_reads_the_same(random: [u8; 16]) {
        let name = MdnsName::from_random(random);
        prop_assert!(name.is_uuid());
        prop_assert_eq!(name.as_str().len(), 42);
        prop_assert_eq!(name.to_string().parse::<MdnsName>(), Ok(name));
    }
}

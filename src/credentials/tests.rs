use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;

const PWD: &str = "asd88fgpdd777uzjYhagZg";

#[test]
fn lengths_are_those_of_rfc_8839() {
    let x = |n: usize| "x".repeat(n);
    for (ufrag, pwd) in [(4, 22), (256, 22), (4, 256), (256, 256)] {
        let credentials = Credentials::new(&x(ufrag), &x(pwd)).unwrap();
        assert_eq!((credentials.ufrag().len(), credentials.pwd().len()), (ufrag, pwd));
    }
    for ufrag in [0, 3, 257, 70_000] {
        assert_eq!(Credentials::new(&x(ufrag), PWD), Err(CredentialsError::UfragLength));
    }
    for pwd in [0, 21, 257, 70_000] {
        assert_eq!(Credentials::new("8hhY", &x(pwd)), Err(CredentialsError::PwdLength));
    }
}

#[test]
fn only_ice_chars_are_accepted() {
    let all: String = ICE_CHARS.iter().map(|&letter| char::from(letter)).collect();
    assert!(Credentials::new(&all, &all).is_ok());
    for letter in ["-", "_", "=", ":", " ", "\0", "\n", "é", "\u{1d11e}"] {
        for text in [format!("{letter}{PWD}"), format!("{PWD}{letter}"), format!("8h{letter}{PWD}")]
        {
            let error = Err(CredentialsError::UfragCharacter);
            assert_eq!(Credentials::new(&text, PWD), error, "{text:?}");
            let error = Err(CredentialsError::PwdCharacter);
            assert_eq!(Credentials::new("8hhY", &text), error, "{text:?}");
        }
    }
}

#[test]
fn equal_seeds_give_equal_credentials_on_every_platform() {
    let generate = |seed: u8| {
        Credentials::generate(UfragPrefix::default(), &mut ChaCha12Rng::from_seed([seed; 32]))
    };
    assert_eq!(generate(7), generate(7));
    assert_ne!(generate(7), generate(8));
    // The first 32 bytes of the ChaCha12 key stream, six bits of each.
    assert_eq!(generate(7).ufrag(), "2SJ4FALg");
    assert_eq!(generate(7).pwd(), "jkNQqLV82HUx+zpJJw5Izs0B");
}

#[test]
fn generated_credentials_are_valid_and_long_enough_to_be_unguessable() {
    let mut rng = ChaCha12Rng::from_seed([1; 32]);
    let first = Credentials::generate(UfragPrefix::default(), &mut rng);
    let second = Credentials::generate(UfragPrefix::default(), &mut rng);
    assert_ne!(first.ufrag(), second.ufrag());
    assert_ne!(first.pwd(), second.pwd());
    for made in [first, second] {
        // Six bits a letter: 24 are needed of the one, 128 of the other; 32 letters may be sent.
        assert!((4..=32).contains(&made.ufrag().len()));
        assert!(made.pwd().len() * 6 >= 128);
        assert_eq!(Credentials::new(made.ufrag(), made.pwd()), Ok(made));
    }
}

#[test]
fn every_place_of_a_generated_password_takes_every_letter_about_as_often() {
    const ROUNDS: usize = 6400;
    let mut rng = ChaCha12Rng::from_seed([2; 32]);
    let mut counts = vec![[0usize; 256]; GENERATED_PWD];
    for _ in 0..ROUNDS {
        let made = Credentials::generate(UfragPrefix::default(), &mut rng);
        for (place, letter) in made.pwd().bytes().enumerate() {
            counts[place][usize::from(letter)] += 1;
        }
    }
    for place in counts {
        for &letter in ICE_CHARS {
            // 100 are expected, with a standard deviation of 10.
            let count = place[usize::from(letter)];
            assert!((50..=150).contains(&count), "{}: {count}", char::from(letter));
        }
    }
}

#[test]
fn the_password_is_in_no_log() {
    let credentials = Credentials::new("8hhY", PWD).unwrap();
    assert_eq!(format!("{credentials:?}"), "Credentials { ufrag: \"8hhY\", .. }");
    assert!(!format!("{credentials:#?}").contains(PWD));
}

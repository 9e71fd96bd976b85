//! The seed of everything random in an agent.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Reads up to 64 hexadecimal digits; what is missing at the end is zero.
pub(crate) fn parse(text: &str) -> Result<[u8; 32], String> {
    let mut seed = [0; 32];
    if text.is_empty() || text.len() > 64 {
        return Err("a seed has 1 to 64 hexadecimal digits".to_owned());
    }
    for (byte, digits) in seed.iter_mut().zip(text.as_bytes().chunks(2)) {
        let mut shift = 4;
        for &digit in digits {
            let value = char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            let value = value.ok_or_else(|| format!("not a hexadecimal seed: {text}"))?;
            *byte |= value << shift;
            shift = 0;
        }
    }
    Ok(seed)
}

/// A seed from the operating system, by the only door that the standard library has to it: the
/// keys of its hash maps. An application takes the `getrandom` crate.
pub(crate) fn random() -> [u8; 32] {
    let mut seed = [0; 32];
    for (number, bytes) in seed.chunks_mut(8).enumerate() {
        bytes.copy_from_slice(&RandomState::new().hash_one(number).to_le_bytes());
    }
    seed
}

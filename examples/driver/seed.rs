//! The seed of everything random in an agent.

const WANTED: &str = "--seed takes 1 to 64 hexadecimal digits";

/// Reads up to 64 hexadecimal digits; what is missing at the end is zero.
pub(crate) fn parse(text: &str) -> Result<[u8; 32], &'static str> {
    let mut seed = [0; 32];
    if text.is_empty() || text.len() > 64 {
        return Err(WANTED);
    }
    for (byte, digits) in seed.iter_mut().zip(text.as_bytes().chunks(2)) {
        let mut shift = 4;
        for &digit in digits {
            let value = char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            *byte |= value.ok_or(WANTED)? << shift;
            shift = 0;
        }
    }
    Ok(seed)
}

/// A seed from the operating system.
pub(crate) fn random() -> Result<[u8; 32], getrandom::Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}

//! Messages of a stream, in whatever pieces its bytes come (RFC 8489 §6.2.2, RFC 8656 §12.5).

use super::frame::{NotTurn, frame_len};

/// Cuts a stream into messages. What arrives whole is not copied; of what does not, no more than
/// one message is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deframer {
    partial: Vec<u8>,
    /// The message in `partial` has been given out.
    given: bool,
}

impl Deframer {
    /// The next message, padding included, cut off the beginning of `input`; `None` when `input`
    /// has been used up. An error is final: nobody knows where the next message begins.
    pub(crate) fn next<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<&'s [u8]>, NotTurn> {
        if self.given {
            self.partial.clear();
            self.given = false;
        }
        if self.partial.is_empty() {
            if let Some(len) = frame_len(input)? {
                if let Some((frame, rest)) = input.split_at_checked(len) {
                    *input = rest;
                    return Ok(Some(frame));
                }
            }
        }
        while !input.is_empty() {
            let len = frame_len(&self.partial)?;
            // While the length is not known, a byte at a time: eight of them tell.
            let missing = len.map_or(1, |len| len.saturating_sub(self.partial.len()));
            let (bytes, rest) = input.split_at(missing.min(input.len()));
            self.partial.extend_from_slice(bytes);
            *input = rest;
            if frame_len(&self.partial)? == Some(self.partial.len()) {
                self.given = true;
                return Ok(Some(&self.partial));
            }
        }
        Ok(None)
    }
}

//! Messages of a stream, in whatever pieces its bytes come (RFC 8489 §6.2.2, RFC 8656 §12.5).

use super::frame::{NotTurn, frame_len};

/// A message of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'i> {
    /// It stands in the input.
    Input(&'i [u8]),
    /// It was put together from pieces.
    Kept(Vec<u8>),
}

#[cfg(test)]
impl Frame<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Input(bytes) => bytes,
            Self::Kept(bytes) => bytes,
        }
    }
}

/// Cuts a stream into messages. What arrives whole is not copied; of what does not, no more than
/// one message is kept.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Deframer {
    partial: Vec<u8>,
    /// The message in `partial` has been given out.
    given: bool,
}

impl Deframer {
    /// The next message, padding included, cut off the beginning of `input`; `None` when `input`
    /// has been used up. An error is final: nobody knows where the next message begins.
    ///
    /// A message that was put together may be given back with [`Self::give_back`] when it has been
    /// read: its room is used for the next one.
    pub(crate) fn next<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Frame<'i>>, NotTurn> {
        if self.given {
            self.partial.clear();
            self.given = false;
        }
        if self.partial.is_empty() {
            if let Some(len) = frame_len(input)? {
                if let Some((frame, rest)) = input.split_at_checked(len) {
                    *input = rest;
                    return Ok(Some(Frame::Input(frame)));
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
                return Ok(Some(Frame::Kept(core::mem::take(&mut self.partial))));
            }
        }
        Ok(None)
    }

    /// Takes back a message that was put together.
    pub(crate) fn give_back(&mut self, message: Vec<u8>) {
        self.partial = message;
        self.given = true;
    }

    /// The message that was given back.
    pub(crate) fn kept(&self) -> &[u8] {
        if self.given { &self.partial } else { &[] }
    }
}

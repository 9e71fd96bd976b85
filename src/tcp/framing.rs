//! The frames of RFC 4571: 16 bits of length, then so many bytes. STUN and data share the stream.

use crate::turn::Frame;

const HEAD_LEN: usize = 2;

/// A frame says to be longer than what is taken. Nobody skips what is not read: the stream ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// What stands before a message of this length; none before one that no frame holds.
pub(crate) fn frame_head(len: usize) -> Option<[u8; HEAD_LEN]> {
    u16::try_from(len).ok().map(u16::to_be_bytes)
}

/// Cuts a stream into the messages of its frames. What arrives whole is not copied; of what does not,
/// no more is kept than has arrived of one frame.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Deframer {
    /// The head and what follows it; after [`Self::give_back`] a message.
    partial: Vec<u8>,
    /// The message in `partial` has been given out.
    given: bool,
}

impl Deframer {
    /// The next message that is not empty, cut off the beginning of `input`; `None` when `input` has
    /// been used up. Messages longer than `limit` are an error, which is final.
    ///
    /// A message that was put together may be given back with [`Self::give_back`] when it has been
    /// read: its room is used for the next one.
    pub(crate) fn next<'i>(
        &mut self,
        input: &mut &'i [u8],
        limit: usize,
    ) -> Result<Option<Frame<'i>>, TooLong> {
        if self.given {
            self.partial.clear();
            self.given = false;
        }
        while !input.is_empty() {
            if self.partial.is_empty() {
                if let Some(message) = whole(input, limit)? {
                    if !message.is_empty() {
                        return Ok(Some(Frame::Input(message)));
                    }
                    continue;
                }
            }
            // The head first: it says what is missing.
            let end = match length(&self.partial) {
                Some(len) => HEAD_LEN.saturating_add(within(len, limit)?),
                None => HEAD_LEN,
            };
            let missing = end.saturating_sub(self.partial.len());
            let (bytes, rest) = input.split_at(missing.min(input.len()));
            self.partial.extend_from_slice(bytes);
            *input = rest;
            let Some(len) = length(&self.partial) else { continue };
            let end = HEAD_LEN.saturating_add(within(len, limit)?);
            if self.partial.len() < end {
                continue;
            }
            if len == 0 {
                self.partial.clear();
                continue;
            }
            let mut message = core::mem::take(&mut self.partial);
            message.drain(..HEAD_LEN);
            return Ok(Some(Frame::Kept(message)));
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

    #[cfg(test)]
    pub(super) fn partial_capacity(&self) -> usize {
        self.partial.capacity()
    }
}

/// The message of a frame that stands in the input as a whole.
fn whole<'i>(input: &mut &'i [u8], limit: usize) -> Result<Option<&'i [u8]>, TooLong> {
    let Some(len) = length(input) else { return Ok(None) };
    let end = HEAD_LEN.saturating_add(within(len, limit)?);
    let Some((frame, rest)) = input.split_at_checked(end) else { return Ok(None) };
    *input = rest;
    Ok(frame.get(HEAD_LEN..))
}

fn within(len: usize, limit: usize) -> Result<usize, TooLong> {
    if len <= limit { Ok(len) } else { Err(TooLong) }
}

fn length(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk().map(|head| usize::from(u16::from_be_bytes(*head)))
}

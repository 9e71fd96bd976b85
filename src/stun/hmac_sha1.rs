//! HMAC-SHA1 (RFC 2104) with a prepared key, over one message that lies in memory.
//!
//! Every check costs it twice, on messages of a hundred bytes: there the buffers and copies of a
//! hasher that takes its input in pieces cost as much as a block of SHA-1. The compression function
//! is that of the crate `sha1`, with hardware instructions where there are any; here is only the
//! padding around it.

use core::slice::from_ref;

use sha1::compress;
use sha1::digest::core_api::Block as BlockOf;

/// The block of SHA-1 in bytes, which is what HMAC stretches a key to (RFC 2104 §2).
pub(super) const BLOCK: usize = 64;
/// What is left of the last block for the message: a bit and the length follow it (RFC 3174 §4).
const ROOM: usize = 56;
const INITIAL: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

type State = [u32; 5];
type Block = BlockOf<sha1::Sha1Core>;

/// The states of the hash after the two blocks that the key makes.
#[derive(Clone)]
pub(super) struct HmacSha1 {
    inner: State,
    outer: State,
}

impl HmacSha1 {
    pub(super) fn new(key: &[u8; BLOCK]) -> Self {
        Self { inner: keyed(key, 0x36), outer: keyed(key, 0x5c) }
    }

    /// The tag over these four bytes and the rest of the message.
    pub(super) fn tag(&self, start: [u8; 4], rest: &[u8]) -> [u8; 20] {
        let mut state = self.inner;
        let mut block = Block::default();
        let bytes = BLOCK.saturating_add(start.len()).saturating_add(rest.len());
        let (head, rest) = rest.split_at(rest.len().min(BLOCK.saturating_sub(start.len())));
        write(&mut block, 0, &start);
        write(&mut block, start.len(), head);
        let mut filled = start.len().saturating_add(head.len());
        if filled == BLOCK {
            compress(&mut state, from_ref(&block));
            let mut blocks = rest.chunks_exact(BLOCK);
            for whole in &mut blocks {
                compress(&mut state, from_ref(Block::from_slice(whole)));
            }
            block = Block::default();
            write(&mut block, 0, blocks.remainder());
            filled = blocks.remainder().len();
        }
        finish(&mut state, block, filled, bytes);

        let mut block = Block::default();
        write(&mut block, 0, &bytes_of(state));
        let mut outer = self.outer;
        finish(&mut outer, block, 20, BLOCK.saturating_add(20));
        bytes_of(outer)
    }
}

fn keyed(key: &[u8; BLOCK], pad: u8) -> State {
    let mut state = INITIAL;
    let block: Block = key.map(|byte| byte ^ pad).into();
    compress(&mut state, from_ref(&block));
    state
}

/// RFC 3174 §4: a bit, zeros and the number of bits after a message of so many bytes, which fills
/// the block so far.
fn finish(state: &mut State, mut block: Block, filled: usize, bytes: usize) {
    write(&mut block, filled, &[0x80]);
    if filled >= ROOM {
        compress(state, from_ref(&block));
        block = Block::default();
    }
    let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(8);
    write(&mut block, ROOM, &bits.to_be_bytes());
    compress(state, from_ref(&block));
}

fn write(block: &mut [u8], at: usize, bytes: &[u8]) {
    let room = block.get_mut(at..).and_then(|block| block.get_mut(..bytes.len()));
    if let Some(room) = room {
        room.copy_from_slice(bytes);
    }
}

fn bytes_of(state: State) -> [u8; 20] {
    let mut bytes = [0; 20];
    for (bytes, word) in bytes.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

//! The fuzz targets, one function `run` each, which takes any bytes and panics when the crate has
//! broken a promise. The programs in `fuzz_targets/` give them to libFuzzer, and `tests/corpus.rs`
//! replays the committed corpora through them on the stable toolchain.

pub mod agent;
pub mod codec;
pub mod mdns;
mod pool;
pub mod replay;
pub mod scenario;
pub mod sdp;
pub mod stun;
mod wire;
pub mod world;

/// A name, which is also that of the corpus, and what is done with each of its files.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 8] = [
    ("agent", agent::run),
    ("codec", codec::run),
    ("mdns", mdns::run),
    ("replay", replay::run),
    ("scenario", scenario::run),
    ("sdp", sdp::run),
    ("stun", stun::run),
    ("world", world::run),
];

/// Says what was done, if it ends in a panic. libFuzzer aborts before that; a replay does not.
struct OnPanic<F: Fn()>(F);

impl<F: Fn()> Drop for OnPanic<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)();
        }
    }
}

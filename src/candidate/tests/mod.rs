//! What candidates are worth, which are alike, and how they are written.

mod foundation;
mod priority;
mod read;
mod write;

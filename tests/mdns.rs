//! Multicast DNS for candidates: hosts on a link in memory, and messages by hand.

#[path = "mdns/link.rs"]
mod link;

#[path = "mdns/any.rs"]
mod any;
#[path = "mdns/limits.rs"]
mod limits;
#[path = "mdns/querying.rs"]
mod querying;
#[path = "mdns/responding.rs"]
mod responding;

//! Names of multicast DNS that stand for addresses in candidates
//! (draft-ietf-rtcweb-mdns-ice-candidates-04, RFC 6762).
//!
//! [`MdnsName`] is there always, since candidates hold names. The rest is behind the feature
//! `mdns`: [`Mdns`] is a querier and a responder that knows nothing of agents and candidates.
//! `scan` reads, `write` writes, `querier` and `responder` are the two halves, `bucket` is their
//! rate.

#[cfg(feature = "mdns")]
mod bucket;
#[cfg(feature = "mdns")]
mod config;
#[cfg(feature = "mdns")]
mod io;
mod name;
#[cfg(feature = "mdns")]
mod querier;
#[cfg(feature = "mdns")]
mod responder;
#[cfg(feature = "mdns")]
mod scan;
#[cfg(feature = "mdns")]
mod service;
#[cfg(all(test, feature = "mdns"))]
mod tests;
#[cfg(feature = "mdns")]
mod write;

pub use self::name::{MdnsName, MdnsNameError};

#[cfg(feature = "mdns")]
pub use self::config::{MdnsConfig, MdnsConfigError, MdnsLimits};
#[cfg(feature = "mdns")]
pub use self::io::{
    MdnsArrival, MdnsCounters, MdnsEvent, MdnsIgnored, MdnsLink, MdnsMessage, MdnsQueryFailure,
    MdnsQueryId, MdnsReceived, MdnsTransmit,
};
#[cfg(feature = "mdns")]
pub use self::service::{Mdns, MdnsPublishError, MdnsQueryError};

//! What the page and the program tell each other: signalling, and what the page shows.

use serde::{Deserialize, Serialize};

/// From the page.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum FromPage {
    /// A session begins.
    Start {
        offerer: Offerer,
        signalling: Signalling,
    },
    Offer {
        sdp: String,
    },
    Answer {
        sdp: String,
    },
    /// A candidate of the browser; an empty one is the end of those of a generation.
    Candidate {
        candidate: String,
        ufrag: Option<String>,
    },
    /// The program is to restart ICE.
    Restart,
    /// The program is to close the connection.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Offerer {
    Browser,
    Program,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Signalling {
    Trickle,
    Complete,
}

/// To the page.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum ToPage<'a> {
    Offer {
        sdp: &'a str,
    },
    Answer {
        sdp: &'a str,
    },
    /// An empty candidate is the end.
    Candidate {
        candidate: &'a str,
        mid: &'a str,
        ufrag: &'a str,
    },
    /// Something that the page did not ask for, in words.
    Note {
        text: &'a str,
    },
    /// It is over.
    Closed {
        reason: &'a str,
    },
}

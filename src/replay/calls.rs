//! The calls of an agent that take `&mut self`, listed once. The list makes the inputs of a log, how
//! they are written and read, how a replay makes them, and the methods of a
//! [`Recorder`](super::Recorder). `tests/replay.rs` holds it against the methods that there are.

use core::net::{IpAddr, SocketAddr};

use crate::agent::io::{Description, LocalAddress, Parameters, Route};
use crate::agent::{
    AcceptError, AddLocalError, AddRemoteError, AddServerError, AddStreamError, EmbedError,
    IceAgent, IcmpError, RemoveLocalError, RenominateError, RestartError, SetRemoteError,
    TransmitError,
};
use crate::candidate::{Candidate, Transport};
use crate::config::{ConfigError, Timing};
use crate::gather::{Server, ServerCredentials};
use crate::id::{CandidateId, ConnectionId, LookupId, PairId, ServerId, SocketId, StreamId};
use crate::time::Timestamp;

use super::hash::RunningHash;
use super::outputs::Output;
use super::payload::Payload;
use super::play::{self, Outcome};
use super::recorder::Recorder;
use super::wire::{Malformed, Reader, Take};

/// The type of an argument as an input keeps it.
macro_rules! kept {
    (value $type:ty) => { $type };
    (borrowed $type:ty) => { <$type as ToOwned>::Owned };
    (optional $type:ty) => { Option<<$type as ToOwned>::Owned> };
    (outline $type:ty) => { Payload };
    (stream $type:ty) => { Payload };
}

/// The type of an argument as the call takes it.
macro_rules! taken {
    (value $type:ty) => { $type };
    (borrowed $type:ty) => { &$type };
    (optional $type:ty) => { Option<&$type> };
}

/// An argument that was kept, as the call takes it.
macro_rules! lent {
    (value $kept:ident) => {
        $kept.clone()
    };
    (borrowed $kept:ident) => {
        $kept
    };
    (optional $kept:ident) => {
        $kept.as_deref()
    };
    (outline $kept:ident) => {
        $kept.as_bytes()
    };
    (stream $kept:ident) => {
        $kept.as_bytes()
    };
}

/// The same where a call takes its argument off the front of a slice.
macro_rules! lent_by_hand {
    (stream $kept:ident) => {
        &mut $kept.as_bytes()
    };
    ($mode:ident $kept:ident) => {
        lent!($mode $kept)
    };
}

macro_rules! calls {
    (
        recorded {$(
            $number:literal $variant:ident
                $call:ident($($name:ident: $mode:ident $type:ty),*) -> $result:ty;
        )*}
        recorded by hand {$(
            $hand_number:literal $hand_variant:ident
                $hand_call:ident($($hand_name:ident: $hand_mode:ident $hand_type:ty),*)
                $(into $buffer:expr)?;
        )*}
    ) => {
        /// One input of an agent: a call that takes `&mut self`, with its arguments.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Input {
            $(
                #[doc = concat!("[`IceAgent::", stringify!($call), "`].")]
                $variant {$(
                    #[doc = "The argument of this name."]
                    $name: kept!($mode $type),
                )*},
            )*
            $(
                #[doc = concat!("[`IceAgent::", stringify!($hand_call), "`].")]
                $hand_variant {$(
                    #[doc = "The argument of this name."]
                    $hand_name: kept!($hand_mode $hand_type),
                )*},
            )*
        }

        /// The names of all calls that a log has: those of [`IceAgent`] that take `&mut self` and have
        /// a part in what it does.
        pub const CALLS: &[&str] = &[
            $(stringify!($call),)*
            $(stringify!($hand_call),)*
        ];

        impl Input {
            /// The name of the call.
            #[must_use]
            pub const fn call(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => stringify!($call),)*
                    $(Self::$hand_variant { .. } => stringify!($hand_call),)*
                }
            }

            /// Reads the arguments of the call that has this number.
            pub(super) fn take(number: u8, from: &mut Reader<'_>) -> Result<Self, Malformed> {
                match number {
                    $($number => Ok(Self::$variant { $($name: Take::take(from)?),* }),)*
                    $($hand_number => {
                        Ok(Self::$hand_variant { $($hand_name: Take::take(from)?),* })
                    })*
                    _ => Err(Malformed::Unknown),
                }
            }

            /// Makes the call; what it has put out is added to `outputs`.
            pub(super) fn make(
                &self,
                agent: &mut IceAgent,
                now: Timestamp,
                outputs: &mut RunningHash,
            ) -> Outcome {
                match self {
                    $(Self::$variant { $($name),* } => {
                        let result = agent.$call(now, $(lent!($mode $name)),*);
                        Output::put_output(&result, outputs);
                        Outcome::Returned(format!("{result:?}"))
                    })*
                    $(Self::$hand_variant { $($hand_name),* } => {
                        play::$hand_call(agent, now, $(lent!($hand_mode $hand_name),)* outputs)
                    })*
                }
            }
        }

        impl Recorder {
            /// Makes a call that is there as an [`Input`], such as one of another log, and drops
            /// what it returns.
            pub fn apply(&mut self, now: Timestamp, input: &Input) {
                match input {
                    $(Input::$variant { $($name),* } => {
                        let _ = self.$call(now, $(lent!($mode $name)),*);
                    })*
                    $(Input::$hand_variant { $($hand_name),* } => {
                        let _ = self.$hand_call(
                            now,
                            $(lent_by_hand!($hand_mode $hand_name),)*
                            $(&mut $buffer,)?
                        );
                    })*
                }
            }
        }

        /// The calls of [`IceAgent`], recorded.
        #[expect(clippy::missing_errors_doc, reason = "as those of the agent, which are named")]
        impl Recorder {$(
            #[doc = concat!("[`IceAgent::", stringify!($call), "`], recorded.")]
            pub fn $call(&mut self, now: Timestamp, $($name: taken!($mode $type)),*) -> $result {
                if self.begin($number, now) {
                    $(self.argument(&$name);)*
                }
                let result = self.agent.$call(now, $($name),*);
                self.end(&result);
                result
            }
        )*}

        /// The numbers of the calls that are recorded by hand.
        pub(super) mod number {
            $(
                #[expect(non_upper_case_globals, reason = "named as the calls are")]
                pub(in crate::replay) const $hand_call: u8 = $hand_number;
            )*
        }
    };
}

calls! {
    recorded {
        1 AddStream add_stream(components: value u16) -> Result<StreamId, AddStreamError>;
        2 AddLocal add_local(stream: value StreamId, component: value u16, local: value LocalAddress)
            -> Result<CandidateId, AddLocalError>;
        3 RemoveLocal remove_local(id: value CandidateId) -> Result<(), RemoveLocalError>;
        4 RebindLocal rebind_local(id: value CandidateId, addr: value SocketAddr)
            -> Result<CandidateId, AddLocalError>;
        5 Gather gather() -> ();
        6 SetRemote set_remote(parameters: value Parameters) -> Result<(), SetRemoteError>;
        7 AddRemoteCandidate
            add_remote_candidate(stream: value StreamId, candidate: borrowed Candidate)
            -> Result<CandidateId, AddRemoteError>;
        8 EndOfRemoteCandidates end_of_remote_candidates(generation: optional str) -> ();
        9 TakeDescription take_description() -> Description;
        10 PrepareRestart prepare_restart() -> Result<Parameters, RestartError>;
        11 RollbackRestart rollback_restart() -> bool;
        12 SetTiming set_timing(timing: value Timing) -> Result<(), ConfigError>;
        13 Renominate renominate(pair: value PairId) -> Result<(), RenominateError>;
        14 NoteActivity note_activity(pair: value PairId) -> ();
        15 NoteSent note_sent(
            stream: value StreamId, component: value u16, packets: value u64, bytes: value u64
        ) -> ();
        16 TransmitFailed transmit_failed(route: value Route, error: value TransmitError) -> ();
        17 HandleIcmp handle_icmp(
            transport: value Transport, local: value SocketAddr, remote: value SocketAddr,
            error: value IcmpError, quoted: borrowed [u8]
        ) -> ();
        19 Close close() -> ();
        20 AddServer add_server(server: value Server) -> Result<ServerId, AddServerError>;
        21 RemoveServer remove_server(id: value ServerId) -> bool;
        22 UpdateServerCredentials
            update_server_credentials(id: value ServerId, credentials: value ServerCredentials)
            -> bool;
        23 NameResolved name_resolved(lookup: value LookupId, addresses: borrowed [IpAddr]) -> ();
        24 NameFailed name_failed(lookup: value LookupId) -> ();
        25 SocketOpened socket_opened(socket: value SocketId, addr: value SocketAddr) -> ();
        26 SocketFailed socket_failed(socket: value SocketId) -> ();
        27 CancelGathering cancel_gathering() -> ();
        28 ConnectionOpened connection_opened(id: value ConnectionId) -> ();
        29 ConnectionFailed connection_failed(id: value ConnectionId) -> ();
        30 ConnectionClosed connection_closed(id: value ConnectionId) -> ();
        31 ConnectionAccepted connection_accepted(local: value SocketAddr, remote: value SocketAddr)
            -> Result<ConnectionId, AcceptError>;
        37 SetNetworkCost set_network_cost(interface: value u32, cost: value u16) -> bool;
        38 Embed embed(stream: value StreamId, component: value u16, packet: borrowed [u8])
            -> Result<(), EmbedError>;
        39 WithdrawEmbedded withdraw_embedded(stream: value StreamId, component: value u16) -> bool;
    }
    recorded by hand {
        32 HandleDatagram handle_datagram(
            transport: value Transport, local: value SocketAddr, remote: value SocketAddr,
            datagram: outline [u8]
        );
        33 Send send(stream: value StreamId, component: value u16, payload: outline [u8]);
        18 HandleTimeout handle_timeout();
        34 PollTransmit poll_transmit() into Vec::new();
        35 PollEvent poll_event();
        36 HandleStream handle_stream(id: value ConnectionId, input: stream [u8]);
    }
}

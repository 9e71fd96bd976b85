//! What this machine has: addresses, a source of seeds, words for errors, and the channel to the other
//! side.

use std::env;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::thread;

use frazil::{Role, TransmitError};

/// From the system, and never the same twice: who knows the seed knows the passwords.
pub(crate) fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(seed)
}

/// The addresses to bind a socket to, one each. The addresses of loopback only if there is no other.
pub(crate) fn addresses() -> io::Result<Vec<IpAddr>> {
    let mut all: Vec<IpAddr> =
        if_addrs::get_if_addrs()?.iter().map(if_addrs::Interface::ip).collect();
    // These are the same on every link: to bind and to send, the system wants to know which.
    all.retain(|ip| !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()));
    let (loopback, others): (Vec<_>, Vec<_>) = all.into_iter().partition(IpAddr::is_loopback);
    Ok(if others.is_empty() { loopback } else { others })
}

/// What an error of sending says about the way, if it says anything. All others are a lost packet.
pub(crate) fn fact_of(error: &io::Error) -> Option<TransmitError> {
    match error.kind() {
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            Some(TransmitError::Unreachable)
        }
        io::ErrorKind::PermissionDenied => Some(TransmitError::NotPermitted),
        _ if error.raw_os_error() == Some(libc::EMSGSIZE) => Some(TransmitError::TooLarge),
        _ => None,
    }
}

/// The signalling: lines of text, in both directions.
pub(crate) struct Channel {
    pub(crate) role: Role,
    input: Box<dyn Read + Send>,
    pub(crate) output: Box<dyn Write>,
    /// The other side, if it was started from here.
    child: Option<Child>,
}

impl Channel {
    /// By the arguments: `offer` or `answer` for lines that somebody carries by hand, or the path of a
    /// program to start as the other side. Without any it is this program itself.
    pub(crate) fn open() -> Result<Self, Box<dyn Error>> {
        let argument = env::args_os().nth(1);
        let by_hand = |role| Self {
            role,
            input: Box::new(io::stdin()),
            output: Box::new(io::stdout()),
            child: None,
        };
        match argument.as_ref().and_then(|it| it.to_str()) {
            Some("offer") => return Ok(by_hand(Role::Controlling)),
            Some("answer") => return Ok(by_hand(Role::Controlled)),
            _ => {}
        }
        let program = argument.map_or_else(env::current_exe, |path| Ok(path.into()))?;
        let mut child = Command::new(program)
            .arg("answer")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdout.take().ok_or("no pipe")?;
        let output = child.stdin.take().ok_or("no pipe")?;
        Ok(Self {
            role: Role::Controlling,
            input: Box::new(input),
            output: Box::new(output),
            child: Some(child),
        })
    }

    /// Reads in a thread of its own and hands each line over, `None` at the end. The loop itself waits
    /// for nothing but what it waits for.
    ///
    /// What is left of the channel: the way to write, and what to wait for in the end.
    pub(crate) fn split(
        self,
        mut hand_over: impl FnMut(Option<String>) + Send + 'static,
    ) -> (Box<dyn Write>, OtherSide) {
        let input = BufReader::new(self.input);
        thread::spawn(move || {
            for line in input.lines().map_while(Result::ok) {
                hand_over(Some(line.trim_end().to_owned()));
            }
            hand_over(None);
        });
        (self.output, OtherSide(self.child))
    }
}

/// The other side, if it is a process of ours.
pub(crate) struct OtherSide(Option<Child>);

impl OtherSide {
    /// Waits for it, after the channel to it was dropped.
    pub(crate) fn join(self) -> Result<(), Box<dyn Error>> {
        match self.0.map(|mut child| child.wait()).transpose()? {
            Some(status) if !status.success() => Err(format!("the other side: {status}").into()),
            _ => Ok(()),
        }
    }
}

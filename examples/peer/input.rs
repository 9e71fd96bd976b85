//! Lines from standard input, without ever blocking the loop that serves the agent.
//!
//! A thread of its own reads them. Standard input can be a terminal, a pipe or a file: a file
//! cannot be polled, and making a terminal non-blocking would change it for everyone who has it
//! open.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use frazil::Timestamp;
use mio::Waker;

use crate::driver::EventLoop;

/// The longest line that is taken, in bytes.
const MAX_LINE: usize = 64 * 1024;

/// Lines that are read ahead. Then the reader waits, and with it whoever writes to it.
const AHEAD: usize = 64;

/// What was read.
pub(crate) enum Line {
    Text(String),
    NotUtf8,
    TooLong,
    /// There is nothing more.
    End,
}

/// The receiving end of the reader thread.
pub(crate) struct Input {
    lines: Receiver<Line>,
    /// Not found empty since a thread last called.
    readable: bool,
}

impl Input {
    /// Starts to read. The thread ends with its input, or with the process.
    pub(crate) fn start(events: &EventLoop) -> io::Result<Self> {
        let waker = events.waker();
        let (sender, lines) = sync_channel(AHEAD);
        thread::Builder::new()
            .name("standard input".to_owned())
            .spawn(move || read_all(io::stdin().lock(), &sender, &waker))?;
        Ok(Self { lines, readable: false })
    }

    pub(crate) fn note_ready(&mut self, events: &EventLoop) {
        self.readable |= events.is_woken();
    }

    /// The next line; `None` when none is there yet, and after the end.
    pub(crate) fn next(&mut self) -> Option<Line> {
        if !self.readable {
            return None;
        }
        match self.lines.try_recv() {
            Ok(line) => Some(line),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                self.readable = false;
                None
            }
        }
    }

    /// When the loop has to come back for lines that it has left.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.readable.then_some(Timestamp::ZERO)
    }
}

fn read_all(mut from: impl BufRead, lines: &SyncSender<Line>, waker: &Waker) {
    loop {
        let line = read_line(&mut from).unwrap_or(Line::End);
        let end = matches!(line, Line::End);
        // Without a receiver the process is about to end.
        if lines.send(line).is_err() || waker.wake().is_err() || end {
            return;
        }
    }
}

fn read_line(from: &mut impl BufRead) -> io::Result<Line> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
    if from.take(limit).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(Line::End);
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    } else if bytes.len() >= MAX_LINE && from.skip_until(b'\n')? > 0 {
        return Ok(Line::TooLong);
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(String::from_utf8(bytes).map_or(Line::NotUtf8, Line::Text))
}

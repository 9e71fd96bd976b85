//! The little HTTP/1.1 (RFC 9112) that one page needs, on the one event loop: requests with small
//! bodies, and streams of server-sent events.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Token};

use crate::driver::EventLoop;

/// Connections at once: a browser has six to a host.
const CONNECTIONS: usize = 64;

/// Headers of a request.
const HEADERS: usize = 64;

/// Bytes of a request, head and body.
const REQUEST: usize = 256 * 1024;

/// Bytes that wait for a reader who does not read.
const BACKLOG: usize = 4 * 1024 * 1024;

/// A request that has come whole.
#[derive(Debug)]
pub(crate) struct Request {
    /// Where the answer goes.
    pub(crate) from: Token,
    pub(crate) method: String,
    /// Without a query.
    pub(crate) path: String,
    /// Another site than the one that the browser asks has made it.
    pub(crate) cross_site: bool,
    /// The last event that a reader has seen who comes back to a stream of events.
    pub(crate) last_event: Option<u64>,
    pub(crate) body: Vec<u8>,
}

/// What a request is answered with.
pub(crate) struct Response {
    pub(crate) status: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(status: &'static str, body: &str) -> Self {
        let body = format!("{body}\n").into_bytes();
        Self { status, content_type: "text/plain; charset=utf-8", body }
    }
}

pub(crate) struct Server {
    listener: TcpListener,
    token: Token,
    connections: BTreeMap<Token, Connection>,
}

struct Connection {
    tcp: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// The answer is a stream of events, which has no end.
    is_stream: bool,
    /// Closed when the output has gone.
    last: bool,
    broken: bool,
}

impl Server {
    pub(crate) fn listen(addr: SocketAddr, events: &mut EventLoop) -> io::Result<Self> {
        let mut listener = TcpListener::bind(addr)?;
        let token = events.token();
        events.registry().register(&mut listener, token, Interest::READABLE)?;
        Ok(Self { listener, token, connections: BTreeMap::new() })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Does what the last wait has made possible; the requests that are whole now.
    pub(crate) fn take_requests(&mut self, events: &mut EventLoop) -> Vec<Request> {
        let ready: Vec<Token> = events.ready().collect();
        let mut requests = Vec::new();
        for token in ready {
            if token == self.token {
                self.accept(events);
            } else if let Some(connection) = self.connections.get_mut(&token) {
                connection.flush();
                connection.fill();
                requests.extend(connection.requests(token));
            }
        }
        self.connections.retain(|_, connection| !connection.is_done());
        requests
    }

    fn accept(&mut self, events: &mut EventLoop) {
        // An error ends this round: an empty queue, or a caller who has gone again.
        while let Ok((mut tcp, _)) = self.listener.accept() {
            let token = events.token();
            let interest = Interest::READABLE | Interest::WRITABLE;
            let room = self.connections.len() < CONNECTIONS;
            if room && events.registry().register(&mut tcp, token, interest).is_ok() {
                tcp.set_nodelay(true).ok();
                self.connections.insert(token, Connection::new(tcp));
            }
        }
    }

    pub(crate) fn respond(&mut self, to: Token, response: &Response) {
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\r\n",
            response.status,
            response.content_type,
            response.body.len(),
        );
        if let Some(connection) = self.connections.get_mut(&to) {
            connection.write(&[head.as_bytes(), &response.body]);
        }
    }

    /// Begins a stream of events.
    pub(crate) fn begin_stream(&mut self, to: Token) {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                    Cache-Control: no-store\r\nConnection: close\r\n\r\n";
        if let Some(connection) = self.connections.get_mut(&to) {
            connection.is_stream = true;
            connection.write(&[head.as_bytes()]);
        }
    }

    /// Adds an event to a stream; false when there is nobody to hear it.
    pub(crate) fn send_event(&mut self, to: Token, id: Option<u64>, data: &str) -> bool {
        let Some(connection) = self.connections.get_mut(&to) else { return false };
        let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
        // JSON is one line, so that one field holds it.
        connection.write(&[format!("{id}data: {data}\n\n").as_bytes()]);
        !connection.broken
    }

    /// Ends a stream.
    pub(crate) fn end_stream(&mut self, to: Token) {
        if let Some(connection) = self.connections.get_mut(&to) {
            connection.last = true;
        }
        self.connections.retain(|_, connection| !connection.is_done());
    }

    pub(crate) fn has(&self, token: Token) -> bool {
        self.connections.contains_key(&token)
    }
}

impl Connection {
    fn new(tcp: TcpStream) -> Self {
        let (input, output) = (Vec::new(), Vec::new());
        Self { tcp, input, output, is_stream: false, last: false, broken: false }
    }

    fn is_done(&self) -> bool {
        self.broken || (self.last && self.output.is_empty())
    }

    fn write(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.output.extend_from_slice(part);
        }
        self.flush();
        self.broken |= self.output.len() > BACKLOG;
    }

    fn flush(&mut self) {
        while !self.output.is_empty() {
            match self.tcp.write(&self.output) {
                Ok(len) => drop(self.output.drain(..len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.broken = true;
                    return;
                }
            }
        }
    }

    fn fill(&mut self) {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.tcp.read(&mut buffer) {
                Ok(0) => {
                    self.broken = true;
                    return;
                }
                Ok(len) => self.input.extend_from_slice(buffer.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.broken = true;
                    return;
                }
            }
            if self.input.len() > REQUEST {
                self.broken = true;
                return;
            }
        }
    }

    fn requests(&mut self, from: Token) -> Vec<Request> {
        let mut requests = Vec::new();
        // Who listens to events has nothing more to ask on that connection.
        while !self.is_stream && !self.last {
            match parse(&self.input, from) {
                Parsed::Whole(request, len) => {
                    self.input.drain(..len);
                    requests.push(request);
                }
                Parsed::Partial => break,
                Parsed::Bad => {
                    self.write(&[b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"]);
                    self.last = true;
                }
            }
        }
        requests
    }
}

enum Parsed {
    /// With its length.
    Whole(Request, usize),
    Partial,
    Bad,
}

fn parse(input: &[u8], from: Token) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let head_len = match head.parse(input) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Parsed::Partial,
        Err(_) => return Parsed::Bad,
    };
    let header = |name: &str| {
        let mut all = head.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        Some(std::str::from_utf8(all.next()?.value).unwrap_or_default())
    };
    let body_len = match header("content-length").map(str::parse) {
        None => 0,
        Some(Ok(len)) if len <= REQUEST => len,
        Some(_) => return Parsed::Bad,
    };
    if header("transfer-encoding").is_some() {
        return Parsed::Bad;
    }
    let Some(body) = input.get(head_len..head_len.saturating_add(body_len)) else {
        return Parsed::Partial;
    };
    let path = head.path.unwrap_or_default();
    let request = Request {
        from,
        method: head.method.unwrap_or_default().to_owned(),
        path: path.split_once('?').map_or(path, |(path, _)| path).to_owned(),
        cross_site: header("origin")
            .is_some_and(|origin| origin.split_once("://").map(|(_, host)| host) != header("host")),
        last_event: header("last-event-id").and_then(|id| id.parse().ok()),
        body: body.to_vec(),
    };
    Parsed::Whole(request, head_len.saturating_add(body_len))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: &[u8] = b"POST /session/1?x=y HTTP/1.1\r\nHost: localhost:8080\r\n\
        Origin: http://localhost:8080\r\nContent-Length: 2\r\n\r\n{}";

    fn whole(input: &[u8]) -> Option<(Request, usize)> {
        match parse(input, Token(1)) {
            Parsed::Whole(request, len) => Some((request, len)),
            _ => None,
        }
    }

    #[test]
    fn a_request_is_taken_when_it_is_whole_and_not_before() {
        for len in 0..POST.len() {
            assert!(matches!(parse(&POST[..len], Token(1)), Parsed::Partial), "{len} bytes");
        }
        let (request, len) = whole(POST).expect("whole");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/session/1"));
        assert_eq!((request.body.as_slice(), len), (b"{}".as_slice(), POST.len()));
        assert!(!request.cross_site);
    }

    #[test]
    fn a_request_that_another_site_has_made_is_told_apart() {
        let text =
            String::from_utf8_lossy(POST).replace("http://localhost", "https://evil.example");
        assert!(whole(text.as_bytes()).expect("whole").0.cross_site);
    }

    #[test]
    fn what_is_no_request_or_too_large_is_refused() {
        assert!(matches!(parse(b"\x16\x03\x01 hello\r\n\r\n", Token(1)), Parsed::Bad));
        let large = String::from_utf8_lossy(POST).replace("Length: 2", "Length: 99999999999");
        assert!(matches!(parse(large.as_bytes(), Token(1)), Parsed::Bad));
        let chunked = String::from_utf8_lossy(POST)
            .replace("Content-Length: 2", "Transfer-Encoding: chunked");
        assert!(matches!(parse(chunked.as_bytes(), Token(1)), Parsed::Bad));
    }
}

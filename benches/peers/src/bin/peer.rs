//! One of the Rust peers on a real socket, in the line protocol of `examples/peer.rs`, as much of it
//! as `benches/processes/connect.py` needs: `peer NAME --role ROLE --bind IP`.
//!
//! Both sides know each other's credentials from their roles; of a candidate line only address and
//! priority count.

use std::io::BufRead;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use frazil_peers::peer::{Credentials, Description, Is, Path, Peer, Rice, Rtc};

const USAGE: &str = "usage: peer is|is-str0m|rtc-ice|rice --role controlling|controlled --bind IP";

/// The priority of the only host candidate of a host.
const PRIORITY: u32 = 2_130_706_431;

enum Input {
    Line(String),
    Datagram(SocketAddr, Vec<u8>),
    End,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [name, "--role", role @ ("controlling" | "controlled"), "--bind", ip] = words[..] else {
        refuse();
    };
    let Ok(ip) = ip.parse::<IpAddr>() else { refuse() };
    let controlling = role == "controlling";
    match name {
        "is" => run::<Is<false>>(controlling, ip),
        "is-str0m" => run::<Is<true>>(controlling, ip),
        "rtc-ice" => run::<Rtc>(controlling, ip),
        "rice" => run::<Rice>(controlling, ip),
        _ => refuse(),
    }
}

fn refuse() -> ! {
    eprintln!("{USAGE}");
    std::process::exit(2);
}

fn run<P: Peer>(controlling: bool, ip: IpAddr) {
    let socket = UdpSocket::bind((ip, 0)).expect("the address is of this host");
    let local = socket.local_addr().expect("it is bound");
    let inputs = inputs(&socket);
    let begun = Instant::now();
    let mut peer = P::new(controlling, 0);
    peer.add_hosts(begun.elapsed(), &[local]);
    let Credentials { ufrag, pwd } = Credentials::of(controlling);
    println!("credentials {ufrag} {pwd}");
    println!("candidate 1 1 udp {PRIORITY} {} {} typ host", local.ip(), local.port());
    println!("end-of-candidates");

    let mut told = Vec::new();
    let mut selected = None;
    loop {
        let now = begun.elapsed();
        peer.drain(now, |path, datagram| {
            // A host that is not there is the network's matter.
            let _ = socket.send_to(datagram, path.remote);
        });
        if peer.selected().is_some() && peer.selected() != selected {
            selected = peer.selected();
            report(selected.expect("it was just seen"));
        }
        let wait = peer.deadline().map_or(Duration::from_secs(1), |at| at.saturating_sub(now));
        match next(&inputs, wait) {
            None => peer.timeout(begun.elapsed()),
            Some(Input::Datagram(remote, datagram)) => {
                let _ = peer.receive(begun.elapsed(), Path { local, remote }, &datagram);
            }
            Some(Input::Line(line)) => {
                let words: Vec<&str> = line.split(' ').collect();
                match words[..] {
                    ["candidate", _, _, _, priority, ip, port, ..] => {
                        let ip = ip.parse().expect("an IP address");
                        let addr = SocketAddr::new(ip, port.parse().expect("a port"));
                        told.push(P::told(addr, priority.parse().expect("a priority")));
                    }
                    // Only now, since checks begin with it.
                    ["end-of-candidates"] => {
                        let credentials = Credentials::of(!controlling);
                        let candidates = std::mem::take(&mut told);
                        let remote = Description { credentials, candidates };
                        peer.set_remote(begun.elapsed(), &remote);
                    }
                    _ => {}
                }
            }
            Some(Input::End) => return,
        }
    }
}

/// The peers have no state between; what they report as connected is the selection.
fn report(path: Path) {
    println!("state connected");
    println!("selected {} {} host host udp", path.local, path.remote);
}

fn next(inputs: &Receiver<Input>, wait: Duration) -> Option<Input> {
    match inputs.recv_timeout(wait) {
        Ok(input) => Some(input),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => Some(Input::End),
    }
}

/// What comes from standard input and from the socket, in one queue.
fn inputs(socket: &UdpSocket) -> Receiver<Input> {
    let (sender, receiver) = channel();
    let lines: Sender<Input> = sender.clone();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if line == "close" || lines.send(Input::Line(line)).is_err() {
                break;
            }
        }
        let _ = lines.send(Input::End);
    });
    let socket = socket.try_clone().expect("a second handle");
    thread::spawn(move || {
        let mut buf = [0; 2048];
        // An ICMP error of an earlier datagram is no end.
        loop {
            if let Ok((len, from)) = socket.recv_from(&mut buf) {
                if sender.send(Input::Datagram(from, buf[..len].to_vec())).is_err() {
                    return;
                }
            }
        }
    });
    receiver
}

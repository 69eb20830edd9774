//! The recording receiver: takes requests of remote write into a [`Ledger`], and misbehaves in every way that a receiver, or what
//! lies before it, can.
//!
//! A thread for each connection, plain sockets: what a library would not let one do (half an answer, a reset) is the point here.
//! Always true: a request is in the ledger before its answer is begun, and `told` only when the whole answer left in good time.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use crate::far::Far;
use crate::ledger::{End, Ledger};
use crate::process::wait;
use crate::verdict::{Counts, Samples};
use crate::wire;

/// An answer that took longer may have come after the sender's timeout (`sender::TIMEOUT`).
const TOLD_WITHIN: Duration = Duration::from_secs(3);
/// Longer than any trouble.
const LONG: Duration = Duration::from_secs(3600);
/// How long `hold` waits for a request, and keeps it.
const HOLD: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Accept,
    /// This status, with a `Retry-After` in seconds or without.
    Status(u16, Option<u32>),
    /// No answer until the mode changes; the request is taken or not.
    Hang(bool),
    /// Takes, and answers that late.
    Slow(Duration),
    /// Resets the connection in the middle of the answer; the request was taken or not.
    CutAnswer(bool),
    /// Takes, and closes without a word.
    LoseAnswer,
    /// Resets the connection in the middle of the request.
    CutRequest,
    /// Nobody listens.
    Refuse,
    /// For each request something else.
    Moody,
}

const TROUBLES: [Mode; 16] = [
    Mode::Status(500, None),
    Mode::Status(503, None),
    Mode::Status(503, Some(1)),
    Mode::Status(429, Some(1)),
    Mode::Status(429, None),
    Mode::Hang(false),
    Mode::Hang(true),
    Mode::Slow(Duration::from_millis(300)),
    Mode::Slow(Duration::from_secs(7)),
    Mode::CutAnswer(false),
    Mode::CutAnswer(true),
    Mode::LoseAnswer,
    Mode::CutRequest,
    Mode::Refuse,
    Mode::Moody,
    Mode::Moody,
];

const MOODS: [Mode; 8] = [
    Mode::Accept,
    Mode::Accept,
    Mode::Accept,
    Mode::Slow(Duration::from_millis(100)),
    Mode::Status(503, None),
    Mode::CutAnswer(true),
    Mode::LoseAnswer,
    Mode::CutRequest,
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Trap {
    Off,
    Set,
    Sprung,
}

struct State {
    mode: Mode,
    trap: Trap,
    /// How often the mode was set: who waits for a change sees one.
    changes: u64,
    ledger: Ledger,
    connections: Vec<Weak<TcpStream>>,
    moods: fastrand::Rng,
    /// Troubles not had yet since each was had.
    left: Vec<Mode>,
    /// Requests that could not be read: the sender's fault.
    broken: Vec<String>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

pub(crate) struct Recorder {
    shared: Arc<Shared>,
    port: u16,
}

impl Recorder {
    /// Listens until the test process ends.
    pub(crate) fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State {
            mode: Mode::Accept,
            trap: Trap::Off,
            changes: 0,
            ledger: Ledger::default(),
            connections: Vec::new(),
            moods: fastrand::Rng::with_seed(seed),
            left: Vec::new(),
            broken: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let its = Arc::clone(&shared);
        std::thread::spawn(move || accept(listener, &its));
        Self { shared, port }
    }

    fn set(&self, mode: Mode) {
        let mut state = self.shared.lock();
        state.mode = mode;
        state.changes += 1;
        if mode == Mode::Refuse {
            for connection in state.connections.drain(..).filter_map(|connection| connection.upgrade()) {
                // One that the sender ended already gives an error.
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
        drop(state);
        if mode == Mode::Refuse {
            // Wakes the thread that accepts, so that it goes away.
            let _ = TcpStream::connect(("127.0.0.1", self.port));
        }
    }
}

impl Far for Recorder {
    fn port(&self) -> u16 {
        self.port
    }

    fn trouble(&mut self, rng: &mut fastrand::Rng) -> String {
        let mode = {
            let mut state = self.shared.lock();
            if state.left.is_empty() {
                state.left = TROUBLES.to_vec();
                rng.shuffle(&mut state.left);
            }
            state.left.pop().unwrap()
        };
        self.set(mode);
        format!("{mode:?}")
    }

    fn heal(&mut self) {
        self.set(Mode::Accept);
    }

    fn hold(&mut self) -> bool {
        let mut state = self.shared.lock();
        state.trap = Trap::Set;
        let (mut state, _) =
            self.shared.changed.wait_timeout_while(state, HOLD, |state| state.trap == Trap::Set).unwrap();
        let sprung = state.trap == Trap::Sprung;
        if !sprung {
            state.trap = Trap::Off;
        }
        sprung
    }

    fn release(&mut self) {
        self.shared.lock().trap = Trap::Off;
        self.shared.changed.notify_all();
    }

    fn has_exemplar(&self, series: &str, exemplar: (i64, f64)) -> Option<bool> {
        Some(self.shared.lock().ledger.has_exemplar(series, exemplar))
    }

    fn samples(&mut self) -> Samples {
        self.shared.lock().ledger.samples()
    }

    fn counts(&self, ends: &[End]) -> Option<Counts> {
        let state = self.shared.lock();
        assert!(state.broken.is_empty(), "{:?}", &state.broken[..state.broken.len().min(3)]);
        Some(state.ledger.counts(ends))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits, but not longer than until the mode changes.
    fn linger(&self, time: Duration) {
        let state = self.lock();
        let changes = state.changes;
        let _ = self.changed.wait_timeout_while(state, time, |state| state.changes == changes).unwrap();
    }

    /// The mode for a request.
    fn mood(&self) -> Mode {
        let mut state = self.lock();
        match state.mode {
            Mode::Moody => MOODS[state.moods.usize(..MOODS.len())],
            mode => mode,
        }
    }
}

fn accept(mut listener: TcpListener, shared: &Arc<Shared>) {
    let address = listener.local_addr().unwrap();
    loop {
        let Ok((stream, _)) = listener.accept() else { continue };
        let mut state = shared.lock();
        if state.mode == Mode::Refuse {
            drop((stream, listener));
            drop(shared.changed.wait_while(state, |state| state.mode == Mode::Refuse).unwrap());
            listener = wait("its port again", HOLD * 10, || TcpListener::bind(address).ok());
            continue;
        }
        let stream = Arc::new(stream);
        state.connections.retain(|connection| connection.strong_count() > 0);
        state.connections.push(Arc::downgrade(&stream));
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A sender that was killed, or gave up, leaves half a request or takes no answer.
            let _ = serve(&stream, &shared);
        });
    }
}

struct Request {
    content_type: String,
    life: usize,
    length: usize,
}

fn serve(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = head(&mut reader)? {
        let started = Instant::now();
        let mode = shared.mood();
        if mode == Mode::CutRequest {
            return reset(stream);
        }
        let mut body = vec![0; request.length];
        reader.read_exact(&mut body)?;
        match mode {
            Mode::Status(status, after) => {
                let after = after.map(|s| format!("Retry-After: {s}\r\n")).unwrap_or_default();
                answer(stream, &format!("{status} Not Now"), &after, "not now\n")?;
                continue;
            }
            Mode::Hang(false) => {
                shared.linger(LONG);
                return Ok(());
            }
            Mode::CutAnswer(false) => return cut_answer(stream),
            _ => {}
        }
        let (number, written) = take(shared, &request, &body)?;
        match mode {
            Mode::Hang(_) => {
                shared.linger(LONG);
                return Ok(());
            }
            Mode::CutAnswer(_) => return cut_answer(stream),
            Mode::LoseAnswer => return Ok(()),
            Mode::Slow(time) => shared.linger(time),
            _ => {}
        }
        answer(stream, "204 No Content", &written, "")?;
        if started.elapsed() < TOLD_WITHIN {
            shared.lock().ledger.told(number);
        }
    }
    Ok(())
}

/// Puts a request into the ledger, and holds it there when somebody wants that: its number, and the headers for its answer.
fn take(shared: &Shared, request: &Request, body: &[u8]) -> std::io::Result<(usize, String)> {
    let sent = match wire::read(&request.content_type, body) {
        Ok(sent) => sent,
        Err(error) => {
            shared.lock().broken.push(format!("{}: {error}", request.content_type));
            return Err(std::io::ErrorKind::InvalidData.into());
        }
    };
    let count = |of: fn(&wire::Sent) -> usize| sent.iter().map(of).sum::<usize>();
    let written = format!(
        "X-Prometheus-Remote-Write-Samples-Written: {}\r\nX-Prometheus-Remote-Write-Histograms-Written: {}\r\n\
         X-Prometheus-Remote-Write-Exemplars-Written: {}\r\n",
        count(|s| s.samples.len() - s.histograms),
        count(|s| s.histograms),
        count(|s| s.exemplars.len())
    );
    let mut state = shared.lock();
    let number = state.ledger.take(request.life, sent);
    if state.trap == Trap::Set {
        state.trap = Trap::Sprung;
        shared.changed.notify_all();
        drop(shared.changed.wait_timeout_while(state, HOLD, |state| state.trap == Trap::Sprung).unwrap());
    }
    Ok((number, written))
}

/// Reads the head of a request; `None` at the end of the connection.
fn head(reader: &mut BufReader<&TcpStream>) -> std::io::Result<Option<Request>> {
    let mut request = Request { content_type: String::new(), life: usize::MAX, length: 0 };
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match &*name.to_lowercase() {
            "content-length" => request.length = value.parse().unwrap_or(0),
            "content-type" => value.clone_into(&mut request.content_type),
            "x-life" => request.life = value.parse().unwrap_or(usize::MAX),
            _ => {}
        }
    }
    Ok(Some(request))
}

fn answer(mut stream: &TcpStream, status: &str, headers: &str, body: &str) -> std::io::Result<()> {
    let length = match body.is_empty() {
        true => String::new(),
        false => format!("Content-Length: {}\r\n", body.len()),
    };
    stream.write_all(format!("HTTP/1.1 {status}\r\n{headers}{length}\r\n{body}").as_bytes())
}

fn cut_answer(mut stream: &TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 204 No Con")?;
    reset(stream)
}

/// Closes with a reset instead of an orderly end.
fn reset(stream: &TcpStream) -> std::io::Result<()> {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO))?;
    Ok(())
}

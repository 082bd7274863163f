//! A server that answers by script, down to the bytes on the wire, and remembers what it was asked and when.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use graph::{Client, Cloud, Credential, Governor, Limits, Options, Scope};
use model::{AccountId, Clock, SimulatedClock, TenantId};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};

/// What the server was asked.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// By the simulated clock.
    pub(crate) at: Duration,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the client sends JSON")
    }

    /// The fields of a form.
    pub(crate) fn form(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(&self.body)
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// Real time between two bytes of a body that drips.
pub(crate) const DRIP: Duration = Duration::from_millis(20);

/// What the server does.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// An answer with these headers beside its length.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Exactly these bytes, then the connection is closed.
    Bytes(Vec<u8>),
    /// Exactly these bytes, then the connection is reset.
    Reset(Vec<u8>),
    /// Exactly these bytes, then nothing, for ever.
    Silence(Vec<u8>),
    /// The first bytes, then the second again and again, as long as anybody listens.
    Endless(Vec<u8>, Vec<u8>),
    /// The first bytes at once, the others one by one with [`DRIP`] before each.
    Dripping(Vec<u8>, Vec<u8>),
    /// An answer that is held back until so many requests are in flight.
    Together(usize, Box<Reply>),
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let kind = ("content-type", "application/json".to_owned());
        Self::Answer(status, vec![kind], body.to_string().into_bytes())
    }

    pub(crate) fn error(status: u16, code: &str) -> Self {
        Self::json(
            status,
            &json!({"error": {"code": code, "message": "of nobody's business"}}),
        )
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), Vec::new())
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Answer(_, headers, _) = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }

    pub(crate) fn ok() -> Self {
        Self::json(200, &json!({"ok": true}))
    }
}

type Script = dyn Fn(&Seen, usize) -> Reply + Send + Sync;

struct Stage {
    script: Box<Script>,
    clock: SimulatedClock,
    seen: Mutex<Vec<Seen>>,
    tokens: Mutex<Vec<Seen>>,
    /// How many are in flight, and how many were at most.
    flight: Mutex<(usize, usize)>,
    /// Lets out those that wait for each other.
    together: Semaphore,
    /// How many pieces of endless answers were sent.
    pieces: AtomicUsize,
}

/// Stops when dropped.
pub(crate) struct Server {
    pub(crate) base: String,
    pub(crate) clock: SimulatedClock,
    stage: Arc<Stage>,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    /// Serves Graph by the script, which gets the request and its number from 0; tokens are always granted.
    pub(crate) async fn start(
        script: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("the loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let clock = SimulatedClock::new("2026-11-10T12:00:00Z".parse().expect("a time"));
        let stage = Arc::new(Stage {
            script: Box::new(script),
            clock: clock.clone(),
            seen: Mutex::default(),
            tokens: Mutex::default(),
            flight: Mutex::default(),
            together: Semaphore::new(0),
            pieces: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&stage);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            base: format!("http://{address}"),
            clock,
            stage,
            accepting,
        }
    }

    /// Stops listening, and returns when nobody can connect any more.
    pub(crate) async fn stop(mut self) {
        self.accepting.abort();
        assert!(
            (&mut self.accepting).await.is_err(),
            "it was serving until now"
        );
    }

    /// What Graph was asked so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.stage
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What Entra ID was asked so far.
    pub(crate) fn tokens(&self) -> Vec<Seen> {
        self.stage
            .tokens
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The most requests that were in flight at a time.
    pub(crate) fn most_in_flight(&self) -> usize {
        self.stage
            .flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
    }

    /// How many pieces of endless answers were sent.
    pub(crate) fn pieces_sent(&self) -> usize {
        self.stage.pieces.load(Ordering::Relaxed)
    }

    pub(crate) fn options(&self) -> Options {
        Options::new(
            Cloud::at(&self.base).expect("a loopback address"),
            TenantId::new("tenant").expect("an id"),
            "application",
            Credential::secret("secret"),
            Arc::new(self.clock.clone()),
            7,
        )
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.options()).expect("the options are good")
    }

    pub(crate) fn client_with(&self, limits: Limits) -> Client {
        let governor = Governor::new(limits, Arc::new(self.clock.clone()));
        Client::new(Options {
            governor,
            ..self.options()
        })
        .expect("the options are good")
    }

    /// An address on this server, as Microsoft puts it into links.
    pub(crate) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) fn elapsed_s(&self) -> u64 {
        self.clock.elapsed().as_secs()
    }
}

pub(crate) fn mailbox(name: &str) -> Scope {
    Scope::Outlook {
        mailbox: AccountId::new(name).expect("an id"),
    }
}

async fn serve(mut stream: TcpStream, stage: Arc<Stage>) {
    while let Some(seen) = read_request(&mut stream, &stage.clock).await {
        let reply = if seen.path.ends_with("/oauth2/v2.0/token") {
            record(&stage.tokens, seen.clone());
            let number = stage
                .tokens
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .len();
            match (stage.script)(&seen, usize::MAX) {
                Reply::Answer(204, ..) => Reply::json(
                    200,
                    &json!({"token_type": "Bearer", "expires_in": 3599, "access_token": format!("token-{number}")}),
                ),
                scripted => scripted,
            }
        } else {
            let number = record(&stage.seen, seen.clone());
            (stage.script)(&seen, number)
        };
        count(&stage, 1);
        let goes_on = act(&mut stream, reply, &stage).await;
        if !goes_on {
            return;
        }
    }
}

/// A script's answer to a token request that leaves it to the server: grant one.
pub(crate) fn granted() -> Reply {
    Reply::status(204)
}

/// Leaves token requests to the server and the rest to `script`.
pub(crate) fn graph_only(
    script: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static {
    move |seen, number| {
        if number == usize::MAX {
            granted()
        } else {
            script(seen, number)
        }
    }
}

fn record(list: &Mutex<Vec<Seen>>, seen: Seen) -> usize {
    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
    list.push(seen);
    list.len() - 1
}

fn count(stage: &Stage, change: isize) -> usize {
    let mut flight = stage.flight.lock().unwrap_or_else(PoisonError::into_inner);
    flight.0 = flight.0.saturating_add_signed(change);
    flight.1 = flight.1.max(flight.0);
    flight.0
}

#[expect(
    clippy::disallowed_methods,
    reason = "how slow a socket is shows in real time only"
)]
async fn drip() {
    tokio::time::sleep(DRIP).await;
}

/// Whether the connection can serve another request.
async fn act(stream: &mut TcpStream, reply: Reply, stage: &Stage) -> bool {
    let reply = match reply {
        Reply::Together(width, reply) => {
            if count(stage, 0) >= width {
                stage.together.add_permits(width);
            }
            stage
                .together
                .acquire()
                .await
                .expect("never closed")
                .forget();
            *reply
        }
        other => other,
    };
    // It is out of flight once its last bytes are on their way: the client may send the next before this task runs again.
    count(stage, -1);
    let sent = match &reply {
        Reply::Answer(status, headers, body) => {
            stream.write_all(&render(*status, headers, body)).await
        }
        Reply::Bytes(bytes) | Reply::Reset(bytes) | Reply::Silence(bytes) => {
            stream.write_all(bytes).await
        }
        Reply::Endless(first, again) => {
            let mut sent = stream.write_all(first).await;
            while sent.is_ok() {
                sent = stream.write_all(again).await;
                stage.pieces.fetch_add(1, Ordering::Relaxed);
            }
            sent
        }
        Reply::Dripping(first, slowly) => {
            let mut sent = stream.write_all(first).await;
            for byte in slowly {
                drip().await;
                sent = sent.and(stream.write_all(&[*byte]).await);
                if sent.is_err() {
                    break;
                }
            }
            sent
        }
        Reply::Together(..) => Ok(()),
    };
    match reply {
        Reply::Silence(_) => std::future::pending().await,
        // A reset may overtake bytes that were sent before it, as it may in life.
        Reply::Reset(_) => drop(stream.set_zero_linger()),
        Reply::Bytes(_) => drop(stream.shutdown().await),
        _ => return sent.is_ok(),
    }
    false
}

pub(crate) fn render(status: u16, headers: &[(&str, String)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let has_length = headers.iter().any(|(name, _)| *name == "content-length");
    if !has_length && status != 204 {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

async fn read_request(stream: &mut TcpStream, clock: &SimulatedClock) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    let mut body = bytes.split_off(head_end);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    let at = clock.elapsed();
    Some(Seen {
        method,
        path,
        headers,
        body,
        at,
    })
}

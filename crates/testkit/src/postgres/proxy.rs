//! What stands between a program and PostgreSQL, counts statements, and does something at one of them: it cuts the connection before the database
//! hears of the statement, or before its answer comes back, or holds the statement until it is let go.
//!
//! A statement is a Query or an Execute message of PostgreSQL's protocol, version 3. Where a connection pool only looks whether its connection is
//! alive, nothing is counted.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
};

/// The name of a server's socket in its folder.
const SOCKET: &str = ".s.PGSQL.5432";
/// The code of a request for encryption, which comes before the start of a session and has no type either.
const ENCRYPT: [u8; 4] = 80_877_103_u32.to_be_bytes();

static PROXIES: AtomicU32 = AtomicU32::new(0);

/// What is done at a statement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Deed {
    /// The connection is cut, and the database never hears of the statement.
    CutBefore,
    /// The database carries the statement out, and the connection is cut before anybody learns it.
    CutAfter,
    /// The statement waits until [`Proxy::release`].
    Hold,
}

/// A proxy before one database.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    folder: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How many more statements pass, and what is done at the one after them.
    armed: Option<(u64, Deed)>,
    hit: bool,
    held: bool,
    closed: bool,
    connections: Vec<UnixStream>,
}

impl Proxy {
    /// Stands before the database with this address, which [`super::database`] gave.
    ///
    /// # Errors
    /// When no socket can be made.
    pub fn before(address: &str) -> io::Result<Self> {
        let (start, real) = address
            .split_once("?host=")
            .ok_or_else(|| io::Error::other("the database is not on a socket"))?;
        let number = PROXIES.fetch_add(1, Ordering::Relaxed);
        let name = format!("keepwell-proxy.{}.{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder)?;
        let listener = UnixListener::bind(folder.join(SOCKET))?;
        let shared = Arc::new(Shared::default());
        let (real, inner) = (Path::new(real).join(SOCKET), Arc::clone(&shared));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Whoever connects to a proxy that is closed finds nobody.
                let _ = inner.connect(client, &real);
            }
        });
        Ok(Self {
            address: format!("{start}?host={}", folder.display()),
            folder,
            shared,
        })
    }

    /// The database's address by way of the proxy.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Does something at the n-th statement from now, counted from 1.
    pub fn arm(&self, n: u64, deed: Deed) {
        let mut state = self.shared.state();
        state.armed = Some((n - 1, deed));
        state.hit = false;
    }

    /// Whether it came to the statement. What was not done is not done any more.
    #[must_use]
    pub fn disarm(&self) -> bool {
        let mut state = self.shared.state();
        state.armed = None;
        state.hit
    }

    /// Whether a statement is held now.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        self.shared.state().held
    }

    /// Lets the statement go that is held.
    pub fn release(&self) {
        self.shared.state().held = false;
        self.shared.changed.notify_all();
    }

    /// Cuts all connections, and lets nobody connect until [`Proxy::open`].
    pub fn close(&self) {
        let mut state = self.shared.state();
        state.closed = true;
        for connection in state.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Lets everybody connect again.
    pub fn open(&self) {
        self.shared.state().closed = false;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.close();
        self.release();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(self: &Arc<Self>, client: UnixStream, real: &Path) -> io::Result<()> {
        let server = UnixStream::connect(real)?;
        let mut state = self.state();
        if state.closed {
            return Ok(());
        }
        state.connections.push(client.try_clone()?);
        state.connections.push(server.try_clone()?);
        drop(state);
        let swallows = Arc::new(AtomicBool::new(false));
        let (from, to, told) = (
            server.try_clone()?,
            client.try_clone()?,
            Arc::clone(&swallows),
        );
        thread::spawn(move || {
            let _ = answers(&from, &to, &told);
            cut(&from, &to);
        });
        let shared = Arc::clone(self);
        thread::spawn(move || {
            let _ = shared.questions(&client, &server, &swallows);
            cut(&client, &server);
        });
        Ok(())
    }

    /// Passes on what the client says, message by message.
    fn questions(
        &self,
        client: &UnixStream,
        mut server: &UnixStream,
        swallows: &AtomicBool,
    ) -> io::Result<()> {
        loop {
            let start = message(client, 0)?;
            server.write_all(&start)?;
            if start.get(4..8) != Some(&ENCRYPT) {
                break;
            }
        }
        loop {
            let message = message(client, 1)?;
            let is_statement = match message[0] {
                b'Q' => !message.windows(4).any(|part| part == b"ping"),
                kind => kind == b'E',
            };
            if is_statement {
                match self.deed() {
                    None => {}
                    Some(Deed::CutBefore) => return Ok(()),
                    Some(Deed::CutAfter) => swallows.store(true, Ordering::SeqCst),
                    Some(Deed::Hold) => self.hold(),
                }
            }
            server.write_all(&message)?;
        }
    }

    /// Counts a statement, and says what is to be done at it.
    fn deed(&self) -> Option<Deed> {
        let mut state = self.state();
        let (left, deed) = state.armed.take()?;
        if left > 0 {
            state.armed = Some((left - 1, deed));
            return None;
        }
        state.hit = true;
        Some(deed)
    }

    fn hold(&self) {
        let mut state = self.state();
        state.held = true;
        let let_go = self.changed.wait_while(state, |state| state.held);
        drop(let_go.unwrap_or_else(PoisonError::into_inner));
    }
}

/// Passes on what the server says. What it says to a statement whose answer is to be lost is read to its end, so that the statement was carried out.
fn answers(
    mut server: &UnixStream,
    mut client: &UnixStream,
    swallows: &AtomicBool,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut swallowed = Vec::new();
    loop {
        let length = server.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        if !swallows.load(Ordering::SeqCst) {
            client.write_all(&buffer[..length])?;
            continue;
        }
        swallowed.extend_from_slice(&buffer[..length]);
        // ReadyForQuery: a letter, a length of 5, and a status.
        if let [.., b'Z', 0, 0, 0, 5, _] = swallowed[..] {
            return Ok(());
        }
    }
}

/// A message: so many bytes of a type, four of a length that counts itself, and the rest.
fn message(mut from: impl Read, kind: usize) -> io::Result<Vec<u8>> {
    let mut message = vec![0; kind + 4];
    from.read_exact(&mut message)?;
    let length = message[kind..].try_into().map(u32::from_be_bytes);
    let length = length.map_err(io::Error::other)? as usize;
    message.resize(kind + length.max(4), 0);
    from.read_exact(&mut message[kind + 4..])?;
    Ok(message)
}

fn cut(one: &UnixStream, other: &UnixStream) {
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
}

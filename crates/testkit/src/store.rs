//! Stores that write down what is done to them, and that fail or die on request.

use std::{
    fmt,
    future::poll_fn,
    io,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};

mod recorded;

pub use recorded::{Fate, History, Objects, Recorded, fill};

/// What was done to a store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Deed {
    /// An object was written.
    Put,
    /// An object, a part of one, or what is known of it was read.
    Get,
    /// Objects were listed.
    List,
    /// An object was deleted.
    Delete,
}

/// The operating system's numbers of errors, the same on Linux and macOS.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// Why the operating system refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// The disk is full: writes fail.
    NoSpace,
    /// The disk is failing: every call can fail.
    Disk,
}

/// How often.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lasting {
    /// One call fails.
    Once,
    /// From there on every call fails that can.
    ForGood,
}

/// Writes down what is done to a store in short, and fails or dies on request.
#[derive(Debug)]
pub struct Watched {
    inner: Arc<dyn ObjectStore>,
    state: Arc<State>,
}

type Act = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    log: Mutex<Vec<(Deed, String)>>,
    /// How many writes and deletions succeed before every further operation fails, as for a process that was killed.
    writes_left: Mutex<Option<usize>>,
    /// Whether writes and deletions fail, as on a disk that is mounted read-only.
    read_only: AtomicBool,
    /// What is not permitted: a deed below a folder.
    forbidden: Mutex<Vec<(Deed, String)>>,
    /// The trouble that there will be.
    trouble: Mutex<Option<Coming>>,
    /// What is done once, before a deed below a folder.
    before: Mutex<Option<(Deed, String, Act)>>,
    /// How many objects are being read, and how many were at most.
    reading: Mutex<(usize, usize)>,
}

/// Counts an object as being read.
struct Reading<'a>(&'a State);

impl<'a> Reading<'a> {
    /// Lets others begin, too, as the time does that a read takes.
    async fn begin(state: &'a State) -> Self {
        let began = Self(state);
        began.count();
        let mut waited = false;
        poll_fn(|context| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        began
    }

    fn count(&self) {
        let mut reading = locked(&self.0.reading);
        reading.0 += 1;
        reading.1 = reading.1.max(reading.0);
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        locked(&self.0.reading).0 -= 1;
    }
}

/// A trouble, and after how many calls that it can strike it comes.
struct Coming {
    trouble: Trouble,
    after: usize,
    lasting: Lasting,
    struck: bool,
}

impl Watched {
    /// Watches what is done to `inner`.
    pub fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            state: Arc::default(),
        })
    }

    /// What was done since this was asked last, with the first part of each path.
    pub fn take(&self) -> Vec<(Deed, String)> {
        std::mem::take(&mut locked(&self.state.log))
    }

    /// The most objects that were read at the same time.
    pub fn most_reads_at_once(&self) -> usize {
        locked(&self.state.reading).1
    }

    /// Dies after so many further writes and deletions.
    pub fn die_after(&self, writes: usize) {
        *locked(&self.state.writes_left) = Some(writes);
    }

    /// Refuses writes and deletions from now on.
    pub fn refuse_writes(&self) {
        self.state.read_only.store(true, Ordering::Relaxed);
    }

    /// Lets a call fail after so many that succeed, of those that the trouble can strike.
    pub fn trouble(&self, trouble: Trouble, after: usize, lasting: Lasting) {
        *locked(&self.state.trouble) = Some(Coming {
            trouble,
            after,
            lasting,
            struck: false,
        });
    }

    /// Ends the trouble. True if a call has failed because of it.
    pub fn relieve(&self) -> bool {
        let coming = locked(&self.state.trouble).take();
        coming.is_some_and(|coming| coming.struck)
    }

    /// From now on permits no such deed in this folder of the store's root, as Object Lock does.
    pub fn forbid(&self, deed: Deed, top: &str) {
        locked(&self.state.forbidden).push((deed, top.to_owned()));
    }

    /// Permits again what was forbidden.
    pub fn permit_all(&self) {
        locked(&self.state.forbidden).clear();
    }

    /// Does something once, immediately before the next such deed in this folder of the store's root.
    pub fn before(&self, deed: Deed, top: &str, act: impl FnOnce() + Send + 'static) {
        *locked(&self.state.before) = Some((deed, top.to_owned(), Box::new(act)));
    }

    fn note(&self, deed: Deed, path: Option<&Path>) -> Result<()> {
        self.state.note(deed, path)
    }
}

impl State {
    fn note(&self, deed: Deed, path: Option<&Path>) -> Result<()> {
        let top = path.and_then(|path| path.parts().next().map(|part| part.as_ref().to_owned()));
        let top = top.unwrap_or_default();
        let is_now = |(when, at, _): &mut (Deed, String, Act)| (*when, &*at) == (deed, &top);
        let act = locked(&self.before).take_if(is_now);
        // It may say what is done before a later deed.
        if let Some((_, _, act)) = act {
            act();
        }
        if locked(&self.forbidden).contains(&(deed, top.clone())) {
            return Err(object_store::Error::PermissionDenied {
                path: top,
                source: "it is not permitted".into(),
            });
        }
        if let Some(coming) = &mut *locked(&self.trouble) {
            coming.meet(deed)?;
        }
        let mut left = locked(&self.writes_left);
        let writes = matches!(deed, Deed::Put | Deed::Delete);
        match &mut *left {
            Some(0) => return Err(failed("the process is dead")),
            Some(left) if writes => *left -= 1,
            _ => {}
        }
        if writes && self.read_only.load(Ordering::Relaxed) {
            return Err(failed("the disk is read-only"));
        }
        locked(&self.log).push((deed, top));
        Ok(())
    }
}

impl Coming {
    fn meet(&mut self, deed: Deed) -> Result<()> {
        let code = match self.trouble {
            Trouble::NoSpace if deed != Deed::Put => return Ok(()),
            Trouble::NoSpace => ENOSPC,
            Trouble::Disk => EIO,
        };
        if self.after > 0 {
            self.after -= 1;
            return Ok(());
        }
        if self.struck && self.lasting == Lasting::Once {
            return Ok(());
        }
        self.struck = true;
        Err(object_store::Error::Generic {
            store: "Watched",
            source: Box::new(io::Error::from_raw_os_error(code)),
        })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

fn failed(why: &'static str) -> object_store::Error {
    object_store::Error::Generic {
        store: "Watched",
        source: why.into(),
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watched({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.note(Deed::Put, Some(path))?;
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.note(Deed::Put, Some(path))?;
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.note(Deed::Get, Some(path))?;
        let _reading = Reading::begin(&self.state).await;
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.note(Deed::Get, Some(path))?;
        let _reading = Reading::begin(&self.state).await;
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        use futures_util::StreamExt;
        let state = Arc::clone(&self.state);
        let noted = paths.map(move |path| {
            let path = path?;
            state.note(Deed::Delete, Some(&path))?;
            Ok(path)
        });
        self.inner.delete_stream(noted.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        use futures_util::StreamExt;
        match self.note(Deed::List, prefix) {
            Ok(()) => self.inner.list(prefix),
            Err(error) => futures_util::stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.note(Deed::List, prefix)?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.note(Deed::Put, Some(to))?;
        self.inner.copy_opts(from, to, options).await
    }
}

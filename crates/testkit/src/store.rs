//! A store that writes down what is done to it, and that can die.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};

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

/// See the module's text.
#[derive(Debug)]
pub struct Watched {
    inner: Arc<dyn ObjectStore>,
    log: Mutex<Vec<(Deed, String)>>,
    /// How many writes and deletions succeed before every further operation fails, as for a process that was killed.
    writes_left: Mutex<Option<usize>>,
    /// Whether writes and deletions fail, as on a disk that is mounted read-only.
    read_only: AtomicBool,
}

impl Watched {
    /// Watches what is done to `inner`.
    pub fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            log: Mutex::default(),
            writes_left: Mutex::default(),
            read_only: AtomicBool::new(false),
        })
    }

    /// What was done since this was asked last, with the first part of each path.
    pub fn take(&self) -> Vec<(Deed, String)> {
        std::mem::take(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Dies after so many further writes and deletions.
    pub fn die_after(&self, writes: usize) {
        *self
            .writes_left
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(writes);
    }

    /// Refuses writes and deletions from now on.
    pub fn refuse_writes(&self) {
        self.read_only.store(true, Ordering::Relaxed);
    }

    fn note(&self, deed: Deed, path: Option<&Path>) -> Result<()> {
        let mut left = self
            .writes_left
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let writes = matches!(deed, Deed::Put | Deed::Delete);
        match &mut *left {
            Some(0) => return Err(failed("the process is dead")),
            Some(left) if writes => *left -= 1,
            _ => {}
        }
        if writes && self.read_only.load(Ordering::Relaxed) {
            return Err(failed("the disk is read-only"));
        }
        let top = path.and_then(|path| path.parts().next().map(|part| part.as_ref().to_owned()));
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push((deed, top.unwrap_or_default()));
        Ok(())
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
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.note(Deed::Get, Some(path))?;
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        use futures_util::StreamExt;
        let noted = self.note(Deed::Delete, Some(&Path::from("locks")));
        match noted {
            Ok(()) => self.inner.delete_stream(paths),
            Err(error) => futures_util::stream::once(async { Err(error) }).boxed(),
        }
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

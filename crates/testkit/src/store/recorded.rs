//! A store that writes down when each write and each deletion began and ended, and what a loss of power could leave of them.
//!
//! What a call has done is certain when it has ended, provided that the store keeps its promise to be durable; a call that has begun and not ended may have
//! been done or not, independently of others. Without the promise that holds for everything since the last moment at which all was synchronised,
//! and a file may be cut short, because its name and its bytes reach the disk in any order.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};

use super::locked;

/// Every object and its bytes.
pub type Objects = BTreeMap<Path, Bytes>;

/// See the module's text.
#[derive(Debug)]
pub struct Recorded {
    inner: Arc<dyn ObjectStore>,
    history: Arc<Mutex<History>>,
}

/// What was done to a store.
#[derive(Clone, Debug, Default)]
pub struct History {
    calls: Vec<Call>,
    events: Vec<Event>,
}

/// A write, or a deletion if there are no bytes.
#[derive(Clone, Debug)]
struct Call(Path, Option<Bytes>);

/// What happened to the call with this number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Event {
    Began(usize),
    Ended(usize),
}

/// What became of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It was done.
    Done,
    /// It was not done.
    Lost,
    /// Half of the bytes were written.
    Torn,
}

impl Recorded {
    /// Writes down what is done to `inner`.
    pub fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            history: Arc::default(),
        })
    }

    /// What was done since this was asked last. Nothing may be under way.
    pub fn take(&self) -> History {
        std::mem::take(&mut locked(&self.history))
    }

    /// Everything that is in the store.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn objects(&self) -> Result<Objects> {
        let listed: Vec<_> = self.inner.list(None).try_collect().await?;
        let mut objects = Objects::new();
        for meta in listed {
            let bytes = self.inner.get(&meta.location).await?.bytes().await?;
            objects.insert(meta.location, bytes);
        }
        Ok(objects)
    }
}

impl History {
    /// At how many moments the power could be lost: before everything, and after each beginning and each end of a call.
    #[must_use]
    pub fn moments(&self) -> usize {
        self.events.len() + 1
    }

    /// How many calls were under way at the same time at most.
    #[must_use]
    pub fn concurrent(&self) -> usize {
        let counts = (0..self.moments()).map(|moment| self.under_way(moment).len());
        counts.max().unwrap_or(0)
    }

    /// The calls that are under way at a moment: all whose fate is open then, if the store is as durable as it promises.
    #[must_use]
    pub fn under_way(&self, moment: usize) -> Vec<usize> {
        let mut open = Vec::new();
        for event in self.events.iter().take(moment) {
            match event {
                Event::Began(call) => open.push(*call),
                Event::Ended(call) => open.retain(|other| other != call),
            }
        }
        open
    }

    /// The calls that have ended before a moment, in that order. If nothing was synchronised, their fate is open, too.
    #[must_use]
    pub fn ended(&self, moment: usize) -> Vec<usize> {
        let events = self.events.iter().take(moment);
        let ended = events.filter_map(|event| match event {
            Event::Ended(call) => Some(*call),
            Event::Began(_) => None,
        });
        ended.collect()
    }

    /// What a call wrote or deleted.
    #[must_use]
    pub fn path(&self, call: usize) -> &Path {
        &self.calls[call].0
    }

    /// What is in the store if the power is lost at a moment, when it held `before` at first and these calls met another fate than to be done.
    #[must_use]
    pub fn at(&self, moment: usize, before: &Objects, fates: &[(usize, Fate)]) -> Objects {
        let mut objects = before.clone();
        for call in [self.ended(moment), self.under_way(moment)].concat() {
            let fate = fates.iter().find(|(number, _)| *number == call);
            let Call(path, bytes) = &self.calls[call];
            match (fate.map_or(Fate::Done, |(_, fate)| *fate), bytes) {
                (Fate::Lost, _) => {}
                (_, None) => drop(objects.remove(path)),
                (Fate::Done, Some(bytes)) => drop(objects.insert(path.clone(), bytes.clone())),
                (Fate::Torn, Some(bytes)) => {
                    objects.insert(path.clone(), bytes.slice(..bytes.len() / 2));
                }
            }
        }
        objects
    }

    fn begin(&mut self, call: Call) -> usize {
        self.calls.push(call);
        self.events.push(Event::Began(self.calls.len() - 1));
        self.calls.len() - 1
    }

    /// A call that was refused has done nothing.
    fn end(&mut self, call: usize, done: bool) {
        match done {
            true => self.events.push(Event::Ended(call)),
            false => self.events.retain(|event| *event != Event::Began(call)),
        }
    }
}

/// Puts objects into a store.
///
/// # Errors
/// When one cannot be written.
pub async fn fill(store: &dyn ObjectStore, objects: &Objects) -> Result<()> {
    for (path, bytes) in objects {
        store.put(path, bytes.clone().into()).await?;
    }
    Ok(())
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorded({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Recorded {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let bytes: Vec<u8> = payload.iter().flatten().copied().collect();
        let call = locked(&self.history).begin(Call(path.clone(), Some(bytes.into())));
        let outcome = self.inner.put_opts(path, payload, options).await;
        locked(&self.history).end(call, outcome.is_ok());
        outcome
    }

    /// What a part of an object leaves is not modelled, and we write objects whole.
    async fn put_multipart_opts(
        &self,
        _path: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(not_modelled("writing in parts"))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, history) = (Arc::clone(&self.inner), Arc::clone(&self.history));
        let deleted = paths.and_then(move |path| {
            let (inner, history) = (Arc::clone(&inner), Arc::clone(&history));
            async move {
                let call = locked(&history).begin(Call(path.clone(), None));
                let outcome = inner.delete(&path).await;
                locked(&history).end(call, outcome.is_ok());
                outcome.map(|()| path)
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(not_modelled("copying"))
    }
}

fn not_modelled(operation: &str) -> object_store::Error {
    object_store::Error::NotImplemented {
        operation: operation.to_owned(),
        implementer: "Recorded".to_owned(),
    }
}

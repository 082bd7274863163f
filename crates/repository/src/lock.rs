//! Locks, as restic writes and honours them.
//!
//! A lock is an object in `locks/`: shared for those who add, exclusive for those who delete. Whoever has put one looks for others and withdraws
//! if one conflicts; of two who do this at the same time at least one sees the other. A lock is rewritten every five minutes; one that is half
//! an hour old is stale. Unlike restic we do not wait for a person to remove stale locks, nor those that a crashed run of our own instance left.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use model::SharedClock;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::{
    cache::Marks,
    compression::Compressors,
    crypto::Key,
    error::{Error, Problem, Result},
    id::ObjectId,
    process, sealed_file,
    storage::{Listed, ObjectKind, Storage},
};

/// Every so often a held lock is rewritten, as restic does.
const REFRESH_AFTER: Duration = Duration::from_secs(5 * 60);
/// A lock that was not rewritten for so long is stale, by restic's rule.
const STALE_AFTER: SignedDuration = SignedDuration::from_secs(30 * 60);
/// A lock that we could not rewrite for so long may be judged stale by others before the next object is written.
const DOUBTFUL_AFTER: Duration = Duration::from_secs(22 * 60);

/// The locks that this process holds. A lock of our instance with our process number that is not among them was left by an earlier process
/// with the same number, which is common in containers.
static HELD: Mutex<BTreeSet<ObjectId>> = Mutex::new(BTreeSet::new());

/// Tells whoever waits that a lock was removed.
static REMOVED: Notify = Notify::const_new();

/// What a lock excludes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    /// Those who delete.
    Shared,
    /// Everybody.
    Exclusive,
}

/// What locks are made of: parts of an open repository.
#[derive(Clone)]
pub(crate) struct Locksmith {
    pub(crate) storage: Storage,
    pub(crate) key: Key,
    pub(crate) clock: SharedClock,
    /// Stands in the lock as host name; must differ between instances that run at the same time.
    pub(crate) instance: String,
    /// Where it is noted which locks are held, if there is a cache.
    pub(crate) marks: Option<Marks>,
}

/// A held lock. Dropping it removes it in the background; [`Lock::release`] waits for that.
pub(crate) struct Lock {
    held: Arc<Held>,
    refresher: tokio::task::JoinHandle<()>,
}

struct Held {
    smith: Locksmith,
    mode: Mode,
    state: tokio::sync::Mutex<State>,
}

struct State {
    id: ObjectId,
    /// By the clock that never goes back.
    refreshed: Duration,
    released: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    time: Timestamp,
    #[serde(default)]
    exclusive: bool,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    pid: u32,
}

impl Locksmith {
    /// Takes a lock, after removing dead ones. Errors with [`Error::Locked`] when another is in the way.
    pub(crate) async fn acquire(&self, mode: Mode) -> Result<Lock> {
        let smith = self.clone();
        to_the_end(async move { smith.acquire_now(mode).await }).await
    }

    async fn acquire_now(&self, mode: Mode) -> Result<Lock> {
        let refreshed = self.clock.elapsed();
        let id = self.put(mode).await?;
        if let Err(error) = self.check_others(mode, id).await {
            self.remove(id).await.ok();
            return Err(error);
        }
        let held = Arc::new(Held {
            smith: self.clone(),
            mode,
            state: tokio::sync::Mutex::new(State {
                id,
                refreshed,
                released: false,
            }),
        });
        let refresher = tokio::spawn(keep_fresh(Arc::clone(&held)));
        Ok(Lock { held, refresher })
    }

    /// Removes stale locks and those that dead runs of this instance left. Gives the number of locks that remain.
    pub(crate) async fn remove_dead(&self) -> Result<usize> {
        let mut alive = 0;
        for listed in self.storage.list(ObjectKind::Lock).await? {
            match self.read(&listed).await? {
                Some(record) if self.is_dead(listed.id, &record) => {
                    self.storage.delete(ObjectKind::Lock, listed.id).await?;
                }
                Some(_) => alive += 1,
                None => {}
            }
        }
        Ok(alive)
    }

    async fn check_others(&self, mode: Mode, own: ObjectId) -> Result<()> {
        for listed in self.storage.list(ObjectKind::Lock).await? {
            if listed.id == own {
                continue;
            }
            let Some(record) = self.read(&listed).await? else {
                continue;
            };
            if self.is_dead(listed.id, &record) {
                self.storage.delete(ObjectKind::Lock, listed.id).await?;
            } else if record.exclusive || mode == Mode::Exclusive {
                return Err(Error::Locked {
                    hostname: record.hostname,
                    pid: record.pid,
                    since: record.time,
                });
            }
        }
        Ok(())
    }

    fn is_dead(&self, id: ObjectId, lock: &Record) -> bool {
        let age = self.clock.now().duration_since(lock.time);
        let orphaned = || {
            lock.hostname == self.instance
                && !held().contains(&id)
                && (lock.pid == std::process::id() || !process::is_alive(lock.pid))
        };
        age > STALE_AFTER || orphaned()
    }

    /// The lock, unless it has just been removed. One that cannot be read may be anybody's, and counts as exclusive, but not for ever: only
    /// until it is stale by when it was stored.
    async fn read(&self, listed: &Listed) -> Result<Option<Record>> {
        let unreadable = Record {
            time: listed.stored_at,
            exclusive: true,
            hostname: "an unreadable lock".to_owned(),
            username: String::new(),
            pid: 0,
        };
        match self.storage.get(ObjectKind::Lock, listed.id).await {
            Ok(sealed) => Ok(Some(
                sealed_file::decode(&self.key, &sealed).unwrap_or(unreadable),
            )),
            Err(Error::Damaged {
                problem: Problem::Missing,
                ..
            }) => Ok(None),
            Err(Error::Damaged { .. }) => Ok(Some(unreadable)),
            Err(error) => Err(error),
        }
    }

    async fn put(&self, mode: Mode) -> Result<ObjectId> {
        let record = Record {
            time: self.clock.now(),
            exclusive: mode == Mode::Exclusive,
            hostname: self.instance.clone(),
            username: "keepwell".to_owned(),
            pid: std::process::id(),
        };
        let sealed = sealed_file::encode(&self.key, &Compressors::default(), &record);
        let id = ObjectId::of(&sealed);
        // Before it can be seen, lest another handle in this process take it for an orphan.
        held().insert(id);
        self.mark(move |marks| marks.set(id)).await;
        let put = self.storage.put_as(ObjectKind::Lock, id, sealed).await;
        if put.is_err() {
            self.remove(id).await.ok();
        }
        put.map(|()| id)
    }

    async fn remove(&self, id: ObjectId) -> Result<()> {
        let removed = self.storage.delete(ObjectKind::Lock, id).await;
        if removed.is_ok() {
            self.mark(move |marks| marks.clear(id)).await;
        }
        held().remove(&id);
        REMOVED.notify_waiters();
        removed
    }

    async fn mark(&self, change: impl FnOnce(&Marks) + Send + 'static) {
        if let Some(marks) = self.marks.clone() {
            tokio::task::spawn_blocking(move || change(&marks))
                .await
                .ok();
        }
    }
}

impl Lock {
    /// Makes sure that the lock is still ours, and fresh enough for what is written next. Errors with [`Error::LockLost`].
    pub(crate) async fn confirm(&self) -> Result<()> {
        let held = Arc::clone(&self.held);
        to_the_end(async move { held.confirm().await }).await
    }

    /// Whether the lock is there now. While it is, nobody who excludes us has begun.
    pub(crate) async fn is_present(&self) -> Result<bool> {
        let state = self.held.state.lock().await;
        let storage = &self.held.smith.storage;
        Ok(!state.released && storage.has(ObjectKind::Lock, state.id).await?)
    }

    /// Removes the lock; afterwards [`Lock::confirm`] fails.
    pub(crate) async fn release(&self) -> Result<()> {
        let held = Arc::clone(&self.held);
        to_the_end(async move { held.release().await }).await
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.refresher.abort();
        let held = Arc::clone(&self.held);
        // Outside a runtime nothing can be removed: the next run does it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { held.release().await.ok() });
        }
    }
}

impl Held {
    /// Rewrites the lock if it is old. Errors when it is ours no longer.
    async fn confirm(&self) -> Result<()> {
        let mut state = self.state.lock().await;
        if state.released {
            return Err(Error::LockLost);
        }
        let age = self.smith.clock.elapsed().saturating_sub(state.refreshed);
        if age < REFRESH_AFTER {
            return Ok(());
        }
        self.refresh(&mut state).await
    }

    /// Puts a new lock and removes the old one, provided that nobody has removed the old one meanwhile: who did took us for dead and may
    /// be deleting (abuse 18).
    async fn refresh(&self, state: &mut State) -> Result<()> {
        let now = self.smith.clock.elapsed();
        let doubtful = now.saturating_sub(state.refreshed) > DOUBTFUL_AFTER;
        let new = self.smith.put(self.mode).await?;
        let intact = match self.smith.storage.has(ObjectKind::Lock, state.id).await? {
            true if doubtful => self.smith.check_others(self.mode, new).await.is_ok(),
            present => present,
        };
        if !intact {
            self.smith.remove(new).await.ok();
            return Err(Error::LockLost);
        }
        let old = std::mem::replace(&mut state.id, new);
        state.refreshed = now;
        self.smith.remove(old).await
    }

    async fn release(&self) -> Result<()> {
        let mut state = self.state.lock().await;
        if std::mem::replace(&mut state.released, true) {
            return Ok(());
        }
        self.smith.remove(state.id).await
    }
}

/// Rewrites the lock until it is released. The programs that judge its age live in real time, so real time is what this waits for, also
/// when the rest of us runs on a simulated clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a lock is for other programs, whose time is real"
)]
async fn keep_fresh(held: Arc<Held>) {
    loop {
        tokio::time::sleep(REFRESH_AFTER).await;
        let held = Arc::clone(&held);
        let refreshed = to_the_end(async move {
            let mut state = held.state.lock().await;
            match state.released {
                true => Ok(false),
                false => held.refresh(&mut state).await.map(|()| true),
            }
        });
        match refreshed.await {
            Ok(true) => {}
            Ok(false) => return,
            // `confirm` reports it before anything is made to depend on the lock.
            Err(error) => {
                tracing::warn!(error = %error, "a repository's lock could not be refreshed");
            }
        }
    }
}

/// Works to the end even if nobody waits for it any more: a lock that was half taken or half removed would stay for others to trip over.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let done = tokio::spawn(work).await;
    done.unwrap_or(Err(Error::Internal("work on a lock was interrupted")))
}

/// Waits until this process holds no locks: after work was abandoned, until its locks are removed, too.
pub async fn unlocked() {
    loop {
        let removed = REMOVED.notified();
        if held().is_empty() {
            return;
        }
        removed.await;
    }
}

/// Whether this process holds the lock.
pub(crate) fn is_held(id: ObjectId) -> bool {
    held().contains(&id)
}

fn held() -> std::sync::MutexGuard<'static, BTreeSet<ObjectId>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

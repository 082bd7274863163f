//! How much of the archive is in memory at a time.
//!
//! Messages are read one after the other, and the next is read only when the ones at work leave room for it. One message larger than all the
//! room is worked on alone. Of a large message only the outline is in memory, and what of its attachments is being uploaded.

use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

use crate::{
    Result,
    mail::{Archive, MessageRef, Outlined},
};

/// Room for messages at work, in KiB of what they take in the archive. Taken apart and encoded for Graph they take about three times that.
const ROOM_KIB: u32 = 64 * 1024;

pub(super) struct Budget {
    turn: Mutex<()>,
    room: Semaphore,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            turn: Mutex::new(()),
            room: Semaphore::new(ROOM_KIB as usize),
        }
    }

    /// Reads a message and waits until there is room for it, which it takes until the permit is dropped.
    pub(super) async fn read(
        &self,
        archive: &Archive,
        at: &MessageRef,
    ) -> Result<(Outlined, SemaphorePermit<'_>)> {
        let _turn = self.turn.lock().await;
        let message = archive.outlined(at).await?;
        let kib = (message.mime.held_bytes() + message.json.get().len()) / 1024 + 1;
        let share = u32::try_from(kib).unwrap_or(ROOM_KIB).min(ROOM_KIB);
        let permit = self
            .room
            .acquire_many(share)
            .await
            .expect("the semaphore is never closed");
        Ok((message, permit))
    }
}

//! What a server does by itself: ends what has come to its end, removes what was disabled, renews its keys in time.

use crate::backend::Tidied;
use crate::error::Error;
use crate::kernel::Kernel;
use std::sync::Arc;
use std::time::Duration;
use strongroom_crypto::keyring::ENCRYPTIONS_PER_TERM_MAX;

/// How long to wait at the most: something with an earlier end may have come in the meantime.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Between two pieces of work, so that requests come first.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// Rows that one piece works off.
const EXPIRED_PER_PIECE: usize = 128;

impl Kernel {
    /// Does a bounded piece of what is due; says how long to wait before the next. Called by one thread.
    pub fn maintain(self: &Arc<Self>) -> Duration {
        if self.is_sealed() {
            return PAUSE_MAX;
        }
        self.try_to("note the version", Self::note_version);
        let next_end =
            self.try_to("end what is over", |kernel| kernel.expire_due(EXPIRED_PER_PIECE)).flatten();
        self.outward.give_up_late();
        self.store_honey();
        self.send_notices();
        let next_undone = self.try_to("undo what was left unfinished", Self::settle_outbox).flatten();
        let next_chore = self.try_to("do what mounts have to do outside", Self::do_chores).flatten();
        let next_end = [next_end, next_undone, next_chore].into_iter().flatten().min();
        let next_rotation = self.try_to("rotate what is due", Self::rotate_due).flatten();
        let removal = self.try_to("remove what was disabled", Self::clean_up);
        self.try_to("renew the keys", Self::rotate_if_due);
        match removal {
            Some(Tidied::More) => PAUSE_MIN,
            _ => {
                // What is due and not begun yet waits for a thread, and must not keep this one busy.
                let next_rotation = next_rotation.filter(|next| !next.is_zero());
                let next = next_end.into_iter().chain(next_rotation).min();
                next.unwrap_or(PAUSE_MAX).clamp(PAUSE_MIN, PAUSE_MAX)
            }
        }
    }

    fn rotate_if_due(self: &Arc<Self>) -> Result<(), Error> {
        match self.opened()?.keys.keyring.needs_rotation(ENCRYPTIONS_PER_TERM_MAX / 2) {
            true => self.rotate_keyring(),
            false => Ok(()),
        }
    }

    /// A failure is logged and tried again next time; being sealed in the middle is none.
    fn try_to<T>(
        self: &Arc<Self>,
        what: &str,
        work: impl FnOnce(&Arc<Self>) -> Result<T, Error>,
    ) -> Option<T> {
        match work(self) {
            Ok(done) => Some(done),
            Err(error) => {
                if !self.is_sealed() {
                    tracing::warn!(%error, detail = ?error.detail, "cannot {what} now");
                }
                None
            }
        }
    }
}

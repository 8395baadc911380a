//! What a server does by itself: a new term for its keys in time.

use crate::kernel::Kernel;
use std::sync::Arc;
use std::time::Duration;
use strongroom_crypto::keyring::ENCRYPTIONS_PER_TERM_MAX;

/// How long to wait when nothing is due.
const PAUSE: Duration = Duration::from_secs(1);

impl Kernel {
    /// Does a bounded piece of what is due; says how long to wait before the next. Called by one thread.
    pub fn maintain(self: &Arc<Self>) -> Duration {
        let Ok(open) = self.opened() else { return PAUSE };
        if open.keys.keyring.needs_rotation(ENCRYPTIONS_PER_TERM_MAX / 2)
            && let Err(error) = self.rotate_keyring()
        {
            tracing::error!(?error, "the keys cannot be rotated");
        }
        PAUSE
    }
}

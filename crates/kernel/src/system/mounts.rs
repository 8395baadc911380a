//! `sys/mounts` and `sys/auth`.

use crate::route::Route;

pub(super) const ROUTES: &[Route] = &[];

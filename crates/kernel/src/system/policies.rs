//! `sys/policy` and `sys/policies/acl`.

use crate::route::Route;

pub(super) const ROUTES: &[Route] = &[];

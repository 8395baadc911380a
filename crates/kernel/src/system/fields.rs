//! Short forms for route tables.

use crate::request::Operation;
use crate::route::{Field, FieldKind, Method, Run};

pub(super) const fn field(name: &'static str, kind: FieldKind, description: &'static str) -> Field {
    Field { name, kind, description }
}

pub(super) const fn method(operation: Operation, run: Run, summary: &'static str) -> Method {
    Method { operation, run, summary }
}

//! Short forms for the constant tables of routes.

use strongroom_kernel::{Field, FieldKind, Handler, Method, Operation, OutwardHandler, Run};

pub(crate) const fn field(name: &'static str, kind: FieldKind, description: &'static str) -> Field {
    Field { name, kind, description }
}

/// A GET, on a snapshot.
pub(crate) const fn read(handler: Handler, summary: &'static str) -> Method {
    Method { operation: Operation::Read, run: Run::Read(handler), summary }
}

/// A POST or PUT, in a transaction.
pub(crate) const fn write(handler: Handler, summary: &'static str) -> Method {
    Method { operation: Operation::Write, run: Run::Write(handler), summary }
}

/// A POST or PUT that changes nothing: a look-up by something that must not stand in a path.
pub(crate) const fn look_up(handler: Handler, summary: &'static str) -> Method {
    Method { operation: Operation::Write, run: Run::Read(handler), summary }
}

/// A POST or PUT that seldom changes anything: on a snapshot, and in a transaction where it does.
pub(crate) const fn look_up_or_write(handler: Handler, summary: &'static str) -> Method {
    Method { operation: Operation::Write, run: Run::ReadOrWrite(handler), summary }
}

/// A GET that seldom changes anything: on a snapshot, and in a transaction where it does.
pub(crate) const fn read_or_write(handler: Handler, summary: &'static str) -> Method {
    Method { operation: Operation::Read, run: Run::ReadOrWrite(handler), summary }
}

/// A GET that may compute for long, and keeps what it computed.
pub(crate) const fn heavy_read(handler: Handler, summary: &'static str) -> Method {
    Method { operation: Operation::Read, run: Run::Heavy(handler), summary }
}

/// A POST or PUT that computes for long.
pub(crate) const fn heavy_write(handler: Handler, summary: &'static str) -> Method {
    Method { operation: Operation::Write, run: Run::Heavy(handler), summary }
}

/// A GET that does something outside the store.
pub(crate) const fn outward_read(handler: OutwardHandler, summary: &'static str) -> Method {
    Method { operation: Operation::Read, run: Run::Outward(handler), summary }
}

/// A POST or PUT that does something outside the store.
pub(crate) const fn outward_write(handler: OutwardHandler, summary: &'static str) -> Method {
    Method { operation: Operation::Write, run: Run::Outward(handler), summary }
}

pub(crate) const fn patch(handler: Handler, summary: &'static str) -> Method {
    Method { operation: Operation::Patch, run: Run::Write(handler), summary }
}

pub(crate) const fn delete(handler: Handler, summary: &'static str) -> Method {
    Method { operation: Operation::Delete, run: Run::Write(handler), summary }
}

pub(crate) const fn list(handler: Handler, summary: &'static str) -> Method {
    Method { operation: Operation::List, run: Run::Read(handler), summary }
}

pub(crate) const fn scan(handler: Handler, summary: &'static str) -> Method {
    Method { operation: Operation::Scan, run: Run::Read(handler), summary }
}

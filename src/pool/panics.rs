//! Panics in user code: closures, results and panic payloads may all panic when they are dropped.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Drops a value that a user made and stops a panic of its destructor here.
#[inline]
pub(super) fn drop_quietly<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        forget_payload(payload);
    }
}

/// Drops a panic's payload. The payload's own destructor may panic; the payload of that second
/// panic is leaked, because dropping it could go on like this forever.
pub(super) fn forget_payload(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

/// The message of a panic, or a fixed text if its payload is not a string.
pub(super) fn panic_message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "the panic's payload is not a string".to_owned()
    }
}

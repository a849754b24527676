//! The tree of cancel tokens.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// Dropped children are removed from a node's list when it reaches this length, and then at each
/// doubling, so that a long-lived token does not collect them.
const FIRST_SWEEP: usize = 32;

type Callback = Box<dyn FnOnce() + Send>;

/// A cancellation flag that clones share. Setting it also runs callbacks and cancels child tokens.
///
/// ```
/// use gristmill::cancel::CancelToken;
///
/// let run = CancelToken::new();
/// let task = run.child();
/// run.cancel();
/// assert!(task.is_cancelled());
/// ```
#[derive(Clone, Default)]
pub struct CancelToken {
    node: Arc<Node>,
}

#[derive(Default)]
struct Node {
    cancelled: AtomicBool,
    links: Mutex<Links>,
}

#[derive(Default)]
struct Links {
    children: Vec<Weak<Node>>,
    sweep_at: usize,
    callbacks: Vec<(u64, Callback)>,
    next_callback: u64,
}

impl CancelToken {
    /// A new token without a parent, not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that is cancelled with this one. Cancelling it does not cancel this one.
    #[must_use]
    pub fn child(&self) -> Self {
        let child = Self::new();
        let mut links = self.node.links.lock();
        // Checked under the lock that `cancel` takes after it sets the flag: either the flag is
        // seen here, or `cancel` sees the child.
        if self.is_cancelled() {
            child.node.cancelled.store(true, Ordering::Release);
            return child;
        }
        if links.children.len() >= links.sweep_at.max(FIRST_SWEEP) {
            links.children.retain(|weak| weak.strong_count() > 0);
            links.sweep_at = links.children.len() * 2;
        }
        links.children.push(Arc::downgrade(&child.node));
        child
    }

    /// Cancels this token and all below it, and runs their callbacks on this thread. Later calls do
    /// nothing.
    pub fn cancel(&self) {
        let mut nodes = vec![Arc::clone(&self.node)];
        while let Some(node) = nodes.pop() {
            // Release pairs with the Acquire in `is_cancelled`: a thread that sees the flag also
            // sees everything before the cancellation.
            if node.cancelled.swap(true, Ordering::AcqRel) {
                continue;
            }
            let (children, callbacks) = {
                let mut links = node.links.lock();
                (std::mem::take(&mut links.children), std::mem::take(&mut links.callbacks))
            };
            for (_, callback) in callbacks {
                callback();
            }
            nodes.extend(children.iter().filter_map(Weak::upgrade));
        }
    }

    /// Whether this token, or one above it, was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.node.cancelled.load(Ordering::Acquire)
    }

    /// Runs `callback` once when the token is cancelled, or at once if it already is. Dropping the
    /// guard unregisters the callback.
    #[must_use = "dropping the guard unregisters the callback"]
    pub fn on_cancel(&self, callback: impl FnOnce() + Send + 'static) -> CancelGuard {
        let id = {
            let mut links = self.node.links.lock();
            if self.is_cancelled() {
                None
            } else {
                let id = links.next_callback;
                links.next_callback += 1;
                links.callbacks.push((id, Box::new(callback)));
                return CancelGuard { node: Arc::downgrade(&self.node), id: Some(id) };
            }
        };
        callback();
        CancelGuard { node: Weak::new(), id }
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish()
    }
}

/// Keeps a callback of [`CancelToken::on_cancel`] registered.
#[derive(Debug)]
pub struct CancelGuard {
    node: Weak<Node>,
    id: Option<u64>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("cancelled", &self.cancelled).finish_non_exhaustive()
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        let (Some(node), Some(id)) = (self.node.upgrade(), self.id) else { return };
        let callback = {
            let mut links = node.links.lock();
            let at = links.callbacks.iter().position(|(known, _)| *known == id);
            at.map(|at| links.callbacks.swap_remove(at))
        };
        // Dropped outside the lock: a callback may own anything.
        drop(callback);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn cancelling_reaches_all_below_and_none_above() {
        let root = CancelToken::new();
        let (left, right) = (root.child(), root.child());
        let leaf = left.child();
        left.cancel();
        assert!(left.is_cancelled() && leaf.is_cancelled());
        assert!(!root.is_cancelled() && !right.is_cancelled());
        root.cancel();
        assert!(right.is_cancelled() && right.child().is_cancelled());
    }

    #[test]
    fn callbacks_run_once_or_not_at_all_when_taken_back() {
        let (token, count) = (CancelToken::new(), Arc::new(AtomicUsize::new(0)));
        let bump = |by: usize| {
            let count = Arc::clone(&count);
            move || {
                count.fetch_add(by, Ordering::Relaxed);
            }
        };
        let kept = token.on_cancel(bump(1));
        drop(token.on_cancel(bump(10)));
        token.cancel();
        token.cancel();
        drop(kept);
        let late = token.on_cancel(bump(100));
        drop(late);
        assert_eq!(count.load(Ordering::Relaxed), 101);
    }

    #[test]
    fn dead_children_are_forgotten() {
        let root = CancelToken::new();
        for _ in 0..10_000 {
            let _child = root.child();
        }
        assert!(root.node.links.lock().children.len() <= 2 * FIRST_SWEEP);
    }
}

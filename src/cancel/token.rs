//! The tree of cancel tokens.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
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
    /// Keeps the way down from the tokens above: they hold their children weakly.
    parent: Option<Arc<Node>>,
    links: Mutex<Links>,
}

#[derive(Default)]
struct Links {
    children: Vec<Weak<Node>>,
    sweep_at: usize,
    /// By when they were registered.
    callbacks: BTreeMap<u64, Callback>,
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
        let child = Self { node: Arc::new(Node::below(Arc::clone(&self.node))) };
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
    ///
    /// If a callback panics, the others still run before this panics too.
    pub fn cancel(&self) {
        let (mut nodes, mut callbacks) = (vec![Arc::clone(&self.node)], Vec::new());
        while let Some(node) = nodes.pop() {
            // Release pairs with the Acquire in `is_cancelled`: a thread that sees the flag also
            // sees everything before the cancellation.
            if node.cancelled.swap(true, Ordering::AcqRel) {
                continue;
            }
            let mut links = node.links.lock();
            callbacks.extend(std::mem::take(&mut links.callbacks).into_values());
            nodes.extend(std::mem::take(&mut links.children).iter().filter_map(Weak::upgrade));
        }
        let mut panicked = None;
        for callback in callbacks {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(callback)) {
                panicked.get_or_insert(payload);
            }
        }
        if let Some(payload) = panicked {
            resume_unwind(payload);
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
                links.callbacks.insert(id, Box::new(callback));
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

impl Node {
    fn below(parent: Arc<Self>) -> Self {
        Self { cancelled: AtomicBool::new(false), parent: Some(parent), links: Mutex::default() }
    }
}

/// A chain of tokens may be long. Dropping it must not recurse.
impl Drop for Node {
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(mut node) = next.and_then(Arc::into_inner) {
            next = node.parent.take();
        }
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
        let callback = node.links.lock().callbacks.remove(&id);
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

    #[test]
    fn a_cancellation_passes_through_tokens_that_were_dropped() {
        let root = CancelToken::new();
        let leaf = root.child().child().child();
        // Sweeps the children of the root.
        drop((0..2 * FIRST_SWEEP).map(|_| root.child()).collect::<Vec<_>>());
        drop(root.child());
        root.cancel();
        assert!(leaf.is_cancelled());
    }

    #[test]
    fn a_long_chain_is_cancelled_and_dropped_without_recursion() {
        let root = CancelToken::new();
        let leaf = (0..200_000).fold(root.clone(), |token, _| token.child());
        root.cancel();
        assert!(leaf.is_cancelled());
        drop((root, leaf));
    }

    #[test]
    fn callbacks_find_the_whole_tree_cancelled() {
        let root = CancelToken::new();
        let (child, seen) = (root.child(), Arc::new(AtomicBool::new(false)));
        let _guard = root.on_cancel({
            let (child, seen) = (child.clone(), Arc::clone(&seen));
            move || seen.store(child.is_cancelled(), Ordering::Relaxed)
        });
        root.cancel();
        assert!(seen.load(Ordering::Relaxed));
    }

    #[test]
    fn a_callback_that_panics_keeps_no_other_from_running() {
        let (root, count) = (CancelToken::new(), Arc::new(AtomicUsize::new(0)));
        let child = root.child();
        let bump = || {
            let count = Arc::clone(&count);
            move || {
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        let _guards = [
            root.on_cancel(bump()),
            root.on_cancel(|| panic!("on purpose")),
            root.on_cancel(bump()),
            child.on_cancel(bump()),
        ];
        assert!(catch_unwind(AssertUnwindSafe(|| root.cancel())).is_err());
        assert_eq!(count.load(Ordering::Relaxed), 3);
        assert!(child.is_cancelled());
    }

    #[test]
    fn callbacks_may_use_their_own_token() {
        let (token, count) = (CancelToken::new(), Arc::new(AtomicUsize::new(0)));
        let _guard = token.on_cancel({
            let (token, count) = (token.clone(), Arc::clone(&count));
            move || {
                token.cancel();
                assert!(token.child().is_cancelled());
                drop(token.on_cancel(move || {
                    count.fetch_add(1, Ordering::Relaxed);
                }));
            }
        });
        token.cancel();
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }
}

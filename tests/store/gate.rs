//! A call of the simulated disk that is held up until the test has seen what it wants to see.

use std::sync::mpsc;

use crate::MINUTE;
use crate::sim::{SimVfs, Which};

/// Holds one call up. Opened when it is dropped, so that a test that fails comes to an end.
#[derive(Debug)]
pub(crate) struct Gate {
    arrived: mpsc::Receiver<()>,
    _open: mpsc::Sender<()>,
}

impl Gate {
    /// Holds up the `call`-th of these calls from now on (1 is the next).
    pub(crate) fn before(vfs: &SimVfs, which: Which, call: u64) -> Self {
        let (arrive, arrived) = mpsc::channel();
        let (open, opened) = mpsc::channel::<()>();
        vfs.before(which, call, move || {
            // Nobody asks once the gate is open.
            let _gone = arrive.send(());
            let _opened = opened.recv_timeout(MINUTE);
        });
        Self { arrived, _open: open }
    }

    /// Waits until somebody stands before it.
    pub(crate) fn wait(&self) {
        self.arrived.recv_timeout(MINUTE).expect("the call is made");
    }

    /// Lets the call be made.
    pub(crate) fn open(self) {
        drop(self);
    }
}

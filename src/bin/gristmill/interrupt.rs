//! Ctrl-C: the first requests a clean stop, the second ends the process.

use gristmill::cancel::CancelToken;

use crate::failure::{Failure, INTERRUPTED};
use crate::output::notice;

/// A token that the first SIGINT, SIGTERM or SIGHUP cancels; the second ends the process at once.
pub(crate) fn token() -> Result<CancelToken, Failure> {
    let token = CancelToken::new();
    let seen = token.clone();
    ctrlc::set_handler(move || {
        if seen.is_cancelled() {
            std::process::exit(i32::from(INTERRUPTED));
        }
        notice("gristmill: stopping; interrupt again to stop at once");
        seen.cancel();
    })
    .map_err(|error| Failure::system("listen for Ctrl-C", error))?;
    Ok(token)
}

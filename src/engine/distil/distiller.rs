//! What a distiller is asked.

use std::any::Any;
use std::fmt;

use url::Url;

use super::distilled::Distilled;
use super::error::DistilError;
use crate::cancel::CancelToken;
use crate::model::{Content, Focus};
use crate::time::Timestamp;

/// Makes infos of the content of one page.
pub trait Distiller: Send + Sync + fmt::Debug {
    /// What `request.content` says on `request.focus`. May wait on the calling thread.
    fn distil(
        &self,
        request: &DistilRequest<'_>,
        cancel: &CancelToken,
    ) -> Result<Distilled, DistilError>;

    /// Like [`Distiller::distil`], but where that would wait before it tries something again, this
    /// fails with [`DistilError::Later`] and is called again after the wait, with the resumption
    /// that the error carried. The text of `request.content` is the same then; the times may not
    /// be.
    ///
    /// The engine calls this one: its workers do not wait. By default it is `distil`, which begins
    /// anew each time. That suits distillers that never wait, and those that fail with `Later` and
    /// remember by themselves what is not to be done twice.
    fn distil_or_later(
        &self,
        request: &DistilRequest<'_>,
        resumption: Option<Resumption>,
        cancel: &CancelToken,
    ) -> Result<Distilled, DistilError> {
        // Who leaves this method as it is has put nothing in.
        drop(resumption);
        self.distil(request, cancel)
    }

    /// A short name for logs and statistics.
    fn name(&self) -> &'static str;
}

/// What a distiller goes on from after a [`DistilError::Later`]: the state that it put in, and that
/// only it can read. Kept in memory only, so a process that takes the page up later begins anew.
pub struct Resumption(Box<dyn Any + Send + Sync>);

impl Resumption {
    /// Holds `state`.
    pub fn new(state: impl Any + Send + Sync) -> Self {
        Self(Box::new(state))
    }

    /// The state, if it is a `T`.
    pub fn into_state<T: Any>(self) -> Option<T> {
        self.0.downcast().ok().map(|state| *state)
    }
}

impl fmt::Debug for Resumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resumption").finish_non_exhaustive()
    }
}

/// A page and what is wanted of it.
#[derive(Clone, Copy, Debug)]
pub struct DistilRequest<'a> {
    /// URL under which the text of the page is stored.
    pub url: &'a Url,
    /// The content of the page.
    pub content: &'a Content,
    /// What the user wants to know.
    pub focus: &'a Focus,
    /// When the page was fetched.
    pub fetched_at: Timestamp,
    /// The time of acceptance.
    pub now: Timestamp,
}

impl DistilRequest<'_> {
    /// The fingerprint of the content's text in hexadecimal, as infos carry it.
    pub(super) fn content_hash(&self) -> String {
        blake3::Hash::from_bytes(self.content.fingerprint.text).to_hex().to_string()
    }
}

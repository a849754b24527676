//! The trait of distillers, and their input.

use std::any::Any;
use std::fmt;

use url::Url;

use super::distilled::Distilled;
use super::error::DistilError;
use crate::cancel::CancelToken;
use crate::model::{Content, Focus};
use crate::time::Timestamp;

/// Turns the content of a page into infos.
pub trait Distiller: Send + Sync + fmt::Debug {
    /// Finds what `request.content` says on `request.focus`. May wait on the calling thread.
    fn distil(
        &self,
        request: &DistilRequest<'_>,
        cancel: &CancelToken,
    ) -> Result<Distilled, DistilError>;

    /// Like [`Distiller::distil`], but where that would wait before a retry, this fails with
    /// [`DistilError::Later`]. It is called again after the wait, with the resumption that the
    /// error carried. The text of `request.content` is then the same; the times may differ.
    ///
    /// The engine calls this method, because its workers do not wait. By default it calls `distil`,
    /// which starts from the beginning each time. That suits distillers that never wait, and those
    /// that fail with `Later` and keep their own state.
    fn distil_or_later(
        &self,
        request: &DistilRequest<'_>,
        resumption: Option<Resumption>,
        cancel: &CancelToken,
    ) -> Result<Distilled, DistilError> {
        // A distiller that uses this default never creates a resumption.
        drop(resumption);
        self.distil(request, cancel)
    }

    /// A short name for logs and statistics.
    fn name(&self) -> &'static str;
}

/// A distiller's state between a [`DistilError::Later`] and the next call; only the distiller can
/// read it. It is kept in memory, so a later process starts the page from the beginning.
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

/// A page, and the focus to distil it for.
#[derive(Clone, Copy, Debug)]
pub struct DistilRequest<'a> {
    /// The URL under which the page's text is stored.
    pub url: &'a Url,
    /// The content of the page.
    pub content: &'a Content,
    /// What the user wants to know.
    pub focus: &'a Focus,
    /// When the page was fetched.
    pub fetched_at: Timestamp,
    /// When infos are accepted: the current time.
    pub now: Timestamp,
}

impl DistilRequest<'_> {
    /// The fingerprint of the content's text in hexadecimal, as infos carry it in
    /// [`content_hash`](crate::model::Info::content_hash).
    pub fn content_hash(&self) -> String {
        blake3::Hash::from_bytes(self.content.fingerprint.text).to_hex().to_string()
    }
}

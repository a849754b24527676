//! The pools behind the one trait, a file each.

#[cfg(feature = "pools")]
pub(crate) mod affinitypool;
pub(crate) mod gristmill;
#[cfg(feature = "pools")]
pub(crate) mod rayon;
#[cfg(feature = "pools")]
pub(crate) mod rusty_pool;
#[cfg(feature = "pools")]
pub(crate) mod threadpool;
#[cfg(feature = "pools")]
pub(crate) mod tokio;

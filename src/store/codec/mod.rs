//! Compression of values: zstd, with a dictionary where a keyspace has one.
//!
//! - `frame`: one value to one zstd frame and back.
//! - `dictionary`: the dictionaries of a store, and the values to train the next one on.
//! - `training`: from such values to a dictionary, if one is worth it.

mod dictionary;
mod frame;
mod training;

pub(super) use dictionary::{Dictionaries, Dictionary};
pub(super) use frame::{compress, decompress};
pub(super) use training::train;

//! Scenarios of the store, each on real files.

mod basics;

//! The simulated disk and the model that the store's own tests use.

#[path = "../../tests/store/oracle.rs"]
pub(crate) mod oracle;
#[path = "../../tests/store/sim/mod.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
pub(crate) mod sim;

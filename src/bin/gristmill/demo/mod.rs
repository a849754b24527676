//! The bundled site and its server.

pub(crate) mod manifest;
#[expect(dead_code, reason = "what the demo leaves unused, the integration tests use")]
pub(crate) mod server;
pub(crate) mod site;

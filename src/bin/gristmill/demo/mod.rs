//! The bundled site, its server, and its model.

pub(crate) mod manifest;
pub(crate) mod model;
#[expect(dead_code, reason = "what the demo leaves unused, the integration tests use")]
pub(crate) mod server;
pub(crate) mod site;

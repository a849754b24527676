//! The bundled site and its server.

pub(crate) mod manifest;
pub(crate) mod server;
pub(crate) mod site;

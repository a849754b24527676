//! Compiled JSON Schemas.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use boon::{Compiler, SchemaIndex, Schemas, UrlLoader, ValidationError};
use parking_lot::Mutex;
use serde_json::Value;

use super::error::LlmError;

/// Compiled schemas that are kept. Programs use a handful; beyond this, all are dropped.
const MAX_COMPILED: usize = 256;

/// The schema's location for the compiler. Nothing is loaded from it.
const LOCATION: &str = "urn:gristmill:answer";

/// Compiles each schema once.
#[derive(Default)]
pub(super) struct CompiledSchemas {
    compiled: Mutex<HashMap<String, Arc<Compiled>>>,
}

pub(super) struct Compiled {
    schemas: Schemas,
    index: SchemaIndex,
}

/// Where and how a value violates a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) path: String,
    pub(super) reason: String,
}

impl CompiledSchemas {
    pub(super) fn compiled(&self, schema: &Value) -> Result<Arc<Compiled>, LlmError> {
        let text = schema.to_string();
        if let Some(known) = self.compiled.lock().get(&text) {
            return Ok(Arc::clone(known));
        }
        let new = Arc::new(Compiled::new(schema)?);
        let mut compiled = self.compiled.lock();
        if compiled.len() >= MAX_COMPILED {
            compiled.clear();
        }
        compiled.insert(text, Arc::clone(&new));
        Ok(new)
    }
}

impl Compiled {
    fn new(schema: &Value) -> Result<Self, LlmError> {
        let failed = |error: boon::CompileError| LlmError::Schema { reason: format!("{error:#}") };
        let mut compiler = Compiler::new();
        compiler.use_loader(Box::new(NoLoader));
        compiler.add_resource(LOCATION, schema.clone()).map_err(failed)?;
        let mut schemas = Schemas::new();
        let index = compiler.compile(LOCATION, &mut schemas).map_err(failed)?;
        Ok(Self { schemas, index })
    }

    /// Checks `value`. Of several violations, the deepest of the first one counts: it says most.
    pub(super) fn check(&self, value: &Value) -> Result<(), Violation> {
        self.schemas.validate(value, self.index).map_err(|error| {
            let leaf = deepest(&error);
            Violation { path: leaf.instance_location.to_string(), reason: leaf.kind.to_string() }
        })
    }
}

fn deepest<'a, 's, 'v>(error: &'a ValidationError<'s, 'v>) -> &'a ValidationError<'s, 'v> {
    let mut leaf = error;
    while let Some(cause) = leaf.causes.first() {
        leaf = cause;
    }
    leaf
}

/// Refuses everything: a schema reaches neither files nor the network.
struct NoLoader;

impl UrlLoader for NoLoader {
    fn load(&self, url: &str) -> Result<Value, Box<dyn Error>> {
        Err(format!("references to other documents are not followed: {url}").into())
    }
}

/// Whether the schema is in the subset that servers accept in strict mode: every object requires
/// all its members and allows no others.
pub(super) fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            let object = members.get("properties").and_then(Value::as_object);
            let is_object = members.get("type").and_then(Value::as_str) == Some("object");
            let closed = match object {
                Some(properties) => {
                    let required = members.get("required").and_then(Value::as_array);
                    let required = required.map_or(&[][..], Vec::as_slice);
                    members.get("additionalProperties") == Some(&Value::Bool(false))
                        && properties.keys().all(|name| {
                            required.iter().any(|known| known.as_str() == Some(name.as_str()))
                        })
                }
                None => !is_object,
            };
            closed && members.values().all(is_strict)
        }
        Value::Array(items) => items.iter().all(is_strict),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn violations_name_their_place() {
        let schema = json!({"type": "object", "required": ["infos"], "properties": {"infos":
            {"type": "array", "items": {"type": "object", "required": ["fact"]}}}});
        let book = CompiledSchemas::default();
        let compiled = book.compiled(&schema).unwrap();
        assert!(Arc::ptr_eq(&compiled, &book.compiled(&schema).unwrap()));
        assert_eq!(compiled.check(&json!({"infos": []})), Ok(()));
        let violation = compiled.check(&json!({"infos": [{"fact": 1}, {}]})).unwrap_err();
        assert_eq!(violation.path, "/infos/1");
        assert!(violation.reason.contains("fact"), "{violation:?}");
    }

    #[test]
    fn schemas_reach_neither_files_nor_network() {
        let book = CompiledSchemas::default();
        for url in ["file:///etc/hostname", "http://127.0.0.1:9/schema.json"] {
            assert!(matches!(book.compiled(&json!({ "$ref": url })), Err(LlmError::Schema { .. })));
        }
        assert!(book.compiled(&json!({"type": 7})).is_err());
    }

    #[test]
    fn strictness_is_told() {
        let strict = json!({"type": "object", "additionalProperties": false,
            "required": ["a"], "properties": {"a": {"type": "string"}}});
        assert!(is_strict(&strict));
        assert!(!is_strict(&json!({"type": "array", "items": {"type": "object",
            "required": [], "additionalProperties": false, "properties": {"a": {}}}})));
        assert!(!is_strict(&json!({"type": "object"})));
    }
}

//! The key of a request in the response cache.

use serde_json::Value;

use super::request::ChatRequest;

/// Version of what is hashed. The form of stored answers has a version of its own.
const FORMAT_VERSION: u8 = 1;

/// What an answer depends on besides the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    pub(super) endpoint: &'a str,
    pub(super) wire: &'a str,
    pub(super) model: &'a str,
    pub(super) namespace: &'a str,
}

/// BLAKE3 over the length-prefixed parts of the request and of its scope. The dialect is not part of
/// it, as it does not change the meaning of a request; nor is the API key.
pub(super) fn request_key(scope: Scope<'_>, request: &ChatRequest, max_tokens: u32) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(&[FORMAT_VERSION]);
    for text in [scope.endpoint, scope.wire, scope.model, scope.namespace] {
        part(text.as_bytes());
    }
    part(&max_tokens.to_le_bytes());
    match request.temperature {
        Some(temperature) => part(&temperature.to_bits().to_le_bytes()),
        None => part(b""),
    }
    match &request.schema {
        Some(schema) => {
            let mut canonical = String::new();
            write_canonical(schema, &mut canonical);
            part(canonical.as_bytes());
        }
        None => part(b""),
    }
    part(&[u8::from(request.schema_in_prompt)]);
    for message in &request.messages {
        part(&[message.role as u8]);
        part(message.content.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// JSON with the members of each object sorted by name.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut names: Vec<_> = members.iter().collect();
            names.sort_unstable_by_key(|(name, _)| name.as_str());
            out.push('{');
            for (name, member) in names {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write_canonical(member, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(endpoint: &str, namespace: &str, request: &ChatRequest) -> [u8; 32] {
        request_key(Scope { endpoint, wire: "w", model: "m", namespace }, request, 100)
    }

    #[test]
    fn every_part_of_a_request_counts_and_no_two_run_together() {
        let base = ChatRequest::new().system("ab").user("c");
        let schema = json!({"type": "object", "required": ["a"]});
        let others = [
            ChatRequest::new().system("a").user("bc"),
            ChatRequest::new().user("ab").user("c"),
            ChatRequest::new().system("ab").user("c").user(""),
            base.clone().temperature(0.0),
            base.clone().temperature(0.5),
            base.clone().schema(schema.clone()),
        ];
        let mut keys: Vec<_> = others.iter().map(|other| key("e", "n", other)).collect();
        keys.push(key("e", "n", &base));
        keys.push(key("en", "", &base));
        keys.push(key("e", "", &base));
        keys.push(request_key(
            Scope { endpoint: "e", wire: "w", model: "m", namespace: "n" },
            &base,
            101,
        ));
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
        let reordered: Value =
            serde_json::from_str(r#"{"required": ["a"], "type": "object"}"#).unwrap();
        assert_eq!(
            key("e", "n", &base.clone().schema(schema)),
            key("e", "n", &base.schema(reordered))
        );
    }
}

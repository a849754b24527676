//! The API key is shown nowhere.

use std::error::Error;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use gristmill::cancel::CancelToken;
use gristmill::llm::{
    ChatRequest, Client, HttpReply, HttpRequest, LlmError, SecretString, Transport, TransportError,
};
use gristmill::model::Headers;

const KEY: &str = "sk-very-secret-0123456789";

/// A server that repeats the key wherever it can, and keeps how requests look in a log.
#[derive(Default)]
struct Parrot {
    log: Mutex<String>,
    status: u16,
    body: String,
}

impl Transport for Parrot {
    fn post(
        &self,
        request: &HttpRequest<'_>,
        _: &CancelToken,
    ) -> Result<HttpReply, TransportError> {
        write!(self.log.lock().unwrap(), "{request:?}").unwrap();
        assert_eq!(request.secret_headers[0].name, "authorization");
        let mut headers = Headers::default();
        headers.push("x-request-id", format!("for {KEY}"));
        Ok(HttpReply { status: self.status, headers, body: self.body.clone().into_bytes() })
    }
}

#[test]
fn the_key_is_in_no_debug_output_and_no_error() {
    for (status, body) in [
        (401, format!(r#"{{"error":{{"message":"Incorrect API key {KEY}","code":"{KEY}"}}}}"#)),
        (402, format!(r#"{{"detail":"{KEY} is poor"}}"#)),
        (200, format!(r#"{{"choices":[{{"message":{{"refusal":"not for {KEY}"}}}}]}}"#)),
        (200, format!("<html>{KEY}</html>")),
    ] {
        let parrot = Arc::new(Parrot { status, body, ..Parrot::default() });
        let builder = Client::builder()
            .endpoint("http://127.0.0.1:9/v1?hidden=query-secret")
            .model("m")
            .api_key(Some(SecretString::from(KEY)))
            .transport(parrot.clone());
        let mut shown = format!("{builder:?}");
        let client = builder.build().unwrap();
        let failed =
            client.complete(&ChatRequest::new().user("q"), &CancelToken::new()).unwrap_err();
        write!(shown, "{client:?} {failed} {failed:?} {failed:#?} {:?}", client.stats()).unwrap();
        let mut source = failed.source();
        while let Some(cause) = source {
            write!(shown, "{cause} {cause:?}").unwrap();
            source = cause.source();
        }
        assert!(!shown.contains(KEY), "{shown}");
        assert!(!shown.contains("query-secret"), "{shown}");
        assert!(!parrot.log.lock().unwrap().contains(KEY));
    }
}

#[test]
fn settings_that_would_leak_or_fail_later_are_refused() {
    let build = |endpoint: &str, key: Option<&str>| {
        Client::builder()
            .endpoint(endpoint)
            .model("m")
            .api_key(key.map(SecretString::from))
            .transport(Arc::new(Parrot::default()))
            .build()
    };
    assert!(build("http://127.0.0.1:9", Some(KEY)).is_ok());
    for (endpoint, key) in [
        ("http://user:pass@127.0.0.1:9", None),
        ("ftp://127.0.0.1", None),
        ("not a url", None),
        ("http://127.0.0.1:9", Some("line\r\nbreak: x")),
    ] {
        let failed = build(endpoint, key).unwrap_err();
        assert!(matches!(failed, LlmError::Config { .. }));
        assert!(!format!("{failed} {failed:?}").contains("pass@"));
    }
}

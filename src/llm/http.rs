//! The transport over the crate's own HTTP client.

use secrecy::ExposeSecret;

use super::transport::{HttpReply, HttpRequest, Transport, TransportError};
use crate::cancel::CancelToken;
use crate::http::{Client, Request, Timeouts};

/// Sends requests to model servers through an HTTP [`Client`].
///
/// The client's settings apply. A server on this machine or in a private network needs
/// [`AddressPolicy::AllowPrivate`](crate::http::AddressPolicy), and the connections to a host should
/// be as many as requests may be in flight.
///
/// ```
/// use std::sync::Arc;
/// use gristmill::http::{AddressPolicy, Client};
/// use gristmill::llm::{self, HttpTransport};
///
/// let http = Client::builder().address_policy(AddressPolicy::AllowPrivate).build()?;
/// let client = llm::Client::builder()
///     .endpoint("http://127.0.0.1:8080/v1")
///     .model("small")
///     .transport(Arc::new(HttpTransport::new(http)))
///     .build()?;
/// assert_eq!(client.model(), "small");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct HttpTransport {
    client: Client,
}

impl HttpTransport {
    /// A transport that uses `client`.
    pub const fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Transport for HttpTransport {
    fn post(
        &self,
        request: &HttpRequest<'_>,
        cancel: &CancelToken,
    ) -> Result<HttpReply, TransportError> {
        let mut exchange = Request::post(request.url.clone(), request.body.to_vec());
        for header in &request.headers.0 {
            exchange = exchange.header(&header.name, &header.value);
        }
        for header in request.secret_headers {
            exchange = exchange.header(&header.name, header.value.expose_secret());
        }
        exchange.max_body = Some(request.max_body as u64);
        exchange.timeouts = Some(Timeouts {
            connect: request.timeout,
            first_byte: request.timeout,
            body: request.timeout,
            total: request.timeout,
        });
        match self.client.send(&exchange, cancel) {
            Ok(response) => Ok(HttpReply {
                status: response.status,
                headers: response.headers,
                body: response.body,
            }),
            Err(error) => Err(TransportError::new(error.to_string())
                .retryable(error.is_retryable() && error.is_before_first_byte())
                .sent(!error.is_before_first_byte())
                .caused_by(error)),
        }
    }
}

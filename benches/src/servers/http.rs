//! The answer to a request, which is the same on all runtimes: the path that was asked for.

use std::convert::Infallible;
use std::io;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

/// Serves a connection to its end.
pub(super) async fn serve<S: Read + Write + Unpin>(stream: S) -> io::Result<()> {
    http1::Builder::new().serve_connection(stream, service_fn(answer)).await.map_err(io::Error::other)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::copy_from_slice(request.uri().path().as_bytes()))))
}

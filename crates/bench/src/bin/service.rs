//! The empty service: all that chassis does for a service, access log and metrics included, and one
//! route. What a service does beyond it is its own work.

use axum::{Router, body::Bytes, routing::any};
use chassis::{Metrics, Program};

const PROGRAM: Program = Program {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    about: "an empty service",
    variables: &[],
};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let ((), stop) = chassis::start(&PROGRAM, |_| Ok(())).await;
    let listener = PROGRAM.or_exit(chassis::listen(80));
    let router = Router::new().fallback(any(async |_: Bytes| "empty\n"));
    chassis::serve(listener, router, Metrics::new(&PROGRAM), stop).await;
}

//! Stands in for `otel` without its feature: nothing records spans.

use tracing::{Span, warn};
use tracing_subscriber::Registry;

use crate::{Env, Help, Invalid, Trace};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

pub(crate) const HELP: [Help; 0] = [];

pub(crate) struct Config {
    is_set: bool,
}

#[allow(clippy::unnecessary_wraps, clippy::unused_self)]
impl Config {
    pub(crate) fn from_env(env: Env) -> Result<Self, Invalid> {
        let is_set = env(ENDPOINT).is_some_and(|endpoint| !endpoint.is_empty());
        Ok(Self { is_set })
    }

    pub(crate) fn registry(&self, _: &'static str) -> anyhow::Result<Registry> {
        Ok(Registry::default())
    }

    /// An environment may set the variable for all its programs, so it is no error.
    pub(crate) fn log(&self) {
        if self.is_set {
            warn!(
                "{ENDPOINT} is set, but this build sends no spans: build it with --build-arg FEATURES=chassis/otel"
            );
        }
    }
}

pub(crate) fn adopt(_: &Span, _: Trace) {}

pub(crate) fn current() -> Option<Trace> {
    None
}

/// Exports the spans that have ended: none.
pub async fn export_spans() {}

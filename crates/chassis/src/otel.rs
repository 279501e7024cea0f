//! The export of spans by OTLP over HTTP, configured by the variables `OTEL_*` of its SDK.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithHttpConfig;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use reqwest::blocking::Client;
use tracing::{Level, Metadata, Subscriber, info, warn};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use crate::log::{ACCESS, SERVICE};

/// Bounds the last export: the engine waits ten seconds for a program to stop.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(300);

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Records and exports the spans of `service`.
///
/// # Errors
///
/// When a variable is invalid.
pub(crate) fn layer<S>(service: &str) -> Result<impl Layer<S> + use<S>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // Without the proxy that the engine sets in every container: the collector is not behind it.
    let client = Client::builder().no_proxy().build()?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .build()
        .context("cannot export spans")?;
    let failing = AtomicBool::new(false);
    let resource = Resource::builder()
        .with_service_name(service.to_owned())
        .build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(Reporting { exporter, failing })
        .with_resource(resource)
        .build();
    let tracer = PROVIDER.get_or_init(|| provider).tracer(service.to_owned());
    let recorded = |metadata: &Metadata| {
        *metadata.level() <= Level::INFO
            && metadata.target() != ACCESS
            && metadata.name() != SERVICE
    };
    // Omits thread and source-location attributes, and all times but start and end.
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    Ok(layer.with_filter(filter_fn(recorded)))
}

/// Exports the spans that have ended, at the end of a program. Takes at most 300 ms.
pub(crate) fn flush() {
    if let Some(provider) = PROVIDER.get() {
        // The exporter has logged why, if it failed.
        let _ = provider.shutdown_with_timeout(FLUSH_TIMEOUT);
    }
}

/// Logs that spans get lost, once until they arrive again.
#[derive(Debug)]
struct Reporting<E> {
    exporter: E,
    failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Reporting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        let failing = self.failing.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !failing => warn!("cannot send spans: {error}"),
            Ok(()) if failing => info!("spans arrive again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

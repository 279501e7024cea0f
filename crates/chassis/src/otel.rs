//! The export of spans by OTLP over HTTP. The spans are those of `tracing`.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::anyhow;
use axum::http::{Uri, uri::Scheme};
use opentelemetry::{
    Context,
    trace::{SpanContext, TraceContextExt, TraceState, TracerProvider},
};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter},
};
use reqwest::blocking::Client;
use tracing::{Level, Span, Subscriber, info, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{
    Layer, Registry, filter::filter_fn, layer::SubscriberExt, registry::LookupSpan,
};

use crate::{
    Env, Help, Invalid, Trace, Variable,
    log::{ACCESS, SERVICE},
};

/// Bounds the last export: the engine waits ten seconds for a program to stop.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(300);

/// A collector that takes longer counts as unreachable.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

const ENDPOINT: Variable<String> = Variable {
    name: "OTEL_EXPORTER_OTLP_ENDPOINT",
    default: "",
    about: "where to send spans, by OTLP over HTTP; if unset, none are sent",
    expected: "an http:// URL with no query, such as http://jaeger:4318",
    parse: parse_endpoint,
};

const SAMPLER: Variable<fn(f64) -> Sampler> = Variable {
    name: "OTEL_TRACES_SAMPLER",
    default: "parentbased_always_on",
    about: "which traces to send: [parentbased_]always_on, always_off or traceidratio",
    expected: "always_on, always_off or traceidratio, each with or without parentbased_ before it",
    parse: parse_sampler,
};

const SAMPLER_ARG: Variable<f64> = Variable {
    name: "OTEL_TRACES_SAMPLER_ARG",
    default: "1",
    about: "the fraction of traces that traceidratio sends",
    expected: "a number from 0 to 1",
    parse: |value| {
        value
            .parse()
            .ok()
            .filter(|ratio| (0.0..=1.0).contains(ratio))
    },
};

pub(crate) const HELP: [Help; 3] = [ENDPOINT.help(), SAMPLER.help(), SAMPLER_ARG.help()];

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// What is exported, and where to.
pub(crate) struct Config {
    endpoint: Option<String>,
    sampler: Sampler,
}

fn parse_endpoint(value: &str) -> Option<String> {
    let url: Uri = value.parse().ok()?;
    let plain = url.scheme() == Some(&Scheme::HTTP) && url.query().is_none();
    plain.then(|| value.trim_end_matches('/').to_owned())
}

fn parse_sampler(value: &str) -> Option<fn(f64) -> Sampler> {
    Some(match value {
        "always_on" => |_| Sampler::AlwaysOn,
        "always_off" => |_| Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased,
        "parentbased_always_on" => |_| Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
        "parentbased_always_off" => |_| Sampler::ParentBased(Box::new(Sampler::AlwaysOff)),
        "parentbased_traceidratio" => {
            |ratio| Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)))
        }
        _ => return None,
    })
}

impl Config {
    /// # Errors
    ///
    /// When a variable is invalid.
    pub(crate) fn from_env(env: Env) -> Result<Self, Invalid> {
        Ok(Self {
            endpoint: ENDPOINT.read_if_set(env)?,
            sampler: SAMPLER.read(env)?(SAMPLER_ARG.read(env)?),
        })
    }

    /// The registry that the log is built on: it records and exports the spans of `service`, if there
    /// is an endpoint, and otherwise none.
    ///
    /// # Errors
    ///
    /// When no HTTP client can be created.
    pub(crate) fn registry(
        &self,
        service: &'static str,
    ) -> anyhow::Result<impl Subscriber + for<'a> LookupSpan<'a>> {
        let layer = self.layer(service)?;
        // Without a filter, `None` takes all spans, and they would be recorded for nobody.
        let exports = layer.is_some();
        let recorded = filter_fn(move |metadata| {
            exports
                && *metadata.level() <= Level::INFO
                && metadata.target() != ACCESS
                && metadata.name() != SERVICE
        });
        Ok(Registry::default().with(layer.with_filter(recorded)))
    }

    fn layer(&self, service: &'static str) -> anyhow::Result<Option<impl Layer<Registry>>> {
        let Some(endpoint) = &self.endpoint else {
            return Ok(None);
        };
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client()?)
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .build()?;
        let exporter = Reporting {
            exporter,
            endpoint: endpoint.clone(),
            failing: AtomicBool::new(false),
        };
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(self.sampler.clone())
            .with_resource(Resource::builder().with_service_name(service).build())
            .build();
        let tracer = PROVIDER.get_or_init(|| provider).tracer(service);
        // Without what names threads and lines of code, and no time but that of begin and end.
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        Ok(Some(layer))
    }

    /// Logs where spans are sent to.
    pub(crate) fn log(&self) {
        if let Some(endpoint) = &self.endpoint {
            info!("Sending spans to {endpoint}");
        }
    }
}

/// Created outside the Tokio runtime, which a blocking client cannot be created in. Without the
/// proxy that the engine sets in every container: the collector is not behind it.
fn client() -> anyhow::Result<Client> {
    let builder = Client::builder().timeout(EXPORT_TIMEOUT).no_proxy();
    let client = thread::spawn(|| builder.build()).join();
    Ok(client.map_err(|_| anyhow!("cannot create the HTTP client"))??)
}

/// The position of the current span in its trace, if it is recorded or was decided not to be.
pub(crate) fn current() -> Option<Trace> {
    let context = Context::current();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| Trace {
        id: u128::from_be_bytes(span.trace_id().to_bytes()),
        span: u64::from_be_bytes(span.span_id().to_bytes()),
        sampled: span.is_sampled(),
    })
}

/// Makes `span` a child of the span of the client.
pub(crate) fn adopt(span: &Span, client: Trace) {
    let flags = opentelemetry::TraceFlags::default().with_sampled(client.sampled);
    let (id, parent) = (client.id.into(), client.span.into());
    let client = SpanContext::new(id, parent, flags, true, TraceState::NONE);
    // Fails if nothing records spans.
    let _ = span.set_parent(Context::new().with_remote_span_context(client));
}

/// Exports the spans that have ended, at the end of a program. Takes at most 300 ms.
pub async fn export_spans() {
    if let Some(provider) = PROVIDER.get() {
        let shutdown = || provider.shutdown_with_timeout(FLUSH_TIMEOUT);
        // The exporter has logged why, if it failed.
        let _ = tokio::task::spawn_blocking(shutdown).await;
    }
}

/// Logs that spans get lost, once until they arrive again.
#[derive(Debug)]
struct Reporting<E> {
    exporter: E,
    endpoint: String,
    failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Reporting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        let failing = self.failing.swap(result.is_err(), Ordering::Relaxed);
        let endpoint = &self.endpoint;
        match &result {
            Err(error) if !failing => warn!("cannot send spans to {endpoint}: {error}"),
            Ok(()) if failing => info!("spans arrive at {endpoint} again"),
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

//! The spans of the running application, as a collector receives them.
//!
//!     cargo test -p e2e --test traces -- --ignored
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    net::TcpListener,
    ops::Range,
    sync::{Arc, Mutex},
    thread::{self, sleep},
    time::Duration,
};

use axum::{Router, body::Bytes, routing::post};
use e2e::{Project, inspect, until};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value,
    trace::v1::{ResourceSpans, Span, span::SpanKind},
};
use prost::Message;

const FILES: &str = "-f docker-compose.yml -f compose/observe.yml";
/// A program exports every five seconds.
const SOON: Duration = Duration::from_secs(20);
const WORKERS: usize = 10;

/// Spans by service.
type Spans = BTreeMap<String, Vec<Span>>;

/// Receives OTLP over HTTP, as Jaeger does.
struct Collector {
    address: String,
    spans: Arc<Mutex<Spans>>,
}

impl Collector {
    /// Starts one at an address that containers reach.
    fn start(address: &str) -> Self {
        let listener = TcpListener::bind(format!("{address}:0")).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let spans = Arc::<Mutex<Spans>>::default();
        let received = spans.clone();
        let receive = async move |body: Bytes| {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            let mut received = received.lock().unwrap();
            for resource in request.resource_spans {
                let spans = received.entry(service(&resource)).or_default();
                spans.extend(
                    resource
                        .scope_spans
                        .into_iter()
                        .flat_map(|scope| scope.spans),
                );
            }
        };
        let router = Router::new().route("/v1/traces", post(receive));
        let serve = async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        };
        thread::spawn(|| {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(serve);
        });
        Self { address, spans }
    }

    /// What has arrived since the last call.
    fn take(&self) -> Spans {
        std::mem::take(&mut *self.spans.lock().unwrap())
    }
}

fn service(spans: &ResourceSpans) -> String {
    let attributes = &spans.resource.as_ref().unwrap().attributes;
    let name = attributes
        .iter()
        .find(|attribute| attribute.key == "service.name");
    match name
        .unwrap()
        .value
        .as_ref()
        .unwrap()
        .value
        .as_ref()
        .unwrap()
    {
        Value::StringValue(name) => name.clone(),
        other => panic!("{other:?}"),
    }
}

fn seconds(span: &Span) -> f64 {
    Duration::from_nanos(span.end_time_unix_nano - span.start_time_unix_nano).as_secs_f64()
}

/// One of the spans of a unit.
type SpanOf = for<'a> fn(&Unit<'a>) -> &'a Span;

/// The spans of one unit of work.
struct Unit<'a> {
    whole: &'a Span,
    work: &'a Span,
    to_rng: &'a Span,
    rng: &'a Span,
    queue: &'a Span,
    rng_work: &'a Span,
    to_hasher: &'a Span,
    hasher: &'a Span,
    hasher_work: &'a Span,
}

impl<'a> Unit<'a> {
    /// By the parents of the spans. `None` for a unit that was not completed.
    fn below(whole: &'a Span, spans: &'a Spans) -> Option<Self> {
        let child = |service: &str, parent: &Span, name: &str, kind| {
            let is_child = |span: &&Span| {
                span.trace_id == whole.trace_id
                    && span.parent_span_id == parent.span_id
                    && span.name == name
            };
            let child = spans[service].iter().find(is_child)?;
            assert_eq!(child.kind(), kind, "{name}");
            assert!(
                child.start_time_unix_nano >= parent.start_time_unix_nano,
                "{name}"
            );
            Some(child)
        };
        let to_rng = child("worker", whole, "GET /32", SpanKind::Client)?;
        let rng = child("rng", to_rng, "GET /{n}", SpanKind::Server)?;
        let to_hasher = child("worker", whole, "POST /", SpanKind::Client)?;
        let hasher = child("hasher", to_hasher, "POST /", SpanKind::Server)?;
        Some(Self {
            whole,
            work: child("worker", whole, "simulate work", SpanKind::Internal)?,
            to_rng,
            rng,
            queue: child("rng", rng, "wait in queue", SpanKind::Internal)?,
            rng_work: child("rng", rng, "simulate work", SpanKind::Internal)?,
            to_hasher,
            hasher,
            hasher_work: child("hasher", hasher, "simulate work", SpanKind::Internal)?,
        })
    }
}

fn median(units: &[Unit], span: impl Fn(&Unit) -> f64) -> f64 {
    let mut all: Vec<_> = units.iter().map(span).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

// Fails when rng and hasher do not adopt the span of their client, and when they are told that worker
// samples what it does not.
#[test]
#[ignore = "needs a Docker engine, and builds the images"]
fn a_unit_is_one_trace_through_three_services_which_shows_the_queue() {
    let project = Project::with_own_images("traces");
    project.compose("up -d redis");
    let gateway = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}";
    let gateway = inspect(&project.containers("redis"), gateway).remove(0);
    let collector = Collector::start(&gateway);
    let endpoint = format!("http://{}", collector.address);
    project.edit_file("compose/observe.yml", "http://jaeger:4318", &endpoint);
    let up = |variables: &str, workers: usize| {
        let services = format!("--build --scale worker={workers} worker webui");
        let up = project.lab(&format!(
            "{variables} docker-compose {FILES} up -d {services}"
        ));
        e2e::run(&up);
    };
    up("", WORKERS);
    let webui = project.webui();
    sleep(Duration::from_secs(15));
    project.compose("stop worker");
    let hashes = webui.hashes();
    project.compose("stop rng hasher webui");
    let spans = collector.take();

    let units = spans["worker"]
        .iter()
        .filter(|span| span.name == "unit of work");
    let units = units.inspect(|unit| assert!(unit.parent_span_id.is_empty(), "{unit:?}"));
    let units: Vec<_> = units.filter_map(|unit| Unit::below(unit, &spans)).collect();
    // A stop may cancel a unit after hasher has answered.
    let more = units.len().checked_sub(usize::try_from(hashes).unwrap());
    assert!(
        more.is_some_and(|more| more <= WORKERS),
        "{} units, {hashes} hashes",
        units.len()
    );
    let redis = spans["worker"]
        .iter()
        .filter(|span| span.name == "redis")
        .count();
    assert!(redis > WORKERS, "{redis} calls to redis");
    let some = &units[units.len() / 2..];
    let spans: [(&str, SpanOf, Range<f64>); 9] = [
        ("unit of work", |unit| unit.whole, 0.95..1.1),
        ("simulate work", |unit| unit.work, 0.1..0.11),
        ("GET /32", |unit| unit.to_rng, 0.75..0.9),
        ("GET /{n}", |unit| unit.rng, 0.75..0.9),
        ("wait in queue", |unit| unit.queue, 0.65..0.8),
        ("work at rng", |unit| unit.rng_work, 0.1..0.11),
        ("POST / of worker", |unit| unit.to_hasher, 0.1..0.12),
        ("POST /", |unit| unit.hasher, 0.1..0.12),
        ("work at hasher", |unit| unit.hasher_work, 0.1..0.11),
    ];
    println!("{} units; medians in seconds:", units.len());
    for (name, span, range) in spans {
        let median = median(some, |unit| seconds(span(unit)));
        println!("{name}: {median:.4}");
        assert!(range.contains(&median), "{name}: {median} s");
    }

    // What worker does not sample, rng and hasher do not either.
    up("OTEL_TRACES_SAMPLER=parentbased_always_off", 2);
    project.webui().until_hashes(SOON, hashes + 10);
    project.compose("stop worker rng hasher");
    let spans = collector.take();
    assert!(spans.is_empty(), "{spans:?}");

    // Nothing listens on that port.
    project.edit_file("compose/observe.yml", &endpoint, "http://127.0.0.1:1");
    up("", 1);
    let warning = "WARN cannot send spans: ";
    until(SOON, || project.log("worker").contains(warning));
    let before = project.webui().hashes();
    sleep(Duration::from_secs(8));
    assert!(project.webui().hashes() > before + 20);
    let log = project.log("worker");
    assert_eq!(log.matches("WARN").count(), 1, "{log}");
    assert!(!log.contains("ERROR"), "{log}");
    project.compose("stop");
    project.assert_exited_with_0(5);
}

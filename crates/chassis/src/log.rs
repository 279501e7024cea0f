//! The log: one line per event on standard output, without colors.
//!
//! And without timestamps, except in the access log, whose format has one: lines fit on a projector,
//! and `docker-compose logs -t` and `kubectl logs --timestamps` add them.

use std::{
    borrow::Cow,
    env, fmt,
    io::{self, Write},
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

use anyhow::Result;
use tracing::{Event, Level, Metadata, Subscriber, field::Field, warn};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Layer, Registry,
    filter::{FilterExt, Targets, filter_fn},
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter,
        format::{self, Writer},
        layer,
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::config::{LogFormat, Settings};

/// The target of the access log, which is written without a level. `RUST_LOG=info,access=off`
/// disables it.
pub(crate) const ACCESS: &str = "access";

/// The name of the span of a service, and of its field, which prefixes its lines.
pub(crate) const SERVICE: &str = "service";

/// The field of a span that begins a trace, or continues the trace of a client.
pub(crate) const TRACE_ID: &str = "trace_id";

/// Lines that wait for the reader of standard output, beyond which new ones are dropped.
const MAX_BUFFERED_LINES: usize = 4096;

/// How long the exit waits for the reader of standard output.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(200);

static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Where spans are sent to.
const OTEL_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// The log of a running program.
pub(crate) struct Log(WorkerGuard);

/// Installs the log of the process, and the export of spans.
///
/// # Errors
///
/// When spans are to be exported and cannot be.
pub(crate) fn init(program: &str, settings: &Settings) -> Result<Log> {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(MAX_BUFFERED_LINES)
        .finish(Sink::default());
    let _ = DROPPED.set(writer.error_counter());
    let exports = env::var_os(OTEL_ENDPOINT).is_some_and(|endpoint| !endpoint.is_empty());
    let registry = Registry::default();
    #[cfg(feature = "otel")]
    let registry = registry.with(if exports {
        Some(crate::otel::layer(program)?)
    } else {
        None
    });
    let filter = filter(program, settings);
    registry
        .with(lines(settings.log_format, filter, writer))
        .try_init()?;
    if exports && cfg!(not(feature = "otel")) {
        warn!(
            "{OTEL_ENDPOINT} is set, but this build sends no spans: use an image TAG-otel, or build it with --build-arg FEATURES=chassis/otel"
        );
    }
    Ok(Log(guard))
}

impl Log {
    /// Exports the spans that have ended, then waits up to 200 ms for the reader of standard output.
    pub(crate) fn flush(self) {
        #[cfg(feature = "otel")]
        crate::otel::flush();
        let (flushing, flushed) = mpsc::channel::<()>();
        thread::spawn(move || {
            drop(self.0);
            drop(flushing);
        });
        let _ = flushed.recv_timeout(FLUSH_TIMEOUT);
    }
}

/// Lines that were dropped because the reader of standard output was too slow.
pub(crate) fn dropped_lines() -> usize {
    DROPPED.get().map_or(0, ErrorCounter::dropped_lines)
}

/// `DEBUG` enables the debug events of `program` and chassis, but not those of libraries.
fn filter(program: &str, settings: &Settings) -> Targets {
    let level = if settings.debug {
        Level::DEBUG
    } else {
        Level::INFO
    };
    let default = Targets::new()
        .with_default(Level::INFO)
        .with_targets([(program, level), (env!("CARGO_PKG_NAME"), level)]);
    settings.rust_log.clone().unwrap_or(default)
}

/// Of all spans, only those that a line shows are enabled.
fn lines<S, W>(format: LogFormat, filter: Targets, sink: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = layer().with_writer(sink);
    match format {
        LogFormat::Text => {
            let layer = layer
                .event_format(Line)
                .fmt_fields(format::debug_fn(write_field));
            let shown = |metadata: &Metadata| metadata.is_event() || metadata.name() == SERVICE;
            layer.with_filter(filter_fn(shown).and(filter)).boxed()
        }
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_current_span(false);
            let shown = |metadata: &Metadata| {
                metadata.is_event()
                    || metadata.name() == SERVICE
                    || metadata.fields().field(TRACE_ID).is_some()
            };
            layer.with_filter(filter_fn(shown).and(filter)).boxed()
        }
    }
}

/// `INFO message`; within the span of a service prefixed by its name, as Compose does:
/// `rng       | INFO message`.
struct Line;

impl<S, F> FormatEvent<S, F> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    F: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, F>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        for span in context.event_scope().into_iter().flatten() {
            if let Some(service) = span.extensions().get::<FormattedFields<F>>() {
                write!(writer, "{:<10}| ", service.fields)?;
            }
        }
        if event.metadata().target() != ACCESS {
            write!(writer, "{} ", event.metadata().level())?;
        }
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Omits the fields of the access log: its message has them.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" | SERVICE => write!(writer, "{value:?}"),
        _ => Ok(()),
    }
}

/// Standard output, written by a thread of its own: a full pipe does not stop the service.
#[derive(Default)]
struct Sink {
    reported: usize,
}

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stdout().write_all(escape(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    /// Called when all lines have been written.
    fn flush(&mut self) -> io::Result<()> {
        let dropped = dropped_lines() - self.reported;
        if dropped > 0 {
            self.reported += dropped;
            warn!("{dropped} lines of the log were dropped: standard output was not read");
        }
        Ok(())
    }
}

/// Escapes control characters, valid in JSON too: a line break would allow log injection.
fn escape(line: &str) -> Cow<'_, str> {
    let text = line.trim_end_matches('\n');
    if !text.contains(char::is_control) {
        return line.into();
    }
    let escape = |character: char| match character {
        '\n' => "\\n".into(),
        control if control.is_control() => format!("\\u{:04x}", u32::from(control)),
        other => other.into(),
    };
    text.chars()
        .map(escape)
        .chain(["\n".into()])
        .collect::<String>()
        .into()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use clap::Parser;
    use serde_json::Value;
    use tracing::{debug, info, info_span, subscriber::with_default};

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        settings: Settings,
    }

    /// Whether a span is recorded depends on all subscribers of the process.
    static ONE_SUBSCRIBER: Mutex<()> = Mutex::new(());

    /// The log of `act` with these arguments.
    fn logged(arguments: &[&str], act: impl FnOnce()) -> String {
        let _one = ONE_SUBSCRIBER
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let program = Program::parse_from([&["test"], arguments].concat());
        let (reader, sink) = io::pipe().unwrap();
        let filter = filter(module_path!(), &program.settings);
        let lines = lines(program.settings.log_format, filter, Arc::new(sink));
        with_default(lines.with_subscriber(Registry::default()), act);
        io::read_to_string(reader).unwrap()
    }

    #[test]
    fn an_event_is_one_line_with_its_level_and_the_access_log_has_none() {
        let lines = logged(&[], || {
            info!("4 units of work done, updating hash counter");
            info!(target: ACCESS, status = 200, "::1 - - [time]");
            debug!("hidden");
        });
        assert_eq!(
            lines,
            "INFO 4 units of work done, updating hash counter\n::1 - - [time]\n"
        );
    }

    #[test]
    fn an_event_in_the_span_of_a_service_is_prefixed_by_its_name() {
        let lines = logged(&[], || {
            let service = info_span!("service", service = %"rng");
            service.in_scope(|| info_span!("request", trace_id = 1).in_scope(|| info!("hello")));
        });
        assert_eq!(lines, "rng       | INFO hello\n");
    }

    #[test]
    fn a_line_of_json_has_the_fields_and_the_trace_of_an_event() {
        let line = logged(&["--log-format", "json"], || {
            let unit = info_span!("unit", trace_id = %"0af7");
            unit.in_scope(|| {
                info_span!("queue").in_scope(|| {
                    info!(target: ACCESS, status = 200, bytes = None::<u64>, "a\n\"b");
                });
            });
        });
        let mut line: Value = serde_json::from_str(&line).unwrap();
        humantime::parse_rfc3339(line["timestamp"].take().as_str().unwrap()).unwrap();
        let expected = serde_json::json!({
            "timestamp": null, "level": "INFO", "target": "access", "message": "a\n\"b", "status": 200,
            "spans": [{"name": "unit", "trace_id": "0af7"}],
        });
        assert_eq!(line, expected);
    }

    // Fails when a layer has no filter.
    #[test]
    fn a_span_that_no_line_shows_is_not_recorded() {
        logged(&[], || {
            assert!(!info_span!("service", service = %"rng").is_disabled());
            assert!(info_span!("request", trace_id = 1).is_disabled());
        });
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escape("INFO one\n"), "INFO one\n");
        let escaped = escape("INFO one\nINFO two\u{1b}[31m\u{9b}\n");
        assert_eq!(escaped, "INFO one\\nINFO two\\u001b[31m\\u009b\n");
        let json: Value = serde_json::from_str(&escape("\"\u{9b}\"")).unwrap();
        assert_eq!(json, "\u{9b}");
    }

    #[test]
    fn debug_and_rust_log_enable_debug_events_and_rust_log_takes_precedence() {
        let act = || debug!("Doing one unit of work");
        for arguments in [["--debug", "y"], ["--rust-log", "debug"]] {
            assert_eq!(logged(&arguments, act), "DEBUG Doing one unit of work\n");
        }
        assert_eq!(logged(&["--debug", "y", "--rust-log", "warn"], act), "");
    }
}

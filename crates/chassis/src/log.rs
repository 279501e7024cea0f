//! The log: one line per event on standard output, without colors.
//!
//! And without timestamps, except in the access log, whose format has one: lines fit on a projector,
//! and `docker-compose logs -t` and `kubectl logs --timestamps` add them.

use std::{fmt, io};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, Targets, filter_fn},
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter,
        format::{self, Writer},
        layer,
    },
    registry::{LookupSpan, Scope},
    util::SubscriberInitExt,
};

use crate::{Env, Invalid, Variable, json, variable};

/// The target of the access log, which is written without a level. `RUST_LOG=info,access=off`
/// disables it.
pub(crate) const ACCESS: &str = "access";

/// The name of the span of a service, whose value prefixes its lines.
pub(crate) const SERVICE: &str = "service";

pub(crate) const DEBUG: Variable<bool> = variable::switch(
    "DEBUG",
    "y logs debug events: worker logs each unit of work",
);
pub(crate) const RUST_LOG: Variable<Targets> = Variable {
    name: "RUST_LOG",
    default: "",
    about: "what to log, such as warn or info,worker=debug; overrides DEBUG",
    expected: "levels from off, error, warn and info to debug and trace, such as info,worker=debug",
    parse: |value| value.parse().ok(),
};

pub(crate) const LOG_FORMAT: Variable<Format> = Variable {
    name: "LOG_FORMAT",
    default: "text",
    about: "json logs one JSON object per line",
    expected: "text or json",
    parse: |value| match value {
        "text" => Some(Format::Text),
        "json" => Some(Format::Json),
        _ => None,
    },
};

/// How an event is written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Format {
    Text,
    Json,
}

/// The events that `DEBUG` and `RUST_LOG` enable. `DEBUG` enables the debug events of `program` and
/// chassis, but not those of libraries.
///
/// # Errors
///
/// When one of the two is invalid.
pub(crate) fn filter(env: Env, program: &'static str) -> Result<Targets, Invalid> {
    let level = if DEBUG.read(env)? {
        Level::DEBUG
    } else {
        Level::INFO
    };
    let default = Targets::new()
        .with_default(Level::INFO)
        .with_targets([(program, level), (env!("CARGO_PKG_NAME"), level)]);
    Ok(RUST_LOG.read_if_set(env)?.unwrap_or(default))
}

/// Installs the log of the process on top of `registry`, which may record spans.
pub(crate) fn init<S>(program: &'static str, format: Format, filter: Targets, registry: S)
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync + 'static,
{
    lines(Line { program, format }, filter, io::stdout)
        .with_subscriber(registry)
        .init();
}

/// The lines. Of all spans, only that of a service is among them: the others are for traces.
fn lines<S, W>(line: Line, filter: Targets, sink: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let written = filter_fn(|metadata| metadata.is_event() || metadata.name() == SERVICE);
    layer()
        .event_format(line)
        .fmt_fields(format::debug_fn(write_value))
        .with_writer(sink)
        .with_filter(written.and(filter))
}

/// As text, `INFO message`; within a span, prefixed by its values, as Compose prefixes the service:
/// `rng       | INFO message`.
struct Line {
    program: &'static str,
    format: Format,
}

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
        let mut service = None;
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<F>>() {
                match self.format {
                    Format::Text => write!(writer, "{:<10}| ", fields.fields)?,
                    Format::Json => service = Some(fields.fields.clone()),
                }
            }
        }
        if let Format::Json = self.format {
            return json::write(writer, service.as_deref().unwrap_or(self.program), event);
        }
        if event.metadata().target() == ACCESS {
            event.record(&mut Message(writer.by_ref()));
        } else {
            write!(writer, "{} ", event.metadata().level())?;
            context.format_fields(writer.by_ref(), event)?;
        }
        writeln!(writer)
    }
}

/// Writes only the message: as text, it has all the fields of the access log.
struct Message<'a>(Writer<'a>);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write_value(&mut self.0, field, value);
        }
    }
}

/// Writes a value without its name. Control characters are escaped: a line break would allow log
/// injection.
fn write_value(writer: &mut Writer<'_>, _: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = format!("{value:?}");
    if !value.contains(char::is_control) {
        return writer.write_str(&value);
    }
    for character in value.chars() {
        if character.is_control() {
            write!(writer, "{}", character.escape_default())?;
        } else {
            writer.write_char(character)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;
    use serde_json::{Value, json};
    use tracing::{debug, info, info_span, subscriber::with_default};

    use super::*;
    use crate::{Trace, otel};
    use hostile::{check, ensure_one_line, values};

    /// The log of `act` with the variables of `env`.
    fn logged(env: Env, act: impl FnOnce()) -> String {
        let (reader, sink) = io::pipe().unwrap();
        let filter = filter(env, module_path!()).unwrap();
        let line = Line {
            program: "test",
            format: LOG_FORMAT.read(env).unwrap(),
        };
        let registry = otel::Config::from_env(env)
            .unwrap()
            .registry("test")
            .unwrap();
        let lines = lines(line, filter, Arc::new(sink));
        with_default(lines.with_subscriber(registry), act);
        io::read_to_string(reader).unwrap()
    }

    fn logged_as_json(act: impl FnOnce()) -> Value {
        let line = logged(&set("LOG_FORMAT", "json"), act);
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    #[test]
    fn a_line_of_json_has_stable_fields() {
        let mut line = logged_as_json(|| {
            info!(target: ACCESS, method = %"GET", status = 200_u16, bytes = None::<u64>, seconds = 0.5, "hello");
        });
        let timestamp = line["timestamp"].take();
        let timestamp = timestamp.as_str().unwrap();
        humantime::parse_rfc3339(timestamp).unwrap();
        let expected = json!({
            "timestamp": null, "level": "INFO", "service": "test", "target": "access",
            "message": "hello", "method": "GET", "status": 200, "seconds": 0.5,
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn a_line_of_json_names_the_service_of_its_span_and_the_trace() {
        let trace = Trace::start().unwrap();
        let line = logged_as_json(|| {
            let log = Trace::scope(Some(trace), async { info!("hello") });
            info_span!("service", name = %"rng").in_scope(|| log.now_or_never());
        });
        assert_eq!(line["service"], "rng");
        assert_eq!(line["trace_id"], trace.id());
    }

    #[test]
    fn any_value_is_a_string_of_json() {
        check(
            500,
            &values(&["\"", "\\", "\n", "\u{1b}[31m", "\u{2028}"]),
            |value| {
                let line = logged_as_json(|| info!(target: ACCESS, path = %value, "{value}"));
                anyhow::ensure!(line["message"] == value && line["path"] == value, "{line}");
                Ok(())
            },
        );
    }

    #[test]
    fn any_other_format_is_refused() {
        for value in ["JSON", "yaml", "text "] {
            let error = LOG_FORMAT.read(&set("LOG_FORMAT", value)).unwrap_err();
            let expected = format!("LOG_FORMAT is {value:?}, but it must be text or json");
            assert_eq!(error.to_string(), expected);
        }
    }

    fn set<'a>(name: &'a str, value: &'a str) -> impl Fn(&str) -> Option<String> + 'a {
        move |asked| (asked == name).then(|| value.to_owned())
    }

    #[test]
    fn an_event_is_one_line_with_its_level() {
        let lines = logged(&|_| None, || {
            info!("4 units of work done, updating hash counter");
        });
        assert_eq!(lines, "INFO 4 units of work done, updating hash counter\n");
    }

    #[test]
    fn the_access_log_is_written_without_a_level() {
        let lines = logged(&|_| None, || info!(target: ACCESS, "::1 - - [time]"));
        assert_eq!(lines, "::1 - - [time]\n");
    }

    #[test]
    fn an_event_in_a_span_is_prefixed_by_its_value() {
        let lines = logged(&|_| None, || {
            info_span!("service", name = %"rng").in_scope(|| info!("hello"));
        });
        assert_eq!(lines, "rng       | INFO hello\n");
    }

    // Fails when a layer of the registry has no filter.
    #[test]
    fn a_span_that_nobody_reads_is_not_recorded() {
        logged(&|_| None, || {
            assert!(!info_span!("service", name = %"rng").is_disabled());
            assert!(info_span!("request").is_disabled());
        });
    }

    #[test]
    fn control_characters_in_a_message_are_escaped() {
        let lines = logged(&|_| None, || info!("{}", "one\nINFO two\u{1b}[31m"));
        assert_eq!(lines, "INFO one\\nINFO two\\u{1b}[31m\n");
    }

    #[test]
    fn debug_and_rust_log_enable_debug_events_and_rust_log_takes_precedence() {
        let act = || debug!("Doing one unit of work");
        assert_eq!(logged(&|_| None, act), "");
        assert_eq!(
            logged(&set("DEBUG", "y"), act),
            "DEBUG Doing one unit of work\n"
        );
        assert_eq!(
            logged(&set("RUST_LOG", "debug"), act),
            "DEBUG Doing one unit of work\n"
        );
        let both = |name: &str| set("DEBUG", "y")(name).or_else(|| set("RUST_LOG", "warn")(name));
        assert_eq!(logged(&both, act), "");
    }

    #[test]
    fn an_invalid_rust_log_is_refused() {
        let error = filter(&set("RUST_LOG", "worker=loud"), "worker")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("RUST_LOG is \"worker=loud\", but it must be levels from off"),
            "{error}"
        );
    }

    #[test]
    fn any_rust_log_is_applied_or_refused_in_one_line() {
        const WORDS: &[&str] = &[
            "info",
            "debug",
            "WARN",
            "off",
            "5",
            "worker",
            "access",
            "chassis::serve",
            "=",
            ",",
            "[span]",
            "{field=1}",
        ];
        check(500, &values(WORDS), |value| {
            match filter(&set("RUST_LOG", &value), "worker") {
                Ok(_) => Ok(()),
                Err(error) => ensure_one_line(&error.to_string(), "RUST_LOG", &value),
            }
        });
    }
}

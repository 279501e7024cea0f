//! The log: standard output, one line an event, no colours.
//!
//! No time either, but in the access log, whose format has one: lines are short enough for a
//! projector, and `docker-compose logs -t` and `kubectl logs --timestamps` put the time in front.

use std::{fmt, io};

use tracing::{Event, Level, Subscriber, field::Field, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter,
        format::{self, Writer},
        layer,
    },
    layer::SubscriberExt,
    registry::{LookupSpan, Scope},
    util::SubscriberInitExt,
};

use crate::{Env, Invalid, Variable, variable};

/// The target of access log lines, which are written as they are, with no level in front.
/// `RUST_LOG=info,access=off` leaves them out.
pub(crate) const ACCESS: &str = "access";

pub(crate) const DEBUG: Variable<bool> =
    variable::switch("DEBUG", "y logs more: worker then logs each unit of work");
pub(crate) const RUST_LOG: Variable<Option<Targets>> = Variable {
    name: "RUST_LOG",
    default: "",
    about: "what to log, such as warn or info,worker=debug; it outdoes DEBUG",
    expected: "levels from off, error, warn and info to debug and trace, such as info,worker=debug",
    parse: |value| {
        if value.is_empty() {
            Some(None)
        } else {
            value.parse().ok().map(Some)
        }
    },
};

/// Which events are logged.
#[derive(Debug)]
pub struct Filter(Targets);

impl Filter {
    /// What `DEBUG` and `RUST_LOG` ask for; `DEBUG` means the debug lines of `program` and not
    /// those of its libraries.
    ///
    /// # Errors
    ///
    /// When one of the two is not valid.
    pub fn read(env: Env, program: &'static str) -> Result<Self, Invalid> {
        let level = if DEBUG.read(env)? {
            Level::DEBUG
        } else {
            Level::INFO
        };
        let workshop = Targets::new()
            .with_default(Level::INFO)
            .with_targets([(program, level), ("chassis", level)]);
        Ok(Self(RUST_LOG.read(env)?.unwrap_or(workshop)))
    }
}

/// Logs to standard output from now on.
pub fn start(filter: Filter) {
    subscriber(filter, io::stdout).init();
}

/// The log that writes to `sink`.
pub fn subscriber<W>(filter: Filter, sink: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = layer()
        .event_format(Line)
        .fmt_fields(format::debug_fn(write_value))
        .with_writer(sink);
    Registry::default().with(lines.with_filter(filter.0))
}

/// `INFO message`; inside a span, its values in front, as Compose shows the name of a service: `rng
/// | INFO message`.
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
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<F>>() {
                write!(writer, "{:<10}| ", fields.fields)?;
            }
        }
        if event.metadata().target() != ACCESS {
            write!(writer, "{} ", event.metadata().level())?;
        }
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Writes a value without its name. A line break in it, or another control character, would forge a
/// line of the log.
fn write_value(writer: &mut Writer<'_>, _: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    for character in format!("{value:?}").chars() {
        if character.is_control() {
            write!(writer, "{}", character.escape_default())?;
        } else {
            writer.write_char(character)?;
        }
    }
    Ok(())
}

/// The default: what a class sees when nothing is set.
impl Default for Filter {
    fn default() -> Self {
        Self(Targets::new().with_default(LevelFilter::INFO))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing::{debug, info, info_span, subscriber::with_default};

    use super::*;
    use hostile::{hold, is_one_line, values};

    /// What `act` logs with these variables set.
    fn logged(env: Env, act: impl FnOnce()) -> String {
        let (reader, sink) = io::pipe().unwrap();
        let filter = Filter::read(env, module_path!()).unwrap();
        with_default(subscriber(filter, Arc::new(sink)), act);
        io::read_to_string(reader).unwrap()
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
    fn a_line_of_the_access_log_stands_as_it_is() {
        let lines = logged(&|_| None, || info!(target: ACCESS, "::1 - - [time]"));
        assert_eq!(lines, "::1 - - [time]\n");
    }

    #[test]
    fn inside_a_span_its_value_stands_in_front() {
        let lines = logged(&|_| None, || {
            info_span!("service", name = %"rng").in_scope(|| info!("hello"));
        });
        assert_eq!(lines, "rng       | INFO hello\n");
    }

    #[test]
    fn a_line_break_in_a_message_forges_no_second_line() {
        let lines = logged(&|_| None, || info!("{}", "one\nINFO two\u{1b}[31m"));
        assert_eq!(lines, "INFO one\\nINFO two\\u{1b}[31m\n");
    }

    #[test]
    fn debug_lines_come_with_debug_or_rust_log_and_rust_log_wins() {
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
    fn a_rust_log_that_is_not_valid_is_refused() {
        let error = Filter::read(&set("RUST_LOG", "worker=loud"), "worker")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("RUST_LOG is \"worker=loud\", but it must be levels from off"),
            "{error}"
        );
    }

    #[test]
    fn any_rust_log_is_heard_or_is_refused_in_one_line() {
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
        hold(500, &values(WORDS), |value| {
            match Filter::read(&set("RUST_LOG", &value), "worker") {
                Ok(_) => Ok(()),
                Err(error) => is_one_line(&error.to_string(), "RUST_LOG", &value),
            }
        });
    }
}

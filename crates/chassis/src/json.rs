//! The log as JSON, one object per line, for programs that search and count.

use std::fmt::{self, Debug, Write};

use tracing::{
    Event,
    field::{Field, Visit},
};
use tracing_subscriber::fmt::{
    format::Writer,
    time::{FormatTime, SystemTime},
};

use crate::Trace;

/// Writes `timestamp`, `level`, `service`, `target`, the fields of the event, which are `message` and,
/// in the access log, those of the request, and `trace_id` if there is one.
pub(crate) fn write(mut writer: Writer<'_>, service: &str, event: &Event<'_>) -> fmt::Result {
    writer.write_str("{\"timestamp\":\"")?;
    SystemTime.format_time(&mut writer)?;
    let (level, target) = (event.metadata().level(), event.metadata().target());
    write!(writer, "\",\"level\":\"{level}\"")?;
    string(&mut writer, "service", format_args!("{service}"))?;
    string(&mut writer, "target", format_args!("{target}"))?;
    let mut fields = Fields(writer.by_ref(), Ok(()));
    event.record(&mut fields);
    fields.1?;
    if let Some(trace) = Trace::current() {
        string(&mut writer, "trace_id", format_args!("{}", trace.id()))?;
    }
    writeln!(writer, "}}")
}

fn string(writer: &mut Writer<'_>, name: &str, value: fmt::Arguments) -> fmt::Result {
    write!(writer, ",\"{name}\":\"")?;
    write!(Escaped(writer), "{value}")?;
    writer.write_char('"')
}

/// The fields of an event, and the first error.
struct Fields<'a>(Writer<'a>, fmt::Result);

impl Fields<'_> {
    fn number(&mut self, field: &Field, value: impl Debug) {
        let write = |()| write!(self.0, ",\"{field}\":{value:?}");
        self.1 = self.1.and_then(write);
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.number(field, value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let write = |()| string(&mut self.0, field.name(), format_args!("{value:?}"));
        self.1 = self.1.and_then(write);
    }
}

/// Escapes what a string of JSON may not contain.
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '"' | '\\' => write!(self.0, "\\{character}")?,
                _ if character.is_control() => write!(self.0, "\\u{:04x}", u32::from(character))?,
                _ => self.0.write_char(character)?,
            }
        }
        Ok(())
    }
}

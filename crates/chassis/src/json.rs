//! The log as JSON, one object per line, for programs that search and count.

use std::fmt::{self, Debug};

use serde_json::{Map, Value};
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
    let mut timestamp = String::new();
    SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
    let mut line = Fields(Map::new());
    line.insert("timestamp", timestamp);
    line.insert("level", event.metadata().level().as_str());
    line.insert("service", service);
    line.insert("target", event.metadata().target());
    event.record(&mut line);
    if let Some(trace) = Trace::current() {
        line.insert("trace_id", trace.id());
    }
    writeln!(writer, "{}", Value::Object(line.0))
}

struct Fields(Map<String, Value>);

impl Fields {
    fn insert(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.insert(field.name(), format!("{value:?}"));
    }
}

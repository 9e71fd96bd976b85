//! A trace from its file: a JSON text sequence (RFC 7464).

use serde_json::Value;

/// What is read; names and fields that are not known are passed over later.
pub(crate) struct Trace {
    pub(crate) title: String,
    pub(crate) events: Vec<Event>,
    /// Records that are no JSON: the last one, when the writer was killed.
    pub(crate) broken: usize,
}

#[derive(Clone)]
pub(crate) struct Event {
    /// In milliseconds.
    pub(crate) at: f64,
    /// Without the `ice:` before it.
    pub(crate) name: String,
    data: Value,
}

impl Event {
    pub(crate) fn text(&self, field: &str) -> &str {
        self.data[field].as_str().unwrap_or_default()
    }

    pub(crate) fn number(&self, field: &str) -> Option<u64> {
        self.data[field].as_u64()
    }

    pub(crate) fn millis(&self, field: &str) -> Option<f64> {
        self.data[field].as_f64()
    }

    pub(crate) fn is(&self, field: &str) -> bool {
        self.data[field].as_bool().unwrap_or(false)
    }

    pub(crate) fn pair(&self) -> Option<u64> {
        self.number("pair")
    }
}

pub(crate) fn trace(text: &str) -> Result<Trace, String> {
    let mut records = text.split('\u{1e}').map(str::trim).filter(|record| !record.is_empty());
    let header: Value = records
        .next()
        .and_then(|record| serde_json::from_str(record).ok())
        .filter(|header: &Value| header["format"] == "frazil-trace")
        .ok_or("not a trace")?;
    if header["version"] != 1 {
        return Err(format!("version {} of a trace is not known here", header["version"]));
    }
    let title = header["title"].as_str().unwrap_or_default().to_owned();
    let mut trace = Trace { title, events: Vec::new(), broken: 0 };
    for record in records {
        match serde_json::from_str::<Value>(record).ok().and_then(event) {
            Some(event) => trace.events.push(event),
            None => trace.broken += 1,
        }
    }
    Ok(trace)
}

fn event(mut record: Value) -> Option<Event> {
    let name = record["name"].as_str()?.strip_prefix("ice:")?.to_owned();
    Some(Event { at: record["time"].as_f64()?, name, data: record["data"].take() })
}

use std::{
    collections::{HashMap, hash_map::Entry},
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use redis_protocol::resp2::types::BytesFrame as Reply;

/// All keys with their values, shared by the connections.
#[derive(Clone, Default)]
pub(crate) struct Data(Arc<Mutex<Keys>>);

#[derive(Default)]
struct Keys {
    values: HashMap<Vec<u8>, Value>,
    /// How often a key was written, for those who watch it.
    writes: HashMap<Vec<u8>, u64>,
}

enum Value {
    String(Vec<u8>),
    Hash(Fields),
}

type Fields = HashMap<Vec<u8>, Vec<u8>>;

/// What a connection has to itself: its transaction.
pub(crate) struct Session {
    data: Data,
    /// The keys that nobody else may write before EXEC, with how often they were written so far.
    watched: Vec<(Vec<u8>, u64)>,
    /// The commands since MULTI.
    queued: Option<Vec<Reply>>,
}

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_A_NUMBER: &str = "ERR value is not an integer or out of range";

impl Session {
    pub(crate) fn new(data: Data) -> Self {
        Self {
            data,
            watched: Vec::new(),
            queued: None,
        }
    }

    /// Carries out a command, an array of strings, and says what came of it.
    pub(crate) fn execute(&mut self, command: Reply) -> Reply {
        // A command leaves the data whole at each point, so a panic in another one does no harm.
        let mut keys = self.data.0.lock().unwrap_or_else(PoisonError::into_inner);
        let words = words(&command).unwrap_or_default();
        let name = words.first().map(|name| name.to_ascii_uppercase());
        match (name.as_deref(), &mut self.queued) {
            (Some(b"EXEC"), queued) => {
                let commands = queued.take();
                let watched = mem::take(&mut self.watched);
                let untouched = watched
                    .iter()
                    .all(|(key, writes)| keys.writes(key) == *writes);
                match commands {
                    None => error("ERR EXEC without MULTI"),
                    Some(_) if !untouched => Reply::Null,
                    Some(commands) => Reply::Array(
                        commands
                            .iter()
                            .map(|command| keys.execute(command))
                            .collect(),
                    ),
                }
            }
            (_, Some(queued)) => {
                queued.push(command);
                Reply::SimpleString("QUEUED".into())
            }
            (Some(b"MULTI"), queued) => {
                *queued = Some(Vec::new());
                ok()
            }
            (Some(b"WATCH"), _) => {
                let watched = words[1..]
                    .iter()
                    .map(|key| (key.to_vec(), keys.writes(key)));
                self.watched.extend(watched);
                ok()
            }
            _ => keys.execute(&command),
        }
    }
}

impl Keys {
    fn execute(&mut self, command: &Reply) -> Reply {
        let Some(words) = words(command) else {
            return error("ERR expected an array of strings");
        };
        let Some((name, arguments)) = words.split_first() else {
            return error("ERR empty command");
        };
        let result = match (name.to_ascii_uppercase().as_slice(), arguments) {
            (b"PING", []) => Ok(Reply::SimpleString("PONG".into())),
            // With this a client introduces itself, by its name and version.
            (b"CLIENT", [b"SETINFO", ..]) => Ok(ok()),
            (b"INCRBY", [key, number]) => increment(self.entry(key), number),
            (b"GET", [key]) => get(self.values.get(*key)),
            // Nothing here lives as long as it would take to expire.
            (b"SETEX", [key, _seconds, value]) => Ok(set(self.entry(key), value)),
            (b"HSET", [key, field, value]) => set_field(self.entry(key), field, value),
            (b"HLEN", [key]) => length(self.values.get(*key)),
            (b"HGETALL", [key]) => all_fields(self.values.get(*key)),
            _ => Err("ERR unknown command or wrong number of arguments, for this small store"),
        };
        result.unwrap_or_else(error)
    }

    fn writes(&self, key: &[u8]) -> u64 {
        self.writes.get(key).copied().unwrap_or_default()
    }

    /// For writing.
    fn entry(&mut self, key: &[u8]) -> Entry<'_, Vec<u8>, Value> {
        *self.writes.entry(key.to_vec()).or_default() += 1;
        self.values.entry(key.to_vec())
    }
}

type Result = std::result::Result<Reply, &'static str>;

fn increment(entry: Entry<Vec<u8>, Value>, number: &[u8]) -> Result {
    let number = integer(number)?;
    let Value::String(string) = entry.or_insert(Value::String(b"0".to_vec())) else {
        return Err(WRONG_TYPE);
    };
    let sum = integer(string)?
        .checked_add(number)
        .ok_or("ERR increment or decrement would overflow")?;
    *string = sum.to_string().into_bytes();
    Ok(Reply::Integer(sum))
}

fn integer(string: &[u8]) -> std::result::Result<i64, &'static str> {
    str::from_utf8(string)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(NOT_A_NUMBER)
}

fn get(value: Option<&Value>) -> Result {
    match value {
        Some(Value::String(string)) => Ok(Reply::BulkString(string.clone().into())),
        Some(Value::Hash(_)) => Err(WRONG_TYPE),
        None => Ok(Reply::Null),
    }
}

fn set(entry: Entry<Vec<u8>, Value>, value: &[u8]) -> Reply {
    entry.insert_entry(Value::String(value.to_vec()));
    ok()
}

/// 1 if the field is new, 0 if its value was replaced.
fn set_field(entry: Entry<Vec<u8>, Value>, field: &[u8], value: &[u8]) -> Result {
    let Value::Hash(fields) = entry.or_insert_with(|| Value::Hash(Fields::new())) else {
        return Err(WRONG_TYPE);
    };
    let replaced = fields.insert(field.to_vec(), value.to_vec());
    Ok(Reply::Integer(replaced.is_none().into()))
}

fn length(value: Option<&Value>) -> Result {
    let length = fields(value)?.map_or(0, Fields::len);
    Ok(Reply::Integer(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn all_fields(value: Option<&Value>) -> Result {
    let pairs = fields(value)?.into_iter().flatten();
    let strings = pairs
        .flat_map(|(field, value)| [field, value])
        .map(|string| Reply::BulkString(string.clone().into()));
    Ok(Reply::Array(strings.collect()))
}

fn fields(value: Option<&Value>) -> std::result::Result<Option<&Fields>, &'static str> {
    match value {
        Some(Value::Hash(fields)) => Ok(Some(fields)),
        Some(Value::String(_)) => Err(WRONG_TYPE),
        None => Ok(None),
    }
}

fn ok() -> Reply {
    Reply::SimpleString("OK".into())
}

fn words(command: &Reply) -> Option<Vec<&[u8]>> {
    let Reply::Array(words) = command else {
        return None;
    };
    words.iter().map(string).collect()
}

fn string(word: &Reply) -> Option<&[u8]> {
    match word {
        Reply::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

fn error(message: &str) -> Reply {
    Reply::Error(message.into())
}

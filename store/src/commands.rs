use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use redis_protocol::resp2::types::BytesFrame as Reply;

/// All keys with their values, shared by the connections.
#[derive(Clone, Default)]
pub(crate) struct Data(Arc<Mutex<HashMap<Vec<u8>, Value>>>);

enum Value {
    Counter(i64),
    Hash(Fields),
}

type Fields = HashMap<Vec<u8>, Vec<u8>>;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_A_NUMBER: &str = "ERR value is not an integer or out of range";

impl Data {
    /// Carries out a command, an array of strings, and says what came of it.
    pub(crate) fn execute(&self, command: &Reply) -> Reply {
        let Some(words) = words(command) else {
            return error("ERR expected an array of strings");
        };
        let Some((name, arguments)) = words.split_first() else {
            return error("ERR empty command");
        };
        // A command leaves the data whole at each point, so a panic in another one does no harm.
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let result = match (name.to_ascii_uppercase().as_slice(), arguments) {
            (b"PING", []) => Ok(Reply::SimpleString("PONG".into())),
            // With this a client introduces itself, by its name and version.
            (b"CLIENT", [b"SETINFO", ..]) => Ok(Reply::SimpleString("OK".into())),
            (b"INCRBY", [key, number]) => increment(keys.entry(key.to_vec()), number),
            (b"GET", [key]) => get(keys.get(*key)),
            (b"HSET", [key, field, value]) => set_field(keys.entry(key.to_vec()), field, value),
            (b"HLEN", [key]) => length(keys.get(*key)),
            (b"HGETALL", [key]) => all_fields(keys.get(*key)),
            _ => Err("ERR unknown command or wrong number of arguments, for this small store"),
        };
        result.unwrap_or_else(error)
    }
}

type Result = std::result::Result<Reply, &'static str>;

fn increment(entry: Entry<Vec<u8>, Value>, number: &[u8]) -> Result {
    let number: i64 = str::from_utf8(number)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(NOT_A_NUMBER)?;
    let Value::Counter(counter) = entry.or_insert(Value::Counter(0)) else {
        return Err(WRONG_TYPE);
    };
    *counter = counter
        .checked_add(number)
        .ok_or("ERR increment or decrement would overflow")?;
    Ok(Reply::Integer(*counter))
}

fn get(value: Option<&Value>) -> Result {
    match value {
        Some(Value::Counter(counter)) => Ok(Reply::BulkString(counter.to_string().into())),
        Some(Value::Hash(_)) => Err(WRONG_TYPE),
        None => Ok(Reply::Null),
    }
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
        Some(Value::Counter(_)) => Err(WRONG_TYPE),
        None => Ok(None),
    }
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

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use redis_protocol::resp2::types::BytesFrame as Frame;

/// The database that all connections share.
#[derive(Default)]
pub(crate) struct Database {
    values: HashMap<Vec<u8>, Value>,
    /// Counts the writes to a key, for WATCH.
    versions: HashMap<Vec<u8>, u64>,
}

enum Value {
    String(Vec<u8>),
    Hash(Fields),
}

type Fields = HashMap<Vec<u8>, Vec<u8>>;

/// A connection with its transaction.
pub(crate) struct Session {
    database: Arc<Mutex<Database>>,
    /// The keys of WATCH, with the version that each had then.
    watched: Vec<(Vec<u8>, u64)>,
    /// The commands since MULTI.
    queued: Option<Vec<Command>>,
}

/// The name and the arguments.
type Command = Vec<Vec<u8>>;

type Result<T = Frame> = std::result::Result<T, &'static str>;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_A_NUMBER: &str = "ERR value is not an integer or out of range";

impl Session {
    pub(crate) fn new(database: Arc<Mutex<Database>>) -> Self {
        Self {
            database,
            watched: Vec::new(),
            queued: None,
        }
    }

    pub(crate) fn execute(&mut self, frame: Frame) -> Frame {
        reply(parse(frame).and_then(|command| self.execute_or_queue(command)))
    }

    fn execute_or_queue(&mut self, command: Command) -> Result {
        // A command panics before it writes or not at all, so a poisoned lock does no harm.
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let name = command.first().map(|name| name.to_ascii_uppercase());
        match (name.as_deref(), &mut self.queued) {
            (Some(b"EXEC"), queued) => {
                let commands = queued.take().ok_or("ERR EXEC without MULTI")?;
                let mut watched = mem::take(&mut self.watched).into_iter();
                if watched.any(|(key, version)| database.version(&key) != version) {
                    return Ok(Frame::Null);
                }
                let replies = commands
                    .iter()
                    .map(|command| reply(database.execute(command)));
                Ok(Frame::Array(replies.collect()))
            }
            (_, Some(queued)) => {
                queued.push(command);
                Ok(simple("QUEUED"))
            }
            (Some(b"MULTI"), None) => {
                self.queued = Some(Vec::new());
                Ok(simple("OK"))
            }
            (Some(b"WATCH"), None) => {
                for key in &command[1..] {
                    self.watched.push((key.clone(), database.version(key)));
                }
                Ok(simple("OK"))
            }
            _ => database.execute(&command),
        }
    }
}

impl Database {
    fn execute(&mut self, command: &[Vec<u8>]) -> Result {
        let (name, arguments) = command.split_first().ok_or("ERR empty command")?;
        match (&name.to_ascii_uppercase()[..], arguments) {
            (b"PING", []) => Ok(simple("PONG")),
            (b"GET", [key]) => Ok(self.string(key)?.map_or(Frame::Null, bulk)),
            // Nothing here lives long enough to expire.
            (b"SETEX", [key, _seconds, value]) => {
                self.set(key, value.clone());
                Ok(simple("OK"))
            }
            (b"INCRBY", [key, increment]) => {
                let increment = integer(increment)?;
                let number = self.string(key)?.map_or(Ok(0), integer)?;
                let sum = number.checked_add(increment);
                let sum = sum.ok_or("ERR increment or decrement would overflow")?;
                self.set(key, sum.to_string().into_bytes());
                Ok(Frame::Integer(sum))
            }
            (b"HSET", [key, field, value]) => {
                let replaced = self.hash_mut(key)?.insert(field.clone(), value.clone());
                Ok(Frame::Integer(replaced.is_none().into()))
            }
            (b"HLEN", [key]) => {
                let length = self.hash(key)?.map_or(0, Fields::len);
                Ok(Frame::Integer(i64::try_from(length).unwrap_or(i64::MAX)))
            }
            (b"HGETALL", [key]) => {
                let pairs = self.hash(key)?.into_iter().flatten();
                let strings = pairs.flat_map(|(field, value)| [bulk(field), bulk(value)]);
                Ok(Frame::Array(strings.collect()))
            }
            _ => Err("ERR unknown command or wrong number of arguments, for this Redis in memory"),
        }
    }

    fn version(&self, key: &[u8]) -> u64 {
        self.versions.get(key).copied().unwrap_or_default()
    }

    fn string(&self, key: &[u8]) -> Result<Option<&[u8]>> {
        match self.values.get(key) {
            Some(Value::String(string)) => Ok(Some(string)),
            Some(Value::Hash(_)) => Err(WRONG_TYPE),
            None => Ok(None),
        }
    }

    fn hash(&self, key: &[u8]) -> Result<Option<&Fields>> {
        match self.values.get(key) {
            Some(Value::Hash(fields)) => Ok(Some(fields)),
            Some(Value::String(_)) => Err(WRONG_TYPE),
            None => Ok(None),
        }
    }

    fn set(&mut self, key: &[u8], value: Vec<u8>) {
        *self.versions.entry(key.to_vec()).or_default() += 1;
        self.values.insert(key.to_vec(), Value::String(value));
    }

    fn hash_mut(&mut self, key: &[u8]) -> Result<&mut Fields> {
        *self.versions.entry(key.to_vec()).or_default() += 1;
        let new = || Value::Hash(Fields::new());
        match self.values.entry(key.to_vec()).or_insert_with(new) {
            Value::Hash(fields) => Ok(fields),
            Value::String(_) => Err(WRONG_TYPE),
        }
    }
}

fn parse(frame: Frame) -> Result<Command> {
    const EXPECTED: &str = "ERR expected an array of strings";
    let Frame::Array(frames) = frame else {
        return Err(EXPECTED);
    };
    let string = |frame| match frame {
        // A copy, since a slice would keep the whole read buffer alive.
        Frame::BulkString(bytes) => Ok(bytes.to_vec()),
        _ => Err(EXPECTED),
    };
    frames.into_iter().map(string).collect()
}

fn integer(string: &[u8]) -> Result<i64> {
    let text = str::from_utf8(string).ok();
    text.and_then(|text| text.parse().ok()).ok_or(NOT_A_NUMBER)
}

fn reply(result: Result) -> Frame {
    result.unwrap_or_else(|message| Frame::Error(message.into()))
}

fn simple(text: &'static str) -> Frame {
    Frame::SimpleString(text.into())
}

fn bulk(string: &[u8]) -> Frame {
    Frame::BulkString(string.to_vec().into())
}

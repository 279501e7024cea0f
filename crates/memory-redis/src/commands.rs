use std::collections::HashMap;

use redis_protocol::resp2::types::BytesFrame as Frame;

/// The database that all connections share.
#[derive(Default)]
pub(crate) struct Database {
    values: HashMap<Vec<u8>, Value>,
}

enum Value {
    String(Vec<u8>),
    Hash(Fields),
}

type Fields = HashMap<Vec<u8>, Vec<u8>>;

/// The name and the arguments.
type Command = Vec<Vec<u8>>;

type Result<T = Frame> = std::result::Result<T, &'static str>;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_A_NUMBER: &str = "ERR value is not an integer or out of range";

impl Database {
    pub(crate) fn reply(&mut self, frame: Frame) -> Frame {
        let reply = parse(frame).and_then(|command| self.execute(&command));
        reply.unwrap_or_else(|message| Frame::Error(message.into()))
    }

    fn execute(&mut self, command: &[Vec<u8>]) -> Result {
        let (name, arguments) = command.split_first().ok_or("ERR empty command")?;
        match (&name.to_ascii_uppercase()[..], arguments) {
            (b"PING", []) => Ok(simple("PONG")),
            (b"GET", [key]) => Ok(self.string(key)?.map_or(Frame::Null, bulk)),
            (b"SET", [key, value]) => {
                self.set(key, value.clone());
                Ok(simple("OK"))
            }
            (b"DEL", [key]) => Ok(Frame::Integer(self.values.remove(key).is_some().into())),
            (b"INCRBY", [key, increment]) => Ok(Frame::Integer(self.incrby(key, increment)?)),
            // No Lua: the one script of the workshop increments a counter unless the update, a number,
            // has been applied. No key lives long enough to expire.
            (b"EVAL", [_, _, counter, key, increment, update, _seconds]) => {
                let last = self.string(key)?.map_or(Ok(-1), integer)?;
                if last < integer(update)? {
                    self.incrby(counter, increment)?;
                    self.set(key, update.clone());
                }
                Ok(Frame::Null)
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

    fn incrby(&mut self, key: &[u8], increment: &[u8]) -> Result<i64> {
        let increment = integer(increment)?;
        let number = self.string(key)?.map_or(Ok(0), integer)?;
        let sum = number.checked_add(increment);
        let sum = sum.ok_or("ERR increment or decrement would overflow")?;
        self.set(key, sum.to_string().into_bytes());
        Ok(sum)
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
        self.values.insert(key.to_vec(), Value::String(value));
    }

    fn hash_mut(&mut self, key: &[u8]) -> Result<&mut Fields> {
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

fn simple(text: &'static str) -> Frame {
    Frame::SimpleString(text.into())
}

fn bulk(string: &[u8]) -> Frame {
    Frame::BulkString(string.to_vec().into())
}

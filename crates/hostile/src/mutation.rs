use proptest::{
    prelude::*,
    sample::{Index, select},
};

/// A corruption of bytes at a random position.
#[derive(Debug, Clone)]
pub(crate) enum Mutation {
    Insert(Index, u8),
    Replace(Index, u8),
    FlipBit(Index, u8),
    Remove(Index),
    Truncate(Index),
    Repeat(Index, Index),
}

pub(crate) fn mutation() -> impl Strategy<Value = Mutation> {
    let position = any::<Index>;
    let byte = || prop_oneof![select(&b"\0\r\n \t:/%;,\x7f\x80\xff"[..]), any::<u8>()];
    prop_oneof![
        (position(), byte()).prop_map(|(position, byte)| Mutation::Insert(position, byte)),
        (position(), byte()).prop_map(|(position, byte)| Mutation::Replace(position, byte)),
        (position(), 0_u8..8).prop_map(|(position, bit)| Mutation::FlipBit(position, bit)),
        position().prop_map(Mutation::Remove),
        position().prop_map(Mutation::Truncate),
        (position(), position()).prop_map(|(start, end)| Mutation::Repeat(start, end)),
    ]
}

impl Mutation {
    pub(crate) fn apply(self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match self {
            Self::Insert(position, byte) => bytes.insert(position.index(length), byte),
            Self::Replace(position, byte) => bytes[position.index(length)] = byte,
            Self::FlipBit(position, bit) => bytes[position.index(length)] ^= 1 << bit,
            Self::Remove(position) => _ = bytes.remove(position.index(length)),
            Self::Truncate(position) => bytes.truncate(position.index(length)),
            Self::Repeat(start, end) => {
                let (start, end) = (start.index(length), end.index(length));
                bytes.extend_from_within(start.min(end)..start.max(end));
            }
        }
    }
}

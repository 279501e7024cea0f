use proptest::{
    collection::vec,
    option::weighted,
    prelude::*,
    sample::{Index, select},
};

use crate::mutation::mutation;

/// What a hostile client writes to a connection, in pieces: up to three requests to such `targets`,
/// malformed in one way or another, or noise.
pub fn requests(targets: impl Strategy<Value = Vec<u8>> + 'static) -> BoxedStrategy<Vec<Vec<u8>>> {
    let requests = vec(request(targets.boxed()), 1..4).prop_map(|requests| requests.concat());
    let bytes = prop_oneof![
        12 => requests,
        1 => vec(any::<u8>(), 0..300),
    ];
    let mutations = prop_oneof![
        2 => Just(Vec::new()),
        1 => vec(mutation(), 1..5),
    ];
    let cut = weighted(0.2, any::<Index>());
    (bytes, mutations, cut)
        .prop_map(|(mut bytes, mutations, cut)| {
            for mutation in mutations {
                mutation.apply(&mut bytes);
            }
            split(&bytes, cut.as_slice())
        })
        .boxed()
}

/// Splits `bytes` at each of the `cuts`.
#[must_use]
pub fn split(bytes: &[u8], cuts: &[Index]) -> Vec<Vec<u8>> {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut start = 0;
    let piece = |end| {
        let piece = bytes[start..end].to_vec();
        start = end;
        piece
    };
    ends.into_iter().map(piece).collect()
}

fn request(paths: BoxedStrategy<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let line_end =
        prop_oneof![12 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\n ")];
    let headers = prop_oneof![20 => vec(header(), 0..6), 1 => vec(header(), 90..120)];
    let line = (method(), target(paths), version());
    (line, headers, line_end, body()).prop_map(
        |((method, target, version), headers, line_end, body)| {
            let line_end = line_end.as_bytes();
            let mut bytes = [&method[..], b" ", &target, b" ", version.as_bytes()].concat();
            for (name, value) in headers {
                bytes.extend([line_end, &name, b": ", &value].concat());
            }
            bytes.extend([line_end, line_end, &body].concat());
            bytes
        },
    )
}

fn method() -> impl Strategy<Value = Vec<u8>> {
    const COMMON: &[&str] = &["GET", "GET", "HEAD", "POST"];
    #[rustfmt::skip]
    const RARE: &[&str] = &[
        "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PRI", "get", "M-SEARCH", "",
    ];
    prop_oneof![
        12 => select(COMMON).prop_map(Into::into),
        3 => select(RARE).prop_map(Into::into),
        1 => vec(any::<u8>(), 0..12),
        1 => Just(vec![b'A'; 300]),
    ]
}

/// A path, or one of the other forms of a request target.
fn target(paths: BoxedStrategy<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    #[rustfmt::skip]
    const ORIGINS: &[&str] = &[
        "http://here", "https://[::1]:80", "http://", "http://u:p@here:99999", "file://", "x:",
    ];
    const OTHER: &[&str] = &["*", "", "here:80", "[::1]:99999", "@", ":", "?", "here"];
    let absolute = (select(ORIGINS), paths.clone());
    prop_oneof![
        16 => paths.clone(),
        2 => absolute.prop_map(|(origin, path)| [origin.as_bytes(), &path].concat()),
        1 => select(OTHER).prop_map(Into::into),
        1 => (paths, 0_usize..20_000).prop_map(|(path, more)| [path, vec![b'a'; more]].concat()),
    ]
}

fn version() -> impl Strategy<Value = &'static str> {
    const COMMON: &[&str] = &["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"];
    #[rustfmt::skip]
    const RARE: &[&str] = &[
        "HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/1.1 ", "HTTP/11", "http/1.1", "HTTP/1", "",
    ];
    prop_oneof![12 => select(COMMON), 1 => select(RARE)]
}

#[rustfmt::skip]
const HEADERS: &[(&str, &[&str])] = &[
    ("host", &["here", "", "a b", "[::1"]),
    ("content-length", &[
        "0", "5", "5, 5", "5,6", "-1", "+5", "0x5", " 5 ", "18446744073709551615",
        "18446744073709551616", "67108865", "",
    ]),
    ("Content-Length", &["12"]),
    ("transfer-encoding", &[
        "chunked", "chunked", "chunked, chunked", "gzip, chunked", "chunked, gzip", "identity",
        "\x0bchunked",
    ]),
    ("Transfer-Encoding", &["CHUNKED"]),
    ("transfer-encoding ", &["chunked"]),
    ("trailer", &["content-length"]),
    ("te", &["trailers, deflate"]),
    ("expect", &["100-continue", "200-ok"]),
    ("connection", &["close", "keep-alive", "upgrade, close, host"]),
    ("upgrade", &["h2c", "websocket"]),
    ("http2-settings", &["AA"]),
    ("range", &[
        "bytes=0-0", "bytes=-1", "bytes=5-2", "bytes=0-0,2-3", "bytes=99999999999999999999-",
        "bytes=18446744073709551615-", "lines=1-2",
    ]),
    ("if-modified-since", &[
        "Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 31 Dec 9999 23:59:59 GMT",
        "Sun, 30 Feb 0000 99:99:99 GMT",
    ]),
    ("if-unmodified-since", &["Thu, 01 Jan 1970 00:00:00 GMT"]),
    ("if-none-match", &["*"]),
    ("accept-encoding", &["gzip;q=9, br;q=-1, *;q=0"]),
    ("accept", &["*/*;q=nan"]),
    ("cookie", &["a=b; a=b"]),
    ("x-forwarded-for", &["127.0.0.1"]),
    ("x-original-url", &["/../secret.txt"]),
    ("x-http-method-override", &["DELETE"]),
    ("origin", &["null"]),
    ("authorization", &["Basic ==="]),
];

fn header() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let known: Vec<_> = HEADERS
        .iter()
        .flat_map(|(name, values)| values.iter().map(|value| (*name, *value)))
        .collect();
    let parsed = select(&["content-length", "range", "host"][..]);
    prop_oneof![
        16 => select(known).prop_map(|(name, value)| (name.into(), value.into())),
        2 => (parsed, vec(any::<u8>(), 0..12)).prop_map(|(name, value)| (name.into(), value)),
        1 => (vec(any::<u8>(), 0..12), vec(any::<u8>(), 0..12)),
        1 => (0_usize..20_000).prop_map(|length| (b"x-long".to_vec(), vec![b'a'; length])),
    ]
}

/// Nothing, bytes, or chunks that are more or less valid.
fn body() -> impl Strategy<Value = Vec<u8>> {
    const LAST_CHUNKS: &[&str] = &[
        "0\r\n\r\n",
        "0\r\n\r\n",
        "0\r\n",
        "",
        "0\r\na: b\r\n\r\n",
        "0\r\n:\0\r\n\r\n",
    ];
    let chunks = vec(prop_oneof![3 => chunk(), 1 => malformed_chunk()], 0..4);
    prop_oneof![
        4 => Just(Vec::new()),
        2 => Just(b"12345".to_vec()),
        2 => vec(any::<u8>(), 0..200),
        3 => (chunks, select(LAST_CHUNKS))
            .prop_map(|(chunks, last)| [chunks.concat(), last.into()].concat()),
    ]
}

fn chunk() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 1..40).prop_map(|data| {
        let size = format!("{:x}\r\n", data.len()).into_bytes();
        [&size[..], &data, b"\r\n"].concat()
    })
}

/// A chunk whose size, data and end do not fit together.
fn malformed_chunk() -> impl Strategy<Value = Vec<u8>> {
    #[rustfmt::skip]
    const SIZES: &[&str] = &[
        "0", "5", "00000000000000005", "ffffffffffffffff", "10000000000000000", "-1", "", "g",
        "5;a=b", "5 ; \"", "0x5", "\0",
    ];
    let size = prop_oneof![
        2 => (0_usize..40).prop_map(|size| format!("{size:x}")),
        1 => select(SIZES).prop_map(str::to_owned),
    ];
    let end = select(&["\r\n", "\r\n", "\n", ""][..]);
    (size, vec(any::<u8>(), 0..40), end).prop_map(|(size, data, end)| {
        let size = size.into_bytes();
        [&size[..], b"\r\n", &data, end.as_bytes()].concat()
    })
}

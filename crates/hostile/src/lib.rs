//! Hostile input: what clients that mean no good send, and what holds of every answer to them.
//!
//! The tests of each service use it on the service's own `run`, over a socket.

use std::{
    env,
    fmt::Debug,
    future::pending,
    net::{Ipv4Addr, SocketAddr},
    panic,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestCaseError, TestError, TestRunner},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{self, Runtime},
    select,
    task::{JoinSet, yield_now},
    time::timeout,
};

/// The inputs of a case: so many connections at a time, each with its own.
pub const INPUTS: usize = 64;

/// A client that has heard nothing for so long closes its side.
const SILENCE: Duration = Duration::from_millis(10);

/// Whoever takes longer to answer, or to let go of a client that has left, hangs. Less than the time
/// after which a service gives up on half a request.
const PATIENCE: Duration = Duration::from_secs(8);

/// All headers that a service sends. None says what it is made of.
const HEADERS: [&str; 18] = [
    "accept-ranges",
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-range",
    "content-security-policy",
    "content-type",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "date",
    "last-modified",
    "location",
    "permissions-policy",
    "referrer-policy",
    "retry-after",
    "transfer-encoding",
    "x-content-type-options",
];

/// What is wrong, for whoever reads the failure.
pub type Outcome = Result<(), String>;

/// A service under attack, on a thread of its own with those who attack it.
pub struct Attacked {
    runtime: Runtime,
    address: SocketAddr,
    /// A path that it must go on to answer with 200.
    good: &'static str,
}

impl Attacked {
    /// Starts a service; it must go on to answer `GET good` with 200.
    ///
    /// # Panics
    ///
    /// When there is no loopback port.
    pub fn start<R>(good: &'static str, run: impl FnOnce(TcpListener) -> R) -> Self
    where
        R: Future<Output = ()> + Send + 'static,
    {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .expect("a loopback port");
        let address = listener.local_addr().expect("it is bound");
        runtime.spawn(run(listener));
        Self {
            runtime,
            address,
            good,
        }
    }

    /// Lets `client` meet the service with each of many `inputs`: [`INPUTS`] times `cases`.
    ///
    /// # Panics
    ///
    /// When the client complains, the service panics, or does not answer well afterwards. The
    /// message has the smallest input that was found.
    pub fn survives<T, C>(
        &self,
        cases: u32,
        inputs: impl Strategy<Value = T>,
        client: impl Fn(SocketAddr, T) -> C,
    ) where
        T: Debug,
        C: Future<Output = Outcome> + Send + 'static,
    {
        hold(cases, &vec(inputs, INPUTS), |inputs| {
            self.runtime.block_on(async {
                let before = panics();
                let mut clients = JoinSet::new();
                for input in inputs {
                    clients.spawn(client(self.address, input));
                }
                while let Some(outcome) = clients.join_next().await {
                    outcome.map_err(|error| error.to_string())??;
                }
                if panics() > before {
                    return Err("it panics".to_owned());
                }
                self.answers_well().await
            })
        });
    }

    async fn answers_well(&self) -> Outcome {
        match ask(self.address, &[get(self.good)]).await?.heads[..] {
            [Head { status: 200, .. }] => Ok(()),
            ref heads => Err(format!("afterwards it answers {heads:?}")),
        }
    }
}

/// Checks that `property` holds for each of `cases` inputs, or of as many as `PROPTEST_CASES` says.
///
/// # Panics
///
/// When it does not; the message has the smallest input that was found. Put that into a test with a
/// name: it is not kept in a file.
pub fn hold<S: Strategy>(cases: u32, inputs: &S, property: impl Fn(S::Value) -> Outcome) {
    let config = Config::default();
    let cases = match env::var_os("PROPTEST_CASES") {
        Some(_) => config.cases,
        None => cases,
    };
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..config
    });
    match runner.run(inputs, |input| property(input).map_err(TestCaseError::fail)) {
        Ok(()) => {}
        Err(TestError::Fail(reason, _)) => panic!("{reason}"),
        Err(error) => panic!("{error}"),
    }
}

/// How often something has panicked, in any task: tokio reports that of one which nobody waits for
/// to nobody.
fn panics() -> usize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    static COUNT: Once = Once::new();
    COUNT.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            report(panic);
        }));
    });
    PANICS.load(Ordering::Relaxed)
}

/// A request as it should be, after which the connection ends.
#[must_use]
pub fn get(target: impl AsRef<[u8]>) -> Vec<u8> {
    let end = b" HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";
    [b"GET ", target.as_ref(), end].concat()
}

/// What a client that waits for its answer gets, from sending these pieces one by one up to the end
/// of the connection.
///
/// # Errors
///
/// When the connection does not end, or what comes is not [valid](Answers).
pub async fn ask(address: SocketAddr, pieces: &[Vec<u8>]) -> Result<Answers, String> {
    converse(address, pieces, PATIENCE).await
}

/// What a client gets that hangs up once it hears nothing more.
///
/// # Errors
///
/// When the service does not let go of it, or what comes is not [valid](Answers).
pub async fn attack(address: SocketAddr, pieces: &[Vec<u8>]) -> Result<Answers, String> {
    converse(address, pieces, SILENCE).await
}

async fn converse(
    address: SocketAddr,
    pieces: &[Vec<u8>],
    silence: Duration,
) -> Result<Answers, String> {
    let stream = TcpStream::connect(address).await;
    let mut stream = stream.map_err(|error| format!("it takes no connection: {error}"))?;
    // So many connections would leave no port for the next ones.
    let _ = stream.set_zero_linger();
    let _ = stream.set_nodelay(true);
    let mut answer = Vec::new();
    let (mut answers, mut requests) = stream.split();
    let write = async {
        for piece in pieces {
            // A service may close before it has read everything.
            if requests.write_all(piece).await.is_err() {
                break;
            }
            yield_now().await;
        }
        pending::<()>().await;
    };
    let read = async {
        while let Ok(read) = timeout(silence, answers.read_buf(&mut answer)).await {
            if !matches!(read, Ok(1..)) {
                return true;
            }
        }
        false
    };
    let ended = select! {
        ended = read => ended,
        () = write => false,
    };
    if !ended {
        let _ = requests.shutdown().await;
        let end = timeout(PATIENCE, answers.read_to_end(&mut answer)).await;
        if silence == PATIENCE || end.is_err() {
            return Err(format!("it hangs after {}", show(&pieces.concat())));
        }
    }
    Answers::read(answer)
        .map_err(|error| format!("{} is answered by {error}", show(&pieces.concat())))
}

/// What a service answered on a connection: HTTP, no failure of its own (5xx; but 503, which it says
/// on purpose, is none), and no header but those that we send.
#[derive(Debug)]
pub struct Answers {
    /// All of it.
    pub bytes: Vec<u8>,
    /// The head of each answer.
    pub heads: Vec<Head>,
}

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|header| header.0 == name);
        header.map(|(_, value)| value.as_str())
    }
}

impl Answers {
    fn read(bytes: Vec<u8>) -> Result<Self, String> {
        const START: &[u8] = b"HTTP/1.";
        if !bytes.starts_with(START) && !START.starts_with(&bytes) {
            return Err(show(&bytes));
        }
        let mut heads = Vec::new();
        let mut rest = &bytes[..];
        while let Some(start) = position(rest, START) {
            rest = &rest[start..];
            // The service cut off what it was sent beyond what it wanted to read.
            let Some(end) = position(rest, END) else {
                break;
            };
            heads.push(head(&rest[..end]).ok_or_else(|| show(rest))?);
            rest = &rest[end..];
        }
        Ok(Self { bytes, heads })
    }

    /// The body of the first.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        position(&self.bytes, END).map_or(b"", |end| &self.bytes[end + END.len()..])
    }
}

/// The end of a head.
const END: &[u8] = b"\r\n\r\n";

fn head(bytes: &[u8]) -> Option<Head> {
    let mut lines = str::from_utf8(bytes).ok()?.split("\r\n");
    let (version, status) = lines.next()?.split_once(' ')?;
    let (status, reason) = status.split_once(' ')?;
    let status = status
        .parse()
        .ok()
        .filter(|status| (100..500).contains(status) || *status == 503)?;
    let plain = |text: &str| !text.chars().any(char::is_control);
    let headers: Vec<_> = lines
        .map(|line| {
            let (name, value) = line.split_once(": ")?;
            let known = HEADERS.contains(&name) && plain(value);
            known.then(|| (name.to_owned(), value.to_owned()))
        })
        .collect::<Option<_>>()?;
    let valid = matches!(version, "HTTP/1.0" | "HTTP/1.1") && plain(reason);
    valid.then_some(Head { status, headers })
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// Bytes as a failure shows them: they can be pasted into a test.
#[must_use]
pub fn show(bytes: &[u8]) -> String {
    format!("b\"{}\"", bytes.escape_ascii())
}

/// What a hostile client sends on a connection, in pieces: requests with something wrong about them
/// to such `targets`, one after the other, or noise.
pub fn hostile(targets: impl Strategy<Value = Vec<u8>> + 'static) -> BoxedStrategy<Vec<Vec<u8>>> {
    let requests = vec(request(targets.boxed()), 1..4).prop_map(|requests| requests.concat());
    let bytes = prop_oneof![
        12 => requests,
        1 => vec(any::<u8>(), 0..300),
    ];
    let flaws = prop_oneof![
        2 => Just(Vec::new()),
        1 => vec(flaw(), 1..5),
    ];
    (
        bytes,
        flaws,
        proptest::option::weighted(0.2, any::<Index>()),
    )
        .prop_map(|(mut bytes, flaws, cut)| {
            for flaw in flaws {
                flaw.mar(&mut bytes);
            }
            pieces(&bytes, cut.as_slice())
        })
        .boxed()
}

/// `bytes` in as many pieces as there are cuts, and one more.
#[must_use]
pub fn pieces(bytes: &[u8], cuts: &[Index]) -> Vec<Vec<u8>> {
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

/// Paths out of `names` and of what has led astray other servers: ways up, encodings, NUL.
pub fn targets(names: &'static [&'static str]) -> BoxedStrategy<Vec<u8>> {
    const TRICKS: &[&[u8]] = &[
        b"/",
        b"/",
        b"//",
        b".",
        b"..",
        b"/../",
        b"/./",
        b"%2e",
        b"%2E%2e",
        b"..%2f",
        b"%2F",
        b"%5c",
        b"\\",
        b"..\\",
        b"%00",
        b"\0",
        b"%",
        b"%f",
        b"%zz",
        b"%ff",
        b"%C0%AF",
        b"%c0%ae%c0%ae/",
        b"%252e%252e%252f",
        b"%u002e",
        b"?",
        b"?a=b&c",
        b"#",
        b";",
        b":",
        b"@",
        b"*",
        b"~",
        b" ",
        b"%20",
        b"+",
        b"-",
        b"\t",
        b"\"",
        b"<script>",
        b"\xc3\xbc",
        b"\xff",
        b"http://",
        b"//evil.example",
        b"C:",
        b"/etc/passwd",
        b"/proc/self/environ",
        b"NUL",
    ];
    let name = select(names).prop_map(|name| name.as_bytes().to_vec());
    let trick = select(TRICKS).prop_map(<[u8]>::to_vec);
    let encoded = select(names).prop_map(|name| percent(name.as_bytes()));
    let part =
        prop_oneof![6 => name.clone(), 6 => trick, 1 => encoded, 1 => vec(any::<u8>(), 0..6)];
    let path = vec(part, 0..7).prop_map(|parts| [b"/", &parts.concat()[..]].concat());
    prop_oneof![
        3 => name.prop_map(|name| [b"/", &name[..]].concat()),
        6 => path,
    ]
    .boxed()
}

fn percent(bytes: &[u8]) -> Vec<u8> {
    let encode = |byte| format!("%{byte:02x}").into_bytes();
    bytes.iter().flat_map(encode).collect()
}

fn request(targets: BoxedStrategy<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let line_end =
        prop_oneof![12 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\n ")];
    let headers = prop_oneof![20 => vec(header(), 0..6), 1 => vec(header(), 90..120)];
    (
        method(),
        target(targets),
        version(),
        headers,
        line_end,
        content(),
    )
        .prop_map(|(method, target, version, headers, line_end, body)| {
            let mut bytes = [&method[..], b" ", &target, b" ", version.as_bytes()].concat();
            for (name, value) in headers {
                bytes.extend([line_end.as_bytes(), &name, b": ", &value].concat());
            }
            bytes.extend([line_end.as_bytes(), line_end.as_bytes(), &body].concat());
            bytes
        })
}

fn method() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        12 => select(&["GET", "GET", "HEAD", "POST"][..]).prop_map(|method| method.as_bytes().to_vec()),
        3 => select(&["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PRI", "get", "M-SEARCH", ""][..])
            .prop_map(|method| method.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..12),
        1 => Just(vec![b'A'; 300]),
    ]
}

/// A path, or one of the other forms that the target of a request can have.
fn target(paths: BoxedStrategy<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let absolute = (
        select(
            &[
                "http://here",
                "https://[::1]:80",
                "http://",
                "http://u:p@here:99999",
                "file://",
                "x:",
            ][..],
        ),
        paths.clone(),
    );
    prop_oneof![
        16 => paths.clone(),
        2 => absolute.prop_map(|(origin, path)| [origin.as_bytes(), &path].concat()),
        1 => select(&["*", "", "here:80", "[::1]:99999", "@", ":", "?", "here"][..])
            .prop_map(|target| target.as_bytes().to_vec()),
        1 => (paths, 0_usize..20_000).prop_map(|(path, more)| [path, vec![b'a'; more]].concat()),
    ]
}

fn version() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        12 => select(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"][..]),
        1 => select(&["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/1.1 ", "HTTP/11", "http/1.1", "HTTP/1", ""][..]),
    ]
}

fn header() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    const KNOWN: &[(&str, &str)] = &[
        ("host", "here"),
        ("host", ""),
        ("host", "a b"),
        ("host", "[::1"),
        ("content-length", "0"),
        ("content-length", "5"),
        ("content-length", "5, 5"),
        ("content-length", "5,6"),
        ("content-length", "-1"),
        ("content-length", "+5"),
        ("content-length", "0x5"),
        ("content-length", " 5 "),
        ("content-length", "18446744073709551615"),
        ("content-length", "18446744073709551616"),
        ("content-length", "67108865"),
        ("content-length", ""),
        ("Content-Length", "12"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "chunked"),
        ("Transfer-Encoding", "CHUNKED"),
        ("transfer-encoding", "chunked, chunked"),
        ("transfer-encoding", "gzip, chunked"),
        ("transfer-encoding", "chunked, gzip"),
        ("transfer-encoding", "identity"),
        ("transfer-encoding", "\x0bchunked"),
        ("transfer-encoding ", "chunked"),
        ("trailer", "content-length"),
        ("te", "trailers, deflate"),
        ("expect", "100-continue"),
        ("expect", "200-ok"),
        ("connection", "close"),
        ("connection", "keep-alive"),
        ("connection", "upgrade, close, host"),
        ("upgrade", "h2c"),
        ("upgrade", "websocket"),
        ("http2-settings", "AA"),
        ("range", "bytes=0-0"),
        ("range", "bytes=-1"),
        ("range", "bytes=5-2"),
        ("range", "bytes=0-0,2-3"),
        ("range", "bytes=99999999999999999999-"),
        ("range", "bytes=18446744073709551615-"),
        ("range", "lines=1-2"),
        ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("if-modified-since", "Fri, 31 Dec 9999 23:59:59 GMT"),
        ("if-modified-since", "Sun, 30 Feb 0000 99:99:99 GMT"),
        ("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("if-none-match", "*"),
        ("accept-encoding", "gzip;q=9, br;q=-1, *;q=0"),
        ("accept", "*/*;q=nan"),
        ("cookie", "a=b; a=b"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-original-url", "/../secret.txt"),
        ("x-http-method-override", "DELETE"),
        ("origin", "null"),
        ("authorization", "Basic ==="),
    ];
    prop_oneof![
        16 => select(KNOWN).prop_map(|(name, value)| (name.into(), value.into())),
        2 => (select(&["content-length", "range", "host"][..]), vec(any::<u8>(), 0..12))
            .prop_map(|(name, value)| (name.into(), value)),
        1 => (vec(any::<u8>(), 0..12), vec(any::<u8>(), 0..12)),
        1 => (0_usize..20_000).prop_map(|length| (b"x-long".to_vec(), vec![b'a'; length])),
    ]
}

/// What comes after a head: nothing, bytes, or chunks that are more or less as they should be.
fn content() -> impl Strategy<Value = Vec<u8>> {
    const SIZES: &[&str] = &[
        "0",
        "5",
        "00000000000000005",
        "ffffffffffffffff",
        "10000000000000000",
        "-1",
        "",
        "g",
        "5;a=b",
        "5 ; \"",
        "0x5",
        "\0",
    ];
    let chunk = (
        prop_oneof![
            2 => (0_usize..40).prop_map(|size| format!("{size:x}")),
            1 => select(SIZES).prop_map(str::to_owned),
        ],
        vec(any::<u8>(), 0..40),
        select(&["\r\n", "\r\n", "\n", ""][..]),
    );
    let chunk = chunk.prop_map(|(size, data, end)| {
        let size = size.into_bytes();
        [&size[..], b"\r\n", &data, end.as_bytes()].concat()
    });
    let good_chunk = vec(any::<u8>(), 1..40).prop_map(|data| {
        let size = format!("{:x}\r\n", data.len()).into_bytes();
        [&size[..], &data, b"\r\n"].concat()
    });
    let end = select(
        &[
            "0\r\n\r\n",
            "0\r\n\r\n",
            "0\r\n",
            "",
            "0\r\na: b\r\n\r\n",
            "0\r\n:\0\r\n\r\n",
        ][..],
    );
    let chunks = vec(prop_oneof![3 => good_chunk, 1 => chunk], 0..4);
    prop_oneof![
        4 => Just(Vec::new()),
        2 => Just(b"12345".to_vec()),
        2 => vec(any::<u8>(), 0..200),
        3 => (chunks, end).prop_map(|(chunks, end)| [chunks.concat(), end.into()].concat()),
    ]
}

/// Something that is wrong with bytes, at a place.
#[derive(Debug, Clone)]
enum Flaw {
    Inserted(Index, u8),
    Replaced(Index, u8),
    Flipped(Index, u8),
    Removed(Index),
    Truncated(Index),
    Repeated(Index, Index),
}

fn flaw() -> impl Strategy<Value = Flaw> {
    let place = any::<Index>;
    let byte = || prop_oneof![select(&b"\0\r\n \t:/%;,\x7f\x80\xff"[..]), any::<u8>()];
    prop_oneof![
        (place(), byte()).prop_map(|(place, byte)| Flaw::Inserted(place, byte)),
        (place(), byte()).prop_map(|(place, byte)| Flaw::Replaced(place, byte)),
        (place(), 0_u8..8).prop_map(|(place, bit)| Flaw::Flipped(place, bit)),
        place().prop_map(Flaw::Removed),
        place().prop_map(Flaw::Truncated),
        (place(), place()).prop_map(|(start, end)| Flaw::Repeated(start, end)),
    ]
}

impl Flaw {
    fn mar(self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match self {
            Self::Inserted(place, byte) => bytes.insert(place.index(length), byte),
            Self::Replaced(place, byte) => bytes[place.index(length)] = byte,
            Self::Flipped(place, bit) => bytes[place.index(length)] ^= 1 << bit,
            Self::Removed(place) => _ = bytes.remove(place.index(length)),
            Self::Truncated(place) => bytes.truncate(place.index(length)),
            Self::Repeated(start, end) => {
                let (start, end) = (start.index(length), end.index(length));
                bytes.extend_from_within(start.min(end)..start.max(end));
            }
        }
    }
}

/// What somebody may put into a variable, out of `words` and of what is odd in a line or a URL. No
/// NUL: the environment can hold none.
pub fn values(words: &'static [&'static str]) -> BoxedStrategy<String> {
    const ODD: &[&str] = &[
        " ",
        "\n",
        "\r\n",
        "\t",
        "\u{1b}[31m",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{202e}",
        "\u{feff}",
        "\u{fffd}",
        "\"",
        "'",
        "\\",
        "`",
        "$X",
        "/",
        "//",
        "/../",
        ".",
        "..",
        ":",
        "@",
        "?",
        "#",
        "%",
        "%0a",
        "%00",
        "&",
        "=",
        ",",
        ";",
        "-",
        "+",
        "_",
        "[",
        "]",
        "[::1]",
        "0",
        "1",
        "9",
        "65535",
        "65536",
        "18446744073709551616",
        "1e9",
        "0x1",
        "\u{663}",
        "é",
        "ü.example",
        "localhost",
        "127.0.0.1",
        "999.1.1.1",
        ":80",
        ":0",
        ":65536",
        "user:password@",
        "xn--",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
    ];
    let part = prop_oneof![
        4 => select(words).prop_map(str::to_owned),
        3 => select(ODD).prop_map(str::to_owned),
        1 => any::<u64>().prop_map(|number| number.to_string()),
        1 => vec(any::<char>(), 0..8).prop_map(String::from_iter),
    ];
    prop_oneof![
        1 => select(words).prop_map(str::to_owned),
        8 => vec(part, 0..6).prop_map(|parts| parts.concat()),
    ]
    .prop_map(|value| value.replace('\0', ""))
    .boxed()
}

/// Checks that what is said of a value that is not valid is one line, with the name, the value and
/// the way out, in which nothing can pass for another line.
///
/// # Errors
///
/// When it is not.
pub fn is_one_line(message: &str, name: &str, value: &str) -> Outcome {
    let start = format!("{name} is {value:?}, but it must be ");
    let way_out = message.strip_prefix(&start).unwrap_or_default();
    let forged = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202e}');
    if way_out.is_empty() || message.contains(forged) {
        Err(format!("{name}={value:?} is refused by {message:?}"))
    } else {
        Ok(())
    }
}

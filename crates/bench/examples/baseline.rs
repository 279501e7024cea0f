//! The baseline: the services with the standard library alone, and with the same look-ups, connections,
//! delays and lines of log.

use std::{
    env,
    fs::File,
    io::{Error, Read, Result, Write, stdout},
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    thread,
    time::{Duration, Instant},
};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["rng"] => rng(),
        ["hasher"] => hasher(),
        ["webui"] => webui(),
        ["worker"] => worker(),
        ["probe", count, service] => probe(count.parse().map_err(Error::other)?, service),
        ["healthcheck"] => Ok(()),
        _ => Err(Error::other(format!("unknown arguments {arguments:?}"))),
    }
}

/// The simulated work: `DELAY` in milliseconds, such as `100ms` or `0`.
fn delay() -> Result<Duration> {
    let delay = env::var("DELAY").map_err(Error::other)?;
    let milliseconds = delay.trim_end_matches("ms").parse();
    Ok(Duration::from_millis(milliseconds.map_err(Error::other)?))
}

/// One request at a time: the queue is the backlog of the listener.
fn rng() -> Result<()> {
    let (listener, delay) = (TcpListener::bind("0.0.0.0:80")?, delay()?);
    let mut random = File::open("/dev/urandom")?;
    for stream in listener.incoming() {
        let _ = answer(&stream?, delay, |_| {
            let mut bytes = [0; 32];
            random.read_exact(&mut bytes)?;
            Ok(bytes.to_vec())
        });
    }
    Ok(())
}

/// A thread for each connection. The standard library has no SHA-256: the bytes themselves, in hex,
/// begin with a zero as often as their digest.
fn hasher() -> Result<()> {
    let (listener, delay) = (TcpListener::bind("0.0.0.0:80")?, delay()?);
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            answer(&stream, delay, |body| {
                let hex = body.iter().map(|byte| format!("{byte:02x}"));
                Ok(hex.collect::<String>().into_bytes())
            })
        });
    }
    Ok(())
}

/// `/json`, from redis.
fn webui() -> Result<()> {
    let (listener, mut redis) = (TcpListener::bind("0.0.0.0:80")?, connect_to_redis()?);
    for stream in listener.incoming() {
        let _ = answer(&stream?, Duration::ZERO, |_| {
            let coins = command(&mut redis, &[b"HLEN", b"wallet"])?;
            let hashes = command(&mut redis, &[b"GET", b"hashes"])?;
            let numbers = format!("{{\"coins\": {coins:?}, \"hashes\": {hashes:?}}}");
            Ok(numbers.into_bytes())
        });
    }
    Ok(())
}

/// Reads a request, works for `delay`, and answers with the body that `body` makes of the request's.
fn answer(
    mut stream: &TcpStream,
    delay: Duration,
    body: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
) -> Result<()> {
    let mut request = [0; 1024];
    let mut read = 0;
    let start_of_body = loop {
        match stream.read(&mut request[read..])? {
            0 => return Ok(()),
            n => read += n,
        }
        let request = &request[..read];
        let end_of_head = request.windows(4).position(|four| four == b"\r\n\r\n");
        let body = if request.starts_with(b"POST") { 32 } else { 0 };
        if let Some(start_of_body) = end_of_head.map(|end| end + 4)
            && read >= start_of_body + body
        {
            break start_of_body;
        }
    };
    if !delay.is_zero() {
        thread::sleep(delay);
    }
    let body = body(&request[start_of_body..read])?;
    if !env::var("RUST_LOG").is_ok_and(|filter| filter.contains("access=off")) {
        // As long as a line of the application's access log, which the engine needs CPU to read.
        writeln!(stdout(), "{:<80}", body.len())?;
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat())
}

/// The loop of worker. It counts in redis as worker does, but in one command.
fn worker() -> Result<()> {
    let delay = delay()?;
    loop {
        // The other services may not have started yet.
        if work_loop(delay).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn work_loop(delay: Duration) -> Result<()> {
    let mut redis = connect_to_redis()?;
    let (mut units, mut updated) = (0, None::<Instant>);
    loop {
        if updated.is_none_or(|updated| updated.elapsed() >= Duration::from_secs(1)) {
            writeln!(
                stdout(),
                "{units} units of work done, updating hash counter"
            )?;
            let increment = units.to_string();
            command(&mut redis, &[b"INCRBY", b"hashes", increment.as_bytes()])?;
            (units, updated) = (0, Some(Instant::now()));
        }
        if !delay.is_zero() {
            thread::sleep(delay);
        }
        let bytes = send(resolve("rng")?, &get("rng", "32"))?;
        let digest = send(resolve("hasher")?, &post("hasher", &bytes))?;
        units += 1;
        if digest.first() == Some(&b'0') {
            command(&mut redis, &[b"HSET", b"wallet", &digest, &bytes])?;
        }
    }
}

fn connect_to_redis() -> Result<TcpStream> {
    // Redis may not have started yet.
    let redis = loop {
        match TcpStream::connect("redis:6379") {
            Ok(redis) => break redis,
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    };
    redis.set_nodelay(true)?;
    Ok(redis)
}

/// Sends a command to redis and returns the reply, which is short.
fn command(redis: &mut TcpStream, words: &[&[u8]]) -> Result<String> {
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        write!(request, "${}\r\n", word.len())?;
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
    redis.write_all(&request)?;
    let mut reply = [0; 64];
    match redis.read(&mut reply)? {
        0 => Err(Error::other("redis closed the connection")),
        n => Ok(String::from_utf8_lossy(&reply[..n]).into_owned()),
    }
}

fn resolve(service: &str) -> Result<SocketAddr> {
    let mut addresses = (service, 80).to_socket_addrs()?;
    addresses.next().ok_or(Error::other("no address"))
}

fn get(host: &str, path: &str) -> Vec<u8> {
    format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

fn post(host: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 32\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Sends a request on a new connection and returns the body of the answer.
fn send(address: SocketAddr, request: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(request)?;
    let mut answer = Vec::with_capacity(1024);
    stream.read_to_end(&mut answer)?;
    if !answer.starts_with(b"HTTP/1.1 200") {
        return Err(Error::other(String::from_utf8_lossy(&answer)));
    }
    let end_of_head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end_of_head = end_of_head.ok_or(Error::other("no head"))?;
    Ok(answer.split_off(end_of_head + 4))
}

/// Requests a service `count` times, and prints the microseconds of each look-up and of each request.
fn probe(count: usize, service: &str) -> Result<()> {
    let request = match service {
        "rng" => get(service, "32"),
        "hasher" => post(service, &[7; 32]),
        _ => get(service, "json"),
    };
    // Printed at the end: the engine reads the output, and answers the look-ups.
    let mut times = Vec::new();
    for _ in 0..count {
        let start = Instant::now();
        let address = resolve(service)?;
        let look_up = start.elapsed().as_micros();
        let start = Instant::now();
        send(address, &request)?;
        writeln!(times, "{look_up} {}", start.elapsed().as_micros())?;
    }
    stdout().write_all(&times)
}

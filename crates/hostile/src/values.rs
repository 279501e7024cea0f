use anyhow::{Result, ensure};
use proptest::{collection::vec, prelude::*, sample::select};

/// Odd in a line of text, a number or a URL.
#[rustfmt::skip]
const PAYLOADS: &[&str] = &[
    " ", "\n", "\r\n", "\t", "\u{1b}[31m", "\u{7f}", "\u{85}", "\u{2028}", "\u{202e}", "\u{feff}",
    "\u{fffd}", "\"", "'", "\\", "`", "$X", "/", "//", "/../", ".", "..", ":", "@", "?", "#", "%",
    "%0a", "%00", "&", "=", ",", ";", "-", "+", "_", "[", "]", "[::1]", "0", "1", "9", "65535",
    "65536", "18446744073709551616", "1e9", "0x1", "\u{663}", "é", "ü.example", "localhost",
    "127.0.0.1", "999.1.1.1", ":80", ":0", ":65536", "user:password@", "xn--",
    "aaaaaaaaaaaaaaaaaaaaaaaa",
];

/// Values of an environment variable, which can hold no NUL, made of `words` and payloads.
pub fn values(words: &'static [&'static str]) -> BoxedStrategy<String> {
    let part = prop_oneof![
        4 => select(words).prop_map(str::to_owned),
        3 => select(PAYLOADS).prop_map(str::to_owned),
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

/// Checks the message about an invalid value: one line with the name, the value and the way out, in
/// which nothing can pass for a second line.
///
/// # Errors
///
/// When it is not.
pub fn ensure_one_line(message: &str, name: &str, value: &str) -> Result<()> {
    let start = format!("{name} is {value:?}, but it must be ");
    let way_out = message.strip_prefix(&start).unwrap_or_default();
    let forged = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202e}');
    ensure!(
        !way_out.is_empty() && !message.contains(forged),
        "{name}={value:?} is refused with {message:?}"
    );
    Ok(())
}

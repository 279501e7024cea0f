use proptest::{collection::vec, prelude::*, sample::select};

/// Path traversal, encodings, delimiters and absolute forms.
#[rustfmt::skip]
const PAYLOADS: &[&[u8]] = &[
    b"/", b"/", b"//", b".", b"..", b"/../", b"/./", b"%2e", b"%2E%2e", b"..%2f", b"%2F", b"%5c",
    b"\\", b"..\\", b"%00", b"\0", b"%", b"%f", b"%zz", b"%ff", b"%C0%AF", b"%c0%ae%c0%ae/",
    b"%252e%252e%252f", b"%u002e", b"?", b"?a=b&c", b"#", b";", b":", b"@", b"*", b"~", b" ",
    b"%20", b"+", b"-", b"\t", b"\"", b"<script>", b"\xc3\xbc", b"\xff", b"http://",
    b"//evil.example", b"C:", b"/etc/passwd", b"/proc/self/environ", b"NUL",
];

/// Paths made of `names`, plain and percent-encoded, and of payloads that have misled other servers.
pub fn targets(names: &'static [&'static str]) -> BoxedStrategy<Vec<u8>> {
    let name = select(names).prop_map(|name| name.as_bytes().to_vec());
    let payload = select(PAYLOADS).prop_map(<[u8]>::to_vec);
    let encoded = select(names).prop_map(|name| percent_encode(name.as_bytes()));
    let part =
        prop_oneof![6 => name.clone(), 6 => payload, 1 => encoded, 1 => vec(any::<u8>(), 0..6)];
    let path = vec(part, 0..7).prop_map(|parts| [b"/", &parts.concat()[..]].concat());
    prop_oneof![
        3 => name.prop_map(|name| [b"/", &name[..]].concat()),
        6 => path,
    ]
    .boxed()
}

/// All of it, also what needs no encoding.
fn percent_encode(bytes: &[u8]) -> Vec<u8> {
    let encode = |byte| format!("%{byte:02x}").into_bytes();
    bytes.iter().flat_map(encode).collect()
}

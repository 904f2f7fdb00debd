//! Where a node is called: a TCP address, or a command whose pipe is the link.

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use std::fmt;
use std::net::Ipv6Addr;

/// The port of a node that listens, unless its address names another.
pub const PORT: u16 = 5404;

/// The longest name of a host, in characters.
const HOST_MOST_LEN: usize = 253;

/// An address of a node. Prints as it is read, with its port and with a command's words in quotes where they need them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// `tcp://HOST:PORT`.
    Tcp {
        /// A name, an IPv4 address, or an IPv6 address without its brackets.
        host: String,
        /// Never 0.
        port: u16,
    },
    /// `pipe:COMMAND`: its standard input and output are the link.
    Pipe {
        /// The program and its arguments, at least one word. No shell runs it.
        command: Vec<String>,
    },
}

impl Address {
    /// Reads `tcp://HOST[:PORT]` or `pipe:COMMAND`. The error is the end of a sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Address, String> {
        no_controls(text)?;
        if let Some(place) = text.strip_prefix("tcp://") {
            return tcp(place).map_err(|why| format!("{text:?}: {why}"));
        }
        match text.strip_prefix("pipe:") {
            Some(line) => pipe(line).map_err(|why| format!("{text:?}: {why}")),
            None => Err(format!("{text:?} is neither \"tcp://HOST:PORT\" nor \"pipe:COMMAND\"")),
        }
    }

    /// The same, and `HOST[:PORT]` alone, which is TCP: what people type on a command line.
    pub fn parse_loose(text: &str) -> Result<Address, String> {
        if text.starts_with("pipe:") || text.contains("://") {
            return Address::parse(text);
        }
        no_controls(text)?;
        tcp(text).map_err(|why| format!("{text:?}: {why}"))
    }
}

fn no_controls(text: &str) -> Result<(), String> {
    match text.contains(char::is_control) {
        true => Err(format!("{text:?}: an address has no control characters")),
        false => Ok(()),
    }
}

fn tcp(place: &str) -> Result<Address, String> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (inner, port) = rest.split_once(']').ok_or("the bracket is not closed")?;
            inner.parse::<Ipv6Addr>().map_err(|_| format!("{inner:?} is no IPv6 address"))?;
            (inner, port)
        }
        None => place.find(':').map_or((place, ""), |colon| place.split_at(colon)),
    };
    if !place.starts_with('[') {
        check_host(host, place)?;
    }
    Ok(Address::Tcp { host: host.to_owned(), port: port_of(port)? })
}

fn check_host(host: &str, place: &str) -> Result<(), String> {
    if place.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("an IPv6 address stands in brackets: [{place}]"));
    }
    let is_ours = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_');
    let is_host = (1..=HOST_MOST_LEN).contains(&host.len()) && host.bytes().all(is_ours);
    match is_host && !host.starts_with(['-', '.']) {
        true => Ok(()),
        false => Err(format!("{host:?} is no host")),
    }
}

/// The port in `:PORT`; of nothing the usual one.
fn port_of(text: &str) -> Result<u16, String> {
    if text.is_empty() {
        return Ok(PORT);
    }
    let digits = text.strip_prefix(':').ok_or_else(|| format!("{text:?} stands behind the host"))?;
    let is_digits = digits.bytes().all(|c| c.is_ascii_digit());
    let port = digits.parse().ok().filter(|port| is_digits && *port != 0);
    port.ok_or_else(|| format!("{digits:?} is no port: 1 to 65535"))
}

fn pipe(line: &str) -> Result<Address, String> {
    let command = shlex::split(line).ok_or("a quote is not closed")?;
    // shlex leaves a comment out, as a shell does. Nothing that somebody wrote is ignored here.
    let is_whole = shlex::split(&format!("{line} .")).is_some_and(|words| words.len() == command.len() + 1);
    if !is_whole {
        return Err("a word that begins with # stands in quotes".into());
    }
    match command.first().is_some_and(|program| !program.is_empty()) {
        true => Ok(Address::Pipe { command }),
        false => Err("there is no command".into()),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Address::Pipe { command } => {
                let line = shlex::Quoter::new().allow_nul(true).join(command.iter().map(String::as_str));
                // With NUL allowed there is nothing that cannot be quoted.
                write!(f, "pipe:{}", line.unwrap_or_else(|_| command.join(" ")))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Address::parse(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        into.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.into(), port }
    }

    fn pipe(words: &[&str]) -> Address {
        Address::Pipe { command: words.iter().map(|word| (*word).to_owned()).collect() }
    }

    #[test]
    fn an_address_is_read_and_printed_so_that_it_is_read_the_same() {
        let table = [
            ("tcp://south.example.org:5404", tcp("south.example.org", 5404)),
            ("tcp://south", tcp("south", PORT)),
            ("tcp://10.0.0.1:1", tcp("10.0.0.1", 1)),
            ("tcp://[2001:db8::1]:65535", tcp("2001:db8::1", 65535)),
            ("tcp://[::1]", tcp("::1", PORT)),
            ("pipe:ssh south mb-listen --stdio", pipe(&["ssh", "south", "mb-listen", "--stdio"])),
            ("pipe: sh -c 'a  b' \"c d\" ''", pipe(&["sh", "-c", "a  b", "c d", ""])),
            ("pipe:a\\ b c", pipe(&["a b", "c"])),
            ("pipe:echo $HOME '#x' a#b ü", pipe(&["echo", "$HOME", "#x", "a#b", "ü"])),
        ];
        for (text, address) in table {
            assert_eq!(Address::parse(text).as_ref(), Ok(&address), "{text}");
            assert_eq!(Address::parse(&address.to_string()), Ok(address.clone()), "{address}");
            assert_eq!(Address::parse_loose(text), Ok(address), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        let table = [
            ("", "neither"),
            ("south:5404", "neither"),
            ("udp://south", "neither"),
            ("TCP://south", "neither"),
            ("tcp://", "no host"),
            ("tcp://:5404", "no host"),
            ("tcp://-x", "no host"),
            ("tcp://a b", "no host"),
            ("tcp://büro", "no host"),
            ("tcp://user@south", "no host"),
            ("tcp://south/", "no host"),
            ("tcp://south:5404/", "no port"),
            ("tcp://south:", "no port"),
            ("tcp://south:0", "no port"),
            ("tcp://south:+1", "no port"),
            ("tcp://south:65536", "no port"),
            ("tcp://south:1:2", "no port"),
            ("tcp://::1", "in brackets: [::1]"),
            ("tcp://[::1", "not closed"),
            ("tcp://[south]:1", "no IPv6"),
            ("tcp://[::1]x", "behind the host"),
            ("pipe:", "no command"),
            ("pipe:  ", "no command"),
            ("pipe:'' x", "no command"),
            ("pipe:ssh 'south", "quote"),
            ("pipe:ssh south\\", "quote"),
            ("pipe:ssh south # home", "begins with #"),
            ("pipe:# ssh", "begins with #"),
            ("pipe:a\nb", "control"),
            ("tcp://south\u{9b}", "control"),
        ];
        for (text, why) in table {
            let error = Address::parse(text).expect_err(text);
            assert!(error.contains(why) && !error.contains(char::is_control), "{text:?}: {error}");
        }
        let long = format!("tcp://{}", "a".repeat(HOST_MOST_LEN + 1));
        assert!(Address::parse(&long).is_err());
    }

    #[test]
    fn a_command_line_may_leave_out_the_scheme_of_tcp_only() {
        let table = [("south:77", tcp("south", 77)), ("10.0.0.1", tcp("10.0.0.1", PORT)), ("[::]:1", tcp("::", 1))];
        for (text, address) in table {
            assert_eq!(Address::parse_loose(text), Ok(address), "{text}");
        }
        for bad in ["", "::1", "south:", "http://south", "ssh south", "south\n", "pipe:"] {
            assert!(Address::parse_loose(bad).is_err(), "{bad:?}");
        }
    }
}

//! Configuration files.

use std::path::Path;
use std::sync::LazyLock;

use mb_node::config::{Config, ConfigError, KnownNode, check_name, name_from_host, nearest, parse_size};
use mb_wire::card::{Card, ExchangeKey};

use crate::hand::{BOB, EXCHANGE};

static CARD: LazyLock<String> = LazyLock::new(|| {
    let key = ExchangeKey { suite: 1, public: EXCHANGE.public(), use_until: 0, gone_after: 0 };
    Card::issue(&BOB, vec![key], "bob", 1, 0).expect("a plain card").to_text()
});

/// `config.toml`; the same text as a size, as a name, as a host's name, and as a mistyped word.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Config::parse(Path::new("config.toml"), text) {
        Ok(config) => {
            assert!(config.spool.is_none_or(|path| path.is_absolute()));
            assert!(config.name.is_none_or(|name| check_name(&name).is_ok()));
            assert!(config.reserve < 1 << 53);
        }
        Err(error) => check_place(&error, text),
    }
    assert!(parse_size(text).is_ok_and(|size| size < 1 << 53) || parse_size(text).is_err());
    assert!(name_from_host(text).is_none_or(|name| check_name(&name).is_ok()));
    // As long as an argument may be, this takes a while.
    if text.len() < 100 {
        let _ = nearest(text, ["north", "reserve", ""]);
    }
}

/// `nodes/NAME.toml`. A text that says nothing of a card gets one.
pub fn node_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let text = if text.contains("card") { text.to_owned() } else { format!("card = \"{}\"\n{text}", *CARD) };
    match KnownNode::parse(Path::new("bob.toml"), "bob", &text) {
        Ok(node) => {
            assert!((1..=400).contains(&node.send.ttl) && node.send.nice > 0);
            assert!((1..=64).contains(&node.link.most_sharing));
            assert!(node.accept.folder.is_none_or(|path| path.is_absolute()));
        }
        Err(error) => check_place(&error, &text),
    }
}

fn check_place(error: &ConfigError, text: &str) {
    let line = text.split('\n').nth(error.line - 1).expect("the line is there");
    assert!((1..=line.chars().count() + 1).contains(&error.column), "{error}");
    assert!(!error.to_string().is_empty());
}

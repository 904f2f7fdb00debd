//! Key files.

use std::io;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use ciborium::Value;
use mb_node::home::Home;
use mb_spool::durable::memory::{Options, World};
use mb_wire::cbor;
use mb_wire::hash::{Label, keyed};
use mb_wire::key::{ExchangeSecret, exchange_file_tag};
use mb_wire::sealed::{ArgonCost, open_sealed_seed};

use crate::hand::{ALICE, bytes, map};
use crate::input::Input;
use crate::texts::bech32m;

/// Memory times passes that are tried, in KiB: what is dearer takes longer and teaches nothing.
const COST_MOST: u64 = 256;

/// `node.key` in a folder; nobody is asked for a passphrase.
pub fn key_file(data: &[u8]) {
    let world = World::new(1);
    let dir = world.file_system(Options::default());
    let file = dir.create("node.key".as_ref(), 0o600).expect("the name is free");
    file.write_at(data, 0).expect("there is room");
    let owner = dir.stat_self().expect("it is open").owner;
    match Home::open_in(dir, owner) {
        Ok(home) => {
            if let Ok(secrets) = home.unlock(&mut || Err(io::Error::other("nobody is here"))) {
                assert_eq!(secrets.id(), home.card().id());
            }
        }
        Err(error) => assert!(!error.to_string().contains("mbsecret1q"), "{error}"),
    }
}

/// A sealed seed: 1: the map, in a text with an honest checksum; else the text.
pub fn sealed(data: &[u8]) {
    let mut input = Input(data);
    let text = match input.byte() {
        1 if is_dear(input.0) => return,
        1 => bech32m("mbsealed", input.0),
        // An honest checksum does not come about by chance, so nothing dear comes this way.
        _ => std::str::from_utf8(data).ok().filter(|text| !text.starts_with("mbsealed1")).map(str::to_owned),
    };
    if let Some(text) = text {
        let _ = open_sealed_seed(&text, b"correct horse");
    }
}

fn is_dear(encoded: &[u8]) -> bool {
    let Ok(Value::Map(entries)) = cbor::decode::<Value>(encoded) else { return false };
    let number = |name: &str| {
        let value = entries.iter().find(|(key, _)| key.as_text() == Some(name))?.1.as_integer()?;
        u32::try_from(value).ok()
    };
    let (Some(memory), Some(passes), Some(lanes)) = (number("m"), number("t"), number("p")) else { return false };
    ArgonCost::new(memory, passes, lanes).is_ok() && u64::from(memory) * u64::from(passes) > COST_MOST
}

/// 1: halves, sealed as alice does; else the file as it comes.
pub fn exchange_key(data: &[u8]) {
    let mut input = Input(data);
    let (file, belongs) = match input.byte() {
        1 => {
            let private: [u8; 32] = input.array();
            let own = ExchangeSecret::from_random(private).public();
            let public = if input.0.is_empty() { own } else { input.array() };
            (exchange_file(&private, &public), Some(own == public))
        }
        _ => (data.to_vec(), None),
    };
    let read = ExchangeSecret::from_file(&file, &ALICE);
    assert!(belongs.is_none_or(|belongs| read.is_ok() == belongs));
    if let Ok(key) = read {
        assert_eq!(key.to_file(&ALICE), file);
        assert_eq!(exchange_file_tag(&file), Ok(key.tag()));
    }
}

fn exchange_file(private: &[u8; 32], public: &[u8; 32]) -> Vec<u8> {
    let store = keyed(&[0xa1; 32], Label::Store, &[]);
    let cipher = ChaCha20Poly1305::new((&keyed(&store, Label::Store, &[public])).into());
    let mut sealed = private.to_vec();
    let tag = cipher.encrypt_inout_detached(&[0; 12].into(), &[], sealed.as_mut_slice().into()).expect("short enough");
    sealed.extend_from_slice(&tag);
    cbor::encode(&map([("v", 1.into()), ("box", bytes(sealed)), ("public", bytes(*public))]))
}

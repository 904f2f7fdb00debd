//! What is pasted: ids, cards, secrets.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use bech32::{Bech32m, Hrp};
use mb_wire::area::AreaCard;
use mb_wire::card::Card;
use mb_wire::hash::Label;
use mb_wire::id::{AreaId, KeyTag, LetterId, MsgHash, NodeId, PacketId, Root};
use mb_wire::key::Seed;
use mb_wire::statement::Statement;

use crate::areas;
use crate::hand::{as_signed, statement};
use crate::input::Input;

/// 1 to 5: an honest checksum behind the bytes; else the text as it comes.
pub fn text(data: &[u8]) {
    let mut input = Input(data);
    let prefix = ["mbn", "mbcard", "mbsecret", "mbsealed", "mba"].get(usize::from(input.byte()).wrapping_sub(1));
    let text = match prefix {
        Some(prefix) => bech32m(prefix, input.0),
        None => std::str::from_utf8(data).ok().map(str::to_owned),
    };
    if let Some(text) = text {
        read(&text);
    }
}

/// `bytes` as a text with this prefix, if they are few enough.
pub fn bech32m(prefix: &str, bytes: &[u8]) -> Option<String> {
    bech32::encode_lower::<Bech32m>(Hrp::parse(prefix).ok()?, bytes).ok()
}

fn read(text: &str) {
    id::<NodeId>(text);
    id::<AreaId>(text);
    id::<MsgHash>(text);
    id::<PacketId>(text);
    id::<LetterId>(text);
    id::<Root>(text);
    id::<KeyTag>(text);
    if let Ok(card) = Card::parse(text) {
        assert_eq!(card.to_text(), text.to_ascii_lowercase());
    }
    if let Ok(card) = AreaCard::parse(text) {
        assert_eq!(card.to_text(), text.to_ascii_lowercase());
    }
    areas::secret(text);
    if let Ok(seed) = Seed::from_text(text) {
        assert_eq!(*seed.to_text(), text.to_ascii_lowercase());
    }
}

/// What reads prints as it was spelt; bech32m also in upper case throughout.
fn id<T: FromStr<Err: Display> + Display + Debug>(text: &str) {
    match text.parse::<T>() {
        Ok(id) => assert!(id.to_string() == text || id.to_string().to_ascii_uppercase() == text, "{text} is {id}"),
        Err(error) => assert!(error.to_string().len() < 300),
    }
}

/// 0: a card's content; 1: a statement's map; both signed by alice. Else a statement as it comes.
pub fn card(data: &[u8]) {
    let mut input = Input(data);
    let statement = match input.byte() {
        0 => as_signed(Label::Stmt, &statement("card", input.0)),
        1 => as_signed(Label::Stmt, input.0),
        _ => data.to_vec(),
    };
    if let Ok(read) = Statement::parse(&statement) {
        assert!((1..1 << 53).contains(&read.version) && read.created < 1 << 53);
    }
    if let Ok(card) = Card::from_bytes(&statement) {
        assert_eq!(card.as_bytes(), statement);
        assert_eq!(Card::parse(&card.to_text()).as_ref(), Ok(&card));
        for today in card.keys.iter().flat_map(|key| [key.use_until, key.gone_after, u32::MAX]) {
            let key = card.exchange_key(today);
            assert!(
                key.is_ok_and(|key| key.use_until == 0 || key.use_until >= today) || card.exchange_key(today).is_err()
            );
        }
    }
}

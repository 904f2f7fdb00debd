//! The names that packets have in a queue: `PKT`, `PKT.n`, `PKT.why`.

use std::ffi::OsStr;

use mb_wire::id::PacketId;

/// What a name in a queue stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// `PKT`
    Envelope(PacketId),
    /// `PKT.n`
    Body(PacketId, u16),
    /// `PKT.why`
    Why(PacketId),
    /// Not ours.
    Other,
}

impl Name {
    /// Reads a name; whatever is not spelt exactly as we would is `Other`.
    pub fn parse(name: &OsStr) -> Name {
        let Some(text) = name.to_str() else { return Name::Other };
        let (stem, suffix) = match text.split_once('.') {
            Some((stem, suffix)) => (stem, Some(suffix)),
            None => (text, None),
        };
        let Ok(packet) = stem.parse::<PacketId>() else { return Name::Other };
        match suffix {
            None => Name::Envelope(packet),
            Some("why") => Name::Why(packet),
            Some(digits) => match digits.parse::<u16>() {
                Ok(number) if number.to_string() == digits => Name::Body(packet, number),
                _ => Name::Other,
            },
        }
    }
}

/// The name of body number `index` of `packet`.
pub fn body_name(packet: &PacketId, index: usize) -> String {
    format!("{packet}.{index}")
}

/// The name of the file that says why `packet` is in `bad/`.
pub fn why_name(packet: &PacketId) -> String {
    format!("{packet}.why")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_is_ours() {
        let packet = PacketId::from_bytes([7; 32]);
        assert_eq!(Name::parse(packet.to_string().as_ref()), Name::Envelope(packet));
        assert_eq!(Name::parse(body_name(&packet, 12).as_ref()), Name::Body(packet, 12));
        assert_eq!(Name::parse(why_name(&packet).as_ref()), Name::Why(packet));
        for wrong in ["", ".", "x", &format!("{packet}.012"), &format!("{packet}.70000"), &format!("{packet}.1.2")] {
            assert_eq!(Name::parse(wrong.as_ref()), Name::Other, "{wrong}");
        }
        assert_eq!(Name::parse(packet.to_string().to_uppercase().as_ref()), Name::Other);
    }
}

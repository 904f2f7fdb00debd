//! Local names: what a node calls itself, and what we call a known node.

use mb_wire::card::is_name;

/// Why `name` cannot name a node, if it cannot: 1 to 32 of `a-z 0-9 - _ .`, beginning with a letter or digit, and no
/// word that means something else.
pub fn check_name(name: &str) -> Result<(), String> {
    if name == "self" {
        return Err("\"self\" is the spool's own word".into());
    }
    if is_name(name) { Ok(()) } else { Err("not 1 to 32 of a-z 0-9 - _ . with a letter or digit first".into()) }
}

/// The name that a host's own name suggests: its first label in lower case, other characters as `-`.
pub fn name_from_host(host: &str) -> Option<String> {
    let label = host.split('.').next().unwrap_or_default().to_lowercase();
    let plain = label.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' });
    let name: String = plain.skip_while(|c| !c.is_ascii_alphanumeric()).take(32).collect();
    check_name(&name).is_ok().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_plain_component() {
        for good in ["a", "north", "0", "a-b_c.d", &"x".repeat(32)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", ".a", "-a", "North", "a/b", "a b", "ü", "self", "a\n", &"x".repeat(33)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_host_lends_its_name() {
        assert_eq!(name_from_host("Box1.example.org").as_deref(), Some("box1"));
        assert_eq!(name_from_host("--büro").as_deref(), Some("b-ro"));
        assert_eq!(name_from_host(""), None);
        assert_eq!(name_from_host("self"), None);
    }
}

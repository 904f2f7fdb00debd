//! One thing with all its settings, for people: a line each, key and value with a tab between them.

use serde_json::Value;

/// The settings of a JSON object as lines; those of a table in it as `table.key`, those of
/// the first table of a list as `list.1.key`. A list of other things is a line for each. Nothing set is `-`.
pub fn setting_lines(object: &Value) -> Vec<String> {
    object.as_object().into_iter().flatten().flat_map(|(key, value)| lines_of(key, value)).collect()
}

fn lines_of(key: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Object(table) => table.iter().flat_map(|(inner, v)| lines_of(&format!("{key}.{inner}"), v)).collect(),
        Value::Array(list) if list.is_empty() => vec![format!("{key}\t-")],
        Value::Array(list) => list.iter().zip(1..).flat_map(|(value, number)| item_lines(key, value, number)).collect(),
        Value::Null => vec![format!("{key}\t-")],
        Value::String(text) => vec![format!("{key}\t{text}")],
        other => vec![format!("{key}\t{other}")],
    }
}

fn item_lines(key: &str, value: &Value, number: usize) -> Vec<String> {
    if value.is_object() { lines_of(&format!("{key}.{number}"), value) } else { lines_of(key, value) }
}

/// An id in groups of four characters, to be read aloud and compared.
pub fn in_groups(id: &str) -> String {
    let letters: Vec<char> = id.chars().collect();
    letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_lines_that_cut_and_awk_can_read() {
        let object = serde_json::json!({ "name": "south", "send": { "nice": 7, "folder": null } });
        assert_eq!(setting_lines(&object), ["name\tsouth", "send.folder\t-", "send.nice\t7"]);
        let lists = serde_json::json!({ "a": ["x", "y"], "b": [{ "c": 1 }, { "c": 2 }], "d": [] });
        assert_eq!(setting_lines(&lists), ["a\tx", "a\ty", "b.1.c\t1", "b.2.c\t2", "d\t-"]);
        assert_eq!(in_groups("mbn1abcdef"), "mbn1 abcd ef");
    }
}

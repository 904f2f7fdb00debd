//! The node's exchange keys: `self/keys/TAG`, sealed under the node's seed.

use std::collections::BTreeMap;

use mb_spool::durable;
use mb_spool::envelopes::read_whole;
use mb_spool::layout::Spool;
use mb_wire::id::KeyTag;
use mb_wire::key::{ExchangeSecret, NodeSecrets};

/// A key file is longer than this only if it is damaged.
const MOST_FILE_LEN: usize = 1024;

/// Every exchange key that is still there. Wiped when dropped.
pub struct ExchangeKeys {
    keys: BTreeMap<KeyTag, ExchangeSecret>,
}

impl ExchangeKeys {
    /// Reads the keys of the spool's node. A file that cannot be opened under this seed is as good as not there:
    /// what was sealed to it says which key is missing.
    pub fn load(spool: &Spool, secrets: &NodeSecrets) -> durable::Result<ExchangeKeys> {
        let mut keys = BTreeMap::new();
        if let Some(dir) = spool.find(&["self", "keys"])? {
            for entry in dir.list()? {
                let entry = entry?;
                let Some(tag) = entry.name.to_str().and_then(|name| name.parse::<KeyTag>().ok()) else { continue };
                let file = read_whole(&dir.open(&entry.name)?, MOST_FILE_LEN)?;
                if let Ok(key) = ExchangeSecret::from_file(&file, secrets)
                    && key.tag() == tag
                {
                    keys.insert(tag, key);
                }
            }
        }
        Ok(ExchangeKeys { keys })
    }

    /// The key with this tag.
    pub fn find(&self, tag: KeyTag) -> Option<&ExchangeSecret> {
        self.keys.get(&tag)
    }
}

impl FromIterator<ExchangeSecret> for ExchangeKeys {
    fn from_iter<I: IntoIterator<Item = ExchangeSecret>>(keys: I) -> ExchangeKeys {
        ExchangeKeys { keys: keys.into_iter().map(|key| (key.tag(), key)).collect() }
    }
}

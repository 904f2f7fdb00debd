//! `self/settings/AREA/VERSION`: settings of moderated areas, and since when we have them: deterministic CBOR. What is damaged counts as not
//! there, and is asked for again. Older ones stay as long as a message of theirs may be read.

use mb_wire::area::{SETTINGS_MOST, Settings};
use mb_wire::cbor;
use mb_wire::id::AreaId;
use serde::{Deserialize, Serialize};

use crate::barrier::Barrier;
use crate::durable;
use crate::layout::Spool;
use crate::record;
use crate::run::{Run, gone};

/// The folder's name, in `self/`.
pub const SETTINGS: &str = "settings";
/// Settings that were replaced so many seconds ago are forgotten: nothing lives longer that was written under them.
const KEPT_SECS: u64 = 402 * 86_400;
/// What stands around the settings in their file.
const AROUND_LEN: usize = 64;

/// Settings, since we took them.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The settings.
    pub settings: Settings,
    /// Seconds since 1970.
    pub since: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    since: u64,
    #[serde(with = "serde_bytes")]
    settings: Vec<u8>,
}

/// All settings of an area that are here, the newest last. Their signatures hold; whose they are the caller checks.
pub fn of(spool: &Spool, area: &AreaId) -> durable::Result<Vec<Taken>> {
    let mut taken = Vec::new();
    let Some(dir) = spool.find(&["self", SETTINGS, &area.to_string()])? else { return Ok(taken) };
    for entry in dir.list()? {
        let entry = entry?;
        let Some(name) = entry.name.to_str().filter(|name| name.parse::<u64>().is_ok()) else { continue };
        let Some(bytes) = record::read(&dir, name, SETTINGS_MOST + AROUND_LEN)? else { continue };
        let Ok(Record { since, settings }) = cbor::decode::<Record>(&bytes) else { continue };
        let Ok(settings) = Settings::from_bytes(&settings) else { continue };
        if settings.area == *area {
            taken.push(Taken { settings, since });
        }
    }
    taken.sort_by_key(|taken| taken.settings.under.version);
    Ok(taken)
}

/// Keeps settings, instead of others of the same version. Durable when `barrier` is.
pub fn keep(spool: &Spool, taken: &Taken, run: &Run, barrier: &mut Barrier) -> durable::Result<()> {
    let Taken { settings, since } = taken;
    let dir = spool.make(&["self", SETTINGS, &settings.area.to_string()])?;
    let bytes = cbor::encode(&Record { since: *since, settings: settings.as_bytes().to_vec() });
    record::put(&dir, &settings.under.version.to_string(), &bytes, run, Some(barrier))
}

/// Forgets what was replaced long before `now`.
pub fn forget_before(spool: &Spool, now: u64) -> durable::Result<()> {
    let Some(all) = spool.find(&["self", SETTINGS])? else { return Ok(()) };
    for entry in all.list()? {
        let Some(area) = entry?.name.to_str().and_then(|name| name.parse::<AreaId>().ok()) else { continue };
        let taken = of(spool, &area)?;
        let dir = all.open_dir(area.to_string().as_ref())?;
        for pair in taken.windows(2) {
            if pair[1].since.saturating_add(KEPT_SECS) < now {
                gone(dir.unlink(pair[0].settings.under.version.to_string().as_ref()))?;
            }
        }
    }
    Ok(())
}

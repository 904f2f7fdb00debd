//! Paths of files in letters and folders: bytes, components joined by `/` (format.md, section 6). Only the form is
//! checked here; what a receiver makes of a name (Windows, control characters) is its own business.

use std::cmp::Ordering;

use thiserror::Error;

/// Longest path, in bytes.
pub const PATH_MOST: usize = 4_096;
/// Longest component of a path, in bytes.
pub const COMPONENT_MOST: usize = 255;

/// Why a path is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// Nothing there.
    #[error("path is empty")]
    Empty,
    /// Longer than a path may be.
    #[error("path has {0} bytes, more than the {PATH_MOST} allowed")]
    Long(usize),
    /// Begins or ends with `/`, or has two in a row.
    #[error("path has an empty component")]
    EmptyComponent,
    /// A component that is too long.
    #[error("path has a component of {0} bytes, more than the {COMPONENT_MOST} allowed")]
    LongComponent(usize),
    /// `.` or `..`.
    #[error("path has \".\" or \"..\" in it")]
    Dots,
    /// A zero byte.
    #[error("path has a zero byte in it")]
    Nul,
}

/// Checks a path's form.
pub fn check(path: &[u8]) -> Result<(), PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if path.len() > PATH_MOST {
        return Err(PathError::Long(path.len()));
    }
    components(path).try_for_each(check_component)
}

fn check_component(component: &[u8]) -> Result<(), PathError> {
    match component {
        b"" => Err(PathError::EmptyComponent),
        b"." | b".." => Err(PathError::Dots),
        long if long.len() > COMPONENT_MOST => Err(PathError::LongComponent(long.len())),
        other if other.contains(&0) => Err(PathError::Nul),
        _ => Ok(()),
    }
}

/// The components of a path that is not empty.
pub(crate) fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
}

/// The path of the folder that `path` lies in: empty at the top.
pub(crate) fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').map_or(&[], |at| &path[..at])
}

/// The order of entries in a folder payload: component by component, bytewise.
pub fn compare(left: &[u8], right: &[u8]) -> Ordering {
    components(left).cmp(components(right))
}

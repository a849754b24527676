//! Memory of this process as the kernel reports it.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::error::AnyError;

/// Where Linux tells what a process has in memory.
const STATUS: &str = "/proc/self/status";

/// Bytes in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// All that is resident (`VmRSS`): mapped files that were touched count too.
    pub(super) resident: u64,
    /// What is in no file (`RssAnon`): what the process cannot give back.
    pub(super) anonymous: u64,
}

impl Memory {
    /// Now. Needs Linux.
    pub(super) fn now() -> Result<Self, AnyError> {
        Self::parse(&fs::read_to_string(STATUS)?)
    }

    fn parse(status: &str) -> Result<Self, AnyError> {
        let field = |name: &str| -> Result<u64, AnyError> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let value = line.ok_or_else(|| format!("{STATUS} has no {name}"))?;
            let kibibytes: u64 = value.trim().trim_end_matches(" kB").parse()?;
            Ok(kibibytes << 10)
        };
        Ok(Self { resident: field("VmRSS:")?, anonymous: field("RssAnon:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_in_kibibytes() {
        let status = "Name:\tpeers\nVmRSS:\t    5124 kB\nRssAnon:\t     120 kB\n";
        let memory = Memory { resident: 5124 << 10, anonymous: 120 << 10 };
        assert_eq!(Memory::parse(status).unwrap(), memory);
        assert!(Memory::parse("VmRSS:\t1 kB\n").is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_was_touched_is_there() {
        let memory = Memory::now().unwrap();
        assert!(memory.anonymous > 0 && memory.resident > memory.anonymous);
    }
}

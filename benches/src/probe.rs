//! What the disk does at the moment.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Outcome;

/// How often in a second a page of a file in this folder can be written and made durable.
pub(crate) fn syncs_per_second(folder: &Path, time: Duration) -> Outcome<u64> {
    let path = folder.join("probe");
    let mut file = File::create(&path)?;
    // The file has its size from the start, as a log that is written again.
    file.write_all(&[0; 64 * 4_096])?;
    file.sync_all()?;
    let began = Instant::now();
    let mut rate = crate::table::Rate::default();
    while began.elapsed() < time {
        file.seek(SeekFrom::Start(rate.count % 64 * 4_096))?;
        file.write_all(&[1; 4_096])?;
        file.sync_data()?;
        rate.count += 1;
    }
    rate.nanos = u64::try_from(began.elapsed().as_nanos())?;
    std::fs::remove_file(path)?;
    Ok(rate.per_second())
}

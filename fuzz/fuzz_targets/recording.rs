//! JSON that is read as a recording is written and read again as the same, and decided twice alike. Whatever it says, deciding
//! it is total.

#![no_main]

use drawdown::Recording;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(recording) = Recording::from_json(text) else { return };
    let json = recording.to_json();
    let again = Recording::from_json(&json).unwrap();
    assert_eq!(again, recording);
    assert_eq!(again.to_json(), json);
    assert_eq!(again.decide(), recording.decide());
    assert_eq!(again.explain(), recording.explain());
});

//! Configuration texts: every text is either a model or a list of faults that can be shown; a
//! comment changes nothing; the texts of faults stay in proportion to the text.
#![no_main]

use floe::config::load;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let environment = |_: &str| None;
    match load(text, "floe.toml", &environment) {
        Ok(loaded) => {
            let commented = format!("{text}\n# The end.\n");
            let again = load(&commented, "floe.toml", &environment);
            assert_eq!(again.as_ref(), Ok(&loaded), "a comment changes nothing");
            for mount in ["/", "/live", "/radio/one", ""] {
                let _ = loaded.config.mounts.settings(mount);
            }
            for warning in &loaded.warnings {
                assert!(!warning.to_string().is_empty());
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty(), "a refusal has a reason");
            for fault in faults.iter() {
                assert!(fault.to_string().len() <= 4096 + 8 * text.len(), "faults are readable");
            }
        }
    }
});

//! libFuzzer's program: runs the target that `HOBNOB_FUZZ` names. `tests/fuzz/run` builds and starts it.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

mod targets;

static TARGET: OnceLock<targets::Target> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("HOBNOB_FUZZ").expect("HOBNOB_FUZZ names a target");
        let target = targets::TARGETS.into_iter().find(|(target, _)| *target == name);
        target.expect("HOBNOB_FUZZ names one of the targets").1
    });
    target(data);
});

//! The first start, by the real binary: a start that fails leaves no configuration behind.

use std::net::TcpListener;
use std::process::Command;

/// A file from a failed start would make the next one the second, which tells nobody the passwords.
#[test]
fn a_first_start_on_a_port_in_use_leaves_no_file() {
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("port 0 is always free");
    let address = taken.local_addr().expect("it is bound").to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_floe"))
        .current_dir(folder.path())
        .env_remove("FLOE_CONFIG")
        .env("FLOE_LISTEN", &address)
        .output()
        .expect("the binary starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("another program listens there"), "{told}");
    assert!(!folder.path().join("floe.toml").exists());
}

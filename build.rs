//! Links the unwinder of GCC's run-time library statically.
//!
//! Rust's standard library asks for it, for backtraces. As a shared library it takes longer to load than a check takes
//! to decide, and must be installed wherever the program runs. Named here it comes before the shared one, which is then
//! not needed. Linkers that do not look at it in that order take the shared one as ever.

#![allow(clippy::disallowed_methods, reason = "cargo tells a build script by the environment")]

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |part: &str| std::env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo:rustc-link-lib=gcc_eh");
    }
}

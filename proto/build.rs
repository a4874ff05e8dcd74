//! Compiles the protobuf schema. protox parses it, so that a build needs no `protoc`.

use std::error::Error;

const SCHEMA_DIR: &str = "schema";
const FILES: [&str; 1] = ["effect.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={SCHEMA_DIR}");
    let descriptors = protox::compile(FILES, [SCHEMA_DIR])?;
    prost_build::compile_fds(descriptors)?;
    Ok(())
}

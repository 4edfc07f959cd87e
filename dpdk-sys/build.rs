//! Finds libdpdk, compiles the shim and generates the bindings.

use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process::{Command, exit};

/// The plain exported functions that are called as they are. Everything else goes through the shim.
const FUNCTIONS: &[&str] = &[
    "shim_.*",
    "rte_eal_cleanup",
    "rte_eal_init",
    "rte_eth_allmulticast_enable",
    "rte_eth_dev_default_mac_addr_set",
    "rte_eth_dev_mac_addr_add",
    "rte_eth_dev_mac_addr_remove",
    "rte_eth_dev_start",
    "rte_eth_dev_stop",
    "rte_eth_macaddr_get",
    "rte_eth_promiscuous_enable",
    "rte_eth_stats_get",
    "rte_eth_stats_reset",
    "rte_eth_xstats_get",
    "rte_eth_xstats_get_names",
    "rte_eth_xstats_reset",
    "rte_get_tsc_hz",
    "rte_mempool_avail_count",
    "rte_mempool_free",
    "rte_mempool_in_use_count",
    "rte_pktmbuf_pool_create",
    "rte_strerror",
    "rte_tel_data_add_dict_string",
    "rte_tel_data_start_dict",
    "rte_telemetry_register_cmd",
    "rte_thread_register",
    "rte_thread_unregister",
    "rte_version",
    "rte_version_month",
    "rte_version_year",
];

/// The releases that this was built and tested with, by year and month, oldest first: see docs/architecture.md.
const TRIED: &[(u32, u32)] = &[(22, 11), (23, 11), (24, 11), (25, 11)];

fn main() {
    for input in ["build.rs", "shim.c", "shim.h", "wrapper.h"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let dpdk = find_dpdk();
    compile_shim(&dpdk);
    generate_bindings(&dpdk);
}

/// The library and its compiler flags, from pkg-config, which also tells cargo what to link.
struct Dpdk {
    flags: Vec<String>,
}

fn find_dpdk() -> Dpdk {
    let library = pkg_config::Config::new()
        .probe("libdpdk")
        .unwrap_or_else(|error| {
            let cause = match &error {
                pkg_config::Error::Command { .. } => "pkg-config is not installed",
                pkg_config::Error::ProbeFailure { .. } => "libdpdk is absent",
                _ => "pkg-config did not answer for libdpdk",
            };
            give_up(&format!("{cause}: {error}"))
        });
    judge_release(&library.version);
    // Another release may be installed in the place of this one. Its configuration tells its number.
    for path in &library.include_paths {
        let configuration = path.join("rte_build_config.h");
        if configuration.exists() {
            println!("cargo::rerun-if-changed={}", configuration.display());
        }
    }
    let mut flags: Vec<String> = library
        .include_paths
        .iter()
        .map(|path| format!("-I{}", path.display()))
        .collect();
    // The crate keeps include paths and definitions and drops the rest, which DPDK's headers need: the forced include
    // of its configuration, and the instruction set that its inline functions may use.
    let pkg_config = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    match Command::new(pkg_config)
        .args(["--cflags-only-other", "libdpdk"])
        .output()
    {
        Ok(output) => flags.extend(
            String::from_utf8_lossy(&output.stdout)
                .split_whitespace()
                .map(String::from),
        ),
        Err(error) => give_up(&format!("pkg-config did not answer for libdpdk: {error}")),
    }
    Dpdk { flags }
}

/// Refuses a release older than all that were tried, and warns of any other that was not.
fn judge_release(version: &str) {
    let mut numbers = version.split(['.', '-']).map(str::parse);
    let (Some(Ok(year)), Some(Ok(month))) = (numbers.next(), numbers.next()) else {
        give_up(&format!("libdpdk has no release number: {version}"));
    };
    if TRIED.contains(&(year, month)) {
        return;
    }
    let tried: Vec<String> = TRIED
        .iter()
        .map(|(year, month)| format!("{year}.{month:02}"))
        .collect();
    let tried = tried.join(", ");
    if TRIED.first().is_some_and(|oldest| (year, month) < *oldest) {
        give_up(&format!(
            "libdpdk {version} is too old; tried were DPDK {tried}"
        ));
    }
    println!(
        "cargo::warning=libdpdk {version} was never tried; tried were DPDK {tried}. Run the tests before trusting it"
    );
}

fn compile_shim(dpdk: &Dpdk) {
    let mut build = cc::Build::new();
    build
        .file("shim.c")
        .opt_level(3)
        .warnings(true)
        .extra_warnings(true);
    for flag in &dpdk.flags {
        build.flag(flag);
    }
    if let Err(error) = build.try_compile("shim") {
        give_up(&format!("the C shim does not compile: {error}"));
    }
}

fn generate_bindings(dpdk: &Dpdk) {
    let mut builder = bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(&dpdk.flags)
        .allowlist_type("shim_.*")
        .allowlist_type("rte_eth_stats")
        .allowlist_type("rte_eth_xstat")
        .allowlist_type("rte_eth_xstat_name")
        .allowlist_type("rte_ether_addr")
        .blocklist_type("rte_mbuf.*")
        .opaque_type("rte_mempool")
        .opaque_type("rte_tel_data")
        .default_enum_style(bindgen::EnumVariation::ModuleConsts)
        .prepend_enum_name(false)
        .generate_comments(false)
        .derive_default(true)
        .layout_tests(true)
        .formatter(bindgen::Formatter::None);
    for function in FUNCTIONS {
        builder = builder.allowlist_function(function);
    }
    // bindgen panics when it finds no libclang; the message it gives names neither package nor remedy.
    let bindings = match panic::catch_unwind(AssertUnwindSafe(|| builder.generate())) {
        Ok(Ok(bindings)) => bindings,
        Ok(Err(error)) => give_up(&format!("DPDK's headers cannot be read: {error}")),
        Err(_) => give_up("libclang is not installed"),
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("bindings.rs");
    if let Err(error) = bindings.write_to_file(&out) {
        give_up(&format!("{}: {error}", out.display()));
    }
}

fn give_up(cause: &str) -> ! {
    println!("cargo::error={}", cause.replace('\n', " "));
    println!("cargo::error=on Debian: apt-get install libdpdk-dev libclang-dev pkg-config gcc");
    exit(1)
}

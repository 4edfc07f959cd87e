//! Starts that fail: each says what is wrong and what to do about it, with exit code 1, and leaves nothing behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use lab::namespace::Namespace;
use lab::process::{Finished, Process};
use lab::{poll, turn};

use super::{DEADLINE, Router};

/// A router without hosts, on ordinary pages; `port` stands for its device.
fn configuration(device: &str) -> String {
    format!(
        "[eal]\nhuge-pages = \"off\"\n[workers]\nidle-sleep = \"1ms\"\n\
         [[port]]\nname = \"lan\"\ndevice = \"{device}\"\n"
    )
}

/// The command that runs a configuration in a machine.
fn run(machine: &Namespace, program: &str, configuration: &str, eal: &[&str]) -> Command {
    fs::write(machine.run_file("start.toml"), configuration).expect("a file for the configuration");
    let mut words = program.split(' ');
    let mut command = machine.command(words.next().expect("a program"));
    command.args(words).args(["run", "-c", "/run/start.toml"]);
    if !eal.is_empty() {
        command.arg("--").args(eal);
    }
    command
}

/// What a start says that fails.
fn refusal(machine: &Namespace, program: &str, configuration: &str, eal: &[&str]) -> String {
    let Finished { status, stderr, .. } = Process::spawn(run(machine, program, configuration, eal))
        .expect("started")
        .finish(DEADLINE)
        .expect("an end");
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(
        !machine.run_file("manifold/control.sock").exists(),
        "it left its socket behind"
    );
    stderr
}

fn program() -> &'static str {
    Router::program().to_str().expect("a path that is text")
}

#[test]
fn each_failing_start_names_its_cause_and_remedy() {
    let _turn = turn::take();
    let machine = Namespace::new("failing").expect("a machine");
    let null = configuration("net_null0");
    let cases = [
        (
            configuration("net_nul0"),
            &[][..],
            ["port lan: no such device: net_nul0", "dpdk-devbind.py"],
        ),
        (
            null.clone(),
            &["--frobnicate"],
            [
                "does not understand its arguments (",
                "mend `args` in [eal]",
            ],
        ),
        (
            null.replace("\"off\"", "\"required\"\nmemory-mib = 1048576"),
            &[],
            ["the EAL", "sysctl vm.nr_hugepages"],
        ),
        (
            configuration("net_pcap0,rx_pcap=/proc/version"),
            &[],
            ["does not start: ", "DPDK said:\n  "],
        ),
        (
            null.replace("\"off\"", "\"off\"\nmemory-mib = 64")
                .replace("[workers]", "[workers]\nmbufs = 1000000"),
            &[],
            [
                "no memory for 1000000 packet buffers",
                "Ask for fewer (`backlog`, `mbufs`",
            ],
        ),
    ];
    for (configuration, eal, parts) in cases {
        let said = refusal(&machine, program(), &configuration, eal);
        for part in parts {
            assert!(said.contains(part), "\"{part}\" is not in:\n{said}");
        }
    }
}

#[test]
fn a_start_that_requires_huge_pages_where_none_are_reserved_says_so() {
    let _turn = turn::take();
    let machine = Namespace::new("small").expect("a machine");
    // A machine with pages of one size and none of them, whatever this one has.
    let hide = "mount -t tmpfs tmpfs /sys/kernel/mm/hugepages
        mount -t tmpfs tmpfs /sys/devices/system/node
        cd /sys/kernel/mm/hugepages && mkdir hugepages-2048kB && cd hugepages-2048kB
        for count in nr free resv surplus; do echo 0 >${count}_hugepages; done";
    machine.run(&["sh", "-ec", hide]).expect("hidden");
    let required = configuration("net_null0").replace("\"off\"", "\"required\"");
    let said = refusal(&machine, program(), &required, &[]);
    assert!(
        said.contains(
            "the EAL finds no free huge pages. Reserve some (sysctl vm.nr_hugepages=512)"
        ) && said.contains("`huge-pages = \"off\"` in [eal]"),
        "{said}"
    );
}

#[test]
fn a_second_router_with_the_same_files_is_told_to_take_others() {
    let _turn = turn::take();
    let machine = Namespace::new("twins").expect("a machine");
    // DPDK's files are below /run, which is the machine's own and goes with it.
    let files = configuration("net_null0").replace("[eal]", "[eal]\nin-memory = false");
    let first = Process::spawn(run(&machine, program(), &files, &[])).expect("the first router");
    wait_for_router(&machine);
    let second = files + "[control]\nsocket = \"/run/second.sock\"\n";
    let said = Process::spawn(run(&machine, program(), &second, &[]))
        .and_then(|process| process.finish(DEADLINE))
        .expect("an end");
    assert_eq!(said.status.code(), Some(1));
    assert!(
        said.stderr
            .contains("another process uses this EAL's files")
            && said.stderr.contains("Give each its own `file-prefix`"),
        "{}",
        said.stderr
    );
    quit(&machine, first);
}

#[test]
fn a_worker_runs_on_a_processor_that_the_scheduler_leaves_alone() {
    let _turn = turn::take();
    let machine = Namespace::new("isolated").expect("a machine");
    let isolated = std::thread::available_parallelism()
        .expect("processors")
        .get()
        - 1;
    let configuration =
        configuration("net_null0").replace("[workers]", &format!("[workers]\ncpus = [{isolated}]"));
    // As with `isolcpus` the program starts where it may not run on the others.
    let elsewhere = format!("taskset -c 0 {}", program());
    let router = Process::spawn(run(&machine, &elsewhere, &configuration, &[])).expect("a router");
    wait_for_router(&machine);
    let threads = fs::read_dir(format!("/proc/{}/task", router.id())).expect("threads");
    let worker = threads
        .map(|thread| thread.expect("a thread").path())
        .find(|thread| {
            fs::read_to_string(thread.join("comm")).is_ok_and(|name| name == "worker-0\n")
        })
        .expect("the worker");
    let status = fs::read_to_string(worker.join("status")).expect("its status");
    assert!(
        status.contains(&format!("Cpus_allowed_list:\t{isolated}\n")),
        "{status}"
    );
    quit(&machine, router);
}

/// Waits until the router at the default socket answers.
fn wait_for_router(machine: &Namespace) {
    poll::until("the router", DEADLINE, || {
        let asked = machine.try_run(&[program(), "ctl", "show", "lcores"])?;
        Ok(asked.status.success().then_some(()))
    })
    .expect("it runs");
}

/// Expects the router at the default socket to end well when it is told to.
fn quit(machine: &Namespace, router: Process) {
    machine
        .run(&[program(), "ctl", "quit"])
        .expect("the router still answers");
    let ended = router.finish(DEADLINE).expect("an end");
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(ended.stderr.contains("stopped\n"), "{}", ended.stderr);
}

#[test]
fn a_start_without_permission_says_which_is_missing() {
    let _turn = turn::take();
    let machine = Namespace::new("nobody").expect("a machine");
    // Nobody may not enter the directory that the program was built in.
    let copy = std::env::temp_dir().join(format!("manifold-{}", std::process::id()));
    fs::copy(program(), &copy).expect("a copy of the program");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("permissions");
    let socket = std::env::temp_dir().join(format!("manifold-{}.sock", std::process::id()));
    let configuration = configuration("net_af_packet0,iface=lo")
        + &format!("[control]\nsocket = \"{}\"\n", socket.display());
    let as_nobody = format!(
        "setpriv --reuid 65534 --regid 65534 --clear-groups {}",
        copy.display()
    );
    let said = refusal(&machine, &as_nobody, &configuration, &[]);
    fs::remove_file(copy).expect("the copy is still there");
    assert!(
        said.contains("net_af_packet0,iface=lo may not be opened")
            && said.contains("Run as root, or give the capabilities"),
        "{said}"
    );
}

#[test]
fn what_another_router_has_is_refused_and_not_disturbed() {
    let _turn = turn::take();
    let machine = Namespace::new("shared").expect("a machine");
    let first = configuration("net_memif0,role=server,socket-abstract=no,socket=/run/memif.sock");
    let running = Process::spawn(run(&machine, program(), &first, &[])).expect("the first router");
    wait_for_router(&machine);

    let second = || {
        let command = run(
            &machine,
            program(),
            &(first.clone() + "[control]\nsocket = \"/run/second.sock\"\n"),
            &[],
        );
        Process::spawn(command).and_then(|process| process.finish(DEADLINE))
    };
    let said = second().expect("an end").stderr;
    assert!(
        said.contains("is in use by another program")
            && said.contains("stop that, or choose another device"),
        "{said}"
    );

    let same_socket = Process::spawn(run(&machine, program(), &configuration("net_null0"), &[]))
        .and_then(|process| process.finish(DEADLINE))
        .expect("an end");
    assert_eq!(same_socket.status.code(), Some(1));
    assert!(
        same_socket.stderr.contains("belongs to a running router")
            && same_socket.stderr.contains("remedy:"),
        "{}",
        same_socket.stderr
    );

    quit(&machine, running);
}

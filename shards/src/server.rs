//! The life of the process: configuration, data directory, shards, signals, end.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use causet_core::engine::{Engine, EngineOptions, Now};
use causet_core::evict::Recency;
use causet_core::id::NodeId;
use causet_core::value::HashSeed;
use causet_net::{AnyDriver, Config as DriverConfig, Driver, PeerHandle, Waker, listener};
use socket2::Socket;

use crate::banner;
use crate::config::{AppendFsync, Config, IoDriver, PinCores, Source};
use crate::descriptors;
use crate::journal::Journal;
use crate::log::datadir::{DataDir, Meta};
use crate::log::{Client as PreparerClient, Fsync, Log, Options, Preparer, Recovered};
use crate::mesh::{self, Mesh};
use crate::replay::Replay;
use crate::reshard;
use crate::shard::{Listening, Shard};
use crate::shared::{Phase, Shared, SharedOptions};
use crate::state::{Random, State, collection_limits, maxmemory_bytes};
use crate::ticks;

/// Why the server does not start, in one line for the operator.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// Time that the other shards get to make their logs durable when one has failed.
const FAILURE_PATIENCE: Duration = Duration::from_secs(10);

/// What a shard's thread tells when it is ready.
struct Ready {
    number: u16,
    waker: Waker,
    peer: PeerHandle,
    asleep: Arc<std::sync::atomic::AtomicBool>,
    driver: &'static str,
    recovered: Option<Recovered>,
    warning: Option<String>,
}

/// What a shard's thread starts with.
struct Plan {
    number: u16,
    core: Option<usize>,
    shared: Arc<Shared>,
    mesh: Mesh,
    listening: Vec<Listening>,
    log: Option<(std::path::PathBuf, Options, PreparerClient)>,
    seed: HashSeed,
    wanted: IoDriver,
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// What keeps it from starting, or a shard from going on.
pub fn run(config: Config, source: Source) -> Result<(), StartError> {
    ticks::calibrate();
    block_signals();
    let started = Instant::now();
    let cores = allowed_cores();
    let shards = match config.shards {
        0 => cores.len() as u16,
        shards => shards,
    };
    if let Err(most) = descriptors::make_room(config.maxclients.into()) {
        tracing::warn!(
            maxclients = config.maxclients,
            most,
            "the limit of open files allows fewer clients than maxclients"
        );
    }
    let (sockets, port) = listen(&config, shards)?;

    let dir = Path::new(&config.dir);
    let (data, preparer) = if config.appendonly {
        let fresh = Meta {
            node: random_u64()?,
            shards,
            generation: 1,
        };
        let mut data = DataDir::open(dir, fresh)
            .map_err(|error| format!("cannot use the data directory {}: {error}", dir.display()))?;
        let preparer = Preparer::spawn()?;
        if data.meta().shards != shards {
            reshard::run(&mut data, &config, shards)?;
        }
        (Some(data), Some(preparer))
    } else {
        (None, None)
    };
    let node = match &data {
        Some(data) => data.meta().node,
        None => random_u64()?,
    };

    let seed = HashSeed(random_u64()?);
    let shared = Arc::new(Shared::new(SharedOptions {
        shards,
        node: NodeId(node),
        started_ms: unix_ns() / 1_000_000,
        run_id: run_id()?,
        config_source: source,
        port,
        config: config.clone(),
    }));
    let pins = pins(&config.pin_cores, &cores, shards);
    let (ready_tx, ready_rx) = mpsc::channel();
    let mut threads = Vec::new();
    let mut mesh_starts = Vec::new();
    for ((number, mesh), listening) in mesh::connect(shards).into_iter().enumerate().zip(sockets) {
        let number = number as u16;
        let (bells_tx, bells_rx) = mpsc::channel();
        mesh_starts.push(bells_tx);
        let log = match (&data, &preparer) {
            (Some(data), Some(preparer)) => Some((
                data.shard(number),
                log_options(&config, node, number),
                preparer.client(),
            )),
            _ => None,
        };
        let plan = Plan {
            number,
            core: pins[usize::from(number)],
            shared: Arc::clone(&shared),
            mesh,
            listening,
            log,
            seed,
            wanted: config.io_driver,
        };
        let ready_tx = ready_tx.clone();
        let thread = thread::Builder::new()
            .name(format!("shard-{number}"))
            .spawn(move || serve(plan, &ready_tx, &bells_rx))?;
        threads.push(thread);
    }
    drop(ready_tx);
    let ready = gather(&ready_rx, shards)?;
    report(&ready);
    for bells in &mesh_starts {
        let peers: Vec<_> = ready
            .iter()
            .map(|r| (r.number, Arc::clone(&r.asleep), r.peer.clone()))
            .collect();
        // A thread that died meanwhile is told of by `wait`.
        let _ = bells.send(peers);
    }
    shared.set_wakers(ready.iter().map(|r| r.waker.clone()).collect());
    let driver = ready.first().map_or("none", |r| r.driver);
    let _ = shared.driver.set(driver);
    tracing::info!("ready in {:.3} s", started.elapsed().as_secs_f64());
    let pinned: Vec<usize> = pins.iter().flatten().copied().collect();
    let addresses = addresses(&config, port);
    print!(
        "{}",
        banner::first_screen(&banner::FirstScreen {
            shards,
            cores: &pinned,
            directory: dir,
            appendonly: config.appendonly,
            appendfsync: config.appendfsync,
            addresses: &addresses,
            port,
            driver,
        })
    );
    let outcome = wait(&shared, threads);
    if !config.unixsocket.is_empty() {
        let _ = std::fs::remove_file(&config.unixsocket);
    }
    drop(preparer);
    drop(data);
    outcome
}

/// What is listened on, as a person reads it.
fn addresses(config: &Config, port: u16) -> Vec<String> {
    let mut all = Vec::new();
    if port != 0 {
        all.extend(
            config
                .bind
                .iter()
                .map(|ip| ip.trim_start_matches('-'))
                .map(|ip| match ip.contains(':') {
                    true => format!("[{ip}]:{port}"),
                    false => format!("{ip}:{port}"),
                }),
        );
    }
    if !config.unixsocket.is_empty() {
        all.push(config.unixsocket.clone());
    }
    all
}

fn gather(
    ready: &mpsc::Receiver<Result<Ready, String>>,
    shards: u16,
) -> Result<Vec<Ready>, StartError> {
    let mut all = Vec::new();
    while all.len() < usize::from(shards) {
        all.push(
            ready
                .recv()
                .map_err(|_| "a shard ended before it was ready")??,
        );
    }
    all.sort_by_key(|ready| ready.number);
    Ok(all)
}

fn report(ready: &[Ready]) {
    for shard in ready {
        if let Some(warning) = &shard.warning
            && shard.number == 0
        {
            tracing::warn!("{warning}");
        }
        let Some(recovered) = &shard.recovered else {
            continue;
        };
        tracing::info!(
            shard = shard.number,
            effects = recovered.effects,
            bytes = recovered.bytes,
            segments = recovered.segments,
            "log recovered"
        );
        if let Some(cut) = &recovered.cut {
            tracing::warn!(
                shard = shard.number,
                file = %cut.file.display(),
                offset = cut.offset,
                bytes = cut.bytes,
                effects = cut.effects,
                "the log's torn tail was cut: these bytes were never known to be durable"
            );
        }
    }
}

/// A shard's thread.
fn serve(
    plan: Plan,
    ready: &mpsc::Sender<Result<Ready, String>>,
    bells: &mpsc::Receiver<Vec<(u16, Arc<std::sync::atomic::AtomicBool>, PeerHandle)>>,
) -> Result<(), String> {
    let number = plan.number;
    let started = start_shard(plan);
    let (mut mesh, state, driver, listening, mut message) = match started {
        Ok((mesh, state, driver, listening, message)) => (mesh, state, driver, listening, message),
        Err(error) => {
            let _ = ready.send(Err(error));
            return Ok(());
        }
    };
    message.number = number;
    message.asleep = mesh.asleep_flag();
    let shared = Arc::clone(&state.shared);
    shared.desk.register(number);
    let _ = ready.send(Ok(message));
    let Ok(peers) = bells.recv() else {
        return Ok(());
    };
    for (peer, asleep, handle) in peers {
        mesh.set_bell(peer, asleep, handle);
    }
    let outcome = match Shard::new(driver, state, mesh, listening) {
        Ok(shard) => shard
            .run()
            .map_err(|error| format!("shard {number} failed: {error}")),
        Err(error) => Err(format!("shard {number} cannot listen: {error}")),
    };
    if outcome.is_err() {
        // The others end only when every shard has stopped taking commands and says no more.
        shared.stopped.fetch_add(1, Ordering::AcqRel);
        shared.quiet.fetch_add(1, Ordering::AcqRel);
    }
    outcome
}

type Started = (Mesh, State, AnyDriver, Vec<Listening>, Ready);

fn start_shard(plan: Plan) -> Result<Started, String> {
    let Plan {
        number,
        core,
        shared,
        mesh,
        listening,
        log,
        seed,
        wanted,
    } = plan;
    if let Some(core) = core
        && !core_affinity::set_for_current(core_affinity::CoreId { id: core })
    {
        tracing::warn!(
            shard = number,
            core,
            "the shard could not be pinned to its core"
        );
    }
    let config = shared.config();
    let driver_config = DriverConfig {
        // How many there are is decided at the accept, by a `maxclients` that can change.
        connections_max: u32::MAX,
        ..DriverConfig::default()
    };
    let wanted = match wanted {
        IoDriver::Auto => causet_net::IoDriver::Auto,
        IoDriver::Uring => causet_net::IoDriver::Uring,
        IoDriver::Epoll => causet_net::IoDriver::Epoll,
    };
    let (driver, warning) =
        AnyDriver::open(wanted, &driver_config).map_err(|error| error.to_string())?;
    let mut engine = Engine::new(EngineOptions {
        node: shared.node,
        stream: number,
        databases: config.databases,
        seed,
        limits: collection_limits(&config),
    });
    let (journal, recovered) = match log {
        None => (Journal::Off, None),
        Some((dir, options, preparer)) => {
            let memory_max = (maxmemory_bytes(&config) / u64::from(shared.shards)) as usize;
            let (log, recovered) = recover(&dir, options, preparer, &mut engine, memory_max)?;
            (Journal::On(Box::new(log)), Some(recovered))
        }
    };
    let ready = Ready {
        number,
        waker: driver.waker(),
        peer: driver.peer(),
        asleep: mesh.asleep_flag(),
        driver: driver.name(),
        recovered,
        warning: warning.map(|reason| format!("io_uring cannot be used, epoll is: {reason}")),
    };
    let mut state = State::new(
        number,
        shared,
        engine,
        journal,
        Random::new(seed.0 ^ u64::from(number)),
    );
    state.now = Now { unix_ns: unix_ns() };
    state.recency = Recency::new(false, 10, 1);
    state.adopt_config(config);
    Ok((mesh, state, driver, listening, ready))
}

/// Opens a shard's log and brings the engine to its state, in about `memory_max` bytes (0: any).
///
/// # Errors
/// Damage, with the way to repair it; what the system says.
pub fn recover(
    dir: &Path,
    options: Options,
    preparer: PreparerClient,
    engine: &mut Engine,
    memory_max: usize,
) -> Result<(Log, Recovered), String> {
    let mut replay = Replay::new(dir, engine, memory_max);
    let mut sink = |counter: u64, lsn, bytes: &[u8]| replay.take(counter, lsn, bytes);
    let (log, recovered) =
        Log::open(dir, options, preparer, &mut sink).map_err(|error| error.to_string())?;
    replay.finish()?;
    engine.continue_after(log.next_counter() - 1);
    Ok((log, recovered))
}

/// How a shard's log is kept, as configured.
pub fn log_options(config: &Config, node: u64, number: u16) -> Options {
    Options {
        segment_bytes: (config.log_segment_size >> 20 << 20) as u32,
        fsync: fsync(config.appendfsync),
        ..Options::new(node, number)
    }
}

/// `appendfsync` in the log's words.
pub fn fsync(policy: AppendFsync) -> Fsync {
    match policy {
        AppendFsync::Always => Fsync::Always,
        AppendFsync::EverySecond => Fsync::EverySec,
        AppendFsync::No => Fsync::No,
    }
}

/// The listening sockets of each shard, and the TCP port.
fn listen(config: &Config, shards: u16) -> Result<(Vec<Vec<Listening>>, u16), StartError> {
    let mut all: Vec<Vec<Listening>> = (0..shards).map(|_| Vec::new()).collect();
    let backlog = config.tcp_backlog as i32;
    let mut port = config.port;
    if port != 0 || config.unixsocket.is_empty() {
        for address in &config.bind {
            let (address, is_optional) = match address.strip_prefix('-') {
                Some(address) => (address, true),
                None => (address.as_str(), false),
            };
            let ip = match address {
                "*" => "0.0.0.0",
                "::*" => "::",
                other => other,
            };
            let Ok(ip) = ip.parse() else {
                return Err(format!("bind: '{address}' is not an IP address").into());
            };
            if port != 0
                && let Err(error) = listener::tcp(SocketAddr::new(ip, port), backlog, false)
                && error.kind() == io::ErrorKind::AddrInUse
            {
                // Sockets that share a port would silently divide its clients with another server.
                return Err(format!("cannot listen: {error}").into());
            }
            for sockets in &mut all {
                match listener::tcp(SocketAddr::new(ip, port), backlog, true) {
                    Ok(socket) => {
                        if let Some(bound) = socket.local_addr()?.as_socket() {
                            port = bound.port();
                        }
                        sockets.push(Listening {
                            socket,
                            is_unix: false,
                        });
                    }
                    Err(_) if is_optional => {}
                    Err(error) => return Err(format!("cannot listen: {error}").into()),
                }
            }
        }
    }
    if !config.unixsocket.is_empty() {
        let mode = (config.unixsocketperm != 0).then_some(config.unixsocketperm);
        let socket: Socket = listener::unix(Path::new(&config.unixsocket), mode, backlog)
            .map_err(|error| format!("cannot listen: {error}"))?;
        for sockets in &mut all {
            sockets.push(Listening {
                socket: socket.try_clone()?,
                is_unix: true,
            });
        }
    }
    Ok((all, port))
}

/// The cores that this process may run on.
fn allowed_cores() -> Vec<usize> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let cores: Vec<usize> = cores.into_iter().map(|core| core.id).collect();
    if cores.is_empty() { vec![0] } else { cores }
}

/// Which core each shard is pinned to; none where there are more shards than cores.
fn pins(wanted: &PinCores, cores: &[usize], shards: u16) -> Vec<Option<usize>> {
    let shards = usize::from(shards);
    match wanted {
        PinCores::Nowhere => vec![None; shards],
        PinCores::Cores(list) => (0..shards)
            .map(|shard| list.get(shard % list.len()).copied())
            .collect(),
        PinCores::Automatic if shards <= cores.len() => {
            (0..shards).map(|shard| Some(cores[shard])).collect()
        }
        PinCores::Automatic => vec![None; shards],
    }
}

/// Waits for a signal or for the shards to end.
fn wait(shared: &Shared, threads: Vec<JoinHandle<Result<(), String>>>) -> Result<(), StartError> {
    loop {
        match next_signal(Duration::from_millis(100)) {
            Some(signal) => {
                if shared.phase() == Phase::Stopping {
                    return Err("stopped by a second signal before the log was durable".into());
                }
                tracing::info!(signal, "stopping");
                shared.stop();
            }
            None if threads.iter().any(JoinHandle::is_finished) => break,
            None => {}
        }
    }
    // A shard that failed takes down the others, which make their logs durable. One that waits for
    // the failed one's state cannot: the process then ends without it.
    let has_failed = shared.phase() != Phase::Stopping;
    shared.stop();
    let patience = Instant::now() + FAILURE_PATIENCE;
    while has_failed && !threads.iter().all(JoinHandle::is_finished) && Instant::now() < patience {
        thread::sleep(Duration::from_millis(10));
    }
    let (ended, stuck): (Vec<_>, Vec<_>) = threads
        .into_iter()
        .partition(|thread| !has_failed || thread.is_finished());
    for thread in ended {
        thread.join().map_err(|_| "a shard panicked")??;
    }
    if !stuck.is_empty() {
        return Err("a shard ended, and others could not".into());
    }
    tracing::info!("bye");
    Ok(())
}

fn signals() -> libc::sigset_t {
    // SAFETY: the set is initialised by sigemptyset before it is used.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGINT);
        libc::sigaddset(&mut set, libc::SIGTERM);
        set
    }
}

/// Lets SIGINT and SIGTERM wait until the main thread asks for them; threads inherit that.
fn block_signals() {
    // SAFETY: plain calls with valid arguments; SIGPIPE is ignored by Rust's runtime already.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, &signals(), std::ptr::null_mut());
    }
}

fn next_signal(timeout: Duration) -> Option<i32> {
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // SAFETY: the set and the timeout live through the call.
    let signal = unsafe { libc::sigtimedwait(&signals(), std::ptr::null_mut(), &timeout) };
    (signal > 0).then_some(signal)
}

/// Unix nanoseconds.
pub fn unix_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos() as u64
}

fn random_u64() -> io::Result<u64> {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer is 8 writable bytes.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if got == 8 {
        Ok(u64::from_ne_bytes(bytes))
    } else {
        Err(io::Error::last_os_error())
    }
}

fn run_id() -> io::Result<String> {
    let mut id = String::new();
    for _ in 0..3 {
        id.push_str(&format!("{:016x}", random_u64()?));
    }
    id.truncate(40);
    Ok(id)
}

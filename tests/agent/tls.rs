//! The agent over HTTPS: behind a proxy that ends TLS with a certificate of a CA that nobody knows but by `ca_file`.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use osm_telegram_sim::Options;
use osm_tests::{
    database::{self, Engine},
    process::{Host, terminate},
    world::{START, World},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use crate::doctor::examine;

/// The proxy in front of a backend: it passes on what is inside TLS, byte by byte.
struct Proxy {
    url: String,
    ca: CertifiedIssuer<'static, KeyPair>,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
    folder: TempDir,
}

struct Shared {
    backend: OnceLock<String>,
    acceptor: Mutex<TlsAcceptor>,
    /// Connections whose handshake the agent completed.
    accepted: AtomicUsize,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Proxy {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let acceptor = Mutex::new(acceptor(&ca, &names("localhost")));
        let shared = Arc::new(Shared { backend: OnceLock::new(), acceptor, accepted: AtomicUsize::new(0) });
        let serving = tokio::spawn(serve(listener, shared.clone()));
        Self { url, ca, shared, serving, folder }
    }

    fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Shows another certificate of the same CA from now on.
    fn present(&self, params: &CertificateParams) {
        *self.shared.acceptor.lock().unwrap_or_else(PoisonError::into_inner) = acceptor(&self.ca, params);
    }

    fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }
}

fn names(name: &str) -> CertificateParams {
    CertificateParams::new([name.to_owned()]).unwrap()
}

fn acceptor(ca: &CertifiedIssuer<'static, KeyPair>, params: &CertificateParams) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key);
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((outside, _)) = listener.accept().await {
        let shared = shared.clone();
        tokio::spawn(async move {
            let acceptor = shared.acceptor.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Ok(mut outside) = acceptor.accept(outside).await else { return };
            shared.accepted.fetch_add(1, Ordering::SeqCst);
            let mut inside = TcpStream::connect(shared.backend.get().expect("a backend")).await.unwrap();
            let _ = copy_bidirectional(&mut outside, &mut inside).await;
        });
    }
}

/// A backend that is reached through the proxy only: by the agents' clock, which TLS goes by too.
async fn behind(proxy: &Proxy) -> World {
    let settings = [("OSM_ALLOWED_USERS", "1001"), ("OSM_TELEGRAM_MODE", "polling"), ("OSM_PUBLIC_URL", &*proxy.url)];
    let world = World::with(Engine::Sqlite, Options::default(), &settings).await;
    world.clock.advance(crate::backend::now() - START);
    proxy.shared.backend.set(world.api.trim_start_matches("http://").to_owned()).unwrap();
    world
}

/// A token, from a message whose line names the address that agents are to use.
async fn token(world: &World, proxy: &Proxy) -> String {
    let (token, message) = world.token(&world.anna, "web-1").await;
    assert!(message.plain.contains(&format!("--api {} ", proxy.url)), "{}", message.plain);
    token
}

/// The one line that a program ends with.
#[track_caller]
fn complaint(said: &str) -> &str {
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 1, "{said}");
    lines[0].strip_prefix("osm-agent: ").expect("the agent's own line")
}

async fn pairings_used(world: &World) -> i64 {
    let query = "SELECT COUNT(*) FROM pairings WHERE server_id IS NOT NULL";
    database::rows(&world.database_url(), query).await.unwrap()[0][0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_ca_file_of_agent_toml_it_pairs_and_reports_over_https_and_doctor_finds_tls_in_order() {
    let proxy = Proxy::start().await;
    let world = behind(&proxy).await;
    let host = Host::new(&format!("ca_file = {:?}", proxy.ca_file()));
    let said = host.pair(&proxy.url, &token(&world, &proxy).await).succeeded();
    assert!(said.contains(&format!("Paired with {} as web-1", proxy.url)), "{said}");
    world.see(&world.anna, "Key fingerprint").await;
    let running = host.run();
    let card = world.see(&world.anna, "online").await;
    assert!(card.plain.contains("web-1"), "{}", card.plain);
    terminate(running);

    let found = examine(&host, |_| {});
    assert_eq!(found.line("TLS"), "ok    TLS              the certificate is trusted");
    assert!(found.line("DNS").starts_with("ok ") && found.line("DNS").contains("localhost is "), "{found:?}");
    assert_eq!(found.line("API"), "ok    API              the backend knows this server");
    assert!(found.failing().is_empty(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_ca_nothing_is_sent_and_one_line_names_ca_file_and_the_token_stays_good() {
    let proxy = Proxy::start().await;
    let world = behind(&proxy).await;
    let host = Host::default();
    let token = token(&world, &proxy).await;
    let error = host.pair(&proxy.url, &token).failed();
    assert!(complaint(&error).contains("a CA this machine does not know: set ca_file in agent.toml"), "{error}");
    assert!(!error.contains(&token[5..]), "{error}");
    assert!(!host.state_dir().join("state.json").exists());
    assert_eq!((proxy.accepted(), pairings_used(&world).await), (0, 0));

    // The variable does as well as the file, and the token is as good as it was.
    let with_ca = |command: &mut std::process::Command| {
        command.env("OSM_AGENT_CA_FILE", proxy.ca_file());
    };
    host.pair_with(&proxy.url, &token, with_ca).succeeded();
    world.see(&world.anna, "Key fingerprint").await;
    assert_eq!(pairings_used(&world).await, 1);
    assert!(examine(&host, with_ca).line("TLS").starts_with("ok "));

    let accepted = proxy.accepted();
    let found = examine(&host, |_| {});
    assert!(found.line("TLS").contains("set ca_file in agent.toml"), "{found:?}");
    assert!(found.failing().contains(&"TLS") && !found.failing().contains(&"DNS"), "{found:?}");
    assert_eq!(proxy.accepted(), accepted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_name_time_or_use_is_refused_with_the_reason_and_what_to_do() {
    let proxy = Proxy::start().await;
    let world = behind(&proxy).await;
    let host = Host::new(&format!("ca_file = {:?}", proxy.ca_file()));
    let token = token(&world, &proxy).await;
    let mut expired = names("localhost");
    (expired.not_before, expired.not_after) = (date_time_ymd(2024, 1, 1), date_time_ymd(2024, 2, 1));
    let mut of_the_future = names("localhost");
    (of_the_future.not_before, of_the_future.not_after) = (date_time_ymd(3024, 1, 1), date_time_ymd(3024, 2, 1));
    // As `openssl req -x509` makes them.
    let mut of_a_ca = names("localhost");
    of_a_ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let bad = [
        (names("elsewhere.example"), "the backend's certificate is for another name: give its name to pair --api"),
        (expired, "the backend's certificate has expired, or this machine's clock is wrong"),
        (of_the_future, "this machine's clock is behind, or the certificate is of the future"),
        (of_a_ca, "the backend shows the certificate of a CA itself: it needs one of its own"),
    ];
    for (params, said) in &bad {
        proxy.present(params);
        let error = host.pair(&proxy.url, &token).failed();
        assert!(complaint(&error).contains(said), "{said}: {error}");
        assert!(!host.state_dir().join("state.json").exists());
    }
    assert_eq!((proxy.accepted(), pairings_used(&world).await), (0, 0));

    proxy.present(&names("localhost"));
    host.pair(&proxy.url, &token).succeeded();
    for (params, said) in &bad {
        proxy.present(params);
        let found = examine(&host, |_| {});
        assert!(found.failing().contains(&"TLS") && found.line("TLS").contains(said), "{said}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ca_file_that_is_none_is_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, empty) = (folder.path().join("missing.pem"), folder.path().join("empty.pem"));
    std::fs::write(&empty, "not a certificate").unwrap();
    let proxy = Proxy::start().await;
    let token = crate::backend::Backend::start().await.token.text();
    for (file, said) in [(missing, "no such file"), (empty, "holds no certificate in PEM form")] {
        let host = Host::new(&format!("ca_file = {file:?}"));
        let error = host.pair(&proxy.url, &token).failed();
        let line = complaint(&error);
        assert!(line.contains(&format!("ca_file {}", file.display())) && line.contains(said), "{error}");
    }
    assert_eq!(proxy.accepted(), 0);
}

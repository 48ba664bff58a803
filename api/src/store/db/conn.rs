//! The database: SQLite or PostgreSQL, opened, and transactions on it.

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt, path::Path, str::FromStr, sync::Arc, time::Duration};

use anyhow::Context;
use sqlx::{
    Connection, PgConnection, PgPool, Postgres, Sqlite, SqlitePool, Transaction,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use tokio::time::timeout;

use super::{
    Result, on,
    wake::{self, Hub, Wake},
};
use crate::crash;

#[derive(Clone)]
pub struct Store {
    pool: Pool,
    pub hub: Arc<Hub>,
}

#[derive(Clone)]
enum Pool {
    /// SQLite has one writer: a pool of one connection makes writers queue here, in order, instead of polling for the lock.
    Sqlite {
        read: SqlitePool,
        write: SqlitePool,
    },
    Postgres(PgPool),
}

pub(crate) enum Conn {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// A transaction. Dropped without [`Tx::commit`], it never was.
pub struct Tx {
    pub(in crate::store) conn: Conn,
    hub: Arc<Hub>,
    wakes: Vec<Wake>,
}

/// Gives out no connection that believes to be in a transaction. SQLite ends one by itself when the disk is full or broken
/// (<https://sqlite.org/lang_transaction.html>, "Response To Errors Within A Transaction"); sqlx's ROLLBACK then fails, and so
/// would every BEGIN after it.
fn usable(pool: SqlitePoolOptions) -> SqlitePoolOptions {
    pool.before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
}

/// Asks by one connection whether a database answers: a pool says of one that is not there only that it waited.
async fn answers(options: &PgConnectOptions) -> anyhow::Result<()> {
    let at = format!("OSM_DATABASE_URL: PostgreSQL at {}:{}", options.get_host(), options.get_port());
    match timeout(Duration::from_secs(10), PgConnection::connect_with(options)).await {
        Ok(Ok(connection)) => Ok(connection.close().await?),
        Ok(Err(error)) => Err(error).context(at),
        Err(_) => anyhow::bail!("{at} does not answer"),
    }
}

static MIGRATIONS: Migrator = sqlx::migrate!();

fn embedded(url: &str) -> Result<SqliteConnectOptions> {
    Ok(SqliteConnectOptions::from_str(url)?
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // An accepted report is a durable one.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(10)))
}

async fn served(url: &str, connections: u32) -> anyhow::Result<PgPool> {
    let options = PgConnectOptions::from_str(url)?;
    answers(&options).await?;
    let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(Duration::from_secs(10));
    Ok(pool.connect_with(options).await?)
}

impl Store {
    /// Opens the database and brings its schema up to date.
    pub async fn open(url: &str) -> anyhow::Result<Self> {
        let hub = Arc::new(Hub::default());
        let pool = if url.starts_with("sqlite:") {
            let options = embedded(url)?.create_if_missing(true);
            only_for_us(options.get_filename())?;
            let write = usable(SqlitePoolOptions::new().max_connections(1)).connect_with(options.clone()).await?;
            MIGRATIONS.run(&write).await?;
            let read = usable(SqlitePoolOptions::new().max_connections(4)).connect_with(options).await?;
            Pool::Sqlite { read, write }
        } else {
            let pool = served(url, 16).await?;
            MIGRATIONS.run(&pool).await?;
            wake::listen(pool.clone(), hub.clone());
            Pool::Postgres(pool)
        };
        Ok(Self { pool, hub })
    }

    /// Opens the database for a command beside a running backend, which hears at `socket` what is committed. The schema must be
    /// there, and be this version's: a command changes none under a backend that runs.
    pub async fn beside(url: &str, socket: &Path) -> anyhow::Result<Self> {
        let pool = if url.starts_with("sqlite:") {
            let options = embedded(url)?;
            let file = options.get_filename();
            anyhow::ensure!(file.exists(), "{} is not there: is this the database of a backend that has run?", file.display());
            let pool = usable(SqlitePoolOptions::new().max_connections(2)).connect_with(options).await?;
            Pool::Sqlite { read: pool.clone(), write: pool }
        } else {
            Pool::Postgres(served(url, 2).await?)
        };
        let hub = match &pool {
            Pool::Sqlite { .. } => Hub::beside(socket),
            // Its NOTIFY does it.
            Pool::Postgres(_) => Hub::default(),
        };
        let store = Self { pool, hub: Arc::new(hub) };
        store.has_our_schema().await?;
        Ok(store)
    }

    async fn has_our_schema(&self) -> anyhow::Result<()> {
        const APPLIED: &str = "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version";
        let mut tx = self.read().await?;
        let applied: Vec<i64> = on!(tx, conn => sqlx::query_scalar(APPLIED).fetch_all(conn).await)
            .context("OSM_DATABASE_URL: not the database of a backend that has run")?;
        let ours: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
        anyhow::ensure!(
            applied == ours,
            "the database is of another version of osm-api: restart `osm-api serve`, which brings it up to date"
        );
        Ok(())
    }

    /// Lets commands beside this process wake it at this socket.
    pub fn hear(&self, socket: &Path) -> std::io::Result<()> {
        wake::hear(socket, self.hub.clone())
    }

    /// For reading and writing.
    pub async fn begin(&self) -> Result<Tx> {
        let conn = match &self.pool {
            Pool::Sqlite { write, .. } => Conn::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            Pool::Postgres(pool) => Conn::Postgres(pool.begin().await?),
        };
        Ok(Tx { conn, hub: self.hub.clone(), wakes: Vec::new() })
    }

    /// For reading only.
    pub async fn read(&self) -> Result<Tx> {
        let conn = match &self.pool {
            Pool::Sqlite { read, .. } => Conn::Sqlite(read.begin().await?),
            Pool::Postgres(pool) => Conn::Postgres(pool.begin().await?),
        };
        Ok(Tx { conn, hub: self.hub.clone(), wakes: Vec::new() })
    }

    /// Tells whether only this process can be using the database.
    pub fn is_embedded(&self) -> bool {
        matches!(self.pool, Pool::Sqlite { .. })
    }

    pub async fn close(&self) {
        match &self.pool {
            Pool::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
            Pool::Postgres(pool) => pool.close().await,
        }
    }
}

/// Makes the database file before SQLite does, readable by this user alone; SQLite gives its journal the same mode.
fn only_for_us(file: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(std::io::Error::new(error.kind(), format!("{}: {error}", file.display())))
        }
        _ => Ok(()),
    }
}

impl Tx {
    /// Wakes `whom` once this transaction is durable.
    pub fn wake(&mut self, whom: Wake) {
        if !self.wakes.contains(&whom) {
            self.wakes.push(whom);
        }
    }

    /// `what` names the step for the crash tests, which abort on either side of it.
    pub async fn commit(mut self, what: &str) -> Result<()> {
        if let Conn::Postgres(conn) = &mut self.conn {
            // Other instances hear it when this commits.
            for wake in &self.wakes {
                sqlx::query("SELECT pg_notify($1, $2)").bind(wake::CHANNEL).bind(wake.to_text()).execute(&mut **conn).await?;
            }
        }
        crash::point(&format!("{what}.before-commit"));
        match self.conn {
            Conn::Sqlite(conn) => conn.commit().await?,
            Conn::Postgres(conn) => conn.commit().await?,
        }
        crash::point(&format!("{what}.after-commit"));
        for wake in &self.wakes {
            self.hub.wake(wake);
        }
        Ok(())
    }
}

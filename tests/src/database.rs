//! A fresh database for each story, on either engine.

use std::path::Path;

use anyhow::{Context, Result};
use sqlx::{
    Connection, Decode, PgConnection, Postgres, Row as _, Sqlite, SqliteConnection, Type, migrate::Migrator,
    postgres::PgConnectOptions,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// The URL of a database that nobody has used. PostgreSQL's server is the throwaway cluster that `make test` starts.
pub async fn fresh(engine: Engine, dir: &Path) -> Result<String> {
    match engine {
        Engine::Sqlite => Ok(format!("sqlite://{}", dir.join("osm.db").display())),
        Engine::Postgres => {
            let server = |name: &str| {
                std::env::var(name)
                    .with_context(|| format!("{name} is not set: run the tests with `make test`, which starts PostgreSQL"))
            };
            let (host, port, user, password) = (server("PGHOST")?, server("PGPORT")?, server("PGUSER")?, server("PGPASSWORD")?);
            let name = format!("osm_{}", uuid::Uuid::new_v4().simple());
            let options =
                PgConnectOptions::new().host(&host).port(port.parse()?).username(&user).password(&password).database("postgres");
            let mut connection = PgConnection::connect_with(&options).await.context("the PostgreSQL server does not answer")?;
            sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await?;
            Ok(format!("postgres://{user}:{password}@{host}:{port}/{name}"))
        }
    }
}

/// What a query finds: rows of whole numbers. For looking at the end of a story from outside.
pub async fn rows(url: &str, query: &str) -> Result<Vec<Vec<i64>>> {
    fetch(url, query).await
}

/// What a query finds: rows of texts.
pub async fn texts(url: &str, query: &str) -> Result<Vec<Vec<Option<String>>>> {
    fetch(url, query).await
}

async fn fetch<T>(url: &str, query: &str) -> Result<Vec<Vec<T>>>
where
    T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>,
{
    macro_rules! on {
        ($connection:ty) => {{
            let mut connection = <$connection>::connect(url).await?;
            let rows = sqlx::query(sqlx::AssertSqlSafe(query.to_owned())).fetch_all(&mut connection).await?;
            connection.close().await?;
            rows.iter().map(|row| (0..row.len()).map(|column| Ok(row.try_get(column)?)).collect()).collect()
        }};
    }
    if url.starts_with("sqlite:") { on!(SqliteConnection) } else { on!(PgConnection) }
}

/// Changes a database from outside.
pub async fn execute(url: &str, statements: &str) -> Result<()> {
    macro_rules! on {
        ($connection:ty) => {{
            let mut connection = <$connection>::connect(url).await?;
            sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned())).execute(&mut connection).await?;
            Ok(connection.close().await?)
        }};
    }
    if url.starts_with("sqlite:") { on!(SqliteConnection) } else { on!(PgConnection) }
}

/// Runs the migrations of a folder on a database that has had others.
pub async fn migrate(url: &str, folder: &Path) -> Result<()> {
    let mut migrator = Migrator::new(folder).await?;
    migrator.set_ignore_missing(true);
    macro_rules! on {
        ($connection:ty) => {{
            let mut connection = <$connection>::connect(url).await?;
            migrator.run(&mut connection).await?;
            Ok(connection.close().await?)
        }};
    }
    if url.starts_with("sqlite:") { on!(SqliteConnection) } else { on!(PgConnection) }
}

/// A table with all its rows.
#[derive(Debug)]
pub struct Table {
    pub name: String,
    pub columns: Vec<String>,
    pub rows: Rows,
}

/// Each value as the engine's own text of it, in no order that means anything.
pub type Rows = Vec<Vec<Option<String>>>;

impl Table {
    /// The rows that hold this text in some column.
    pub fn naming<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a Vec<Option<String>>> {
        self.rows.iter().filter(move |row| row.iter().flatten().any(|value| value.contains(text)))
    }
}

/// All tables of ours, as the schema of the moment has them.
pub async fn tables(url: &str) -> Result<Vec<Table>> {
    let query = match engine(url) {
        Engine::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        Engine::Postgres => "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public'",
    };
    let mut tables = Vec::new();
    for name in words(url, query).await?.into_iter().filter(|name| name != "_sqlx_migrations") {
        let columns = columns(url, &name).await?;
        let rows = all_rows(url, &name, &columns).await?;
        tables.push(Table { name, columns, rows });
    }
    anyhow::ensure!(tables.len() > 10, "the schema's tables are not found");
    Ok(tables)
}

pub async fn columns(url: &str, table: &str) -> Result<Vec<String>> {
    let query = match engine(url) {
        Engine::Sqlite => format!("SELECT name FROM pragma_table_info('{table}')"),
        Engine::Postgres => format!(
            "SELECT CAST(column_name AS TEXT) FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name = '{table}' ORDER BY ordinal_position"
        ),
    };
    words(url, &query).await
}

/// These columns of all rows, sorted.
pub async fn all_rows(url: &str, table: &str, columns: &[String]) -> Result<Rows> {
    let value = |column: &String| match engine(url) {
        Engine::Sqlite => format!("quote(\"{column}\")"),
        Engine::Postgres => format!("CAST(\"{column}\" AS TEXT)"),
    };
    let values: Vec<String> = columns.iter().map(value).collect();
    let mut rows = texts(url, &format!("SELECT {} FROM \"{table}\"", values.join(", "))).await?;
    rows.sort();
    Ok(rows)
}

/// A query of one column that is never null.
async fn words(url: &str, query: &str) -> Result<Vec<String>> {
    Ok(texts(url, query).await?.into_iter().flatten().flatten().collect())
}

fn engine(url: &str) -> Engine {
    if url.starts_with("sqlite:") { Engine::Sqlite } else { Engine::Postgres }
}

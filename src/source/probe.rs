//! What can be asked of a source step by step: its name, its port, its certificate; and, once logged in, its facts by SQL.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::select_ok;
use tokio::net::TcpStream;

use super::issuer::{self, Opening};
use super::sqlserver::browser;
use super::{Connection, Encryption, Engine, SourceError};
use crate::tls::Certificate;

/// The longest wait for a name, and again for a port: a firewall that swallows packets must not cost a minute.
const LIMIT: Duration = Duration::from_secs(5);

/// How an engine is asked for its facts. Each query gives text; who may not ask it is no failure of the source.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The port that the engine listens on by itself; `None` where there is no network.
    port: Option<u16>,
    opening: Opening,
    /// The version, in one or more cells of one row.
    pub version: &'static str,
    /// Encoding and collation of the database, in one row.
    pub encoding: &'static str,
    /// The rights to write that the login has, a row each; `None` where rights are those of a file.
    pub writing: Option<&'static str>,
    /// The server's time in UTC, as `2026-11-23T02:30:00.125`; `None` where it is this machine's.
    pub now: Option<&'static str>,
}

/// How to ask an engine; `None` if there is nothing to be asked.
///
/// The sources of the rights: for SQL Server `IS_SRVROLEMEMBER`, `IS_MEMBER` and `HAS_PERMS_BY_NAME`, which every version
/// since 2008 has; for PostgreSQL `has_table_privilege`; for MySQL and MariaDB the tables of privileges in
/// `information_schema`, which hold what is granted to the login itself, not by way of a role.
pub fn facts(engine: Engine) -> Option<Facts> {
    match engine {
        Engine::SqlServer => Some(Facts {
            port: Some(1433),
            opening: Opening::Packets,
            version: "SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128)) AS version,
                CAST(SERVERPROPERTY('Edition') AS nvarchar(128)) AS edition",
            encoding: "SELECT CAST(DATABASEPROPERTYEX(DB_NAME(), 'Collation') AS nvarchar(128)) AS collation_name",
            writing: Some(SQL_SERVER_WRITING),
            now: Some("SELECT CONVERT(varchar(23), SYSUTCDATETIME(), 126) AS now_utc"),
        }),
        Engine::Postgres => Some(Facts {
            port: Some(5432),
            opening: Opening::Postgres,
            version: "SELECT pg_catalog.current_setting('server_version') AS version",
            encoding:
                "SELECT pg_catalog.pg_encoding_to_char(encoding)::text AS encoding, datcollate::text AS collation_name
                FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()",
            writing: Some(POSTGRES_WRITING),
            now: Some(
                "SELECT pg_catalog.to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC',
                    'YYYY-MM-DD\"T\"HH24:MI:SS.MS') AS now_utc",
            ),
        }),
        Engine::MySql => Some(Facts {
            port: Some(3306),
            opening: Opening::MySql,
            version: "SELECT VERSION() AS version",
            encoding: "SELECT @@character_set_database AS encoding, @@collation_database AS collation_name",
            writing: Some(MYSQL_WRITING),
            now: Some("SELECT UTC_TIMESTAMP(3) AS now_utc"),
        }),
        Engine::Sqlite => Some(Facts {
            port: None,
            opening: Opening::Strict,
            version: "SELECT sqlite_version() AS version",
            encoding: "SELECT encoding FROM pragma_encoding",
            writing: None,
            now: None,
        }),
        // A database of our own, in memory; and one of which nothing is known.
        Engine::Csv | Engine::Odbc => None,
    }
}

const SQL_SERVER_WRITING: &str = "
SELECT 'server role sysadmin' AS privilege WHERE IS_SRVROLEMEMBER('sysadmin') = 1
UNION ALL SELECT 'database role db_owner' WHERE IS_MEMBER('db_owner') = 1
UNION ALL SELECT 'database role db_datawriter' WHERE IS_MEMBER('db_datawriter') = 1
UNION ALL SELECT 'INSERT in the database' WHERE HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'INSERT') = 1
UNION ALL SELECT 'UPDATE in the database' WHERE HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'UPDATE') = 1
UNION ALL SELECT 'DELETE in the database' WHERE HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'DELETE') = 1
UNION ALL SELECT writable.name FROM (
    SELECT TOP (5) 'table ' + SCHEMA_NAME(o.schema_id) + '.' + o.name AS name FROM sys.objects o
    WHERE o.type IN ('U', 'V') AND o.is_ms_shipped = 0 AND (
        HAS_PERMS_BY_NAME(QUOTENAME(SCHEMA_NAME(o.schema_id)) + '.' + QUOTENAME(o.name), 'OBJECT', 'INSERT') = 1
        OR HAS_PERMS_BY_NAME(QUOTENAME(SCHEMA_NAME(o.schema_id)) + '.' + QUOTENAME(o.name), 'OBJECT', 'UPDATE') = 1
        OR HAS_PERMS_BY_NAME(QUOTENAME(SCHEMA_NAME(o.schema_id)) + '.' + QUOTENAME(o.name), 'OBJECT', 'DELETE') = 1)
    ORDER BY o.name) writable";

const POSTGRES_WRITING: &str = r"
SELECT 'superuser' AS privilege FROM pg_catalog.pg_roles WHERE rolname = current_user AND rolsuper
UNION ALL (
    SELECT 'table ' || n.nspname || '.' || c.relname FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND n.nspname NOT LIKE 'pg\_%' AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
      AND pg_catalog.has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
    ORDER BY n.nspname, c.relname LIMIT 5)";

const MYSQL_WRITING: &str = "
SELECT CONCAT(p.privilege_type, p.place) AS privilege FROM (
    SELECT grantee, privilege_type, ' everywhere' AS place FROM information_schema.user_privileges
    UNION ALL SELECT grantee, privilege_type, CONCAT(' in ', table_schema) FROM information_schema.schema_privileges
    UNION ALL SELECT grantee, privilege_type, CONCAT(' on ', table_schema, '.', table_name)
    FROM information_schema.table_privileges) p
WHERE p.privilege_type IN ('INSERT', 'UPDATE', 'DELETE')
  AND REPLACE(p.grantee, '''', '') = CURRENT_USER()
ORDER BY p.place, p.privilege_type LIMIT 6";

/// Whether a network lies between us and the source.
pub fn is_remote(connection: &Connection) -> bool {
    connection.socket.is_none() && facts(connection.engine).is_some_and(|facts| facts.port.is_some())
}

/// Whether the SQL Browser must be asked for the port.
pub fn needs_browser(connection: &Connection) -> bool {
    connection.instance.is_some() && connection.port.is_none()
}

/// The addresses of a name, in order. Never empty.
///
/// # Errors
/// [`SourceError::NameNotResolved`].
pub async fn addresses(host: &str) -> Result<Vec<IpAddr>, SourceError> {
    let failed = |source| SourceError::NameNotResolved { host: host.to_owned(), source };
    let resolved = async { tokio::net::lookup_host((host, 0)).await.map(Iterator::collect::<Vec<_>>) };
    let resolved = tokio::time::timeout(LIMIT, resolved).await;
    let resolved = resolved.unwrap_or_else(|_| Err(silent("no DNS server answered"))).map_err(failed)?;
    let mut addresses: Vec<IpAddr> = resolved.into_iter().map(|address| address.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() { Err(failed(std::io::Error::other("the name has no address"))) } else { Ok(addresses) }
}

/// The port: the one that is given, else the one that the SQL Browser names for the instance, else the engine's own.
///
/// # Errors
/// [`SourceError::InstanceUnknown`].
pub async fn port(connection: &Connection) -> Result<u16, SourceError> {
    match (connection.port, &connection.instance) {
        (Some(port), _) => Ok(port),
        (None, Some(instance)) => browser::port_of(&connection.host, instance).await,
        (None, None) => Ok(facts(connection.engine).and_then(|facts| facts.port).unwrap_or_default()),
    }
}

/// Opens a connection to the port at the first of the host's addresses that answers, and closes it.
///
/// # Errors
/// [`SourceError::Unreachable`].
pub async fn knock(host: &str, port: u16) -> Result<(), SourceError> {
    let failed = |source| SourceError::Unreachable { address: format!("{host}:{port}"), source };
    let open = async {
        let addresses = tokio::net::lookup_host((host, port)).await?;
        let attempts: Vec<_> = addresses.map(|address| Box::pin(TcpStream::connect(address))).collect();
        if attempts.is_empty() {
            return Err(std::io::Error::other("the name has no address"));
        }
        select_ok(attempts).await.map(drop)
    };
    let opened = tokio::time::timeout(LIMIT, open).await;
    opened.unwrap_or_else(|_| Err(silent("no answer, as behind a firewall,"))).map_err(failed)
}

/// The certificate that the server shows; `None` if it shows none.
///
/// # Errors
/// It did not answer in time, or not as such a server does.
pub async fn certificate(connection: &Connection, port: u16) -> std::io::Result<Option<Certificate>> {
    let opening = match (connection.encryption, facts(connection.engine)) {
        (Encryption::Strict, _) => Opening::Strict,
        (_, Some(facts)) => facts.opening,
        (_, None) => return Ok(None),
    };
    issuer::certificate(&connection.host, port, opening).await
}

fn silent(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, format!("{what} within {} s", LIMIT.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::check_query;

    #[test]
    fn every_question_is_a_read() {
        for engine in [Engine::SqlServer, Engine::Postgres, Engine::MySql, Engine::Sqlite] {
            let facts = facts(engine).unwrap();
            for query in [Some(facts.version), Some(facts.encoding), facts.writing, facts.now].into_iter().flatten() {
                check_query(engine, query).unwrap();
            }
        }
    }
}

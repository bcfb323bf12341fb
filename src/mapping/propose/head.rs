//! What stands above `users:` in a new mapping: the format's version, the source, the target.

use std::fmt::Write as _;

use super::write::scalar;
use crate::secret::Secret;
use crate::source::{Connection, Encryption, Engine, Login};

/// The reference that stands for the source's password unless the given address has one of its own.
pub const SOURCE_PASSWORD: &str = "${SIS_PASSWORD}";

/// The blocks `version`, `source` and `target`. Holds no secret: of a password only a reference to it is written.
pub fn head(source: &Connection, target: &str, account: &str) -> String {
    let mut out = String::from("version: 1                                    # of this file's format\n\n");
    out.push_str("source:                                       # where people are read; never written to\n");
    let _ = writeln!(out, "  url: {}", scalar(&address(source)));
    if !source.username.is_empty() {
        let _ = writeln!(out, "  username: {}", scalar(&source.username));
    }
    if let Some(password) = password_of(source) {
        let _ = writeln!(
            out,
            "{:<46}# from the environment, or from `.env` beside this file",
            format!("  password: {password}")
        );
    }
    let plain = Connection::parse(&address(source)).ok();
    if plain.as_ref().is_none_or(|plain| plain.encryption != source.encryption) {
        let _ = writeln!(out, "  encryption: {}", level(source.encryption));
    }
    if source.trust_server_certificate {
        let _ = writeln!(
            out,
            "  trust_server_certificate: true              # better: the server's authority as `ca_file`"
        );
    }
    if let Some(file) = source.ca_file.as_ref().and_then(|file| file.to_str()) {
        let _ = writeln!(out, "  ca_file: {}", scalar(file));
    }
    if plain.is_none_or(|plain| plain.timeout != source.timeout) {
        let _ = writeln!(out, "  timeout: {}s", source.timeout.as_secs().max(1));
    }
    out.push_str("\ntarget:                                       # where they are pushed\n");
    let _ = writeln!(out, "  url: {target}");
    let _ = writeln!(
        out,
        "{:<46}# an Infiniti account that may import and has a password of its own",
        format!("  username: {}", scalar(account))
    );
    out.push_str("  password: ${INFINITI_PASSWORD}\n");
    out
}

/// The reference to the password that a mapping of this source holds; `None` if it needs none.
pub fn password_of(source: &Connection) -> Option<&str> {
    let given = source.password.as_ref().map(Secret::expose_secret).filter(|password| is_reference(password));
    match (source.engine, source.login) {
        (Engine::Sqlite | Engine::Csv, _) => None,
        // The account that runs the program.
        (_, Login::Windows) if source.username.is_empty() => None,
        // A socket knows the account that opens it, unless a password is given.
        _ if source.socket.is_some() && source.password.is_none() => None,
        (Engine::SqlServer | Engine::Postgres | Engine::MySql | Engine::Odbc, _) => {
            Some(given.unwrap_or(SOURCE_PASSWORD))
        }
    }
}

/// Whether a password is nothing but a reference.
fn is_reference(password: &str) -> bool {
    password.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).is_some_and(|name| !name.contains(['{', '}']))
}

/// A source's URL without login, as [`Connection::parse`] reads it.
fn address(source: &Connection) -> String {
    if source.engine == Engine::Sqlite {
        let file = &source.database;
        return if file.contains('?') || file.starts_with("//") {
            format!("sqlite://{}", encoded(file))
        } else {
            format!("sqlite:{file}")
        };
    }
    if source.engine == Engine::Odbc {
        return format!("odbc:{}", source.odbc.written());
    }
    if source.engine == Engine::Csv {
        return csv_address(source);
    }
    let mut url = format!("{}://", source.engine.scheme());
    match (&source.socket, source.engine) {
        (Some(socket), Engine::Postgres) => url.push_str(&encoded(&socket.display().to_string())),
        _ if source.host.contains(':') => url.extend(["[", &source.host, "]"]),
        _ => url.push_str(&encoded(&source.host)),
    }
    if let Some(port) = source.port {
        let _ = write!(url, ":{port}");
    }
    let _ = write!(url, "/{}", encoded(&source.database));
    let mut parameters = Vec::new();
    if let Some(instance) = &source.instance {
        parameters.push(format!("instance={}", encoded(instance)));
    }
    if let (Some(socket), Engine::MySql) = (&source.socket, source.engine) {
        parameters.push(format!("socket={}", encoded(&socket.display().to_string())));
    }
    if source.login == Login::Windows {
        parameters.push("login=windows".to_owned());
    }
    if !parameters.is_empty() {
        let _ = write!(url, "?{}", parameters.join("&"));
    }
    url
}

/// A folder of CSV files, with what was said of how they are written.
fn csv_address(source: &Connection) -> String {
    let folder = &source.database;
    let mut url =
        if folder.contains(['?', '%']) { format!("csv://{}", encoded(folder)) } else { format!("csv:{folder}") };
    let delimiter = source.csv.delimiter.map(|byte| format!("delimiter=%{byte:02X}"));
    let encoding = source.csv.encoding.map(|encoding| format!("encoding={}", encoding.name().to_ascii_lowercase()));
    let parameters: Vec<String> = [delimiter, encoding].into_iter().flatten().collect();
    if !parameters.is_empty() {
        let _ = write!(url, "?{}", parameters.join("&"));
    }
    url
}

/// Percent-encodes what a URL cannot hold, and leaves references as they are.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        if rest.starts_with("${")
            && let Some(end) = rest.find('}')
        {
            out.push_str(&rest[..=end]);
            rest = &rest[end + 1..];
            continue;
        }
        let Some(c) = rest.chars().next() else { break };
        if c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | ' ' | '(' | ')' | '+') {
            out.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        rest = &rest[c.len_utf8()..];
    }
    out
}

fn level(encryption: Encryption) -> &'static str {
    match encryption {
        Encryption::Strict => "strict",
        Encryption::Required => "required",
        Encryption::Login => "login",
        Encryption::Off => "off",
        Encryption::Preferred => "preferred",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_back_as_it_was() {
        for text in [
            "mssql://svc_library@sis.example.local/Synergetic?instance=SIS",
            "mssql://sis.example.local:1500/My Database",
            "mssql://h/db?login=windows",
            "postgres://u%40x:secret@[::1]:5433/my%2Fdb",
            "postgres://%2Frun%2Fpostgresql/sis",
            "mariadb://localhost/sis?user=a&socket=/run/mysqld/mysqld.sock",
            "postgres://h/d?sslmode=require",
            "mssql://${HOST}/${DB}?encrypt=strict",
            "sqlite:data/sis.db",
            r"sqlite:C:\x\y.db",
            r"Server=sis\A;Database=Syn;User ID=svc;Password='p@ss;w';Encrypt=false;Command Timeout=30",
            "Server=tcp:h,1433;Database=Syn;Integrated Security=true;TrustServerCertificate=yes",
        ] {
            let Ok(connection) = Connection::parse(text) else { panic!("{text}") };
            let written = Connection::parse(&address(&connection)).unwrap();
            let place = |c: &Connection| {
                (c.engine, c.host.clone(), c.port, c.instance.clone(), c.socket.clone(), c.database.clone(), c.login)
            };
            assert_eq!(place(&written), place(&connection), "{text}");
            let head = head(&connection, "https://example.concordinfiniti.com", "autoimport");
            assert!(!head.contains("secret") && !head.contains("p@ss"), "{head}");
        }
    }

    #[test]
    fn what_a_connection_string_says_beside_the_address_is_kept() {
        let text = r"Server=sis\A;Database=Syn;User ID=svc;Password=hunter2;Encrypt=false;Command Timeout=30";
        let head = head(&Connection::parse(text).unwrap(), "https://example.concordinfiniti.com", "autoimport");
        let lines: Vec<&str> = head.lines().map(|line| line.split(" #").next().unwrap_or(line).trim_end()).collect();
        assert_eq!(
            lines[2..7],
            [
                "source:",
                "  url: \"mssql://sis/Syn?instance=A\"",
                "  username: svc",
                "  password: ${SIS_PASSWORD}",
                "  encryption: login",
            ]
        );
        assert!(head.contains("\n  timeout: 30s\n") && !head.contains("hunter2"), "{head}");
    }
}

//! The parameters of a URL: what stands after its `?`.

use crate::secret::Secret;

use super::url::{Result, decoded, special_character};
use super::{
    Connection, ConnectionError, Encryption, Engine, Login, nearest, parse_integrated, parse_yes_no, path,
    split_outside,
};

/// Reads the parameters into the connection and gives the encryption if one of them says it.
pub(super) fn parse(connection: &mut Connection, query: &str, user_is_given: bool) -> Result<Option<Encryption>> {
    let mut encryption = None;
    let mut seen: Vec<&str> = if user_is_given { vec!["username"] } else { Vec::new() };
    if connection.password.is_some() {
        seen.push("password");
    }
    let mut rest = query;
    while !rest.is_empty() {
        let pair;
        (pair, rest) = split_outside(rest, &['&']).map_or((rest, ""), |(pair, _, rest)| (pair, rest));
        if pair.is_empty() {
            continue;
        }
        let (written, value) = split_outside(pair, &['=']).map_or((pair, ""), |(name, _, value)| (name, value));
        let name = match known_parameter(written, seen.last() == Some(&"password")) {
            // An `@` this late is the one before the host, so all of this is a password with a `?` in it.
            Err(_) if query.contains('@') => return Err(special_character(NO_PARAMETER)),
            name => name?,
        };
        if seen.contains(&name) {
            return Err(ConnectionError::new(format!("`{name}` is given twice")));
        }
        seen.push(name);
        let value = decoded(value)?.into_owned();
        let wrong = |expected: &str| {
            Err(ConnectionError::new(format!("`{name}` has a value that is not understood"))
                .hint(format!("write {expected}")))
        };
        let engine = connection.engine;
        let for_sql_server = || {
            if engine == Engine::SqlServer {
                Ok(())
            } else {
                Err(ConnectionError::new(format!("`{name}` is for SQL Server only")))
            }
        };
        match name {
            "username" => connection.username = value,
            "password" => connection.password = Some(Secret::from(value)),
            "database" => connection.database = value,
            "encryption" => {
                encryption = Some(parse_encryption(engine, &value)?);
            }
            "sslmode" => encryption = Some(parse_ssl_mode(connection, &value)?),
            "trust_server_certificate" => match parse_yes_no(&value) {
                Some(yes) => connection.trust_server_certificate |= yes,
                None => return wrong("`true` or `false`"),
            },
            "ca_file" => connection.ca_file = path(&value),
            "instance" => {
                for_sql_server()?;
                connection.instance = Some(value).filter(|instance| !instance.is_empty());
            }
            "login" => {
                for_sql_server()?;
                connection.login = match value.to_ascii_lowercase().as_str() {
                    "windows" => Login::Windows,
                    "database" | "sql" => Login::Database,
                    _ => return wrong("`windows` or `database`"),
                };
            }
            "integrated_security" => {
                for_sql_server()?;
                match parse_integrated(&value) {
                    Some(login) => connection.login = login,
                    None => return wrong("`true` or `false`"),
                }
            }
            "host" if value.starts_with('/') => connection.socket = path(&value),
            "host" => connection.host = value,
            "socket" if engine == Engine::SqlServer => {
                return Err(ConnectionError::new("SQL Server has no sockets"));
            }
            "socket" => connection.socket = path(&value),
            _ => {}
        }
    }
    Ok(encryption)
}

/// Every parameter's name as we write it, with the other names that drivers have for it.
const PARAMETERS: [(&str, &[&str]); 13] = [
    ("username", &["user", "uid", "user_id"]),
    ("password", &["pwd"]),
    ("database", &["dbname"]),
    ("encryption", &["encrypt"]),
    ("sslmode", &["ssl_mode"]),
    ("trust_server_certificate", &["trustservercertificate"]),
    ("ca_file", &["sslrootcert", "ssl_ca"]),
    ("instance", &["instancename", "instance_name"]),
    ("login", &[]),
    ("integrated_security", &["integratedsecurity", "trusted_connection"]),
    ("host", &["server"]),
    ("socket", &["unix_socket"]),
    // Understood and left out: we give our own.
    ("application_name", &["applicationname", "app_name", "connect_timeout", "charset", "applicationintent"]),
];

const NO_PARAMETER: &str = "after the `?` stands something that is no parameter";

fn known_parameter(written: &str, after_password: bool) -> Result<&'static str> {
    let name = written.to_ascii_lowercase().replace('-', "_");
    if let Some((ours, _)) = PARAMETERS.iter().find(|(ours, others)| *ours == name || others.contains(&&*name)) {
        return Ok(ours);
    }
    let near = nearest(
        &name,
        PARAMETERS.iter().flat_map(|(ours, others)| std::iter::once(*ours).chain(others.iter().copied())),
    );
    // What no one would write as a name, or follows a password, may be a part of the password.
    let like_a_name = name.len() <= 40 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    if near.is_none() && (after_password || !like_a_name) {
        return Err(special_character(NO_PARAMETER));
    }
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            "the parameters are `instance`, `encryption`, `trust_server_certificate`, `ca_file`, `login`, `sslmode`, \
                 `host`, `socket`, `username`, `password` and `database`"
                .to_owned()
        }
    };
    Err(ConnectionError::new(format!("unknown parameter `{written}`")).hint(hint))
}

fn parse_encryption(engine: Engine, value: &str) -> Result<Encryption> {
    let sql_server = engine == Engine::SqlServer;
    Ok(match value.to_ascii_lowercase().as_str() {
        "required" | "require" | "true" | "yes" | "on" | "mandatory" => Encryption::Required,
        "preferred" | "prefer" => Encryption::Preferred,
        "off" | "disable" | "disabled" => Encryption::Off,
        "strict" if sql_server => Encryption::Strict,
        "login" if sql_server => Encryption::Login,
        // SQL Server's drivers still encrypt the login then.
        "false" | "no" | "optional" => {
            if sql_server {
                Encryption::Login
            } else {
                Encryption::Off
            }
        }
        "strict" | "login" => {
            return Err(ConnectionError::new("this level of encryption is for SQL Server only")
                .hint("write `required`, `preferred` or `off`"));
        }
        _ => {
            return Err(ConnectionError::new("`encryption` has a value that is not understood").hint(if sql_server {
                "write `strict`, `required`, `preferred`, `login` or `off`"
            } else {
                "write `required`, `preferred` or `off`"
            }));
        }
    })
}

/// PostgreSQL's words, and MySQL's.
fn parse_ssl_mode(connection: &mut Connection, value: &str) -> Result<Encryption> {
    Ok(match value.to_ascii_lowercase().replace('_', "-").as_str() {
        "disable" | "disabled" => Encryption::Off,
        "allow" | "prefer" | "preferred" => Encryption::Preferred,
        "require" | "required" => {
            connection.trust_server_certificate = true;
            Encryption::Required
        }
        "verify-full" | "verify-identity" => Encryption::Required,
        "verify-ca" => {
            return Err(ConnectionError::new(
                "`sslmode=verify-ca` is not supported: it would not check the host's name",
            )
            .hint("write `sslmode=verify-full`"));
        }
        _ => {
            return Err(ConnectionError::new("`sslmode` has a value that is not understood")
                .hint("write `verify-full`, `require`, `prefer` or `disable`"));
        }
    })
}

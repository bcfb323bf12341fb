//! ADO.NET connection strings for SQL Server, as technicians have them in their scripts: `Server=…;Database=…`.

use std::time::Duration;

use crate::secret::Secret;

use super::{
    Connection, ConnectionError, Encryption, Engine, PASSWORD_KEY, local_host, nearest, outside_references,
    parse_integrated, parse_yes_no, split_outside,
};

type Result<T> = std::result::Result<T, ConnectionError>;

/// What a keyword means to us.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Keyword {
    Server,
    Database,
    Username,
    Password,
    IntegratedSecurity,
    Encrypt,
    TrustServerCertificate,
    CommandTimeout,
    NetworkLibrary,
    Authentication,
    /// Changes nothing for one session that reads, or is ours to say.
    Ignored,
    /// Would change what we connect to, and we cannot.
    Unsupported,
}

/// Every keyword and synonym of `Microsoft.Data.SqlClient`, `System.Data.SqlClient` and the common ones of ODBC and
/// OLE DB, in lower case and without spaces.
const KEYWORDS: [(&str, Keyword); 75] = [
    ("server", Keyword::Server),
    ("datasource", Keyword::Server),
    ("address", Keyword::Server),
    ("addr", Keyword::Server),
    ("networkaddress", Keyword::Server),
    ("database", Keyword::Database),
    ("initialcatalog", Keyword::Database),
    ("userid", Keyword::Username),
    ("uid", Keyword::Username),
    ("user", Keyword::Username),
    ("username", Keyword::Username),
    ("password", Keyword::Password),
    ("pwd", Keyword::Password),
    ("integratedsecurity", Keyword::IntegratedSecurity),
    ("trusted_connection", Keyword::IntegratedSecurity),
    ("trustedconnection", Keyword::IntegratedSecurity),
    ("encrypt", Keyword::Encrypt),
    ("encryption", Keyword::Encrypt),
    ("useencryptionfordata", Keyword::Encrypt),
    ("trustservercertificate", Keyword::TrustServerCertificate),
    ("commandtimeout", Keyword::CommandTimeout),
    ("networklibrary", Keyword::NetworkLibrary),
    ("network", Keyword::NetworkLibrary),
    ("net", Keyword::NetworkLibrary),
    ("authentication", Keyword::Authentication),
    ("connecttimeout", Keyword::Ignored),
    ("connectiontimeout", Keyword::Ignored),
    ("timeout", Keyword::Ignored),
    ("applicationname", Keyword::Ignored),
    ("app", Keyword::Ignored),
    ("applicationintent", Keyword::Ignored),
    ("multisubnetfailover", Keyword::Ignored),
    ("transparentnetworkipresolution", Keyword::Ignored),
    ("ipaddresspreference", Keyword::Ignored),
    ("persistsecurityinfo", Keyword::Ignored),
    ("multipleactiveresultsets", Keyword::Ignored),
    ("mars_connection", Keyword::Ignored),
    ("pooling", Keyword::Ignored),
    ("poolblockingperiod", Keyword::Ignored),
    ("minpoolsize", Keyword::Ignored),
    ("maxpoolsize", Keyword::Ignored),
    ("connectionlifetime", Keyword::Ignored),
    ("loadbalancetimeout", Keyword::Ignored),
    ("connectionreset", Keyword::Ignored),
    ("enlist", Keyword::Ignored),
    ("transactionbinding", Keyword::Ignored),
    ("packetsize", Keyword::Ignored),
    ("workstationid", Keyword::Ignored),
    ("wsid", Keyword::Ignored),
    ("currentlanguage", Keyword::Ignored),
    ("language", Keyword::Ignored),
    ("connectretrycount", Keyword::Ignored),
    ("connectretryinterval", Keyword::Ignored),
    ("replication", Keyword::Ignored),
    ("typesystemversion", Keyword::Ignored),
    ("asynchronousprocessing", Keyword::Ignored),
    ("async", Keyword::Ignored),
    ("failoverpartner", Keyword::Ignored),
    ("columnencryptionsetting", Keyword::Ignored),
    ("columnencryption", Keyword::Ignored),
    ("driver", Keyword::Ignored),
    ("provider", Keyword::Ignored),
    ("providername", Keyword::Ignored),
    ("description", Keyword::Ignored),
    ("autotranslate", Keyword::Ignored),
    ("regional", Keyword::Ignored),
    ("serverspn", Keyword::Ignored),
    ("datatypecompatibility", Keyword::Ignored),
    ("attachdbfilename", Keyword::Unsupported),
    ("extendedproperties", Keyword::Unsupported),
    ("initialfilename", Keyword::Unsupported),
    ("userinstance", Keyword::Unsupported),
    ("contextconnection", Keyword::Unsupported),
    ("hostnameincertificate", Keyword::Unsupported),
    ("servercertificate", Keyword::Unsupported),
];

/// Takes a connection string apart.
pub(super) fn parse(text: &str) -> Result<Connection> {
    let mut connection = Connection::new(Engine::SqlServer);
    let mut encryption = None;
    let mut seen = Vec::new();
    let mut last = None;
    let mut rest = text;
    // ODBC strings quote by braces, ADO.NET's do not.
    let braces = text.to_ascii_lowercase().contains("driver");
    while let Some((written, value)) = next_pair(&mut rest, braces, last)? {
        let keyword = known_keyword(written, last)?;
        last = Some(keyword);
        if seen.contains(&keyword) && !matches!(keyword, Keyword::Ignored) {
            return Err(ConnectionError::new(format!("`{written}` is given twice, perhaps by another name")));
        }
        seen.push(keyword);
        let wrong = |expected: &str| {
            Err(ConnectionError::new(format!("`{written}` has a value that is not understood"))
                .hint(format!("write {expected}")))
        };
        match keyword {
            Keyword::Server => parse_server(&mut connection, &value)?,
            Keyword::Database => connection.database = value,
            Keyword::Username => connection.username = value,
            Keyword::Password => connection.password = Some(Secret::from(value)),
            Keyword::IntegratedSecurity => match parse_integrated(&value) {
                Some(login) => connection.login = login,
                None => return wrong("`true`, `false` or `SSPI`"),
            },
            Keyword::Encrypt => {
                encryption = Some(match value.to_ascii_lowercase().as_str() {
                    "strict" => Encryption::Strict,
                    "true" | "yes" | "mandatory" | "1" => Encryption::Required,
                    // The drivers encrypt the login even then.
                    "false" | "no" | "optional" | "0" => Encryption::Login,
                    _ => return wrong("`strict`, `mandatory` or `optional`"),
                });
            }
            Keyword::TrustServerCertificate => match parse_yes_no(&value) {
                Some(yes) => connection.trust_server_certificate = yes,
                None => return wrong("`true` or `false`"),
            },
            Keyword::CommandTimeout => match value.parse() {
                // No limit, says ADO.NET; we keep ours.
                Ok(0) => {}
                Ok(seconds) => connection.timeout = Duration::from_secs(seconds),
                Err(_) => return wrong("a number of seconds"),
            },
            Keyword::NetworkLibrary if value.eq_ignore_ascii_case("dbmssocn") => {}
            Keyword::NetworkLibrary => return Err(only_tcp()),
            Keyword::Authentication => match value.to_ascii_lowercase().replace(' ', "").as_str() {
                "sqlpassword" | "notspecified" | "" => {}
                _ => {
                    return Err(ConnectionError::new("logins of Microsoft Entra (Azure AD) are not supported")
                        .hint("use a SQL login (`User ID` and `Password`)"));
                }
            },
            Keyword::Ignored => {}
            Keyword::Unsupported => {
                return Err(ConnectionError::new(format!("`{written}` is not supported"))
                    .hint("leave it out; a certificate to trust is named by `ca_file:` beside `url:`"));
            }
        }
    }
    if connection.host.is_empty() {
        return Err(
            ConnectionError::new("the connection string names no server").hint("write `Server=HOST;Database=NAME;…`")
        );
    }
    if connection.port.is_some() {
        // As every driver does: a given port wins.
        connection.instance = None;
    }
    connection.encryption = encryption.unwrap_or_else(|| connection.default_encryption());
    Ok(connection)
}

/// The next `key=value`, taken from the front of `rest`; `None` at the end.
fn next_pair<'t>(rest: &mut &'t str, braces: bool, last: Option<Keyword>) -> Result<Option<(&'t str, String)>> {
    *rest = rest.trim_start_matches(|c: char| c == ';' || c.is_whitespace());
    if rest.is_empty() {
        return Ok(None);
    }
    let Some((key, after)) = rest.split_once('=').filter(|(key, _)| !key.contains(';')) else {
        return Err(if last == Some(Keyword::Password) {
            unquoted_password()
        } else {
            ConnectionError::new("a part of the connection string is not `key=value`")
        });
    };
    let key = key.trim();
    let after = after.trim_start();
    let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"') || (braces && *c == '{'));
    let Some(quote) = quote else {
        let (value, after) = split_outside(after, &[';']).map_or((after, ""), |(value, _, after)| (value, after));
        *rest = after;
        return Ok(Some((key, value.trim_end().to_owned())));
    };
    let (value, after) = quoted(&after[1..], if quote == '{' { '}' } else { quote })?;
    let after = after.trim_start();
    if !after.is_empty() && !after.starts_with(';') {
        return Err(ConnectionError::new("after the closing quote of a value stands something that is not `;`")
            .hint(format!("a quote inside a quoted value is written twice; or {PASSWORD_KEY}")));
    }
    *rest = after;
    Ok(Some((key, value)))
}

/// The text up to the closing quote, which inside is written twice, and the rest after it.
fn quoted(text: &str, close: char) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut start = 0;
    let mut places = outside_references(text).filter(|(_, c)| *c == close).map(|(index, _)| index).peekable();
    while let Some(index) = places.next() {
        value.push_str(&text[start..index]);
        start = index + 1;
        if places.peek() != Some(&start) {
            return Ok((value, &text[start..]));
        }
        places.next();
        value.push(close);
        start += 1;
    }
    Err(ConnectionError::new("a quoted value has no closing quote"))
}

fn known_keyword(written: &str, last: Option<Keyword>) -> Result<Keyword> {
    let name: String = written.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    if let Some((_, keyword)) = KEYWORDS.iter().find(|(known, _)| *known == name) {
        return Ok(*keyword);
    }
    if last == Some(Keyword::Password) {
        return Err(unquoted_password());
    }
    let error = ConnectionError::new(format!("unknown keyword `{written}` in the connection string"));
    Err(match nearest(&name, KEYWORDS.iter().map(|(known, _)| *known)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("the usual ones are `Server`, `Database`, `User ID`, `Password`, `Integrated Security`, `Encrypt` and `TrustServerCertificate`"),
    })
}

/// `[tcp:]host[\instance][,port]`.
fn parse_server(connection: &mut Connection, value: &str) -> Result<()> {
    let lower = value.to_ascii_lowercase();
    if lower.starts_with("np:") || lower.starts_with("lpc:") || lower.starts_with(r"\\") {
        return Err(only_tcp());
    }
    if lower.starts_with("(localdb)") {
        return Err(ConnectionError::new("LocalDB is not supported: it has no TCP port")
            .hint("use SQL Server or SQL Server Express with TCP/IP enabled"));
    }
    let place = if lower.starts_with("tcp:") { value[4..].trim() } else { value.trim() };
    let (place, port) = match split_outside(place, &[',']) {
        Some((place, _, port)) => (place.trim(), Some(port.trim())),
        None => (place, None),
    };
    connection.port = match port.map(str::parse) {
        None => None,
        Some(Ok(0) | Err(_)) => {
            return Err(ConnectionError::new("what follows the `,` of the server is not a port from 1 to 65535")
                .hint("write `Server=HOST,PORT`"));
        }
        Some(Ok(port)) => Some(port),
    };
    let (host, instance) =
        split_outside(place, &['\\']).map_or((place, None), |(host, _, instance)| (host.trim(), Some(instance.trim())));
    // The default instance has a name, but nobody asks the SQL Browser for it.
    connection.instance = instance
        .filter(|instance| !instance.is_empty() && !instance.eq_ignore_ascii_case("MSSQLSERVER"))
        .map(ToOwned::to_owned);
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Some((name, _, port)) = split_outside(host, &[':'])
        && port.parse::<u16>().is_ok()
        && !name.is_empty()
    {
        return Err(ConnectionError::new("the port of a server stands after a comma")
            .hint(format!("write `Server={name},{port}`")));
    }
    local_host(host).clone_into(&mut connection.host);
    Ok(())
}

fn only_tcp() -> ConnectionError {
    ConnectionError::new("only TCP is supported, neither named pipes nor shared memory")
        .hint("enable TCP/IP in SQL Server Configuration Manager and write `Server=tcp:HOST,1433`")
}

fn unquoted_password() -> ConnectionError {
    ConnectionError::new("after the password stands something that is not a known `key=value`")
        .hint(format!("a password with `;` must stand in quotes: `Password=\"…\"`; or {PASSWORD_KEY}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::tests::refusals;
    use super::super::{Connection, Encryption, Login};
    use crate::secret::Secret;

    fn parsed(text: &str) -> Connection {
        Connection::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn password(connection: &Connection) -> Option<&str> {
        connection.password.as_ref().map(Secret::expose_secret)
    }

    #[test]
    fn strings_as_technicians_have_them() {
        let connection = parsed(
            "Data Source=tcp:sis.example.local,1433;Initial Catalog=Synergetic;User ID=svc;Password=a=b==;Persist Security Info=False;\
             Connect Timeout=30;Command Timeout=120;Encrypt=True;TrustServerCertificate=yes;Application Name=x;MultipleActiveResultSets=true;",
        );
        assert_eq!(
            (&*connection.host, connection.port, &*connection.database),
            ("sis.example.local", Some(1433), "Synergetic")
        );
        assert_eq!((&*connection.username, password(&connection)), ("svc", Some("a=b==")));
        assert_eq!((connection.encryption, connection.trust_server_certificate), (Encryption::Required, true));
        assert_eq!(connection.timeout, Duration::from_mins(2));

        let connection = parsed(r"server = SIS\SQL2019 ; DATABASE=tass; Trusted_Connection=yes");
        assert_eq!(
            (&*connection.host, connection.instance.as_deref(), connection.login),
            ("SIS", Some("SQL2019"), Login::Windows)
        );
        assert_eq!(connection.encryption, Encryption::Required);

        let connection = parsed("Driver={ODBC Driver 17 for SQL Server};Server=h;UID=u;PWD={a;b}}c}");
        assert_eq!(password(&connection), Some("a;b}c"));
    }

    #[test]
    fn servers() {
        for (server, host, port, instance) in [
            (".", "localhost", None, None),
            ("(local)", "localhost", None, None),
            (r".\SQLEXPRESS", "localhost", None, Some("SQLEXPRESS")),
            (r"tcp:h\I, 1500", "h", Some(1500), None),
            (r"h\MSSQLSERVER", "h", None, None),
            ("[::1],1433", "::1", Some(1433), None),
            ("::1", "::1", None, None),
            ("${SIS,HOST}", "${SIS,HOST}", None, None),
        ] {
            let connection = parsed(&format!("Server={server};Database=d"));
            assert_eq!(
                (&*connection.host, connection.port, connection.instance.as_deref()),
                (host, port, instance),
                "{server}"
            );
        }
    }

    #[test]
    fn encrypt() {
        for (value, expected) in [
            ("Strict", Encryption::Strict),
            ("Mandatory", Encryption::Required),
            ("yes", Encryption::Required),
            ("Optional", Encryption::Login),
            ("false", Encryption::Login),
        ] {
            assert_eq!(parsed(&format!("Server=h;Encrypt={value}")).encryption, expected);
        }
        assert_eq!(parsed("Server=localhost").encryption, Encryption::Preferred);
    }

    #[test]
    fn quotes() {
        for (written, expected) in [
            (r#""a;b=c""#, "a;b=c"),
            (r#""say ""hi""""#, r#"say "hi""#),
            ("'it''s; \"x\"'", "it's; \"x\""),
            ("a'b\"c", "a'b\"c"),
            ("{x}", "{x}"),
            ("${file:C:\\a;b.txt}", "${file:C:\\a;b.txt}"),
            ("'${A'B}'", "${A'B}"),
            ("", ""),
            ("'  x '", "  x "),
        ] {
            let connection = parsed(&format!("Password={written};Server=h"));
            assert_eq!(password(&connection), Some(expected), "{written}");
            assert_eq!(connection.host, "h", "{written}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = refusals([
            "Database=x",
            "Server=h;Passwrd=x",
            "Server=h;Colour=red",
            "Server=h;Server=i",
            "Server=h;Data Source=i",
            "Server=np:h",
            r"Server=\\.\pipe\sql\query",
            r"Server=(localdb)\v11",
            "Server=h:1433",
            "Server=h,x",
            "Server=h;Encrypt=maybe",
            "Server=h;Authentication=Active Directory Integrated",
            "Server=h;Network Library=dbnmpntw",
            "Server=h;AttachDbFilename=x",
            "Server=h;x",
            "Server=h;Password=ab;cd=ef",
            "Server=h;Password=ab;cd",
            "Server=h;Password='ab",
            "Server=h;Password='ab'cd;",
        ]);
        insta::assert_snapshot!(said, @r#"
        Database=x: the connection string names no server | write `Server=HOST;Database=NAME;…`
        Server=h;Passwrd=x: unknown keyword `Passwrd` in the connection string | did you mean `password`?
        Server=h;Colour=red: unknown keyword `Colour` in the connection string | the usual ones are `Server`, `Database`, `User ID`, `Password`, `Integrated Security`, `Encrypt` and `TrustServerCertificate`
        Server=h;Server=i: `Server` is given twice, perhaps by another name | 
        Server=h;Data Source=i: `Data Source` is given twice, perhaps by another name | 
        Server=np:h: only TCP is supported, neither named pipes nor shared memory | enable TCP/IP in SQL Server Configuration Manager and write `Server=tcp:HOST,1433`
        Server=\\.\pipe\sql\query: only TCP is supported, neither named pipes nor shared memory | enable TCP/IP in SQL Server Configuration Manager and write `Server=tcp:HOST,1433`
        Server=(localdb)\v11: LocalDB is not supported: it has no TCP port | use SQL Server or SQL Server Express with TCP/IP enabled
        Server=h:1433: the port of a server stands after a comma | write `Server=h,1433`
        Server=h,x: what follows the `,` of the server is not a port from 1 to 65535 | write `Server=HOST,PORT`
        Server=h;Encrypt=maybe: `Encrypt` has a value that is not understood | write `strict`, `mandatory` or `optional`
        Server=h;Authentication=Active Directory Integrated: logins of Microsoft Entra (Azure AD) are not supported | use a SQL login (`User ID` and `Password`)
        Server=h;Network Library=dbnmpntw: only TCP is supported, neither named pipes nor shared memory | enable TCP/IP in SQL Server Configuration Manager and write `Server=tcp:HOST,1433`
        Server=h;AttachDbFilename=x: `AttachDbFilename` is not supported | leave it out; a certificate to trust is named by `ca_file:` beside `url:`
        Server=h;x: a part of the connection string is not `key=value` | 
        Server=h;Password=ab;cd=ef: after the password stands something that is not a known `key=value` | a password with `;` must stand in quotes: `Password="…"`; or leave user and password out and write them as `username:` and `password:` beside `url:`; there any character is safe
        Server=h;Password=ab;cd: after the password stands something that is not a known `key=value` | a password with `;` must stand in quotes: `Password="…"`; or leave user and password out and write them as `username:` and `password:` beside `url:`; there any character is safe
        Server=h;Password='ab: a quoted value has no closing quote | 
        Server=h;Password='ab'cd;: after the closing quote of a value stands something that is not `;` | a quote inside a quoted value is written twice; or leave user and password out and write them as `username:` and `password:` beside `url:`; there any character is safe
        "#);
    }

    proptest! {
        #[test]
        fn a_quoted_password_comes_back(password in "\\PC{0,12}") {
            prop_assume!(!password.contains("${"));
            for quote in ['\'', '"'] {
                let doubled = password.replace(quote, &format!("{quote}{quote}"));
                let connection = parsed(&format!("Server=h;Password={quote}{doubled}{quote};Database=d"));
                prop_assert_eq!(super::tests::password(&connection), Some(&*password));
                prop_assert_eq!(&connection.database, "d");
            }
        }
    }
}

//! What `init` must know: from options, or else from who sits at the terminal.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use crate::secret::Secret;

use super::{Answers, files};
use crate::cli::args::InitArgs;
use crate::cli::hidden;
use crate::cli::output::{Output, Question, Remark};
use crate::error::Error;
use crate::mapping::propose;
use crate::mapping::shipped::{SHIPPED, Shipped};
use crate::mapping::{nearest, resolve_new_source, school_address};
use crate::source::{Connection, Engine, check_engine};

/// Who can be asked.
pub(super) trait Terminal: Send {
    /// The answer, without its line break; `None` when the input ended.
    fn ask(&mut self, question: &Question<'_>) -> io::Result<Option<String>>;
    /// Likewise, and what is typed is not shown.
    fn ask_hidden(&mut self, question: &Question<'_>) -> io::Result<Option<String>>;
    /// Says what is wrong with an answer.
    fn refuse(&mut self, remark: &Remark<'_>) -> io::Result<()>;
}

/// The person at the terminal, if there is one: who pipes something in cannot be asked.
pub(super) fn terminal(output: &Output) -> Option<Box<dyn Terminal>> {
    io::stdin().is_terminal().then(|| Box::new(Person { output: output.clone() }) as Box<dyn Terminal>)
}

struct Person {
    output: Output,
}

impl Terminal for Person {
    fn ask(&mut self, question: &Question<'_>) -> io::Result<Option<String>> {
        self.output.question(question)?;
        let mut line = String::new();
        let count = io::stdin().read_line(&mut line)?;
        Ok((count > 0).then(|| line.trim_end_matches(['\n', '\r']).to_owned()))
    }

    fn ask_hidden(&mut self, question: &Question<'_>) -> io::Result<Option<String>> {
        let line = hidden::line(|| self.output.question(question));
        self.output.line_ends()?;
        line
    }

    fn refuse(&mut self, remark: &Remark<'_>) -> io::Result<()> {
        self.output.remark(remark)
    }
}

/// What is wrong with an answer, and what to write instead.
type Refused = (String, Option<String>);

/// Asks until the answer can be used. A blank answer is `default`.
fn until_right<T>(
    terminal: &mut dyn Terminal,
    question: &Question<'_>,
    default: Option<&str>,
    read: impl Fn(&str) -> Result<T, Refused>,
) -> Result<T, Error> {
    for attempt in 0..TRIES {
        // A list is shown once: below it the remark would be out of sight.
        let again = if attempt == 0 { None } else { question.again() };
        let answer = terminal.ask(again.as_ref().unwrap_or(question)).map_err(unheard)?.ok_or(Error::Interrupted)?;
        let answer = match answer.trim() {
            "" => default.unwrap_or_default(),
            answer => answer,
        };
        match read(answer) {
            Ok(right) => return Ok(right),
            Err((message, hint)) => {
                terminal.refuse(&Remark { message: &message, hint: hint.as_deref() }).map_err(unheard)?;
            }
        }
    }
    Err(Error::Interrupted)
}

/// So often one question is asked: not for ever, should no person answer.
const TRIES: u32 = 20;

fn unheard(source: io::Error) -> Error {
    Error::File { action: "read", path: "stdin".into(), source }
}

/// Takes the options, and asks for what is missing.
///
/// # Errors
/// [`Error::Usage`] for an option that does not fit, and for one that is missing when nobody can be asked.
pub(super) fn answers(args: &InitArgs, terminal: Option<&mut (dyn Terminal + 'static)>) -> Result<Answers, Error> {
    let template = args.template.as_ref().and_then(Option::as_deref).map(template).transpose().map_err(usage)?;
    let source =
        args.source.as_deref().map(source).transpose().map_err(|refused| usage(of_option("--source", refused)))?;
    let target =
        args.target.as_deref().map(address).transpose().map_err(|refused| usage(of_option("--target", refused)))?;
    let account = args.username.clone();
    match (source, target, terminal) {
        (Some(source), Some(target), _) => Ok(Answers {
            source,
            target,
            account: account.unwrap_or_else(|| ACCOUNT.to_owned()),
            template,
            may_look: !args.offline,
            has_asked: false,
        }),
        (source, target, None) => {
            let names = match (source, target) {
                (None, None) => "`--source` and `--target` are missing",
                (None, Some(_)) => "`--source` is missing",
                (Some(_), _) => "`--target` is missing",
            };
            Err(Error::Usage {
                message: format!("{names}, and nobody can be asked: the input is no terminal"),
                hint: Some(
                    "for example `sispush init --source mssql://svc_library@sis.example.local/Synergetic --target example`"
                        .into(),
                ),
            })
        }
        (given_source, given_target, Some(terminal)) => {
            let has_choice = args.table.is_empty() && args.query.is_empty() && args.query_file.is_empty();
            let template = match template {
                None if has_choice => until_right(terminal, &Question::Template(SHIPPED), Some("0"), template_or_none)?,
                given => given,
            };
            let source = match given_source {
                Some(source) => source,
                None => ask_source(terminal, template)?,
            };
            let target = match given_target {
                Some(target) => target,
                None => until_right(terminal, &Question::Target, None, address)?,
            };
            let account = match account {
                Some(account) => account,
                None => until_right(terminal, &Question::Account(ACCOUNT), Some(ACCOUNT), one_line)?,
            };
            let may_look = !args.offline && until_right(terminal, &Question::MayLook(&source), Some("y"), yes_or_no)?;
            Ok(Answers { source, target, account, template, may_look, has_asked: true })
        }
    }
}

/// The usual name of the importing account.
const ACCOUNT: &str = "autoimport";

fn usage((message, hint): Refused) -> Error {
    Error::Usage { message, hint: hint.map(Into::into) }
}

fn of_option(option: &str, (message, hint): Refused) -> Refused {
    (format!("`{option}`: {message}"), hint)
}

fn template(name: &str) -> Result<&'static Shipped, Refused> {
    SHIPPED.iter().find(|shipped| shipped.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let names: Vec<String> = SHIPPED.iter().map(|shipped| format!("`{}`", shipped.name)).collect();
        let near = nearest(name, SHIPPED.iter().map(|shipped| shipped.name));
        let hint = match near {
            Some(near) => format!("did you mean `{near}`? `sispush init --template` lists them all"),
            None => format!("there are {}; `sispush init --template` says what each is for", names.join(", ")),
        };
        (format!("no mapping named `{name}` is shipped"), Some(hint))
    })
}

/// A number of the list, or a name; `0` is none.
fn template_or_none(answer: &str) -> Result<Option<&'static Shipped>, Refused> {
    match answer.parse::<usize>() {
        Ok(0) => Ok(None),
        Ok(number) => {
            let shipped = SHIPPED.get(number - 1);
            shipped.map(Some).ok_or_else(|| (format!("the numbers go from 0 to {}", SHIPPED.len()), None))
        }
        Err(_) => template(answer).map(Some).map_err(|(message, hint)| {
            // All names stand above. An address is the next question's.
            let near = hint.filter(|hint| hint.starts_with("did you mean"));
            let hint = if answer.contains([':', '=', '.']) {
                "Enter alone, or 0: the next question is for the database".to_owned()
            } else {
                near.unwrap_or_else(|| format!("write a number from 0 to {}, or a name of the list", SHIPPED.len()))
            };
            (message, Some(hint))
        }),
    }
}

fn source(text: &str) -> Result<Connection, Refused> {
    let connection = Connection::parse(text).map_err(|error| (error.message, error.hint))?;
    check_engine(connection.engine).map_err(|error| (error.to_string(), error.hint().map(Into::into)))?;
    Ok(connection)
}

fn address(text: &str) -> Result<String, Refused> {
    if text.trim().is_empty() {
        return Err(("an address is needed".into(), Some("the first word will do: `example`".into())));
    }
    school_address(text)
        .map_err(|(message, hint)| (message.replace("`target.url`", "the address"), hint.map(Into::into)))
}

fn one_line(text: &str) -> Result<String, Refused> {
    if text.is_empty() || text.contains(char::is_control) {
        Err(("a name is needed".into(), None))
    } else {
        Ok(text.to_owned())
    }
}

fn yes_or_no(text: &str) -> Result<bool, Refused> {
    match text.to_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err(("write `y` or `n`".into(), None)),
    }
}

/// Engine, host, database and login one by one; or a whole URL or connection string at the first question.
fn ask_source(terminal: &mut dyn Terminal, template: Option<&Shipped>) -> Result<Connection, Error> {
    /// What the first answer may be.
    enum First {
        Engine(Engine),
        Whole(Box<Connection>),
    }
    let example = template.and_then(|shipped| example_of(shipped.text));
    let first =
        until_right(terminal, &Question::Engine { example }, None, |answer| match answer.to_lowercase().as_str() {
            "1" | "mssql" | "sql server" | "sqlserver" => Ok(First::Engine(Engine::SqlServer)),
            "2" | "postgres" | "postgresql" => Ok(First::Engine(Engine::Postgres)),
            "3" | "mysql" | "mariadb" => Ok(First::Engine(Engine::MySql)),
            "4" | "sqlite" => Ok(First::Engine(Engine::Sqlite)),
            "5" | "csv" => Ok(First::Engine(Engine::Csv)),
            "6" | "odbc" => Ok(First::Engine(Engine::Odbc)),
            "" => Err(("a number is needed, or a whole address".into(), None)),
            _ => source(answer).map(|source| First::Whole(Box::new(source))),
        })?;
    let engine = match first {
        First::Whole(source) => return Ok(*source),
        First::Engine(engine) => engine,
    };
    if engine == Engine::Sqlite {
        return until_right(terminal, &Question::File, None, |file| source(&format!("sqlite:{file}")));
    }
    if engine == Engine::Csv {
        return until_right(terminal, &Question::Folder, None, |folder| source(&format!("csv:{folder}")));
    }
    if engine == Engine::Odbc {
        let mut connection =
            until_right(terminal, &Question::DataSource, None, |name| source(&format!("odbc:{name}")))?;
        connection.username = until_right(terminal, &Question::Login, None, one_line)?;
        return Ok(connection);
    }
    let mut connection = until_right(terminal, &Question::Host(engine), None, |host| place(engine, host))?;
    connection.database = until_right(terminal, &Question::Database, None, one_line)?;
    connection.username = until_right(terminal, &Question::Login, None, one_line)?;
    Ok(connection)
}

/// `host`, `host:port`, `host\instance`, `host\instance,port`.
fn place(engine: Engine, host: &str) -> Result<Connection, Refused> {
    if host.is_empty() || host.contains(['/', '@', '?', '#', ';', '=']) {
        return Err(("the name or address of the server is needed, and nothing else".into(), None));
    }
    match engine {
        // As SQL Server's own programs write it.
        Engine::SqlServer => source(&format!("Server={};Database=x", host.replace(':', ","))),
        Engine::Postgres => source(&format!("postgres://{host}/x")),
        Engine::MySql => source(&format!("mysql://{host}/x")),
        Engine::Sqlite => source(&format!("sqlite:{host}")),
        Engine::Csv => source(&format!("csv:{host}")),
        Engine::Odbc => source(&format!("odbc:{host}")),
    }
}

/// `source.url` of a shipped mapping.
fn example_of(text: &str) -> Option<&str> {
    let source = text.split("\nsource:").nth(1)?;
    let url = source.lines().find_map(|line| line.trim().strip_prefix("url:"))?;
    Some(url.split(" #").next().unwrap_or(url).trim().trim_matches(['"', '\'']))
}

/// The password to log in with: of the given address, of the reference that the mapping will hold, or asked for.
pub(super) fn password(
    answers: &Answers,
    folder: &Path,
    terminal: Option<&mut (dyn Terminal + 'static)>,
) -> Result<Option<Secret>, Error> {
    let Some(reference) = propose::password_of(&answers.source) else { return Ok(None) };
    if let Some(literal) = literal_password(&answers.source) {
        return Ok(Some(literal.clone()));
    }
    let mut source = answers.source.clone();
    source.password = Some(reference.to_owned().into());
    let (message, hint) = match resolve_new_source(&mut source, folder) {
        Ok(()) => return Ok(source.password),
        Err(refused) => refused,
    };
    match terminal {
        Some(terminal) => password_again(answers, terminal),
        None => Err(Error::Usage {
            message,
            hint: Some(hint.map_or_else(|| OFFLINE.into(), |hint| format!("{hint}; or {OFFLINE}").into())),
        }),
    }
}

const OFFLINE: &str = "give `--offline`, and the database is not looked at";

/// A password that was given in the address.
fn literal_password(source: &Connection) -> Option<&Secret> {
    source.password.as_ref().filter(|password| !password.expose_secret().contains("${"))
}

/// Asks for it; a blank is none.
pub(super) fn password_again(answers: &Answers, terminal: &mut dyn Terminal) -> Result<Option<Secret>, Error> {
    let question = Question::Password { login: &answers.source.username };
    let password = terminal.ask_hidden(&question).map_err(unheard)?.ok_or(Error::Interrupted)?;
    Ok(Some(password).filter(|password| !password.is_empty()).map(Into::into))
}

/// Offers to keep the passwords in `.env`; the names of those that were.
pub(super) fn keep_secrets(
    answers: &Answers,
    password: &Secret,
    folder: &Path,
    terminal: &mut dyn Terminal,
) -> Result<Vec<String>, Error> {
    let names = super::names(&answers.source);
    let missing = files::missing(folder, &names);
    let [source_name, target_name] = names.as_slice() else { return Ok(Vec::new()) };
    if !missing.contains(source_name) || !until_right(terminal, &Question::Keep, Some("y"), yes_or_no)? {
        return Ok(Vec::new());
    }
    let mut secrets = vec![(source_name.clone(), password.clone())];
    if missing.contains(target_name) {
        let question = Question::TargetPassword { account: &answers.account };
        let typed = terminal.ask_hidden(&question).map_err(unheard)?.ok_or(Error::Interrupted)?;
        if !typed.is_empty() {
            secrets.push((target_name.clone(), typed.into()));
        }
    }
    files::add_secrets(folder, &secrets)?;
    Ok(secrets.into_iter().map(|(name, _)| name).collect())
}

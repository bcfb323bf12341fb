//! `demo`: the whole job on a made-up school and a loopback Infiniti, through the very same code as `push`: a first push
//! of everybody, a day at the school, and the push of the night after.

mod sample;

pub(super) use sample::{Finding, Outcome, Summary};

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::args::DemoArgs;
use super::output::Output;
use super::push;
use crate::error::{Error, ExitCode};
use crate::infiniti::sandbox::{Options, Sandbox};
use crate::ops;
use crate::sync::Interrupt;

/// The mapping that ships in `mappings/`.
const MAPPING: &str = include_str!("../../../mappings/demo.yaml");
/// What the shipped mapping has in the place of the sandbox's address.
const ADDRESS: &str = "http://127.0.0.1:8080";
/// The account of the sandbox: its own defaults, so that `sispush sandbox` can take over afterwards.
const USERNAME: &str = "autoimport";
const PASSWORD: &str = "sandbox";

/// Where everything of a demo is.
#[derive(Debug)]
pub(super) struct Stage {
    /// The folder.
    pub(super) folder: PathBuf,
    /// The mapping.
    pub(super) mapping: PathBuf,
    /// The patrons that the sandbox keeps.
    pub(super) patrons: PathBuf,
    /// The sandbox's address.
    pub(super) url: String,
    /// The sandbox's port.
    pub(super) port: u16,
}

pub(super) async fn run(args: DemoArgs, interrupt: Interrupt, mut output: Output) -> Result<ExitCode, Error> {
    let folder = make_folder(args.folder)?;
    let database = folder.join("sample-sis.db");
    let summary = sample::create(&database, YEAR).map_err(|error| Error::File {
        action: "create",
        path: database.clone(),
        source: io::Error::other(error),
    })?;
    let patrons = folder.join("infiniti.json");
    let sandbox = Sandbox::start(Options { file: Some(patrons.clone()), ..Options::new(USERNAME, PASSWORD) })
        .await
        .map_err(|error| Error::File {
            action: "start the sandbox on",
            path: "127.0.0.1".into(),
            source: io::Error::other(error),
        })?;
    let stage = Stage {
        mapping: folder.join("demo.yaml"),
        patrons,
        url: sandbox.url(),
        port: sandbox.address().port(),
        folder,
    };
    write_file(&stage.mapping, |file| file.write_all(MAPPING.replace(ADDRESS, &stage.url).as_bytes()))?;
    let secrets = stage.folder.join(".env");
    // A name of its own: `INFINITI_PASSWORD` may be the real one, in the environment, which comes first.
    ops::write_private(&secrets, |out| writeln!(out, "DEMO_PASSWORD={PASSWORD}")).map_err(|source| Error::File {
        action: "write",
        path: secrets,
        source,
    })?;

    output.demo_started(&stage, &summary)?;
    let task = push::Task::push(interrupt);
    let first = push::push(&stage.mapping, &task, &mut output).await;
    output.pushed(&first, false, false)?;
    sample::live_a_day(&database).map_err(|error| Error::File {
        action: "change",
        path: database.clone(),
        source: io::Error::other(error),
    })?;
    output.demo_next_night(&stage, first.exit_code())?;
    let second = push::push(&stage.mapping, &task, &mut output).await;
    output.pushed(&second, false, false)?;
    let code = first.exit_code().max(second.exit_code());
    let held = [sandbox.patrons(), sandbox.contacts(), sandbox.images(), sandbox.groups()].map(|records| records.len());
    output.demo_ended(&stage, second.exit_code(), held, args.keep_running)?;
    if args.keep_running {
        std::future::pending::<()>().await;
    }
    sandbox.stop().await;
    // The sample has mistakes on purpose, and a demo that shows them has done its job.
    Ok(match code {
        ExitCode::Rejections => ExitCode::Complete,
        other => other,
    })
}

/// The school year of the sample.
const YEAR: i32 = 2026;

fn make_folder(wanted: Option<PathBuf>) -> Result<PathBuf, Error> {
    if let Some(folder) = wanted {
        let is_empty = fs::read_dir(&folder).map_or(true, |mut entries| entries.next().is_none());
        if !is_empty {
            return Err(Error::Usage {
                message: format!("the folder `{}` is not empty", folder.display()),
                hint: Some("the demo writes into an empty or a new folder".into()),
            });
        }
        fs::create_dir_all(&folder).map_err(|source| created(&folder, source))?;
        return Ok(folder);
    }
    let parent = std::env::temp_dir();
    for number in 1..=u16::MAX {
        let folder = parent.join(format!("sispush-demo-{number}"));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(created(&folder, source)),
        }
    }
    Err(created(&parent, io::Error::other("too many demo folders are left; delete some")))
}

fn created(path: &Path, source: io::Error) -> Error {
    Error::File { action: "create", path: path.to_owned(), source }
}

fn write_file(path: &Path, write: impl FnOnce(&mut fs::File) -> io::Result<()>) -> Result<(), Error> {
    let written = fs::File::create(path).and_then(|mut file| write(&mut file));
    written.map_err(|source| Error::File { action: "write", path: path.to_owned(), source })
}

//! `sandbox`: a loopback Infiniti that runs until it is interrupted.

use super::args::SandboxArgs;
use super::output::Output;
use crate::error::{Error, ExitCode};
use crate::infiniti::sandbox::{Fault, Options, Sandbox};

pub(super) async fn run(args: SandboxArgs, mut output: Output) -> Result<ExitCode, Error> {
    let mut faults = Vec::new();
    for list in &args.fail {
        let list = Fault::parse_list(list).map_err(|error| Error::Usage { message: error.to_string(), hint: None })?;
        faults.extend(list);
    }
    let options = Options {
        listen: args.listen,
        username: args.username.clone(),
        password: args.password.into(),
        file: args.file,
        groups: args.groups,
        faults,
    };
    let sandbox = Sandbox::start(options).await.map_err(|error| Error::Usage {
        message: format!("could not listen on `{}`: {error}", args.listen),
        hint: Some("choose a free loopback address with `--listen`, such as `127.0.0.1:0`".into()),
    })?;
    output.sandbox_started(&sandbox.url(), &args.username)?;
    std::future::pending::<()>().await;
    Ok(ExitCode::Complete)
}

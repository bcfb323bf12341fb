//! `${keyring:NAME}`: the platform's store of credentials, which belongs to the account that runs the program.
//!
//! Windows has the Credential Manager, macOS the login keychain, a Linux desktop the Secret Service (feature
//! `secret-service`). An entry's service is `sispush`, its user the name in the mapping; the store itself lists them, so
//! that there is no index of our own that could go wrong.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::{Fault, is_store_name};
use crate::error::Hint;
use crate::secret::Secret;

/// A store of credentials.
trait Store {
    /// A secret; `None` if there is none of this name.
    fn get(&self, name: &str) -> Result<Option<Secret>, Fault>;
    /// Keeps a secret in the place of the one that was there.
    fn set(&self, name: &str, secret: &Secret) -> Result<(), Fault>;
    /// Forgets a secret; whether there was one.
    fn delete(&self, name: &str) -> Result<bool, Fault>;
    /// The names, sorted.
    fn names(&self) -> Result<Vec<String>, Fault>;
}

/// What the platform's store is called.
pub(crate) const STORE: &str = if cfg!(windows) {
    "the Windows Credential Manager"
} else if cfg!(target_os = "macos") {
    "the login keychain"
} else {
    "the Secret Service"
};

/// What to use where there is no store.
const ALTERNATIVES: &str = "an environment variable or `.env` (`${NAME}`), a file that only its owner can read (`${file:PATH}`), a credential of systemd (`${credential:NAME}`), or a program that prints it (`${command:PROGRAM}`)";

/// The longest wait for the store: a locked one may ask somebody, and at night nobody is there.
const LIMIT: Duration = Duration::from_mins(1);

/// The secret of a name.
pub(super) fn find(name: &str) -> Result<Secret, Fault> {
    let wanted = name.to_owned();
    found(name, on_store(move |store| store.get(&wanted))?)
}

fn found(name: &str, secret: Option<Secret>) -> Result<Secret, Fault> {
    secret.ok_or_else(|| {
        Fault::new(
            format!("the secret `${{keyring:{name}}}` is not in {STORE} of this account"),
            format!(
                "run `sispush secret set {name}` as the account that runs sispush: each account has a store of its own"
            ),
        )
    })
}

/// Keeps a secret.
///
/// # Errors
/// What is wrong, and what to do.
pub(crate) fn set(name: &str, secret: Secret) -> Result<(), (String, Option<Hint>)> {
    let name = name.to_owned();
    on_store(move |store| store.set(&name, &secret)).map_err(Fault::into_parts)
}

/// Forgets a secret; whether there was one.
///
/// # Errors
/// What is wrong, and what to do.
pub(crate) fn delete(name: &str) -> Result<bool, (String, Option<Hint>)> {
    let name = name.to_owned();
    on_store(move |store| store.delete(&name)).map_err(Fault::into_parts)
}

/// The names of all secrets, sorted.
///
/// # Errors
/// What is wrong, and what to do.
pub(crate) fn names() -> Result<Vec<String>, (String, Option<Hint>)> {
    on_store(|store| store.names()).map_err(Fault::into_parts)
}

/// Whether there is a store at all, to be asked before somebody types a secret.
///
/// # Errors
/// Why there is none, and what to use instead.
pub(crate) fn check_store() -> Result<(), (String, Option<Hint>)> {
    on_store(|_| Ok(())).map_err(Fault::into_parts)
}

/// Refuses a name that is none, before the store is opened.
///
/// # Errors
/// What is wrong, and what to do.
pub(crate) fn check_name(name: &str) -> Result<(), (String, Option<Hint>)> {
    if is_store_name(name) {
        Ok(())
    } else {
        Err((format!("`{name}` is no name for a secret"), Some(NAME_RULE.into())))
    }
}

/// What a name may be: every store can keep it, and no shell changes it.
pub(super) const NAME_RULE: &str = "use letters, digits, `-`, `_` and `.`, starting with a letter or digit, at most 64";

/// Works on the store in a thread of its own: it may wait for somebody, and the client of the Secret Service has a runtime
/// of its own, which cannot run inside ours.
fn on_store<T: Send + 'static>(work: impl FnOnce(&dyn Store) -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let result = platform::open().and_then(|store| work(store.as_ref()));
        // Nobody listens any longer when the time is over.
        drop(sender.send(result));
    });
    receiver.recv_timeout(LIMIT).unwrap_or_else(|_| {
        Err(Fault::new(
            format!("{STORE} did not answer within {} s", LIMIT.as_secs()),
            format!("is it locked, and asks for its password? for an unattended run use {ALTERNATIVES}"),
        ))
    })
}

/// No store: said at once.
#[cfg(not(any(windows, target_os = "macos", all(target_os = "linux", feature = "secret-service"))))]
mod platform {
    use super::{ALTERNATIVES, Fault, Store};

    pub(super) fn open() -> Result<Box<dyn Store>, Fault> {
        let build = if cfg!(target_os = "linux") {
            "; on a desktop, sispush can be built with `--features secret-service`"
        } else {
            ""
        };
        Err(Fault::new(
            "this build of sispush has no credential store to keep secrets in",
            format!("use {ALTERNATIVES}{build}"),
        ))
    }
}

#[cfg(any(windows, target_os = "macos", all(target_os = "linux", feature = "secret-service")))]
mod platform {
    use super::native::{Native, failed};
    use super::{ALTERNATIVES, Fault, Store};

    /// `Local`: it stays on this machine, also where profiles roam. All by the service, as it is the end of a name there.
    #[cfg(windows)]
    fn native() -> keyring_core::Result<Native> {
        let store = windows_native_keyring_store::Store::new()?;
        Ok(Native { store, modifiers: &[("persistence", "Local")], search: ("pattern", "\\.sispush$") })
    }

    #[cfg(target_os = "macos")]
    fn native() -> keyring_core::Result<Native> {
        let store = apple_native_keyring_store::keychain::Store::new()?;
        Ok(Native { store, modifiers: &[], search: ("service", super::native::SERVICE) })
    }

    #[cfg(target_os = "linux")]
    fn native() -> keyring_core::Result<Native> {
        let store = zbus_secret_service_keyring_store::Store::new()?;
        Ok(Native { store, modifiers: &[], search: ("service", super::native::SERVICE) })
    }

    pub(super) fn open() -> Result<Box<dyn Store>, Fault> {
        match native() {
            Ok(native) => Ok(Box::new(native)),
            Err(error) => Err(Fault::new(
                failed("open", &error).message,
                format!("is somebody logged in at this machine? on a server use {ALTERNATIVES}"),
            )),
        }
    }
}

/// A store of the platform's, by way of `keyring-core`.
#[cfg(any(test, windows, target_os = "macos", all(target_os = "linux", feature = "secret-service")))]
mod native {
    use std::collections::HashMap;
    use std::sync::Arc;

    use keyring_core::api::CredentialStore;
    use keyring_core::{Entry, Error};

    use super::{Fault, STORE, Store};
    use crate::secret::Secret;

    /// Of all our entries.
    pub(super) const SERVICE: &str = "sispush";

    pub(super) struct Native {
        pub(super) store: Arc<CredentialStore>,
        /// What the platform is told of a new entry.
        pub(super) modifiers: &'static [(&'static str, &'static str)],
        /// What finds our entries among all.
        pub(super) search: (&'static str, &'static str),
    }

    impl Native {
        fn entry(&self, name: &str) -> Result<Entry, Fault> {
            let modifiers: HashMap<&str, &str> = self.modifiers.iter().copied().collect();
            let modifiers = (!modifiers.is_empty()).then_some(&modifiers);
            self.store.build(SERVICE, name, modifiers).map_err(|error| failed("ask", &error))
        }
    }

    impl Store for Native {
        fn get(&self, name: &str) -> Result<Option<Secret>, Fault> {
            match self.entry(name)?.get_password() {
                Ok(secret) => Ok(Some(secret.into())),
                Err(Error::NoEntry) => Ok(None),
                Err(error) => Err(failed("read", &error)),
            }
        }

        fn set(&self, name: &str, secret: &Secret) -> Result<(), Fault> {
            self.entry(name)?.set_password(secret.expose_secret()).map_err(|error| failed("write", &error))
        }

        fn delete(&self, name: &str) -> Result<bool, Fault> {
            match self.entry(name)?.delete_credential() {
                Ok(()) => Ok(true),
                Err(Error::NoEntry) => Ok(false),
                Err(error) => Err(failed("write", &error)),
            }
        }

        fn names(&self) -> Result<Vec<String>, Fault> {
            let entries = self.store.search(&HashMap::from([self.search])).map_err(|error| failed("read", &error))?;
            let specifiers = entries.iter().filter_map(Entry::get_specifiers);
            let mut names: Vec<String> =
                specifiers.filter(|(service, _)| service == SERVICE).map(|(_, name)| name).collect();
            names.sort();
            names.dedup();
            Ok(names)
        }
    }

    /// The error's bytes, where it has some, are a secret: they stay in it.
    pub(super) fn failed(action: &str, error: &Error) -> Fault {
        let hint = match error {
            Error::NoStorageAccess(_) => {
                Some("unlock it, or log in at this machine as the account that runs sispush".into())
            }
            Error::TooLong(..) => {
                Some("the store keeps short secrets only; put a longer one into a file: `${file:PATH}`".into())
            }
            Error::BadEncoding(_) => Some("set it again by `sispush secret set NAME`".into()),
            Error::Ambiguous(_) => {
                Some("delete all but one of them in the platform's own program for passwords".into())
            }
            _ => None,
        };
        let reason = match error {
            Error::PlatformFailure(error) | Error::NoStorageAccess(error) => error.to_string(),
            Error::BadEncoding(_) => "what it holds is not text".to_owned(),
            Error::TooLong(_, most) => format!("the secret is longer than {most} bytes"),
            Error::Ambiguous(_) => "it has several entries of this name".to_owned(),
            error => error.to_string(),
        };
        Fault { message: format!("could not {action} {STORE}: {reason}"), hint }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn store() -> Native {
            Native { store: keyring_core::mock::Store::new().unwrap(), modifiers: &[], search: ("service", SERVICE) }
        }

        #[test]
        fn a_secret_is_kept_listed_changed_and_forgotten() {
            let store = store();
            assert_eq!(store.names().unwrap(), Vec::<String>::new());
            store.set("sis", &"canary".into()).unwrap();
            store.set("infiniti", &"other".into()).unwrap();
            store.set("sis", &"canary ü\n".into()).unwrap();
            assert_eq!(store.get("sis").unwrap().unwrap().expose_secret(), "canary ü\n");
            assert_eq!(store.names().unwrap(), ["infiniti", "sis"]);
            assert!(store.delete("sis").unwrap());
            assert!(store.get("sis").unwrap().is_none() && !store.delete("sis").unwrap());
            assert_eq!(store.get("infiniti").unwrap().unwrap().expose_secret(), "other");
        }

        #[test]
        fn entries_of_other_programs_are_not_ours() {
            let store = store();
            store.store.build("other", "sis", None).unwrap().set_password("canary").unwrap();
            assert_eq!(store.names().unwrap(), Vec::<String>::new());
            assert!(store.get("sis").unwrap().is_none());
        }

        #[test]
        fn no_failure_shows_what_the_store_holds() {
            let store = store();
            store.store.build(SERVICE, "sis", None).unwrap().set_secret(b"canary\xff").unwrap();
            let fault = store.get("sis").unwrap_err();
            assert_eq!(fault.message, format!("could not read {STORE}: what it holds is not text"));
            for error in [
                Error::BadEncoding(b"canary".to_vec()),
                Error::BadDataFormat(b"canary".to_vec(), "broken".into()),
                Error::TooLong("password".into(), 2560),
            ] {
                let fault = failed("read", &error);
                assert!(!format!("{fault:?}").contains("canary"), "{fault:?}");
            }
        }
    }
}

//! A headless Chromium, to look at pages as a person would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use super::servers::{installed, program};

/// The installed browser.
#[derive(Debug)]
pub struct Browser {
    program: PathBuf,
}

impl Browser {
    /// The browser; `None`, with a line on stderr, where Chromium is not installed.
    pub fn get(test: &str) -> Option<&'static Self> {
        static BROWSER: OnceLock<Option<Browser>> = OnceLock::new();
        let find = || ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| program(name));
        let found = BROWSER.get_or_init(|| find().map(|program| Browser { program }));
        installed(test, "Chromium", "chromium", found.as_ref())
    }

    /// The page as the browser understood it.
    pub fn dom(&self, page: &Path) -> String {
        String::from_utf8(self.run(page, &["--dump-dom"]).stdout).unwrap()
    }

    /// A picture of the page, as PNG, and its size in pixels.
    pub fn picture(&self, page: &Path, (width, height): (u32, u32), is_dark: bool) -> (Vec<u8>, (u32, u32)) {
        let file = page.with_extension("png");
        let size = format!("--window-size={width},{height}");
        let scheme = format!("--blink-settings=preferredColorScheme={}", u8::from(!is_dark));
        let screenshot = format!("--screenshot={}", file.display());
        self.run(page, &[&size, &scheme, "--hide-scrollbars", &screenshot]);
        let png = fs::read(&file).unwrap();
        // The header of every PNG has them at these places, most significant byte first.
        let number = |from: usize| u32::from_be_bytes(png[from..from + 4].try_into().unwrap());
        let found = (number(16), number(20));
        (png, found)
    }

    /// The page as it is printed.
    pub fn print(&self, page: &Path) -> Vec<u8> {
        let file = page.with_extension("pdf");
        self.run(page, &["--no-pdf-header-footer", &format!("--print-to-pdf={}", file.display())]);
        fs::read(&file).unwrap()
    }

    fn run(&self, page: &Path, options: &[&str]) -> Output {
        let profile = tempfile::tempdir().unwrap();
        // Ends a browser that hangs. Without a sandbox, since root has none; what it shows is our own.
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "90"]).arg(&self.program).args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).args(options);
        let output = command.arg(format!("file://{}", page.display())).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

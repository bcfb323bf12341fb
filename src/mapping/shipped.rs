//! The shipped mappings, which the binary carries along.

/// A shipped mapping, as it stands in `mappings/`.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// The file's name, less its ending: `synergetic`.
    pub name: &'static str,
    /// The whole file: comments first, of which the first line says what the mapping is for; then `version`, `source`
    /// and `target`; from `users` on what is the SIS's own.
    pub text: &'static str,
}

impl Shipped {
    /// What the mapping is for, in one line.
    pub fn about(&self) -> &str {
        self.text.lines().next().unwrap_or_default().trim_start_matches(['#', ' '])
    }
}

/// All of them but the demo's, which is no mapping to start from: first those of one SIS, then one for each engine.
pub static SHIPPED: &[Shipped] = &[
    Shipped { name: "synergetic", text: include_str!("../../mappings/synergetic.yaml") },
    Shipped { name: "isams", text: include_str!("../../mappings/isams.yaml") },
    Shipped { name: "sims", text: include_str!("../../mappings/sims.yaml") },
    Shipped { name: "powerschool", text: include_str!("../../mappings/powerschool.yaml") },
    Shipped { name: "facts", text: include_str!("../../mappings/facts.yaml") },
    Shipped { name: "eduhub", text: include_str!("../../mappings/eduhub.yaml") },
    Shipped { name: "tass", text: include_str!("../../mappings/tass.yaml") },
    Shipped { name: "generic-sqlserver", text: include_str!("../../mappings/generic-sqlserver.yaml") },
    Shipped { name: "generic-postgres", text: include_str!("../../mappings/generic-postgres.yaml") },
    Shipped { name: "generic-mysql", text: include_str!("../../mappings/generic-mysql.yaml") },
    Shipped { name: "generic-sqlite", text: include_str!("../../mappings/generic-sqlite.yaml") },
    Shipped { name: "generic-csv", text: include_str!("../../mappings/generic-csv.yaml") },
    Shipped { name: "generic-odbc", text: include_str!("../../mappings/generic-odbc.yaml") },
];

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_shipped_but_the_demo() {
        let mut files: Vec<String> = fs::read_dir("mappings")
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|file| file.strip_suffix(".yaml").map(str::to_owned))
            .filter(|name| name != "demo")
            .collect();
        files.sort_unstable();
        let mut names: Vec<&str> = SHIPPED.iter().map(|shipped| shipped.name).collect();
        names.sort_unstable();
        assert_eq!(files, names);
        for shipped in SHIPPED {
            let file = fs::read_to_string(format!("mappings/{}.yaml", shipped.name)).unwrap();
            assert_eq!(shipped.text, file, "{}", shipped.name);
        }
    }

    /// `init` keeps the comments at the beginning and everything from `users:` on, and writes what is between anew.
    #[test]
    fn each_is_comments_then_version_source_target_then_users_and_the_rest() {
        for Shipped { name, text } in SHIPPED {
            assert!(text.starts_with("# ") && text.ends_with('\n') && !text.contains('\r'), "{name}");
            let keys: Vec<&str> = text
                .lines()
                .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
                .filter_map(|line| line.split(':').next())
                .collect();
            assert_eq!(keys.first_chunk(), Some(&["version", "source", "target", "users"]), "{name}");
            let end_of_comments = text.lines().position(|line| !line.starts_with('#')).unwrap();
            assert_eq!(text.lines().nth(end_of_comments), Some(""), "{name}: a blank line ends the comments");
            assert_eq!(text.lines().nth(end_of_comments + 1), Some("version: 1"), "{name}");
            // What stands above `users:` without a blank line between belongs to it; elsewhere it would be lost.
            let (head, _) = text.split_once("\nusers:").unwrap();
            let between = head.lines().skip(end_of_comments).collect::<Vec<_>>();
            let above_users = between.iter().rev().take_while(|line| line.starts_with('#')).count();
            let lost = between.iter().take(between.len() - above_users).filter(|line| line.starts_with('#'));
            assert_eq!(lost.count(), 0, "{name}: comments among what `init` writes anew");
            // What adapting takes, the comments say first.
            assert!(text.contains("\n# To adapt:\n"), "{name}");
        }
    }

    #[test]
    fn each_says_in_a_line_of_its_own_what_it_is_for() {
        for shipped in SHIPPED {
            let about = shipped.about();
            assert!(about.len() > 20 && !about.starts_with('#') && !about.ends_with('.'), "{}: {about}", shipped.name);
            // Who does not know that a mapping is a guess, trusts it.
            let is_unverified = about.contains("UNVERIFIED");
            assert_eq!(is_unverified, shipped.text.contains("LOOK_UP"), "{}: {about}", shipped.name);
        }
        let first = SHIPPED.iter().find(|shipped| shipped.name == "synergetic").unwrap();
        assert_eq!(first.about(), "Synergetic (Microsoft SQL Server): students and staff by the supplied views");
    }
}

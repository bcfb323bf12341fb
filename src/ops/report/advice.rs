//! What the codes of the history mean, and what a technician does about each.

/// A code in words, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    /// What is wrong.
    pub(super) reason: &'static str,
    /// What to do.
    pub(super) action: &'static str,
}

/// That of a rejection, by its rule's [code](crate::infiniti::value::Rule::code). Nothing for one of a newer program.
pub(super) fn of_rule(code: &str) -> Option<Advice> {
    let (reason, action) = match code {
        "blank" => (
            "a mandatory value is blank",
            "fill it in the SIS, or give the header a `default` in the mapping; leave out who has none with WHERE",
        ),
        "boolean" => (
            "neither yes nor no",
            "let the query give Y or N, or translate the SIS's own words with `lookup` in the mapping",
        ),
        "email" => ("not a well-formed e-mail address", "correct the address in the SIS: look for spaces and two @"),
        "year" => ("not a year of four digits", "correct it in the SIS, or work the year out with `template`"),
        "number" => (
            "a phone number without a digit",
            "correct it in the SIS, or let the query give NULL where it has words such as `none`",
        ),
        "not_allowed" => (
            "a library group that the mapping does not allow",
            "add it to `groups.allow` if patrons may be in it, or leave it out in the query",
        ),
        "file_name" => (
            "an identifier that cannot be the name of a picture",
            "correct it in the SIS: it holds a slash, a colon or the like",
        ),
        "picture" => (
            "not a picture that Infiniti takes",
            "see which and why with `sispush preview --feed images --rejected`; save it again as jpg or png",
        ),
        "one_of" => ("not a value that Infiniti takes", "translate the SIS's own words with `lookup` in the mapping"),
        "too_long" => ("the value is too long", "see whether the right column is mapped; cut the value in the query"),
        "lookup" => ("the lookup has no entry for it", "add the value to the header's `lookup`, or an entry `\"*\"`"),
        "template" => ("the template failed", "see what is blank or not a number there: `sispush explain` shows it"),
        "cohort_missing" => (
            "a student without graduation year",
            "fill the year level in the SIS; who is no student needs `staffmember: Y`",
        ),
        "cohort_twice" => (
            "a student with graduation year and academic level",
            "map one of `graduationyear` and `academiclevel`, not both",
        ),
        "cohort_of_staff" => {
            ("a staff member with a student's year", "leave `graduationyear` and `academiclevel` blank for staff")
        }
        "clash" => (
            "two rows have the same username or barcode",
            "see why the query gives somebody twice: an old semester, or a join; else correct the barcode in the SIS",
        ),
        _ => return None,
    };
    Some(Advice { reason, action })
}

/// That of what stopped a run, by its [code](crate::sync::plan::Stop::code).
pub(super) fn of_stop(code: &str) -> Option<Advice> {
    let (reason, action) = match code {
        "min_rows" | "min_rows_in_all" => (
            "too few rows came from the SIS",
            "see with `sispush preview` what the query gives: has the year or the semester in it passed?",
        ),
        "max_drop" => (
            "many fewer rows than last time came from the SIS",
            "see with `sispush preview` what the query gives: has the year or the semester in it passed?",
        ),
        "max_rejections" => (
            "too many rows were rejected",
            "see the reasons with `sispush preview --rejected`; one cause is behind most of them",
        ),
        "max_creates" => (
            "unusually many patrons are new",
            "see with `sispush diff --verbose` who is new; usernames that changed look like new patrons",
        ),
        "max_updates" => ("unusually many patrons changed", "see with `sispush diff --verbose` which headers changed"),
        "max_deactivations" => (
            "unusually many patrons left",
            "see with `sispush diff --verbose` who left: is a group missing from the query?",
        ),
        "expect" => {
            ("the data are not as the mapping expects them", "see with `sispush test` which expectation does not hold")
        }
        _ => return None,
    };
    Some(Advice { reason, action })
}

/// Whether it is such a code.
pub(in crate::ops) fn is_stop(code: &str) -> bool {
    of_stop(code).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infiniti::image::NameFault;
    use crate::infiniti::value::Rule;
    use crate::sync::plan::Counted;

    /// A new rule fails to compile here until somebody has said what to do about it.
    fn is_advised(rule: &Rule) -> bool {
        match rule {
            Rule::Blank
            | Rule::Boolean
            | Rule::Email
            | Rule::Year
            | Rule::Number
            | Rule::NotAllowed
            | Rule::FileName(_)
            | Rule::Picture(_)
            | Rule::OneOf(_)
            | Rule::TooLong(_)
            | Rule::Lookup
            | Rule::Template(_)
            | Rule::CohortMissing
            | Rule::CohortTwice
            | Rule::CohortOfStaff
            | Rule::Clash { .. } => of_rule(rule.code()).is_some(),
        }
    }

    #[test]
    fn there_is_advice_for_every_rule_and_limit() {
        let rules = [
            Rule::Blank,
            Rule::Boolean,
            Rule::Email,
            Rule::Year,
            Rule::Number,
            Rule::NotAllowed,
            Rule::FileName(NameFault::Edge),
            Rule::Picture(String::new()),
            Rule::OneOf(&[]),
            Rule::TooLong(1),
            Rule::Lookup,
            Rule::Template(String::new()),
            Rule::CohortMissing,
            Rule::CohortTwice,
            Rule::CohortOfStaff,
            Rule::Clash { first: Vec::new(), more: 0 },
        ];
        assert!(rules.iter().all(is_advised));
        let counted = [Counted::Rejections, Counted::Creates, Counted::Updates, Counted::Deactivations];
        for code in
            counted.iter().map(|counted| counted.key()).chain(["min_rows", "min_rows_in_all", "max_drop", "expect"])
        {
            assert!(of_stop(code).is_some(), "{code}");
        }
        assert_eq!(of_rule("of a newer program"), None);
    }
}

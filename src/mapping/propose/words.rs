//! What names of columns and tables mean: synonyms as data.

use super::Who;

/// What a column may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Meaning {
    /// Fills the header of that name.
    Header(&'static str),
    /// The year level: `7`, `07`, `Year 7`, `K`.
    YearLevel,
    /// The school year of the row: `2026`.
    FileYear,
    /// A status with few values, or a flag: who is current.
    Status,
    /// When somebody left.
    LeavingDate,
    /// What kind of person this is.
    Role,
    /// The semester or term of the row.
    Period,
}

/// Names for each meaning, most telling first: in lower case, without anything between the words. Where they come from:
/// Synergetic, TASS, SIMS.net, iSAMS, eduHub, `PowerSchool` and common usage.
pub(super) const SYNONYMS: [(Meaning, &str); 17] = [
    (
        Meaning::Header("username"),
        "networklogin username loginname login samaccountname logonname logon networkusername \
         adusername adlogin windowslogin windowsusername userlogin loginusername loginid networkid \
         netid networkaccount accountname useraccount ldapuser ldapusername ldapuid computerlogin \
         sisuser userprincipalname upn userid usercode account uid user",
    ),
    (
        Meaning::Header("givenname"),
        "givenname firstname forename forenames given given1 givenname1 givennames legalfirstname \
         legalgivenname fname firstnames christianname name1 first",
    ),
    (Meaning::Header("surname"), "surname lastname familyname legalsurname legallastname sname lname last family"),
    (
        Meaning::Header("middlename"),
        "middlename middlenames secondname given2 givenname2 secondgivenname middle othernames",
    ),
    (
        Meaning::Header("preferredname"),
        "preferredname preferred prefname preferredformal preferredfirstname preferredgivenname \
         preferredforename prename knownas knownasname knownname nickname usualname goesby pref",
    ),
    (
        Meaning::Header("emailaddress"),
        "email emailaddress schoolemail schoolemailaddress occupemail workemail emailwork emailschool \
         primaryemail mainemail emailaddr internalemail internetmail mail emails",
    ),
    (
        Meaning::Header("graduationyear"),
        "graduationyear gradyear yearofgraduation leavingyear leaveyear completionyear exityear \
         classof gradyr yeargroupleaving expectedgraduationyear cohortyear graduation",
    ),
    (
        Meaning::Header("librarybarcode"),
        "librarybarcode barcode barcodenumber barcodeno patronbarcode librarycard librarycardnumber \
         librarycardno libraryid librarynumber borrowerid borrowernumber borrowerno idcardnumber \
         cardnumber cardno cardid idcard smartcard card",
    ),
    (
        Meaning::Header("adminsystemid"),
        "externalid adminsystemid adminid admincode adminno admissionnumber admissionno admno sisid \
         schoolid schoolcode uniqueid refid stkey sfkey id number no code key sourcedid",
    ),
    (Meaning::Header("gender"), "gender sex gendercode legalgender"),
    (
        Meaning::Header("formclass"),
        "formclass homegroup homeroom rollclass rollgroup tutorgroup formgroup form formcode \
         registrationgroup reggroup homeclass homeform pastoralgroup formname classcode class \
         classname roll reg tutor",
    ),
    (
        Meaning::YearLevel,
        "yearlevel gradelevel scholasticyear ncyear yeargroup yearcode yearlevelcode schoolyear \
         curriculumyear academicyearlevel academiclevel yrlevel grade year yr level",
    ),
    (Meaning::FileYear, "fileyear academicyear schoolyear calendaryear currentyear enrolmentyear year"),
    (
        Meaning::Status,
        "active activeflag isactive current currentflag iscurrent status statuscode currentstatus \
         systemstatus enrolmentstatus enrollmentstatus enrolstatus enabled inactive isinactive \
         archived deleted isdeleted disabled isdisabled left hasleft leaver",
    ),
    (
        Meaning::LeavingDate,
        "leavingdate leavedate dateleft leftdate exitdate dateofleaving leftschooldate withdrawaldate \
         terminationdate enddate dateend departuredate exited dateofexit",
    ),
    (Meaning::Role, "role rolename persontype usertype membertype roletype category profile type kind"),
    (Meaning::Period, "filesemester semester semesterid fileterm term termid schoolterm"),
];

/// Words that only say whose column it is, or of which type, and mean nothing else.
const PERSON_NOUNS: &str = "student students stud stu pupil learner staff teacher tchr employee emp person people member \
     individual";
/// Prefixes of types.
const TYPES: &str = "txt str int bit bln chr vch fld col";
/// What else says no more.
const NOISE: &str = "current school";

/// Words that make a column somebody else's, of another time, or of another kind than its name seems to say.
const OTHERS: &str = "parent parents mother father guardian carer carers emergency contact spouse partner doctor \
     medical sibling kin previous prior old former next future billing debtor alternate alternative \
     alt secondary private personal backup created creation modified updated update failed attempts \
     attempt count total date time stamp timestamp expiry expires by on hash salt password token \
     photo picture image url description language birth dob sort print flag enabled change changed";

/// Words in a table's name, with who is in it.
const STUDENT_WORDS: &str = "st student students pupil pupils learner learners stu stud enrolments enrollments";
const STAFF_WORDS: &str = "sf staff teacher teachers employee employees faculty personnel tchr instructor instructors \
     educators";
/// Tables that may hold everybody.
const PEOPLE_WORDS: &str = "person persons people user users individual individuals member members community patron patrons \
     account accounts logins login";
/// Tables about people that are not their list.
const SIDE_WORDS: &str = "log logs history hist audit archive archived backup bak old tmp temp test import staging \
     attendance absence absences mark marks result results fee fees invoice payment medical parent \
     parents guardian family families contact contacts sibling photo photos note notes comment \
     comments subject subjects timetable book loan config setting settings permission permissions \
     lookup applicant application applications leaver leavers past former alumni address behaviour";

/// Whether one of the words of a list.
fn is_one_of(list: &str, word: &str) -> bool {
    list.split(' ').any(|known| known == word)
}

fn is_person_word(word: &str) -> bool {
    [PERSON_NOUNS, TYPES, NOISE].iter().any(|list| is_one_of(list, word))
}

/// The words of a name, in lower case: `StudentNetworkLogin`, `network_login`, `HOME_GROUP`, `txtForename`.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let chars: Vec<char> = name.chars().collect();
    let mut is_open = false;
    for (index, &c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            is_open = false;
            continue;
        }
        let before = index.checked_sub(1).map(|before| chars[before]);
        let next_is_lower = chars.get(index + 1).is_some_and(|next| next.is_lowercase());
        let starts = c.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase() || before.is_numeric() || (before.is_uppercase() && next_is_lower)
            });
        if !is_open || starts {
            words.push(String::new());
        }
        is_open = true;
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words
}

/// How well a column's name fits a meaning, from 0 (not at all) to 100.
pub(super) fn fit(name: &str, synonyms: &str) -> u32 {
    let words = words(name);
    // A view's prefix: `s_forename`.
    let bare: Vec<&str> = words.iter().map(String::as_str).filter(|word| !is_person_word(word)).collect();
    let all: String = words.concat();
    let bare_all: String = bare.concat();
    let rank = |index: usize| 100 - u32::try_from(index).unwrap_or(40).min(35);
    let exact = |text: &str| synonyms.split(' ').position(|synonym| synonym == text).map(rank);
    // `txtSchoolID`: a prefix says of which type it is.
    let untyped = words.split_first().filter(|(first, _)| is_one_of(TYPES, first)).map(|(_, rest)| rest.concat());
    if let Some(fit) = exact(&all).max(exact(&bare_all)).max(untyped.and_then(|untyped| exact(&untyped))) {
        return fit;
    }
    // `LastLogin` is a time. A last name is found above.
    if words.iter().any(|word| is_one_of(OTHERS, word) || word == "last") {
        return 0;
    }
    // Written without a break: `STUDENTEMAIL`.
    let run_together = PERSON_NOUNS.split(' ').filter_map(|word| all.strip_prefix(word)).filter_map(exact).max();
    let part = (synonyms.split(' ').enumerate())
        // A word of two letters, such as `no`, says nothing as a part of others; nor do those that mean much.
        .filter(|(_, synonym)| synonym.len() > 3 && !is_one_of(VAGUE, synonym))
        .filter_map(|(index, synonym)| {
            let starts = |from: usize| (from + 1..=bare.len()).any(|to| bare[from..to].concat() == *synonym);
            let at = (0..bare.len()).find(|from| starts(*from))?;
            let is_last = (at..bare.len()).any(|from| bare[from..].concat() == *synonym);
            Some(rank(index) * if is_last { 8 } else { 7 } / 10)
        })
        .max();
    run_together.map(|fit| fit * 9 / 10).max(part).unwrap_or(0)
}

/// Synonyms that count only as the whole name.
const VAGUE: &str = "first last family given middle user account card code number form class roll year level grade \
     type kind mail tutor";

/// Whether a name is a person's key: `StudentID`, `gibbonPersonID`, or `customer_id` in the table `customer`.
pub(super) fn is_key_of_person(name: &str, table: &str) -> bool {
    let words = words(name);
    let Some((last, rest)) = words.split_last() else { return false };
    let is_key = matches!(last.as_str(), "id" | "key" | "no" | "number" | "code");
    let table = self::words(table).concat();
    let is_tables = !rest.is_empty() && (rest.concat() == table || rest.concat() + "s" == table);
    is_key
        && (is_tables || rest.last().is_some_and(|word| is_one_of(PERSON_NOUNS, word)))
        && !words.iter().any(|word| is_one_of(OTHERS, word))
}

/// Whether a name says that it is somebody else's, or of another time.
pub(super) fn is_somebody_elses(name: &str) -> bool {
    words(name).iter().any(|word| is_one_of(OTHERS, word))
}

/// Of which people a name says that it is, if it says so.
pub(super) fn is_of(name: &str, who: Who) -> bool {
    let own = match who {
        Who::Students => STUDENT_WORDS,
        Who::Staff => STAFF_WORDS,
    };
    contains(name, own)
}

/// Whether a table's name says that it may hold everybody.
pub(super) fn is_of_people(name: &str) -> bool {
    contains(name, PEOPLE_WORDS)
}

/// How many words of a table's name say that it is no list of people.
pub(super) fn side_words(name: &str) -> usize {
    words(name).iter().filter(|word| is_one_of(SIDE_WORDS, word)).count()
}

/// Whether a name holds one of these as a word, or starts with it: `vStudents`, `STUDENTS`, `studentinfo`, `pupilcurrent`.
fn contains(name: &str, known: &str) -> bool {
    let words = words(name);
    words.iter().any(|word| {
        let word = word.as_str();
        known.split(' ').any(|known| {
            word == known
                || (known.len() > 4
                    && (word.starts_with(known) || word.strip_prefix('v').is_some_and(|rest| rest.starts_with(known))))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(name: &str) -> String {
        let best =
            SYNONYMS.iter().map(|(meaning, synonyms)| (fit(name, synonyms), *meaning)).max_by_key(|(fit, _)| *fit);
        match best {
            Some((55.., Meaning::Header(header))) => header.to_owned(),
            Some((55.., meaning)) => format!("{meaning:?}"),
            _ => "-".to_owned(),
        }
    }

    #[test]
    fn names_are_taken_into_words() {
        for (name, expected) in [
            ("StudentNetworkLogin", "student network login"),
            ("network_login", "network login"),
            ("HOME_GROUP", "home group"),
            ("txtForename", "txt forename"),
            ("LDAPUser", "ldap user"),
            ("gibbonPersonID", "gibbon person id"),
            ("Given1", "given1"),
            ("Year Level", "year level"),
            ("e-mail", "e mail"),
            ("", ""),
        ] {
            assert_eq!(words(name).join(" "), expected, "{name}");
        }
    }

    #[test]
    fn columns_of_systems_that_are_in_use_are_understood() {
        for (name, expected) in [
            ("StudentNetworkLogin", "username"),
            ("LoginID", "username"),
            ("user_name", "username"),
            ("USERNAME", "username"),
            ("Student_Web_ID", "-"),
            ("LastLogin", "-"),
            ("last_login_date", "-"),
            ("FailedLoginCount", "-"),
            ("first_name", "givenname"),
            ("StudentGiven1", "givenname"),
            ("txtForename", "givenname"),
            ("txtSchoolID", "adminsystemid"),
            ("txtPreName", "preferredname"),
            ("FIRST_NAME", "givenname"),
            ("FIRSTNAME", "givenname"),
            ("LastName", "surname"),
            ("legal_surname", "surname"),
            ("PREF_NAME", "preferredname"),
            ("known_as", "preferredname"),
            ("SECOND_NAME", "middlename"),
            ("E_MAIL", "emailaddress"),
            ("StudentOccupEmail", "emailaddress"),
            ("STUDENTEMAIL", "emailaddress"),
            ("ParentEmail", "-"),
            ("emergency_contact_email", "-"),
            ("home_email", "emailaddress"),
            ("BARCODE", "librarybarcode"),
            ("library_card_no", "librarybarcode"),
            ("StudentID", "adminsystemid"),
            ("STKEY", "adminsystemid"),
            ("student_number", "adminsystemid"),
            ("adno", "-"),
            ("HOME_GROUP", "formclass"),
            ("StudentForm", "formclass"),
            ("home_room", "formclass"),
            ("StudentYearLevel", "YearLevel"),
            ("grade_level", "YearLevel"),
            ("intNCYear", "YearLevel"),
            ("sched_yearofgraduation", "graduationyear"),
            ("Gender", "gender"),
            ("ActiveFlag", "Status"),
            ("student_status", "Status"),
            ("leaving_date", "LeavingDate"),
            ("DateOfBirth", "-"),
            ("created_by", "-"),
            ("password", "-"),
            ("family_id", "-"),
            ("MotherSurname", "-"),
            ("Photo", "-"),
        ] {
            assert_eq!(meaning(name), expected, "{name}");
        }
    }

    #[test]
    fn tables_say_who_is_in_them() {
        for (name, is_student, is_staff, is_people) in [
            ("vStudents", true, false, false),
            ("STUDENTS", true, false, false),
            ("TblPupilManagementPupils", true, false, false),
            ("student_contact", true, false, false),
            ("vstudent_current", true, false, false),
            ("Employee", false, true, false),
            ("gibbonPerson", false, false, true),
            ("invoices", false, false, false),
            ("study", false, false, false),
        ] {
            let found = (is_of(name, Who::Students), is_of(name, Who::Staff), is_of_people(name));
            assert_eq!(found, (is_student, is_staff, is_people), "{name}");
        }
        assert_eq!(side_words("student_contact_log"), 2);
    }
}

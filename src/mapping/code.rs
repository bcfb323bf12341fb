//! The rules that a mapping is held against, each with a name that never changes.

use serde::{Serialize, Serializer};

/// Makes the list of rules: the variant, its name in JSON and SARIF, and what is wrong, in one line.
macro_rules! codes {
    ($($variant:ident $name:literal $about:literal,)*) => {
        /// Which rule a problem breaks. As text a few words with hyphens: `unknown-key`. Names are added, never changed
        /// or given another meaning: people's editors and build servers filter by them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $about] $variant,)*
        }

        impl Code {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name: `unknown-key`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What is wrong, in one line.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }
        }
    };
}

codes! {
    Encoding "encoding" "The file is not UTF-8 text.",
    YamlSyntax "yaml-syntax" "The file is not valid YAML.",
    SecondDocument "second-document" "The file holds more than one document.",
    Empty "empty" "The mapping is empty.",
    AliasLoop "alias-loop" "An alias stands inside the part that it repeats.",
    TooDeep "too-deep" "The mapping is nested too deeply.",
    TooLarge "too-large" "The mapping holds too many values.",
    Tag "tag" "A value begins with a tag.",
    KeyTwice "key-twice" "A key is given twice.",
    KeyMissing "key-missing" "A value has no key.",
    KeyNotText "key-not-text" "A key is a list or a group.",
    Merge "merge" "A merge key does not name a group.",
    NotAGroup "not-a-group" "A group of keys is needed here.",
    NotAList "not-a-list" "A list is needed here.",
    NotATable "not-a-table" "A table is needed here.",
    NotAText "not-a-text" "A text is needed here.",
    NotASwitch "not-a-switch" "`true` or `false` is needed here.",
    NotANumber "not-a-number" "A number is needed here.",
    ListEmpty "list-empty" "A list that must not be empty is.",
    NoValue "no-value" "A key has no value.",
    Blank "blank" "A text that must not be blank is.",
    MissingKey "missing-key" "A key that must be there is missing.",
    UnknownKey "unknown-key" "The key is not one of the format's.",
    ExclusiveKeys "exclusive-keys" "Two keys exclude each other.",
    GivenTwice "given-twice" "A setting is given in two places.",
    IdleKey "idle-key" "A key does nothing beside the others.",
    ControlCharacter "control-character" "A text holds a control character, mostly by an escape that was not meant.",
    CurlyQuotes "curly-quotes" "Curly quotes stand where straight ones are meant.",
    CutByComment "cut-by-comment" "A value ends at a `#` that may belong to it.",
    Count "count" "The value is no whole number within its bounds.",
    Duration "duration" "The value is no duration within its bounds.",
    Date "date" "The value is no day.",
    Limit "limit" "The value is neither a count nor per cent.",
    Size "size" "The value is no size within its bounds.",
    UnknownWord "unknown-word" "The value is not one of the key's words.",
    MissingFile "missing-file" "A file that the mapping names is not there.",
    UnreadableFile "unreadable-file" "A file cannot be read.",
    Include "include" "The mapping cannot include what it names as its base.",
    KeyOfMapping "key-of-mapping" "A base holds a key that only a mapping may have.",
    BaseAmongMappings "base-among-mappings" "A base lies among mappings as if it were one.",
    Version "version" "The version of the format is not known.",
    Name "name" "The mapping's name cannot be used.",
    Reference "reference" "A reference to a secret is not written rightly.",
    ReferenceNotReplaced "reference-not-replaced" "A reference stands where references are not replaced.",
    CommandNotAllowed "command-not-allowed" "A secret comes from a program, and the mapping does not allow that.",
    Secret "secret" "A secret that the mapping refers to cannot be had.",
    LiteralPassword "literal-password" "A password stands in the file in plain text.",
    SourceUrl "source-url" "The source's address cannot be used.",
    EngineOfBuild "engine-of-build" "This build does not have the engine.",
    EncryptionLevel "encryption-level" "The engine does not have this level of encryption.",
    UnverifiedCertificate "unverified-certificate" "The source's certificate is not verified.",
    TargetUrl "target-url" "The target's address cannot be used.",
    RehearsalTarget "rehearsal-target" "The target is this machine itself.",
    Proxy "proxy" "The proxy's address cannot be used.",
    State "state" "The place of the state cannot be used.",
    StateNone "state-none" "Something needs a state, and there is none.",
    HoldOrder "hold-order" "A hold ends before it begins.",
    ExtractTwice "extract-twice" "Two queries have the same name.",
    QueryBlank "query-blank" "A query has no SQL.",
    QueryCurlyQuotes "query-curly-quotes" "The SQL holds curly quotes.",
    QueryWrites "query-writes" "The SQL may do more than read.",
    QueryTwice "query-twice" "Two queries give the same patrons.",
    QueryWithoutFilter "query-without-filter" "The SQL leaves nobody out.",
    QueryAllColumns "query-all-columns" "The SQL reads all columns, whatever they are.",
    QueryWithoutOrder "query-without-order" "The SQL takes the first rows of no order.",
    QueryColumnMissing "query-column-missing" "The SQL does not give a column that the mapping reads.",
    QueryColumnTwice "query-column-twice" "The SQL gives two columns of one name.",
    CurrentSemesterFlag "current-semester-flag" "The SQL asks a flag that is 0 for every plain login.",
    UnknownHeader "unknown-header" "Infiniti has no such header.",
    HeaderTwice "header-twice" "A header is given twice.",
    HeaderMissing "header-missing" "A mandatory header is missing.",
    CohortOfStaff "cohort-of-staff" "Staff have no cohort.",
    CohortMissing "cohort-missing" "Students have no cohort.",
    CohortTwice "cohort-twice" "Students have two cohorts.",
    ContentTwice "content-twice" "Two headers hold what a row is there for.",
    NoRule "no-rule" "A header has no rule.",
    RuleAsList "rule-as-list" "A header is filled by a list.",
    NoInput "no-input" "A rule does not say where the value comes from.",
    ValueAsColumn "value-as-column" "A value stands where the name of a column belongs.",
    TemplateAsColumn "template-as-column" "A template stands where the name of a column belongs.",
    ColumnName "column-name" "The name of a column cannot be one.",
    MandatoryBlank "mandatory-blank" "A mandatory header would be blank.",
    MandatorySend "mandatory-send" "A mandatory header is not always sent.",
    PasswordSentAlways "password-sent-always" "Every push would set the password again.",
    ValueOfHeader "value-of-header" "A value breaks the rule of its header.",
    ConstantOfUnique "constant-of-unique" "Every row would have the same value, which must differ.",
    LookupWithoutEntry "lookup-without-entry" "A lookup has no entry for the rule's value.",
    LookupContradiction "lookup-contradiction" "Two entries of a lookup contradict each other.",
    UnlistedValue "unlisted-value" "A value is none of those that are known.",
    SendOfFeed "send-of-feed" "Only accounts have headers that are sent once.",
    Split "split" "A header whose cells are not split is.",
    Picture "picture" "A picture is filled by what is no column.",
    FeedPath "feed-path" "The path of a feed cannot be used.",
    FeedMode "feed-mode" "The mode of a feed cannot be used.",
    UnseenMode "unseen-mode" "A mode was not seen at work.",
    HeaderName "header-name" "A header cannot be called like this.",
    GroupTwice "group-twice" "A group is allowed twice.",
    AccountHeader "account-header" "A feed hangs on a header that no account fills.",
    Template "template" "A template does not compile.",
    TemplateWithoutColumn "template-without-column" "A template gives every row the same text.",
    Transform "transform" "A transform is not written rightly.",
    UnknownTransform "unknown-transform" "There is no such transform.",
    RegularExpression "regular-expression" "A regular expression is not right.",
    NothingExpected "nothing-expected" "An expectation says nothing.",
    NothingToLookAt "nothing-to-look-at" "An expectation has nothing to look at.",
    NeverHolds "never-holds" "An expectation can never hold.",
    NeverWarns "never-warns" "A warning can never come.",
    ExpectPassword "expect-password" "Something is expected of passwords, which are not looked at.",
    UnknownExtract "unknown-extract" "No query has this name.",
    BoundsMissing "bounds-missing" "An expectation needs a bound.",
    BoundsReversed "bounds-reversed" "The lower bound is above the upper one.",
    LiteralSecret "literal-secret" "An address that is a secret stands in the file in plain text.",
    NotifyAddress "notify-address" "The address of a webhook or a heartbeat cannot be used.",
    MailAddress "mail-address" "The address of a mailbox cannot be used.",
    MailServer "mail-server" "The mail server cannot be used like this.",
    NobodyIsTold "nobody-is-told" "A notification would reach nobody.",
    NotifyField "notify-field" "A notification has no such field.",
}

impl Code {
    /// Whether it is advice on what is right as YAML and may be meant. `check` gives it; a push, which comes every
    /// night, does not: a log that says the same every night is not read.
    pub fn is_advice(self) -> bool {
        matches!(
            self,
            Self::BaseAmongMappings
                | Self::RehearsalTarget
                | Self::QueryTwice
                | Self::QueryWithoutFilter
                | Self::QueryAllColumns
                | Self::QueryWithoutOrder
                | Self::QueryColumnMissing
                | Self::QueryColumnTwice
                | Self::UnlistedValue
                | Self::UnseenMode
        )
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_with_hyphens_and_differ() {
        let mut names: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
        for code in Code::ALL {
            assert!(code.name().chars().all(|char| char.is_ascii_lowercase() || char == '-'), "{code:?}");
            assert!(code.about().ends_with('.'), "{code:?}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }
}

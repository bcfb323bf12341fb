//! What can be told of a query's SELECT without asking the server: for advice, never for a decision.
//!
//! No parser: where the text goes beyond what is looked at here, it says nothing, since advice that is often wrong is worse
//! than none. Expressions, procedures and dialects' own clauses are passed over.

use std::ops::Range;

use super::Engine;
use super::lexer::{Dialect, Kind, Token, tokens, upper};

/// What is told of a query. Ranges are bytes of its text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Select {
    /// The `FROM` of the first part that leaves nobody out.
    pub(crate) unfiltered: Option<Range<usize>>,
    /// The first `*` of the result whose columns nobody has named.
    pub(crate) star: Option<Range<usize>>,
    /// The word that takes some of the rows, of which no order says which.
    pub(crate) unordered: Option<Range<usize>>,
    /// The result's columns, if the text names every one of them.
    pub(crate) columns: Option<Vec<Column>>,
}

/// What is told of any SQL, by its words alone.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    /// Where Synergetic's flag of the current semester is asked.
    pub(crate) semester_flag: Option<Range<usize>>,
    /// What looks like a reference to a secret: `${…}`, in a quoted text, too.
    pub(crate) reference: Option<Range<usize>>,
}

/// A result column as the text names it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) place: Range<usize>,
}

/// Reads a query. Of what is no SQL at all nothing is told: that the server will do.
pub(crate) fn read(engine: Engine, sql: &str) -> Select {
    let Ok(tokens) = tokens(sql, Dialect::of(engine)) else { return Select::default() };
    Text::new(engine, sql, &tokens).and_then(|text| text.statement()).unwrap_or_default()
}

/// Reads the words of any SQL.
pub(crate) fn words(engine: Engine, sql: &str) -> Words {
    let Ok(tokens) = tokens(sql, Dialect::of(engine)) else { return Words::default() };
    let flag = tokens.iter().find(|token| name(sql, token).eq_ignore_ascii_case("CurrentSemesterOnlyFlag"));
    let reference = tokens.iter().find_map(|token| {
        let open = match token.kind {
            Kind::Symbol('$') => sql[token.start..].starts_with("${").then_some(token.start)?,
            Kind::Quoted(_) => token.start + sql[token.start..token.end].find("${")?,
            Kind::Symbol(_) | Kind::Word(_) | Kind::Number => return None,
        };
        let close = open + sql[open..].find('}')? + 1;
        Some(open..close)
    });
    Words { semester_flag: flag.map(|token| token.start..token.end), reference }
}

/// What names of tables and views that were made for the purpose, or hold nobody but current people, have in them.
const NAMES_OF_FILTERED: [&str; 7] = ["current", "active", "enrolled", "infiniti", "library", "patron", "export"];

/// Words that end the list of tables.
const AFTER_FROM: [&str; 12] =
    ["WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "FETCH", "OPTION", "FOR", "WINDOW", "QUALIFY", "CONNECT"];

/// Words that join two SELECTs.
const SET_OPERATORS: [&str; 4] = ["UNION", "EXCEPT", "INTERSECT", "MINUS"];

struct Text<'q> {
    engine: Engine,
    sql: &'q str,
    tokens: &'q [Token<'q>],
    /// How many brackets each token stands in; a bracket stands outside of itself.
    depths: Vec<usize>,
}

/// Tokens from and to, without the last.
type Part = Range<usize>;

impl<'q> Text<'q> {
    /// Nothing if the brackets do not fit.
    fn new(engine: Engine, sql: &'q str, tokens: &'q [Token<'q>]) -> Option<Self> {
        let mut depths = Vec::with_capacity(tokens.len());
        let mut depth = 0_usize;
        for token in tokens {
            if token.kind == Kind::Symbol(')') {
                depth = depth.checked_sub(1)?;
            }
            depths.push(depth);
            if token.kind == Kind::Symbol('(') {
                depth += 1;
            }
        }
        (depth == 0).then_some(Self { engine, sql, tokens, depths })
    }

    /// The last statement. Those before it, in SQL Server, only set variables.
    fn statement(&self) -> Option<Select> {
        let whole = 0..self.tokens.len();
        let statement =
            self.split(&whole, &|index| self.is_symbol(index, ';')).into_iter().rfind(|part| !part.is_empty())?;
        let (tables, main) = self.without_common_tables(&statement)?;
        if !self.is_word(main.start, "SELECT") {
            return None;
        }
        let parts = self.split(&main, &|index| self.is_any(index, &SET_OPERATORS));
        // A UNION is followed by ALL or DISTINCT; the part begins after it.
        let parts: Option<Vec<Branch>> = parts.iter().map(|part| self.branch(part)).collect();
        let parts = parts?;
        let takes_away = self.flat(&main).any(|index| self.is_any(index, &SET_OPERATORS[1..]));
        let unfiltered = parts.iter().find(|part| !self.is_filtered(part, &tables)).and_then(|part| part.from);
        let star = parts.iter().find_map(|part| self.star(part, &tables));
        let first = parts.first()?;
        Some(Select {
            unfiltered: unfiltered.filter(|_| !takes_away).map(|index| self.place(index)),
            star: star.map(|index| self.place(index)),
            unordered: self.unordered(&main, &parts).map(|index| self.place(index)),
            columns: self.columns(first),
        })
    }

    /// The tables of `WITH name AS (…), …` by name and content, and what follows them.
    fn without_common_tables(&self, statement: &Part) -> Option<(Vec<CommonTable>, Part)> {
        if !self.is_word(statement.start, "WITH") {
            return Some((Vec::new(), statement.clone()));
        }
        let main = self.flat(statement).find(|index| self.is_word(*index, "SELECT"))?;
        let mut tables = Vec::new();
        for part in self.split(&(statement.start + 1..main), &|index| self.is_symbol(index, ',')) {
            let name = self.flat(&part).find(|index| self.is_name(*index) && !self.is_word(*index, "RECURSIVE"))?;
            let content = self.flat(&part).filter(|index| self.is_symbol(*index, '(')).last()?;
            tables.push(CommonTable { name: self.name(name), content: self.inside(content) });
        }
        Some((tables, main..statement.end))
    }

    /// One SELECT without brackets around it.
    fn branch(&self, part: &Part) -> Option<Branch> {
        let mut start = part.start;
        if self.is_any(start, &["ALL", "DISTINCT"]) {
            start += 1;
        }
        if !self.is_word(start, "SELECT") {
            return None;
        }
        let part = start..part.end;
        let mut at = start + 1;
        let mut is_plain = true;
        let mut top = None;
        loop {
            if self.is_any(at, &["ALL", "DISTINCT"]) {
                at += 1;
            } else if self.is_word(at, "ON") {
                // PostgreSQL's `DISTINCT ON (…)`.
                at = self.after_group(at + 1);
            } else if self.is_word(at, "TOP") && self.engine == Engine::SqlServer {
                top = Some(at);
                at = self.after_group(at + 1);
                if self.is_word(at, "PERCENT") {
                    // Of 100 per cent, all rows; other shares nobody writes.
                    top = None;
                    at += 1;
                }
                if self.is_word(at, "WITH") && self.is_word(at + 1, "TIES") {
                    at += 2;
                }
            } else {
                break;
            }
        }
        let from = self.flat(&(at..part.end)).find(|index| self.is_word(*index, "FROM"));
        let ends = |index: usize| self.is_any(index, &AFTER_FROM);
        let list_end = from.or_else(|| self.flat(&(at..part.end)).find(|index| ends(*index))).unwrap_or(part.end);
        let tables = match from {
            Some(from) => from + 1..self.flat(&(from + 1..part.end)).find(|index| ends(*index)).unwrap_or(part.end),
            None => part.end..part.end,
        };
        let items = self.split(&(at..list_end), &|index| self.is_symbol(index, ','));
        is_plain &= items.iter().all(|item| !item.is_empty());
        Some(Branch { items: if is_plain { items } else { Vec::new() }, from, tables, part, top })
    }

    fn is_filtered(&self, branch: &Branch, common: &[CommonTable]) -> bool {
        let filters = ["WHERE", "HAVING", "QUALIFY"];
        if branch.tables.is_empty() || self.flat(&branch.part).any(|index| self.is_any(index, &filters)) {
            return true;
        }
        // A filter of a common table is one of whoever uses it.
        let is_common = |index: usize| common.iter().any(|table| self.is_named(index, &table.name));
        let has_filter = |part: &Part| part.clone().any(|index| self.is_any(index, &filters));
        if self.flat(&branch.tables).any(is_common) && common.iter().any(|table| has_filter(&table.content)) {
            return true;
        }
        // What is joined by LEFT or FULL takes nobody away.
        let mut is_optional = false;
        let mut is_condition = false;
        let mut before: Option<usize> = None;
        for index in self.flat(&branch.tables) {
            let is_own = !is_optional;
            match self.tokens[index].kind {
                Kind::Word(_) if self.is_any(index, &["LEFT", "FULL", "OUTER"]) => {
                    (is_optional, is_condition) = (true, false);
                }
                Kind::Word(_) if self.is_any(index, &["INNER", "CROSS", "RIGHT", "NATURAL"]) => {
                    (is_optional, is_condition) = (false, false);
                }
                Kind::Word(_) if self.is_any(index, &["JOIN", "APPLY"]) => {
                    let joins = ["LEFT", "FULL", "OUTER", "MERGE", "HASH", "LOOP"];
                    is_optional &= before.is_some_and(|before| self.is_any(before, &joins));
                    is_condition = false;
                }
                Kind::Symbol(',') if !is_condition => is_optional = false,
                Kind::Word(_) if self.is_word(index, "ON") => is_condition = true,
                Kind::Symbol('(') => {
                    let group = self.inside(index);
                    let is_call = before.is_some_and(|before| {
                        self.is_name(before)
                            && !self.is_any(
                                before,
                                &["FROM", "JOIN", "APPLY", "ON", "USING", "AND", "OR", "WITH", "LATERAL", "AS"],
                            )
                    });
                    // What a table function takes as arguments may well be the filter.
                    if is_own && (is_call || has_filter(&group) || is_condition && self.is_selective(&group)) {
                        return true;
                    }
                }
                _ if is_condition && is_own && self.is_selective(&(index..index + 1)) => return true,
                Kind::Word(_) | Kind::Quoted(_) if is_own && !is_condition => {
                    let name = self.name(index).to_lowercase().replace("inactive", "");
                    if NAMES_OF_FILTERED.iter().any(|word| name.contains(word)) || name == "dual" {
                        return true;
                    }
                }
                _ => {}
            }
            before = Some(index);
        }
        false
    }

    /// Whether a condition does more than compare two columns for being the same.
    fn is_selective(&self, part: &Part) -> bool {
        const WORDS: [&str; 9] = ["IN", "BETWEEN", "LIKE", "IS", "EXISTS", "NOT", "TRUE", "FALSE", "CURRENT_DATE"];
        part.clone().any(|index| match self.tokens[index].kind {
            Kind::Number | Kind::Quoted('\'' | '$') | Kind::Symbol('<' | '>' | '!') => true,
            Kind::Word(word) => word.starts_with('@') || self.is_any(index, &WORDS) || self.is_symbol(index + 1, '('),
            Kind::Quoted(_) | Kind::Symbol(_) => false,
        })
    }

    /// `*` or `name.*` among the result's columns, unless all that is read has its columns named inside this query.
    fn star(&self, branch: &Branch, common: &[CommonTable]) -> Option<usize> {
        let star = branch.items.iter().find_map(|item| {
            let last = item.end.checked_sub(1)?;
            let is_alone = item.len() == 1 || self.is_symbol(last - 1, '.');
            (is_alone && self.is_symbol(last, '*')).then_some(last)
        })?;
        let mut is_named = true;
        let mut starts_table = true;
        for index in self.flat(&branch.tables) {
            let token = &self.tokens[index];
            match token.kind {
                Kind::Word(_) if self.is_any(index, &["LATERAL", "ONLY"]) => {}
                Kind::Word(_) if self.is_any(index, &["JOIN", "APPLY"]) => starts_table = true,
                Kind::Symbol(',') => starts_table = true,
                _ if starts_table => {
                    starts_table = false;
                    let content = if self.is_symbol(index, '(') {
                        Some(self.inside(index))
                    } else {
                        let table = common.iter().find(|table| self.is_named(index, &table.name));
                        table.filter(|_| !self.is_symbol(index + 1, '.')).map(|table| table.content.clone())
                    };
                    is_named &= content.is_some_and(|content| !content.clone().any(|index| self.is_inner_star(index)));
                }
                _ => {}
            }
        }
        (!is_named).then_some(star)
    }

    /// Whether a `*` inside a table's own SELECT stands for all columns, and is no product or count.
    fn is_inner_star(&self, index: usize) -> bool {
        let before = index.checked_sub(1);
        self.is_symbol(index, '*')
            && before.is_some_and(|before| {
                self.is_any(before, &["SELECT", "DISTINCT", "ALL"])
                    || self.is_symbol(before, '.')
                    || self.is_symbol(before, ',')
            })
    }

    /// The word that takes some of the rows without an order.
    fn unordered(&self, main: &Part, branches: &[Branch]) -> Option<usize> {
        if self.flat(main).any(|index| self.is_word(index, "ORDER")) {
            return None;
        }
        let takes = |index: usize| match self.engine {
            Engine::SqlServer => false,
            Engine::Postgres | Engine::Odbc => {
                self.is_word(index, "LIMIT") && !self.is_any(index + 1, &["ALL", "NULL"])
                    || self.is_word(index, "FETCH") && self.is_any(index + 1, &["FIRST", "NEXT"])
            }
            Engine::MySql | Engine::Sqlite | Engine::Csv => self.is_word(index, "LIMIT"),
        };
        let is_name_of_something = |index: usize| index > 0 && self.is_symbol(index - 1, '.');
        let top = branches.iter().find_map(|branch| branch.top);
        top.or_else(|| self.flat(main).find(|index| takes(*index) && !is_name_of_something(*index)))
    }

    /// The names of a SELECT's columns, if each is plain to see.
    fn columns(&self, branch: &Branch) -> Option<Vec<Column>> {
        if branch.items.is_empty() {
            return None;
        }
        branch.items.iter().map(|item| self.column(item)).collect()
    }

    fn column(&self, item: &Part) -> Option<Column> {
        /// Words before a name that make it an expression, or that end one.
        const OPERATORS: [&str; 8] =
            ["NOT", "BINARY", "PRIOR", "CONNECT_BY_ROOT", "INTERVAL", "DATE", "TIME", "TIMESTAMP"];
        const ENDS: [&str; 6] = ["END", "NULL", "TRUE", "FALSE", "ISNULL", "NOTNULL"];
        let flat: Vec<usize> = self.flat(item).collect();
        let column = |index: usize| Column { name: self.name(index), place: self.place(index) };
        let is_word = |index: usize| matches!(self.tokens[index].kind, Kind::Word(_));
        let is_dotted = |part: &[usize]| {
            part.len() % 2 == 1
                && part.iter().enumerate().all(|(position, index)| {
                    if position % 2 == 0 { self.is_name(*index) } else { self.is_symbol(*index, '.') }
                })
        };
        match flat.as_slice() {
            // `name = expression`, as T-SQL has it; a variable that is set gives no column.
            [name, equals, ..] if self.is_symbol(*equals, '=') => {
                let is_variable = self.name(*name).starts_with('@');
                (self.engine == Engine::SqlServer && self.is_name(*name) && !is_variable).then(|| column(*name))
            }
            [.., name_as, name] if self.is_word(*name_as, "AS") => match self.tokens[*name].kind {
                Kind::Word(_) | Kind::Quoted(_) => Some(column(*name)),
                Kind::Number | Kind::Symbol(_) => None,
            },
            [whole @ .., last] if is_dotted(&flat) => {
                let is_constant = whole.is_empty() && is_word(*last) && self.is_any(*last, &ENDS);
                (!is_constant && !self.name(*last).starts_with('@')).then(|| column(*last))
            }
            // PostgreSQL's `name::type` keeps the name.
            [before @ .., last] if self.is_name(*last) => {
                let cast = before.iter().position(|index| self.is_symbol(*index, ':'));
                if let (Some(cast), Engine::Postgres) = (cast, self.engine) {
                    let is_type = |part: &[usize]| part.len() == 2 && self.is_symbol(part[1], ':');
                    return (is_dotted(&before[..cast]) && is_type(&before[cast..])).then(|| column(before[cast - 1]));
                }
                let follows =
                    before.last().is_some_and(|index| self.is_symbol(*index, ')') || self.is_word(*index, "END"));
                let is_operand =
                    before.first().is_some_and(|first| before.len() == 1 && self.is_any(*first, &OPERATORS));
                let is_alias = follows || is_dotted(before) && !is_operand;
                (is_alias && !self.is_any(*last, &ENDS)).then(|| column(*last))
            }
            _ => None,
        }
    }

    /// The tokens of a part that stand in none of its brackets.
    fn flat(&self, part: &Part) -> impl Iterator<Item = usize> + '_ {
        let depth = self.depths.get(part.start).copied().unwrap_or_default();
        part.clone().filter(move |index| self.depths[*index] == depth)
    }

    /// The pieces of a part between what is not in brackets.
    fn split(&self, part: &Part, is_between: &dyn Fn(usize) -> bool) -> Vec<Part> {
        let mut pieces = Vec::new();
        let mut start = part.start;
        for index in self.flat(part).filter(|index| is_between(*index)) {
            pieces.push(start..index);
            start = index + 1;
        }
        pieces.push(start..part.end);
        pieces
    }

    /// What stands in the bracket that opens here.
    fn inside(&self, open: usize) -> Part {
        let close = (open + 1..self.tokens.len()).find(|index| self.depths[*index] == self.depths[open]);
        open + 1..close.unwrap_or(self.tokens.len())
    }

    /// What follows the one token, or the group in brackets, that stands here.
    fn after_group(&self, at: usize) -> usize {
        if self.is_symbol(at, '(') { self.inside(at).end + 1 } else { at + 1 }
    }

    fn name(&self, index: usize) -> String {
        name(self.sql, &self.tokens[index])
    }

    fn place(&self, index: usize) -> Range<usize> {
        self.tokens[index].start..self.tokens[index].end
    }

    fn is_symbol(&self, index: usize, symbol: char) -> bool {
        self.tokens.get(index).is_some_and(|token| token.kind == Kind::Symbol(symbol))
    }

    fn is_word(&self, index: usize, word: &str) -> bool {
        self.is_any(index, &[word])
    }

    fn is_any(&self, index: usize, words: &[&str]) -> bool {
        let Some(Kind::Word(written)) = self.tokens.get(index).map(|token| token.kind) else { return false };
        words.contains(&&*upper(written))
    }

    /// Whether a token may be a name. Text in single quotes is none.
    fn is_name(&self, index: usize) -> bool {
        matches!(self.tokens[index].kind, Kind::Word(_) | Kind::Quoted('[' | '"' | '`'))
    }

    fn is_named(&self, index: usize, name: &str) -> bool {
        self.is_name(index) && self.name(index).to_lowercase() == name.to_lowercase()
    }
}

/// A name without its quotes; blank for what is none.
fn name(sql: &str, token: &Token<'_>) -> String {
    let written = &sql[token.start..token.end];
    match token.kind {
        Kind::Quoted('$') | Kind::Number | Kind::Symbol(_) => String::new(),
        Kind::Quoted(open) => {
            let close = if open == '[' { ']' } else { open };
            let inner = written.strip_prefix(open).and_then(|inner| inner.strip_suffix(close)).unwrap_or(written);
            inner.replace(&format!("{close}{close}"), &close.to_string())
        }
        Kind::Word(_) => written.to_owned(),
    }
}

/// A table that `WITH` names.
struct CommonTable {
    name: String,
    content: Part,
}

/// One SELECT.
struct Branch {
    /// What it gives, each without its comma.
    items: Vec<Part>,
    /// Its `FROM`.
    from: Option<usize>,
    /// What stands after it, up to the next clause.
    tables: Part,
    /// All of it.
    part: Part,
    /// Its `TOP`.
    top: Option<usize>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is told, in one line: `no filter`, `star`, and so on, each with the word and its line.
    fn told(engine: Engine, sql: &str) -> String {
        let select = read(engine, sql);
        let words = words(engine, sql);
        let mut told = Vec::new();
        for (what, place) in [
            ("no filter", select.unfiltered),
            ("star", select.star),
            ("no order", select.unordered),
            ("flag", words.semester_flag),
            ("reference", words.reference),
        ] {
            told.extend(place.map(|place| {
                let line = sql[..place.start].matches('\n').count() + 1;
                format!("{what} {}:{line}", &sql[place])
            }));
        }
        told.join(", ")
    }

    fn check(engine: Engine, cases: &[(&str, &str)]) {
        for (sql, expected) in cases {
            assert_eq!(told(engine, sql), *expected, "{engine:?}: {sql}");
        }
    }

    #[test]
    fn a_filter_is_found_where_it_filters() {
        check(
            Engine::SqlServer,
            &[
                ("SELECT a FROM t", "no filter FROM:1"),
                ("SELECT a FROM t -- WHERE x = 1\n/* HAVING */", "no filter FROM:1"),
                ("SELECT 'WHERE' AS a, [where]\nFROM t ORDER BY a", "no filter FROM:2"),
                ("SELECT (SELECT TOP 1 b FROM u WHERE u.id = t.id) AS b FROM t", "no filter FROM:1"),
                ("SELECT a FROM t LEFT JOIN (SELECT * FROM u WHERE x = 1) u ON u.id = t.id", "no filter FROM:1"),
                ("SELECT a FROM t JOIN u ON u.id = t.id AND u.[key] = t.[key]", "no filter FROM:1"),
                ("SELECT a FROM t LEFT JOIN u ON u.id = t.id AND u.kind = 'x'", "no filter FROM:1"),
                ("SELECT a FROM t OUTER APPLY (SELECT TOP 1 b FROM u WHERE u.id = t.id) x", "no filter FROM:1"),
                ("SELECT TOP 10 a FROM t ORDER BY a", "no filter FROM:1"),
                ("SELECT a FROM t WITH (NOLOCK)", "no filter FROM:1"),
                ("SELECT a FROM t WHERE x = 1 UNION ALL SELECT a\nFROM u", "no filter FROM:2"),
                ("SET NOCOUNT ON; DECLARE @y int = 1; SELECT a FROM t;", "no filter FROM:1"),
                ("WITH x AS (SELECT a FROM t) SELECT a FROM x", "no filter FROM:1"),
                ("SELECT a FROM InactiveStudents", "no filter FROM:1"),
            ],
        );
        for sql in [
            "SELECT a FROM t WHERE 1 = 1",
            "select a from t where x = 1",
            "SELECT a, COUNT(*) AS n FROM t GROUP BY a HAVING COUNT(*) > 1",
            "SELECT a FROM t JOIN u ON u.id = t.id AND u.current_flag = 1",
            "SELECT a FROM t JOIN u ON (u.id = t.id AND u.status IN ('A', 'B'))",
            "SELECT a FROM t JOIN u ON u.id = t.id AND u.until > GETDATE()",
            "SELECT a FROM t INNER JOIN (SELECT id FROM u WHERE x = 1) u ON u.id = t.id",
            "SELECT a FROM (SELECT * FROM t WHERE x = 1) t LEFT JOIN u ON u.id = t.id",
            "SELECT a FROM t LEFT JOIN u ON u.id = t.id JOIN v ON v.id = t.id AND v.year = @year",
            "WITH x (a) AS (SELECT a FROM t WHERE x = 1), y AS (SELECT a FROM x) SELECT a FROM y",
            "SELECT a FROM dbo.fnStudents(2026)",
            "SELECT a FROM vCurrentStudents",
            "SELECT a FROM dbo.[uvLibraryExport] s LEFT JOIN u ON u.id = s.id",
            "SELECT a FROM t EXCEPT SELECT a FROM leavers",
            "SELECT 1",
            "SELECT a FROM",
            "(SELECT a FROM t)",
            "IF 1 = 1 SELECT a FROM t",
            "SELECT a FROM t WHERE (x = 1",
            "SELECT 'a FROM t",
            "",
        ] {
            check(Engine::SqlServer, &[(sql, "")]);
        }
        check(Engine::MySql, &[("SELECT 1 FROM dual", ""), ("SELECT a FROM t # WHERE x", "no filter FROM:1")]);
        check(Engine::Postgres, &[("SELECT a FROM t, LATERAL (SELECT 1 FROM u WHERE u.id = t.id) x", "")]);
    }

    #[test]
    fn a_star_is_told_where_nobody_names_the_columns() {
        check(
            Engine::Sqlite,
            &[
                ("SELECT * FROM t WHERE x", "star *:1"),
                ("SELECT s.*,\n1 AS a FROM t s WHERE x", "star *:1"),
                ("SELECT a,\n  s.* FROM t s WHERE x", "star *:2"),
                ("SELECT DISTINCT * FROM t WHERE x", "star *:1"),
                ("WITH c AS (SELECT * FROM t WHERE x) SELECT * FROM c", "star *:1"),
                ("WITH c AS (SELECT a FROM t WHERE x) SELECT * FROM c JOIN t ON t.a = c.a", "star *:1"),
                ("SELECT a FROM t WHERE x UNION SELECT * FROM u WHERE x", "star *:1"),
                ("WITH c AS (SELECT a, count(*) AS n FROM t WHERE x) SELECT * FROM c", ""),
                ("SELECT * FROM (SELECT a, b * 2 AS c FROM t WHERE x) t", ""),
                ("SELECT a FROM (SELECT * FROM t WHERE x) t", ""),
                ("SELECT a FROM t WHERE EXISTS (SELECT * FROM u WHERE u.a = t.a)", ""),
                ("SELECT count(*) AS n, a * 2 AS b, '*' AS c FROM t WHERE x", ""),
            ],
        );
    }

    #[test]
    fn some_of_the_rows_need_an_order() {
        check(
            Engine::SqlServer,
            &[
                ("SELECT TOP 10 a FROM t WHERE x = 1", "no order TOP:1"),
                ("SELECT DISTINCT TOP (10) WITH TIES a FROM t WHERE x = 1", "no order TOP:1"),
                ("SELECT TOP 10 a FROM t WHERE x = 1 ORDER BY a", ""),
                ("SELECT TOP 100 PERCENT a FROM t WHERE x = 1", ""),
                ("SELECT a, limit FROM t WHERE x IN (SELECT TOP 1 y FROM u)", ""),
            ],
        );
        check(
            Engine::Postgres,
            &[
                ("SELECT a FROM t WHERE x LIMIT 10", "no order LIMIT:1"),
                ("SELECT a FROM t WHERE x FETCH FIRST 5 ROWS ONLY", "no order FETCH:1"),
                ("SELECT a FROM t WHERE x ORDER BY a LIMIT 10", ""),
                ("SELECT a, t.limit, top FROM t WHERE x LIMIT ALL", ""),
                ("SELECT (SELECT b FROM u LIMIT 1) AS b FROM t WHERE x", ""),
            ],
        );
        check(Engine::MySql, &[("SELECT a FROM t WHERE x UNION SELECT a FROM u WHERE y LIMIT 5", "no order LIMIT:1")]);
    }

    #[test]
    fn the_flag_is_told_wherever_it_is_asked() {
        check(
            Engine::SqlServer,
            &[
                ("SELECT a FROM t\nWHERE t.currentsemesteronlyflag = 1", "flag currentsemesteronlyflag:2"),
                ("EXECUTE [CurrentSemesterOnlyFlag]", "flag [CurrentSemesterOnlyFlag]:1"),
                ("SELECT a FROM t WHERE x = 1 -- CurrentSemesterOnlyFlag", ""),
            ],
        );
    }

    #[test]
    fn a_reference_is_told_but_in_comments() {
        check(
            Engine::Postgres,
            &[
                ("SELECT a FROM t\nWHERE y = ${YEAR}", "reference ${YEAR}:2"),
                ("SELECT a FROM t WHERE y = 'x${YEAR}'", "reference ${YEAR}:1"),
                ("SELECT a FROM t WHERE y = $1 -- ${YEAR}", ""),
            ],
        );
    }

    fn columns(engine: Engine, sql: &str) -> String {
        let columns = read(engine, sql).columns;
        columns
            .map_or("?".into(), |columns| columns.into_iter().map(|column| column.name).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn columns_are_told_if_all_of_them_are_plain() {
        use Engine::{MySql, Postgres, SqlServer, Sqlite};
        for (engine, sql, expected) in [
            (SqlServer, "SELECT a, t.b, dbo.t.[c d], \"e\" FROM t", "a b c d e"),
            (SqlServer, "SELECT a AS b, x + 1 AS [c]]d], 'x' AS 'e', t.f g FROM t", "b c]d e g"),
            (
                SqlServer,
                "SELECT TOP (5) PERCENT a, b = x + 1, MAX(y) m, CASE WHEN z = 1 THEN 2 END k FROM t",
                "a b m k",
            ),
            (SqlServer, "SELECT DISTINCT TOP 5 WITH TIES a FROM t ORDER BY b", "a"),
            (SqlServer, "SELECT CAST(x AS int) AS y, ISNULL(a, b) z FROM t", "y z"),
            (SqlServer, "WITH c AS (SELECT x FROM t) SELECT a FROM c UNION SELECT b FROM u", "a"),
            (SqlServer, "SELECT a -- , b\n, c FROM t", "a c"),
            (SqlServer, "SELECT @a = 1, b FROM t", "?"),
            (SqlServer, "SELECT @a, b FROM t", "?"),
            (Postgres, "SELECT a::text, t.b::int AS c, \"D\" FROM t", "a c D"),
            (Postgres, "SELECT (a || b)::text FROM t", "?"),
            (Postgres, "SELECT NOT a FROM t", "?"),
            (Postgres, "SELECT x AT TIME ZONE 'UTC' FROM t", "?"),
            (Postgres, "SELECT a = b FROM t", "?"),
            (MySql, "SELECT `a``b`, c FROM t", "a`b c"),
            (Sqlite, "SELECT *, a FROM t", "?"),
            (Sqlite, "SELECT t.*, a FROM t", "?"),
            (Sqlite, "SELECT 1", "?"),
            (Sqlite, "SELECT NULL, a FROM t", "?"),
            (Sqlite, "SELECT max(a), b FROM t", "?"),
            (Sqlite, "SELECT CASE WHEN a THEN lower(b) END FROM t", "?"),
            (Sqlite, "SELECT a IS NULL FROM t", "?"),
            (Sqlite, "SELECT a COLLATE nocase FROM t", "?"),
            (Sqlite, "SELECT a, FROM t", "?"),
            (Sqlite, "VALUES (1)", "?"),
        ] {
            assert_eq!(columns(engine, sql), expected, "{engine:?}: {sql}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(
            sql in "(SELECT |FROM |WITH |AS |TOP |UNION |DISTINCT |ON |JOIN |LEFT |WHERE |\\(|\\)|,|;|\\*|=|:|\\.|a |'b'|1 |\\[c\\]){0,24}"
        ) {
            for engine in [Engine::SqlServer, Engine::Postgres, Engine::MySql, Engine::Sqlite] {
                drop(read(engine, &sql));
            }
        }
    }
}

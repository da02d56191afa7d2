//! Statements and answers, as both kinds of servers have them.

use super::Trouble;

/// A statement: its texts stand beside it, each for a `?` in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statement {
    /// With a `?` for each text.
    pub sql: String,
    /// In their order.
    pub texts: Vec<String>,
}

/// A statement that is longer is divided: servers take packets of a few megabytes at the least.
const LONG: usize = 256 * 1024;

impl Statement {
    /// One with texts.
    pub fn new<T: Into<String>>(sql: impl Into<String>, texts: impl IntoIterator<Item = T>) -> Self {
        Self { sql: sql.into(), texts: texts.into_iter().map(Into::into).collect() }
    }

    /// Whether nothing should be added.
    fn is_long(&self) -> bool {
        self.sql.len() + self.texts.iter().map(String::len).sum::<usize>() > LONG || self.texts.len() > 10_000
    }

    /// Statements that insert rows, each of them `(…)` with its texts.
    pub fn insertions(head: &str, rows: impl IntoIterator<Item = Self>, tail: &str) -> Vec<Self> {
        let mut statements: Vec<Self> = Vec::new();
        for row in rows {
            match statements.last_mut().filter(|statement| !statement.is_long()) {
                Some(statement) => {
                    statement.sql.push_str(", ");
                    statement.sql.push_str(&row.sql);
                    statement.texts.extend(row.texts);
                }
                None => statements.push(Self { sql: format!("{head} VALUES {}", row.sql), texts: row.texts }),
            }
        }
        for statement in &mut statements {
            statement.sql.push_str(tail);
        }
        statements
    }
}

impl From<&str> for Statement {
    fn from(sql: &str) -> Self {
        Self { sql: sql.into(), texts: Vec::new() }
    }
}

impl From<String> for Statement {
    fn from(sql: String) -> Self {
        Self { sql, texts: Vec::new() }
    }
}

/// A number in a statement. The lowest one is no literal: its digits alone would be one too high.
pub fn number(value: i64) -> String {
    if value == i64::MIN { format!("({} - 1)", i64::MIN + 1) } else { value.to_string() }
}

/// Numbers in a statement.
pub fn numbers(values: &[i64]) -> String {
    values.iter().map(|value| number(*value)).collect::<Vec<_>>().join(", ")
}

/// A value of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// No value.
    Null,
    /// A number.
    Number(i64),
    /// A text, or a number in digits.
    Text(String),
}

/// A row of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cells(pub Vec<Cell>);

impl Cells {
    /// The number in a column, if there is one.
    pub fn optional(&self, column: usize) -> Result<Option<i64>, Trouble> {
        let none = || Trouble::new(format!("column {column} of an answer is no number"));
        match self.0.get(column) {
            Some(Cell::Null) => Ok(None),
            Some(Cell::Number(number)) => Ok(Some(*number)),
            Some(Cell::Text(digits)) => digits.parse().map(Some).map_err(|_| none()),
            None => Err(none()),
        }
    }

    /// The number in a column.
    pub fn number(&self, column: usize) -> Result<i64, Trouble> {
        self.optional(column)?.ok_or_else(|| Trouble::new(format!("column {column} of an answer is empty")))
    }

    /// The text in a column.
    pub fn text(&self, column: usize) -> Result<String, Trouble> {
        match self.0.get(column) {
            Some(Cell::Text(text)) => Ok(text.clone()),
            _ => Err(Trouble::new(format!("column {column} of an answer is no text"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insertions_are_divided() {
        let row = |size: usize| Statement::new("(1, ?)", ["x".repeat(size)]);
        let sizes = |rows: &[usize]| -> Vec<usize> {
            let statements = Statement::insertions("INSERT INTO t", rows.iter().map(|size| row(*size)), " END");
            assert!(statements.iter().all(|one| one.sql.starts_with("INSERT INTO t VALUES (1, ?)")));
            assert!(statements.iter().all(|one| one.sql.ends_with(" END")));
            assert!(statements.iter().all(|one| one.sql.matches('?').count() == one.texts.len()));
            statements.iter().map(|one| one.texts.len()).collect()
        };
        assert_eq!(sizes(&[]), Vec::<usize>::new());
        assert_eq!(sizes(&[1, 2, 3]), [3]);
        assert_eq!(sizes(&[1, LONG, 3, 4]), [2, 2]);
    }

    #[test]
    fn numbers_are_literals() {
        assert_eq!(numbers(&[i64::MIN, -1, i64::MAX]), "(-9223372036854775807 - 1), -1, 9223372036854775807");
    }
}

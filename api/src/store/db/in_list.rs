//! Lists in statements: `IN (…)`.

use sqlx::{Database, Encode, QueryBuilder, Type};

/// Values or rows in one statement: SQLite binds at most 32,766 values, PostgreSQL 65,535.
pub const AT_ONCE: usize = 1000;

pub trait InList<DB: Database> {
    /// Appends ` IN (…)` with each of these bound. At most [`AT_ONCE`]: callers go through their ids in chunks.
    fn push_in<T: Copy + for<'q> Encode<'q, DB> + Type<DB> + Send>(&mut self, values: &[T]) -> &mut Self;
}

impl<DB: Database> InList<DB> for QueryBuilder<DB> {
    fn push_in<T: Copy + for<'q> Encode<'q, DB> + Type<DB> + Send>(&mut self, values: &[T]) -> &mut Self {
        self.push(" IN (");
        let mut list = self.separated(", ");
        for value in values {
            list.push_bind(*value);
        }
        self.push(")")
    }
}

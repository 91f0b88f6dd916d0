//! Numbers about pictures: a row for each picture, a column for each thing measured.

use serde::Serialize;

/// What can make a column differ between classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Nature {
    /// How the file was made and stored, never what the picture shows.
    Making,
    /// How it was made, or what it shows: a busy picture has more bytes and more high frequencies.
    Either,
}

/// One thing measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    pub name: String,
    /// What it is, in half a sentence.
    pub about: String,
    pub nature: Nature,
}

/// Rows × columns of numbers; NaN where something does not apply to a picture.
#[derive(Clone, Debug)]
pub struct Table {
    pub columns: Vec<Column>,
    /// Row after row.
    values: Vec<f64>,
}

impl Table {
    /// A table of these rows, each as long as there are columns.
    pub fn new(columns: Vec<Column>, rows: impl IntoIterator<Item = Vec<f64>>) -> Self {
        let values: Vec<f64> = rows.into_iter().flatten().collect();
        debug_assert!(columns.is_empty() || values.len().is_multiple_of(columns.len()));
        Self { columns, values }
    }

    pub fn width(&self) -> usize {
        self.columns.len()
    }

    pub fn rows(&self) -> usize {
        self.values.len().checked_div(self.width()).unwrap_or(0)
    }

    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width()..][..self.width()]
    }

    /// These rows of it, in this order.
    #[must_use]
    pub fn pick(&self, rows: &[usize]) -> Self {
        Self::new(self.columns.clone(), rows.iter().map(|&row| self.row(row).to_vec()))
    }

    /// Its rows and then those of another table of the same columns.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let values = self.values.iter().chain(&other.values).copied().collect();
        Self { columns: self.columns.clone(), values }
    }

    /// The columns that `keep` wants.
    #[must_use]
    pub fn columns_where(&self, keep: impl Fn(&Column) -> bool) -> Self {
        let places: Vec<usize> = (0..self.width()).filter(|&place| keep(&self.columns[place])).collect();
        let columns = places.iter().map(|&place| self.columns[place].clone()).collect();
        let rows = (0..self.rows()).map(|row| places.iter().map(|&place| self.row(row)[place]).collect());
        Self::new(columns, rows)
    }
}

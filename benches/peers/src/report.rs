//! Results: the table for people and the JSON for the next program.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::error::Error;

/// One measured value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    /// Which engine.
    pub(crate) engine: &'static str,
    /// What was measured.
    pub(crate) metric: Cow<'static, str>,
    /// The median over the repetitions.
    pub(crate) value: f64,
    /// Unit of the value.
    pub(crate) unit: &'static str,
    /// Which direction is the better one, where the part says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) better: Option<Better>,
}

/// Which values are the better ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Better {
    /// The greater.
    Higher,
    /// The smaller.
    Lower,
}

impl Better {
    /// The word in tables; files have the same.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Higher => "higher",
            Self::Lower => "lower",
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a str,
    rows: &'a [Row],
}

/// Writes `{"machine":…,"rows":[{"engine","metric","value","unit"}]}`, the rows with `"better"` where
/// it is said.
pub(crate) fn write_json(path: &Path, machine: &str, rows: &[Row]) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(&Report { machine, rows })
        .expect("invariant: strings and finite numbers are JSON");
    text.push('\n');
    fs::write(path, text).map_err(Error::io(format!("write {}", path.display())))
}

/// Prints rows of cells, as [`lines`] aligns them.
pub(crate) fn print_table(rows: &[Vec<String>]) {
    for line in lines(rows) {
        println!("{line}");
    }
}

/// One line for each row of cells, the first column left and the others right aligned.
pub(crate) fn lines(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The middle of the values, the mean of the two middle ones if their number is even; 0 of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (None, _) => 0.0,
        (Some(&value), 1) => value,
        (Some(&upper), _) => {
            let lower = values.get(middle.saturating_sub(1)).copied().unwrap_or(upper);
            f64::midpoint(lower, upper)
        }
    }
}

/// The least of the values that `percent` of them do not exceed (nearest rank); the default of none.
pub(crate) fn percentile<T: Copy + Default + Ord>(values: &[T], percent: usize) -> T {
    per_mille(values, 10 * percent)
}

/// The same with the share in thousandths.
pub(crate) fn per_mille<T: Copy + Default + Ord>(values: &[T], share: usize) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * share).div_ceil(1000);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Processor, number of cores, memory and system of this machine, as far as they can be read.
pub(crate) fn machine() -> String {
    let field = |path: &str, name: &str| {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let processor =
        field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".to_owned());
    format!("{processor}, {cores} cores, {memory} memory, {}", std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "these values are exact")]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<u32> = (1..=200).rev().collect();
        assert_eq!(percentile(&values, 50), 100);
        assert_eq!(percentile(&values, 99), 198);
        assert_eq!(percentile(&values, 100), 200);
        assert_eq!(percentile(&[7, 3, 5], 50), 5);
        assert_eq!(percentile(&[7], 1), 7);
        assert_eq!(percentile::<u32>(&[], 99), 0);
        let values: Vec<u32> = (1..=4000).collect();
        assert_eq!(per_mille(&values, 999), 3996);
        assert_eq!(per_mille(&[7, 3], 999), 7);
    }

    #[test]
    fn columns_are_aligned() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        assert_eq!(
            lines(&[row(["engine", "µs"]), row(["bare", "12.5"])]),
            ["engine    µs", "bare    12.5",]
        );
    }

    #[test]
    fn the_file_has_the_agreed_form() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.json");
        let row =
            Row { engine: "bare", metric: "pages".into(), value: 4.0, unit: "pages", better: None };
        let fast =
            Row { metric: "pages_per_s".into(), better: Some(Better::Higher), ..row.clone() };
        write_json(&path, "here", &[row, fast]).unwrap();
        let read: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let expected = serde_json::json!({"machine": "here", "rows": [
            {"engine": "bare", "metric": "pages", "value": 4.0, "unit": "pages"},
            {"engine": "bare", "metric": "pages_per_s", "value": 4.0, "unit": "pages",
             "better": Better::Higher.word()}]});
        assert_eq!(read, expected);
    }
}

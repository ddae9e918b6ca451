//! Tables as Markdown reads them, and the few numbers they are made of.

/// Rows under a head.
#[derive(Debug)]
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self(vec![head.iter().map(|cell| (*cell).to_owned()).collect()])
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.push(cells.into_iter().collect());
    }

    pub(crate) fn print(&self, title: &str) {
        println!("\n{title}\n");
        for (index, row) in self.0.iter().enumerate() {
            println!("| {} |", row.join(" | "));
            if index == 0 {
                println!("|{}", " ---: |".repeat(row.len()));
            }
        }
    }
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The middle of some values, and the most.
pub(crate) fn with_most(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
    let most = sorted.last().copied().unwrap_or(f64::NAN);
    format!("{middle:.0} ({most:.0})")
}

/// All is only what is all: what is less is not rounded up to it.
pub(crate) fn percent(share: f64) -> String {
    let text = format!("{:.2}", (10_000.0 * share).floor() / 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

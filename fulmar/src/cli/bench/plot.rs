//! A latency histogram as text: a bar for each range, then the percentiles.

use std::io::{self, Write};

use hdrhistogram::Histogram;

/// Draws the histogram of nanoseconds. Ranges grow by steps of 1, 2 and 5, so that neither end is crowded.
pub(crate) fn draw(out: &mut impl Write, latency: &Histogram<u64>) -> io::Result<()> {
    if latency.is_empty() {
        return writeln!(out, "nothing was measured");
    }
    let mut rows = Vec::new();
    let mut from = 0;
    for to in bounds() {
        let count = match from {
            0 => latency.count_between(0, to - 1),
            _ => latency.count_between(from, to - 1),
        };
        rows.push((from, to, count));
        from = to;
    }
    let first = rows.iter().position(|row| row.2 > 0).unwrap_or(0);
    let last = rows.iter().rposition(|row| row.2 > 0).unwrap_or(0);
    let most = rows.iter().map(|row| row.2).max().unwrap_or(0).max(1);
    for (from, to, count) in &rows[first..=last] {
        let width = (count * BAR_CHARS).div_ceil(most) as usize;
        writeln!(
            out,
            "{:>9} .. {:<9} {:<bar$} {:6.2} %",
            time(*from),
            time(*to),
            "#".repeat(width),
            *count as f64 * 100.0 / latency.len() as f64,
            bar = BAR_CHARS as usize,
        )?;
    }
    let at = |quantile| time(latency.value_at_quantile(quantile));
    writeln!(
        out,
        "p50 {}   p90 {}   p99 {}   p99.9 {}   max {}",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        time(latency.max())
    )
}

/// 10 us, 20 us, 50 us, ... to far above what anybody waits for.
fn bounds() -> impl Iterator<Item = u64> {
    (4..12).flat_map(|power| [1, 2, 5].map(|step| step * 10u64.pow(power)))
}

/// A time with three digits and its unit.
fn time(ns: u64) -> String {
    let (value, unit) = match ns {
        0 => return "0".to_owned(),
        1..1_000 => (ns as f64, "ns"),
        1_000..1_000_000 => (ns as f64 / 1e3, "us"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    let digits = match value {
        v if v.fract() == 0.0 || v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}

/// The longest bar.
const BAR_CHARS: u64 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measurement_is_in_a_bar() {
        let mut latency = Histogram::<u64>::new_with_max(1_000_000_000, 3).expect("three digits are allowed");
        for ns in [0, 12_000, 15_000, 30_000, 3_000_000] {
            latency.saturating_record(ns);
        }
        let mut text = Vec::new();
        draw(&mut text, &latency).expect("memory takes it");
        let text = String::from_utf8(text).expect("it is text");
        let shares: f64 = text
            .lines()
            .filter_map(|line| line.strip_suffix(" %")?.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        assert!((shares - 100.0).abs() < 0.1, "{text}");
        assert!(text.contains("10 us .. 20 us"), "{text}");
        assert!(text.contains("max 3.00 ms"), "{text}");
    }

    #[test]
    fn nothing_measured_is_said() {
        let mut text = Vec::new();
        draw(
            &mut text,
            &Histogram::<u64>::new_with_max(1_000_000_000, 3).expect("three digits are allowed"),
        )
        .expect("memory takes it");
        assert_eq!(text, b"nothing was measured\n");
    }
}

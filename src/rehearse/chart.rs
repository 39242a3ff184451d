//! Charts as plain SVG text, so that the report needs no script and nothing from elsewhere.

use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;

/// One line of a chart; `tone` is a class of the report's style sheet.
pub struct Line<'a> {
    pub name: &'a str,
    pub tone: &'a str,
    pub points: Vec<(f64, f64)>,
}

/// One bar with what is said when a pointer rests on it.
pub struct Bar {
    pub label: String,
    pub value: f64,
    pub hint: String,
}

pub fn lines(title: &str, across: &str, lines: &[Line<'_>]) -> String {
    let every = || lines.iter().flat_map(|line| &line.points);
    if every().count() < 2 {
        return "<p class=\"none\">Nothing was measured.</p>".to_owned();
    }
    let last = every().fold(0.0_f64, |max, point| max.max(point.0)).max(1e-9);
    let top = round_up(every().fold(0.0_f64, |max, point| max.max(point.1)));
    let mut svg = frame(title, across, top);
    for tick in 0..=6 {
        let at = last * f64::from(tick) / 6.0;
        let _ = write!(
            svg,
            r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            x(at / last),
            HEIGHT - BOTTOM + 16.0,
            short(at)
        );
    }
    for line in lines {
        let points: Vec<String> =
            line.points.iter().map(|(a, b)| format!("{:.1},{:.1}", x(a / last), y(b / top))).collect();
        let (tone, name) = (escape(line.tone), escape(line.name));
        let _ =
            write!(svg, r#"<polyline class="{tone}" points="{}"><title>{name}</title></polyline>"#, points.join(" "));
    }
    for (index, line) in lines.iter().enumerate() {
        let at = LEFT + 12.0 + 190.0 * index as f64;
        let (tone, name) = (escape(line.tone), escape(line.name));
        let _ = write!(
            svg,
            r#"<line class="{tone}" x1="{at}" x2="{}" y1="22" y2="22"/><text x="{}" y="26">{name}</text>"#,
            at + 22.0,
            at + 28.0
        );
    }
    svg + "</svg>"
}

pub fn bars(title: &str, across: &str, bars: &[Bar]) -> String {
    if bars.is_empty() {
        return "<p class=\"none\">Nothing was measured.</p>".to_owned();
    }
    let top = round_up(bars.iter().fold(0.0_f64, |max, bar| max.max(bar.value)));
    let mut svg = frame(title, across, top);
    let slot = (WIDTH - LEFT - RIGHT) / bars.len() as f64;
    let skip = bars.len().div_ceil(11);
    for (index, bar) in bars.iter().enumerate() {
        let (left, high) = (LEFT + slot * index as f64, y(bar.value / top));
        let _ = write!(
            svg,
            r#"<rect class="bar" x="{:.1}" y="{high:.1}" width="{:.1}" height="{:.1}"><title>{}</title></rect>"#,
            left + slot * 0.12,
            slot * 0.76,
            (HEIGHT - BOTTOM - high).max(0.0),
            escape(&bar.hint)
        );
        if index % skip == 0 {
            let label = escape(&bar.label);
            let _ = write!(
                svg,
                r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="middle">{label}</text>"#,
                left + slot / 2.0,
                HEIGHT - BOTTOM + 16.0
            );
        }
    }
    svg + "</svg>"
}

fn frame(title: &str, across: &str, top: f64) -> String {
    let mut svg = format!(r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}">"#, escape(title));
    for step in 0..=4 {
        let share = f64::from(step) / 4.0;
        let at = y(share);
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{LEFT}" x2="{:.1}" y1="{at:.1}" y2="{at:.1}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0,
            short(top * share)
        );
    }
    let _ = write!(
        svg,
        r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
        WIDTH - RIGHT,
        HEIGHT - 6.0,
        escape(across)
    );
    svg
}

fn x(share: f64) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * share
}

fn y(share: f64) -> f64 {
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share.clamp(0.0, 1.0)
}

/// The next 1, 2, 2.5 or 5 times a power of ten, so that the scale reads well.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1.0).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    steps.iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(value)
}

fn short(value: f64) -> String {
    let text = |value: f64| {
        let rounded = (value * 10.0).round() / 10.0;
        format!("{rounded}")
    };
    match value {
        1_000_000.0.. => format!("{} M", text(value / 1_000_000.0)),
        10_000.0.. => format!("{} k", text(value / 1_000.0)),
        _ => text(value),
    }
}

/// Safe as text and as a quoted attribute: nothing that a server or a file said may become markup.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_name_stays_text() {
        let bar = Bar { label: "<script>".into(), value: 3.0, hint: "\"><b>".into() };
        let svg = bars("t", "a", &[bar]);
        assert!(!svg.contains("<script>") && !svg.contains("<b>"));
        assert!(svg.contains("&lt;script&gt;"));
    }

    #[test]
    fn scales_end_at_round_numbers() {
        let ends: Vec<String> = [7.0, 26.0, 20_000.0, 1_900_000.0].map(round_up).map(short).into();
        assert_eq!(ends, ["10", "50", "20 k", "2 M"]);
    }

    #[test]
    fn no_points_draw_no_axis() {
        assert!(lines("t", "a", &[]).contains("Nothing was measured"));
    }
}

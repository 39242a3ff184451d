//! The report: one HTML file that needs nothing else.

use std::fmt::Write as _;
use std::path::Path;

use crate::Fault;
use crate::meter::{Class, Meter, Second, ms};

const HEAD: &str = include_str!("report.html");
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 220.0;
/// More points than this are drawn as the worst of their neighbours.
const POINTS: usize = 600;

pub fn write(
    path: &Path,
    scenario: &str,
    campaign: &str,
    keys: &[(&'static str, String)],
    failures: &[String],
    meter: &Meter,
) -> Result<(), Fault> {
    let page = page(scenario, campaign, keys, failures, meter);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let made = folder.map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, page));
    made.map_err(|error| Fault::File(path.to_path_buf(), error))
}

fn page(scenario: &str, campaign: &str, keys: &[(&'static str, String)], failures: &[String], meter: &Meter) -> String {
    let mut html = HEAD.replace("{title}", &escaped(&format!("loadtest {scenario}: {campaign}")));
    match failures {
        [] => html.push_str("<p class=\"good\">Everything that was looked at holds.</p>"),
        some => some.iter().for_each(|words| {
            let _ = write!(html, "<p class=\"bad\">{}</p>", escaped(words));
        }),
    }
    html.push_str("<table>");
    for (name, value) in keys {
        let _ = write!(html, "<tr><td>{name}</td><td class=\"number\">{}</td></tr>", escaped(value));
    }
    html.push_str("</table>");
    let count = |pick: fn(&Second) -> u64| move |second: &Second| pick(second) as f64;
    chart(
        &mut html,
        "Requests per second",
        &meter.seconds,
        &[
            ("offered", "#888", &count(|second| second.offered)),
            ("answered", "#06c", &count(|second| second.answered)),
            ("shed", "#c30", &count(|second| second.shed)),
        ],
    );
    chart(
        &mut html,
        "Milliseconds from the intended send time, by the second of the answer",
        &meter.seconds,
        &[
            ("max", "#c30", &|second| second.max),
            ("p99", "#e90", &|second| second.p99),
            ("p50", "#06c", &|second| second.p50),
        ],
    );
    kinds(&mut html, meter);
    html.push_str("</body></html>\n");
    html
}

fn kinds(html: &mut String, meter: &Meter) {
    html.push_str("<h2>Kinds of requests</h2><table><tr><th>kind</th><th>count</th><th>answered</th><th>refused</th><th>shed</th><th>limited</th><th>unknown</th><th>errors</th><th>unsent</th><th>p50 ms</th><th>p99 ms</th><th>p99.9 ms</th><th>max ms</th></tr>");
    for (name, kind) in meter.kinds() {
        let of = |class: Class| kind.classes.get(&class).copied().unwrap_or_default();
        let answered: u64 = kind.classes.iter().filter(|(class, _)| class.is_answer()).map(|(_, count)| count).sum();
        let counts = [
            kind.latency.len(),
            answered,
            of(Class::Refused),
            of(Class::Shed),
            of(Class::Limited),
            of(Class::Unknown),
            of(Class::Error),
            of(Class::Unsent),
        ];
        let _ = write!(html, "<tr><td>{name}</td>");
        for count in counts {
            let _ = write!(html, "<td class=\"number\">{count}</td>");
        }
        for quantile in [0.5, 0.99, 0.999, 1.0] {
            let value = ms(kind.latency.value_at_quantile(quantile));
            let _ = write!(html, "<td class=\"number\">{value:.1}</td>");
        }
        html.push_str("</tr>");
    }
    html.push_str("</table>");
}

type Line<'a> = (&'a str, &'a str, &'a dyn Fn(&Second) -> f64);

fn chart(html: &mut String, title: &str, seconds: &[Second], lines: &[Line<'_>]) {
    let _ = write!(html, "<h2>{}</h2>", escaped(title));
    let step = seconds.len().div_ceil(POINTS).max(1);
    let points = |pick: &dyn Fn(&Second) -> f64| -> Vec<f64> {
        seconds.chunks(step).map(|chunk| chunk.iter().map(pick).fold(0.0, f64::max)).collect()
    };
    let drawn: Vec<(&str, &str, Vec<f64>)> =
        lines.iter().map(|(name, colour, pick)| (*name, *colour, points(*pick))).collect();
    let top = drawn.iter().flat_map(|(_, _, points)| points).fold(1.0_f64, |top, point| top.max(*point));
    let _ = write!(html, "<svg viewBox=\"-60 -10 {} {}\" role=\"img\">", WIDTH + 70.0, HEIGHT + 40.0);
    for part in 0..=4 {
        let share = f64::from(part) / 4.0;
        let (y, label) = (HEIGHT * (1.0 - share), top * share);
        let _ = write!(
            html,
            "<line x1=\"0\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\" class=\"grid\"/><text x=\"-6\" y=\"{:.1}\" text-anchor=\"end\">{label:.0}</text>",
            y + 4.0
        );
        let _ = write!(
            html,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{:.0} s</text>",
            WIDTH * share,
            HEIGHT + 18.0,
            seconds.len() as f64 * share
        );
    }
    for (name, colour, points) in &drawn {
        let across = WIDTH / (points.len().max(2) - 1) as f64;
        let mut path = String::new();
        for (at, point) in points.iter().enumerate() {
            let _ = write!(path, "{:.1},{:.1} ", at as f64 * across, HEIGHT * (1.0 - point / top));
        }
        let _ = write!(html, "<polyline points=\"{path}\" stroke=\"{colour}\"><title>{name}</title></polyline>");
    }
    html.push_str("</svg><p>");
    for (name, colour, _) in &drawn {
        let _ = write!(html, "<span style=\"color:{colour}\">■</span> {name} ");
    }
    html.push_str("</p>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_report_needs_nothing_from_elsewhere_and_shows_what_failed() {
        let meter = Meter::new(Instant::now(), Duration::from_secs(1));
        let page = page("burst", "<c>", &[("double", "1".into())], &["double=1".into()], &meter);
        for outside in ["http://", "https://", "src=", "href=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(
            page.contains("<p class=\"bad\">double=1</p>") && page.contains("&lt;c&gt;") && !page.contains("{title}")
        );
    }
}

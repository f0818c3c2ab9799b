//! The report as one page: no script, nothing from outside, light or dark as the reader's system
//! is. Text only; every word from elsewhere is escaped.
//!
//! | file | what it owns |
//! |---|---|
//! | `scale` | ticks, places and numbers for people |
//! | `chart` | charts as SVG |
//! | `run` | the page about one run |
//! | `comparison` | the page about two servers |

mod chart;
mod comparison;
mod run;
mod scale;

pub use comparison::comparison_page;
pub use run::run_page;

use crate::scenario::Machine;

/// A whole page.
fn page(title: &str, body: &str) -> String {
    let title = escaped(title);
    let style = include_str!("style.css");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         </body>\n</html>\n"
    )
}

/// `text` with nothing in it that HTML would read.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            // Only these controls may stand in HTML.
            control if control.is_control() && !matches!(control, '\n' | '\t') => {
                out.push('\u{fffd}')
            }
            other => out.push(other),
        }
    }
    out
}

/// A section with its head, unless there is nothing in it.
fn section(head: &str, inner: &str) -> String {
    if inner.is_empty() { String::new() } else { format!("<h2>{head}</h2>\n{inner}\n") }
}

/// A card with a table. Columns whose head begins with `#` hold numbers. Cells are HTML.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let class = |name: &str| if name.starts_with('#') { " class=\"number\"" } else { "" };
    let heads: String = head
        .iter()
        .map(|name| format!("<th{}>{}</th>", class(name), escaped(name.trim_start_matches('#'))))
        .collect();
    let row = |cells: &Vec<String>| {
        let cell = |(cell, name): (&String, &&str)| format!("<td{}>{cell}</td>", class(name));
        let cells: String = cells.iter().zip(head).map(cell).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = rows.iter().map(row).collect();
    let heads = if head.iter().all(|name| name.is_empty()) {
        String::new()
    } else {
        format!("<thead><tr>{heads}</tr></thead>\n")
    };
    format!("<div class=\"card wide\"><table>\n{heads}<tbody>\n{rows}</tbody></table></div>")
}

/// A key figure. Value and unit are HTML.
fn key(name: &str, value: &str, unit: &str) -> String {
    let name = escaped(name);
    format!(
        "<div class=\"card\"><div class=\"name\">{name}</div>\
         <div class=\"value\">{value} <small>{unit}</small></div></div>\n"
    )
}

fn badge(kept: bool) -> &'static str {
    if kept {
        "<span class=\"badge good\">✓ kept</span>"
    } else {
        "<span class=\"badge bad\">✗ broken</span>"
    }
}

fn machine_table(machine: &Machine) -> String {
    let rows = [
        ("CPU", escaped(&machine.cpu)),
        ("CPUs", machine.cpus.to_string()),
        ("Memory", scale::bytes(machine.memory as f64)),
        ("Kernel", escaped(&machine.kernel)),
        ("Descriptors a table", machine.descriptors.to_string()),
    ];
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.into(), value]).collect();
    table(&["", ""], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_html_reads_is_left_in_text() {
        assert_eq!(
            escaped("<a href='x'>&\"\u{0}"),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;\u{fffd}"
        );
    }

    #[test]
    fn a_table_marks_its_numbers() {
        let table = table(&["kind", "#count"], &[vec!["reset".into(), "3".into()]]);
        assert!(table.contains("<th class=\"number\">count</th>"), "{table}");
        assert!(table.contains("<td>reset</td><td class=\"number\">3</td>"), "{table}");
    }
}

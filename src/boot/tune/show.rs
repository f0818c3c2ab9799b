//! The table of `floe tune`, for people and as JSON.

use std::fmt::Write as _;

use crate::domain::tuning::{Aim, Need, Row, State};
use crate::proto::json::Object;

/// For people: a line for each setting, its reason below, and commands where it is low.
pub(super) fn text(aim: &Aim, rows: &[Row]) -> String {
    let mut out = format!(
        "For {} listeners at {} kbit/s: beat {} ms, {} listener cores, {} CPUs, {} MiB\n\n",
        thousands(aim.listeners),
        aim.kbit_per_second,
        aim.beat_max.as_millis(),
        aim.cores,
        aim.cpus,
        aim.memory_bytes >> 20,
    );
    let name_columns = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let now_columns = rows.iter().map(|row| now(row).len()).max().unwrap_or(0);
    let mut line = |first: &str, name: &str, now: &str, wanted: &str| {
        let cells = format!("{first:8}  {name:name_columns$}  {now:now_columns$}  {wanted}");
        out.push_str(cells.trim_end());
        out.push('\n');
    };
    line("", "setting", "now", "wanted");
    for row in rows {
        line(verdict(row), &row.name, now(row), row.wanted.as_deref().unwrap_or("as it is"));
        line("", &format!("  why   {}", row.why), "", "");
        for (word, command) in [("set ", &row.set), ("undo", &row.undo)] {
            if let Some(command) = command {
                line("", &format!("  {word}  {command}"), "", "");
            }
        }
    }
    let low =
        |need: Need| rows.iter().filter(|row| row.state == State::Low && row.need == need).count();
    let _ = write!(
        out,
        "\n{} needed, {} better. As root, floe tune --apply sets the kernel's variables among \
         them and --undo takes that back.",
        low(Need::Must),
        low(Need::Better)
    );
    out
}

/// The first word of a row.
fn verdict(row: &Row) -> &'static str {
    if row.state == State::Low { row.need.label() } else { row.state.label() }
}

fn now(row: &Row) -> &str {
    row.now.as_deref().unwrap_or("not here")
}

/// For programs: one object.
pub(super) fn json(aim: &Aim, rows: &[Row]) -> String {
    let settings: Vec<_> = rows.iter().map(setting).collect();
    let mut object = Object::new();
    object.number("listeners", aim.listeners);
    object.number("kbit_per_second", aim.kbit_per_second);
    object.number("cores", aim.cores);
    object.number("memory_bytes", aim.memory_bytes);
    object.number("kernel_bytes", aim.crowd().kernel_bytes());
    object.number("kernel_bytes_if_all_stop_reading", aim.crowd().kernel_bytes_stopped());
    object.raw("settings", &format!("[{}]", settings.join(",")));
    object.close()
}

fn setting(row: &Row) -> String {
    let mut object = Object::new();
    object.text("name", &row.name);
    object.text("need", row.need.label());
    object.text("state", row.state.label());
    object.text_if("now", row.now.as_deref());
    object.text_if("wanted", row.wanted.as_deref());
    object.text("why", &row.why);
    object.text_if("set", row.set.as_deref());
    object.text_if("undo", row.undo.as_deref());
    object.close()
}

/// A number with commas, for sentences.
pub(super) fn thousands(number: u64) -> String {
    match number / 1_000 {
        0 => number.to_string(),
        above => format!("{},{:03}", thousands(above), number % 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tuning::{self, Facts};

    fn rows(aim: &Aim) -> Vec<Row> {
        let sysctls = [
            ("net.ipv4.tcp_mem", "1 2 3"),
            ("net.core.somaxconn", "4096"),
            ("net.ipv4.tcp_rmem", "4096 131072 6291456"),
        ];
        let sysctls = sysctls.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        tuning::table(aim, &Facts { sysctls, ..Facts::default() })
    }

    #[test]
    fn the_table_has_every_setting_and_commands_where_one_is_low() {
        let aim = Aim::anywhere(100_000, 128);
        let text = text(&aim, &rows(&aim));
        assert!(text.starts_with("For 100,000 listeners at 128 kbit/s: beat 1000 ms"), "{text}");
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or("");
        assert!(line("needed    net.ipv4.tcp_mem").ends_with("500000 1000000 1500000"), "{text}");
        assert!(line("ok        net.core.somaxconn").ends_with("4096"), "{text}");
        assert!(line("leave     net.ipv4.tcp_rmem").ends_with("as it is"), "{text}");
        assert!(line("not here  fs.file-max").ends_with("165536"), "{text}");
        assert!(text.contains("  undo  sysctl -w net.ipv4.tcp_mem='1 2 3'\n"), "{text}");
        assert!(text.contains("\n1 needed, 0 better."), "{text}");
        assert!(text.lines().all(|line| line.trim_end() == line));
    }

    #[test]
    fn json_says_the_same() {
        let aim = Aim::anywhere(100_000, 128);
        let document: serde_json::Value = serde_json::from_str(&json(&aim, &rows(&aim))).unwrap();
        assert_eq!(document["listeners"], 100_000);
        let first = &document["settings"][0];
        assert_eq!(first["name"], "net.ipv4.tcp_mem");
        assert_eq!((&first["need"], &first["state"]), (&"needed".into(), &"low".into()));
        assert_eq!(first["now"], "1 2 3");
        assert_eq!(first["undo"], "sysctl -w net.ipv4.tcp_mem='1 2 3'");
        assert_eq!(document["settings"][2].get("now"), None);
    }

    #[test]
    fn numbers_get_commas() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_067, "12,345,067")];
        for (number, text) in cases {
            assert_eq!(thousands(number), text);
        }
    }
}

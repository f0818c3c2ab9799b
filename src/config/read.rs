//! Typed readers over the parsed text. Each value knows where it stands and under which key, so
//! that a reader's fault names both; a reader of a list gives the faults of all its entries.

use super::fault::{Fault, Found, Place, Rule, Wanted, Wrong};
use super::model::Cores;
use super::secret::Secret;
use super::values;
use crate::base::Burst;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value, or everything that is wrong with it.
pub(super) type Read<T> = Result<T, Vec<Fault>>;

/// The configuration text, its name, and where its lines begin.
pub(super) struct Source<'a> {
    text: &'a str,
    file: Arc<str>,
    line_starts: Vec<usize>,
}

impl<'a> Source<'a> {
    /// `file` is a name for messages.
    pub(super) fn new(text: &'a str, file: &str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, file: file.into(), line_starts: std::iter::once(0).chain(ends).collect() }
    }

    /// A fault of `key` at byte `offset`.
    pub(super) fn fault(&self, offset: usize, key: String, wrong: Wrong) -> Fault {
        Fault { place: self.place(offset), key, wrong }
    }

    /// The line of byte `offset`, as faults name it.
    pub(super) fn place(&self, offset: usize) -> Place {
        Place::File { file: self.file.clone(), line: self.line(offset), column: None }
    }

    /// The line of byte `offset`, counted from 1.
    fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// The character of its line that byte `offset` is in, counted from 1.
    fn column(&self, offset: usize) -> usize {
        let start = self.line_starts[self.line(offset) - 1];
        self.text.get(start..offset).map_or(1, |before| before.chars().count() + 1)
    }

    /// Whether `line` (counted from 1) is the head of a section, sound or broken.
    fn is_head(&self, line: usize) -> bool {
        let rest = self.line_starts.get(line - 1).and_then(|start| self.text.get(*start..));
        rest.is_some_and(|rest| rest.trim_start_matches([' ', '\t']).starts_with('['))
    }
}

/// Parses the text. The tree holds what could be understood; of several syntax faults in a line
/// only the first is given, for the others follow from it.
pub(super) fn parse<'a>(source: &Source<'a>) -> (Spanned<DeTable<'a>>, Vec<Fault>) {
    let (tree, errors) = DeTable::parse_recoverable(source.text);
    let mut errors: Vec<_> =
        errors.iter().map(|error| (error.span().map_or(0, |span| span.start), error)).collect();
    errors.sort_by_key(|(offset, _)| *offset);
    errors.dedup_by_key(|(offset, _)| source.line(*offset));
    let faults = errors.into_iter().map(|(offset, error)| {
        let wrong = Wrong::Syntax(error.message().to_owned());
        let (line, column) = (source.line(offset), Some(source.column(offset)));
        let place = Place::File { file: source.file.clone(), line, column };
        Fault { place, key: String::new(), wrong }
    });
    (tree, faults.collect())
}

/// Removes the faults of values that a syntax fault probably misplaced: those in its own line, and
/// below a broken section head all up to the next head.
pub(super) fn forget_doubtful(source: &Source<'_>, syntax: &[Fault], faults: &mut Vec<Fault>) {
    // The environment is laid over the file later; its faults count as in the first line here.
    let line_of = |fault: &Fault| match fault.place {
        Place::File { line, .. } => line,
        Place::Environment => 1,
    };
    let broken: Vec<usize> = syntax.iter().map(line_of).collect();
    if broken.is_empty() {
        return;
    }
    let mut below_broken_head = false;
    let doubtful: Vec<bool> = (1..=source.line_starts.len())
        .map(|line| {
            let is_broken = broken.binary_search(&line).is_ok();
            if source.is_head(line) {
                below_broken_head = is_broken;
            }
            is_broken || below_broken_head
        })
        .collect();
    faults.retain(|fault| !doubtful[line_of(fault) - 1]);
}

/// One value of the text.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    /// The text it stands in.
    pub(super) source: &'a Source<'a>,
    /// The dotted path of its key.
    pub(super) key: &'a str,
    /// The value and its place.
    pub(super) node: &'a Spanned<DeValue<'a>>,
}

impl<'a> Value<'a> {
    /// This value's fault, as a reader gives it.
    pub(super) fn wrong(&self, wrong: Wrong) -> Vec<Fault> {
        vec![self.source.fault(self.node.span().start, self.key.to_owned(), wrong)]
    }

    fn wrong_kind(&self, wanted: Wanted) -> Vec<Fault> {
        let found = match self.node.get_ref() {
            DeValue::String(_) => Found::Text,
            DeValue::Integer(_) => Found::Number,
            DeValue::Float(_) => Found::Fraction,
            DeValue::Boolean(_) => Found::Flag,
            DeValue::Datetime(_) => Found::Date,
            DeValue::Array(_) => Found::List,
            DeValue::Table(_) => Found::Table,
        };
        self.wrong(Wrong::Kind { wanted, found })
    }

    fn with(&self, node: &'a Spanned<DeValue<'a>>) -> Self {
        Self { node, ..*self }
    }

    /// A section or other table.
    pub(super) fn table(&self, wanted: Wanted) -> Read<&'a DeTable<'a>> {
        match self.node.get_ref() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.wrong_kind(wanted)),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Read<bool> {
        match self.node.get_ref() {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => Err(self.wrong_kind(Wanted::Flag)),
        }
    }

    fn text(&self, wanted: Wanted) -> Read<&'a str> {
        match self.node.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.wrong_kind(wanted)),
        }
    }

    /// Text that keeps the rule `parse`.
    pub(super) fn parsed<T>(&self, parse: fn(&str) -> Result<T, Rule>) -> Read<T> {
        self.ruled(Wanted::Text, parse)
    }

    fn ruled<T>(&self, wanted: Wanted, parse: fn(&str) -> Result<T, Rule>) -> Read<T> {
        let text = self.text(wanted)?;
        parse(text).map_err(|rule| self.wrong(Wrong::Text { found: text.to_owned(), rule }))
    }

    /// A password; a fault does not repeat it.
    pub(super) fn secret(&self) -> Read<Secret> {
        let text = self.text(Wanted::Text)?;
        Secret::parse(text).map_err(|rule| self.wrong(Wrong::Password(rule)))
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(&self, names: &'static [&'static str], of: &[T]) -> Read<T> {
        let text = self.text(Wanted::Text)?;
        choice(text, names, of).map_err(|wrong| self.wrong(wrong))
    }

    /// The number as written, and its value if 64 bits hold it.
    fn integer(&self) -> Option<(String, Option<i64>)> {
        let DeValue::Integer(integer) = self.node.get_ref() else { return None };
        let value = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
        Some((integer.to_string(), value))
    }

    /// A whole number within `range`.
    pub(super) fn number(&self, range: RangeInclusive<u32>) -> Read<u32> {
        self.number_in(&range, false)
    }

    /// 0, or a whole number within `range`.
    pub(super) fn number_or_zero(&self, range: RangeInclusive<u32>) -> Read<u32> {
        self.number_in(&range, true)
    }

    fn number_in(&self, range: &RangeInclusive<u32>, or_zero: bool) -> Read<u32> {
        let (found, value) = self.integer().ok_or_else(|| self.wrong_kind(Wanted::Number))?;
        let value = value.and_then(|value| u32::try_from(value).ok());
        match value.filter(|value| range.contains(value) || (or_zero && *value == 0)) {
            Some(value) => Ok(value),
            None => {
                let (min, max) = (range.start().to_string(), range.end().to_string());
                Err(self.wrong(Wrong::Range { found, min, max, or_zero }))
            }
        }
    }

    /// A time within `range`. A bare number is refused: Icecast counts in seconds, others in
    /// milliseconds, and a wrong guess is off by a thousand.
    pub(super) fn duration(&self, range: RangeInclusive<Duration>) -> Read<Duration> {
        if let Some((number, _)) = self.integer() {
            return Err(self.wrong(Wrong::NoUnit { number }));
        }
        let time = self.ruled(Wanted::Duration, values::duration)?;
        self.within(time, &range, values::duration_text)
    }

    /// A size in bytes within `range`, bare or with a unit.
    pub(super) fn bytes(&self, range: RangeInclusive<usize>) -> Read<usize> {
        let Some((found, value)) = self.integer() else {
            let bytes = self.ruled(Wanted::Size, values::size)?;
            return self.within(bytes, &range, values::size_text);
        };
        match value.and_then(|value| usize::try_from(value).ok()) {
            Some(bytes) => self.within(bytes, &range, values::size_text),
            None => Err(self.wrong(range_fault(found, &range, values::size_text))),
        }
    }

    fn within<T: PartialOrd + Copy>(
        &self,
        value: T,
        range: &RangeInclusive<T>,
        shown: fn(T) -> String,
    ) -> Read<T> {
        if range.contains(&value) {
            return Ok(value);
        }
        Err(self.wrong(range_fault(shown(value), range, shown)))
    }

    /// A burst: a time, or bytes, bare or with a unit. A bare number too small for bytes is one
    /// that was meant as seconds.
    pub(super) fn burst(
        &self,
        time: RangeInclusive<Duration>,
        bytes: RangeInclusive<usize>,
    ) -> Read<Burst> {
        if let Some((number, value)) = self.integer() {
            let least = i64::try_from(*bytes.start()).unwrap_or(i64::MAX);
            return match value {
                Some(0) => Ok(Burst::Bytes(0)),
                Some(value) if (0..least).contains(&value) => {
                    Err(self.wrong(Wrong::NoUnit { number }))
                }
                _ => self.bytes(bytes).map(Burst::Bytes),
            };
        }
        let text = self.text(Wanted::Burst)?;
        if let Ok(span) = values::duration(text) {
            return self.within(span, &time, values::duration_text).map(Burst::Time);
        }
        match values::size(text) {
            Ok(0) => Ok(Burst::Bytes(0)),
            Ok(size) => self.within(size, &bytes, values::size_text).map(Burst::Bytes),
            Err(_) => {
                let found = text.to_owned();
                Err(self.wrong(Wrong::Text { found, rule: Rule::Burst }))
            }
        }
    }

    fn list(&self, wanted: Wanted, count: &RangeInclusive<usize>) -> Read<Vec<Value<'a>>> {
        let DeValue::Array(array) = self.node.get_ref() else {
            return Err(self.wrong_kind(wanted));
        };
        let (found, min, max) = (array.len(), *count.start(), *count.end());
        if !count.contains(&found) {
            return Err(self.wrong(Wrong::Count { found, min, max }));
        }
        Ok(array.iter().map(|node| self.with(node)).collect())
    }

    /// A list of texts that keep the rule `parse`, none of them twice.
    pub(super) fn distinct<T: PartialEq>(
        &self,
        count: RangeInclusive<usize>,
        parse: fn(&str) -> Result<T, Rule>,
    ) -> Read<Vec<T>> {
        let mut entries = Vec::new();
        let mut faults = Vec::new();
        for value in self.list(Wanted::Texts, &count)? {
            match value.parsed(parse) {
                Ok(entry) if entries.contains(&entry) => {
                    let text = value.text(Wanted::Text)?.to_owned();
                    faults.extend(value.wrong(Wrong::Twice(text)));
                }
                Ok(entry) => entries.push(entry),
                Err(wrong) => faults.extend(wrong),
            }
        }
        if faults.is_empty() { Ok(entries) } else { Err(faults) }
    }

    /// `"auto"`, or a list of CPU numbers.
    pub(super) fn cores(&self, count: RangeInclusive<usize>, cpu_max: u32) -> Read<Cores> {
        if let DeValue::String(_) = self.node.get_ref() {
            let auto = |text: &str| (text == "auto").then_some(Cores::Auto).ok_or(Rule::Cores);
            return self.ruled(Wanted::Cores, auto);
        }
        let mut cpus = Vec::new();
        let mut faults = Vec::new();
        for value in self.list(Wanted::Cores, &count)? {
            match value.number(0..=cpu_max) {
                Ok(cpu) => cpus.push(cpu as usize),
                Err(wrong) => faults.extend(wrong),
            }
        }
        if faults.is_empty() { Ok(Cores::List(cpus)) } else { Err(faults) }
    }

    /// A table of headers, in the order they are written.
    pub(super) fn headers(&self, count_max: usize) -> Read<Vec<(String, String)>> {
        let table = self.table(Wanted::Pairs)?;
        if table.len() > count_max {
            return Err(self.wrong(Wrong::Count { found: table.len(), min: 0, max: count_max }));
        }
        let mut rows: Vec<_> = table.iter().collect();
        rows.sort_by_key(|(name, _)| name.span().start);
        let mut headers: Vec<(String, String)> = Vec::new();
        let mut faults = Vec::new();
        for (name, node) in rows {
            let wrong_name =
                |wrong| self.source.fault(name.span().start, self.key.to_owned(), wrong);
            let text: &str = name.get_ref();
            if headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(text)) {
                faults.push(wrong_name(Wrong::Twice(text.to_owned())));
            }
            match (values::header_name(text), self.with(node).parsed(values::header_value)) {
                (Ok(name), Ok(value)) => headers.push((name, value)),
                (name, value) => {
                    let found = text.to_owned();
                    let name = name.err().map(|rule| wrong_name(Wrong::Text { found, rule }));
                    faults.extend(name);
                    faults.extend(value.err().into_iter().flatten());
                }
            }
        }
        if faults.is_empty() { Ok(headers) } else { Err(faults) }
    }
}

/// The value of `of` whose name is `text`; both lists go in step.
pub(super) fn choice<T: Copy>(
    text: &str,
    names: &'static [&'static str],
    of: &[T],
) -> Result<T, Wrong> {
    let chosen = names.iter().zip(of).find(|(name, _)| **name == text);
    chosen
        .map(|(_, value)| *value)
        .ok_or_else(|| Wrong::Choice { found: text.to_owned(), choices: names })
}

fn range_fault<T: Copy>(found: String, range: &RangeInclusive<T>, shown: fn(T) -> String) -> Wrong {
    let (min, max) = (shown(*range.start()), shown(*range.end()));
    Wrong::Range { found, min, max, or_zero: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading<T>(text: &str, read: impl Fn(Value<'_>) -> Read<T>) -> Result<T, String> {
        let source = Source::new(text, "f");
        let (tree, faults) = parse(&source);
        assert!(faults.is_empty(), "{faults:?}");
        let node = &tree.get_ref()["k"];
        read(Value { source: &source, key: "k", node })
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let source = Source::new("a\nßb\n", "f");
        assert_eq!((source.line(0), source.line(1), source.line(2), source.line(9)), (1, 1, 2, 3));
        assert_eq!((source.column(2), source.column(4), source.column(5)), (1, 2, 3));
    }

    #[test]
    fn numbers_keep_their_range_in_any_base() {
        let read = |text: &str| reading(text, |value| value.number_or_zero(256..=1000));
        assert_eq!(read("k = 256"), Ok(256));
        assert_eq!(read("k = 0x3E8"), Ok(1000));
        assert_eq!(read("k = 0"), Ok(0));
        let range = "is out of range; choose from 256 to 1000, or 0";
        for found in ["255", "1001", "-1", "99999999999999999999"] {
            assert_eq!(read(&format!("k = {found}")), Err(format!("f:1: k: {found} {range}")));
        }
        assert_eq!(
            read("k = \"256\""),
            Err("f:1: k: wants a whole number, found text; \
                 write it without quotes, as in 100"
                .to_owned())
        );
    }

    #[test]
    fn a_bare_number_is_no_duration() {
        let second = Duration::from_secs(1);
        let read = |text: &str| reading(text, |value| value.duration(second..=second * 60));
        assert_eq!(read("k = \"1m\""), Ok(second * 60));
        assert_eq!(
            read("k = 5"),
            Err("f:1: k: the bare number 5 has no unit; write \"5s\" or \"5ms\"".to_owned())
        );
        assert_eq!(
            read("k = \"5\""),
            Err("f:1: k: \"5\" is not a duration; write a whole number and ms, s, m or h, \
                 as in \"500ms\" or \"5s\""
                .to_owned())
        );
        assert_eq!(
            read("k = \"2h\""),
            Err("f:1: k: 2h is out of range; choose from 1s to 1m".to_owned())
        );
        assert_eq!(
            read("k = 1.5"),
            Err("f:1: k: wants a duration, found a fraction; \
                 write it as in \"500ms\" or \"5s\""
                .to_owned())
        );
    }

    #[test]
    fn sizes_may_be_bare_or_carry_a_unit() {
        let read = |text: &str| reading(text, |value| value.bytes(1024..=65_536));
        assert_eq!(read("k = 65536"), Ok(65_536));
        assert_eq!(read("k = \"64KB\""), Ok(64_000));
        let range = "is out of range; choose from 1KiB to 64KiB";
        assert_eq!(read("k = \"1MiB\""), Err(format!("f:1: k: 1MiB {range}")));
        assert_eq!(read("k = 65537"), Err(format!("f:1: k: 65537B {range}")));
        assert_eq!(read("k = -1"), Err(format!("f:1: k: -1 {range}")));
    }

    #[test]
    fn a_burst_is_a_time_or_bytes_and_small_bare_numbers_are_doubtful() {
        let read = |text: &str| {
            let time = Duration::ZERO..=Duration::from_secs(60);
            reading(text, |value| value.burst(time.clone(), 1024..=65_536))
        };
        assert_eq!(read("k = \"5s\""), Ok(Burst::Time(Duration::from_secs(5))));
        assert_eq!(read("k = \"0s\""), Ok(Burst::Time(Duration::ZERO)));
        assert_eq!(read("k = \"64KiB\""), Ok(Burst::Bytes(65_536)));
        assert_eq!(read("k = 65536"), Ok(Burst::Bytes(65_536)));
        assert_eq!(read("k = 0"), Ok(Burst::Bytes(0)));
        assert_eq!(
            read("k = 5"),
            Err("f:1: k: the bare number 5 has no unit; write \"5s\" or \"5ms\"".to_owned())
        );
        assert_eq!(
            read("k = \"2m\""),
            Err("f:1: k: 2m is out of range; choose from 0s to 1m".to_owned())
        );
        assert_eq!(
            read("k = \"lots\""),
            Err("f:1: k: \"lots\" is neither a duration nor a size; \
                 write it as in \"5s\" or \"64KiB\""
                .to_owned())
        );
    }

    #[test]
    fn every_entry_of_a_list_is_judged_in_its_own_line() {
        let read = |text: &str| reading(text, |value| value.distinct(1..=4, values::address));
        assert_eq!(read("k = [\"[::1]:80\"]").unwrap().len(), 1);
        assert_eq!(
            read("k = [\n\"here\",\n\"1.2.3.4:80\",\n8000,\n\"1.2.3.4:80\"]"),
            Err("f:2: k: \"here\" is not an address with a port; \
                 write it as in \"0.0.0.0:8000\" or \"[::]:8000\"\n\
                 f:4: k: wants text, found a number; write it in quotes\n\
                 f:5: k: \"1.2.3.4:80\" stands here twice; remove one"
                .to_owned())
        );
        assert_eq!(read("k = []"), Err("f:1: k: has 0 entries; give 1 to 4".to_owned()));
        assert_eq!(
            read("k = \"[::1]:80\""),
            Err("f:1: k: wants a list of texts, found text; \
                 write it as in [\"one\", \"two\"]"
                .to_owned())
        );
    }

    #[test]
    fn cores_are_auto_or_cpu_numbers_that_may_repeat() {
        let read = |text: &str| reading(text, |value| value.cores(1..=3, 9));
        assert_eq!(read("k = \"auto\""), Ok(Cores::Auto));
        assert_eq!(read("k = [0, 1, 1]"), Ok(Cores::List(vec![0, 1, 1])));
        assert_eq!(
            read("k = [10]"),
            Err("f:1: k: 10 is out of range; choose from 0 to 9".to_owned())
        );
        assert_eq!(
            read("k = \"all\""),
            Err("f:1: k: \"all\" is not a placement of cores; \
                 write \"auto\" or CPU numbers as in [0, 1]"
                .to_owned())
        );
        assert!(read("k = []").is_err());
        assert!(read("k = 2").is_err());
    }

    #[test]
    fn headers_keep_their_order_and_refuse_doubles() {
        let read = |text: &str| reading(text, |value| value.headers(3));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read("k = { X-B = \"1\", X-A = \"2\" }"),
            Ok(vec![pair("X-B", "1"), pair("X-A", "2")])
        );
        assert_eq!(
            read("[k]\nX-A = \"1\"\nx-a = \"2\"\nConnection = \"close\"\n"),
            Err("f:3: k: \"x-a\" stands here twice; remove one\n\
                 f:4: k: \"Connection\" is set by the server itself; remove it"
                .to_owned())
        );
        assert!(read("[k]\na=\"1\"\nb=\"1\"\nc=\"1\"\nd=\"1\"").is_err());
        assert!(read("k = { X-A = 1 }").is_err());
    }
}

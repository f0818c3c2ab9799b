//! A JSON object as it is being written: the documents that monitors read, and `floe tune --json`.
//! It reads no JSON.

use serde_json::Value;

/// A JSON object as it is being written. Field names are the caller's own and need no escaping.
#[derive(Debug)]
pub struct Object(String);

impl Object {
    /// An object without fields.
    #[expect(clippy::new_without_default, reason = "an object is always begun on purpose")]
    pub fn new() -> Self {
        Self(String::from("{"))
    }

    /// A field of text, escaped.
    pub fn text(&mut self, name: &str, text: &str) {
        self.raw(name, &Value::from(text).to_string());
    }

    /// A field of text, or no field.
    pub fn text_if(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// A field of a list of texts, each escaped.
    pub fn texts(&mut self, name: &str, texts: &[&str]) {
        self.raw(name, &Value::from(texts).to_string());
    }

    /// A field of a number.
    pub fn number(&mut self, name: &str, number: u64) {
        self.raw(name, &number.to_string());
    }

    /// A field of a number, or no field.
    pub fn number_if(&mut self, name: &str, number: Option<u32>) {
        if let Some(number) = number {
            self.number(name, number.into());
        }
    }

    /// A field whose value is JSON already.
    pub fn raw(&mut self, name: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
        self.0.push_str(json);
    }

    /// The object's text so far, without its end.
    pub fn open(self) -> String {
        self.0
    }

    /// The object's text.
    pub fn close(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_separated_and_text_is_escaped() {
        assert_eq!(Object::new().close(), "{}");
        let mut object = Object::new();
        object.text("a", "say \"x\"\n");
        object.text_if("b", None);
        object.number("c", u64::MAX);
        object.raw("d", "[]");
        object.texts("e", &["f\"", "g"]);
        let json = object.close();
        assert_eq!(json, r#"{"a":"say \"x\"\n","c":18446744073709551615,"d":[],"e":["f\"","g"]}"#);
    }
}

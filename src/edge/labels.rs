//! User agents, referrers and request targets of listeners, each kept once a core: few of them
//! differ, and a row holds four bytes instead of a string.

use std::collections::HashMap;
use std::rc::Rc;

use crate::base::limits::{LABEL_BYTES_MAX, LABELS_MAX};

/// A remembered string. The default stands for `-`, nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelId(u32);

#[derive(Debug)]
struct Entry {
    text: Rc<str>,
    holders: u32,
}

/// The strings of one core.
#[derive(Debug, Default)]
pub struct Labels {
    ids: HashMap<Rc<str>, u32>,
    /// Place `id - 1` holds the entry of `id`.
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
}

impl Labels {
    /// Remembers `text`, cut to its ceiling. Each call is one holder and needs one
    /// [`Self::release`]. Empty text, or text beyond the ceiling of different labels, is `-`.
    pub fn hold(&mut self, text: &str) -> LabelId {
        let mut cut = text.len().min(LABEL_BYTES_MAX);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let text = &text[..cut];
        if text.is_empty() {
            return LabelId::default();
        }
        if let Some(&id) = self.ids.get(text) {
            if let Some(Some(entry)) = self.entries.get_mut(id as usize - 1) {
                entry.holders = entry.holders.saturating_add(1);
            }
            return LabelId(id);
        }
        if self.ids.len() >= LABELS_MAX {
            return LabelId::default();
        }
        let text: Rc<str> = text.into();
        let entry = Some(Entry { text: Rc::clone(&text), holders: 1 });
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id as usize - 1] = entry;
                id
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32
            }
        };
        self.ids.insert(text, id);
        LabelId(id)
    }

    /// The string, `-` for nothing.
    pub fn text(&self, id: LabelId) -> &str {
        let entry = (id.0 as usize).checked_sub(1).and_then(|at| self.entries.get(at));
        entry.and_then(Option::as_ref).map_or("-", |entry| &entry.text)
    }

    /// One holder less; the last one's leaving forgets the string.
    pub fn release(&mut self, id: LabelId) {
        let Some(at) = (id.0 as usize).checked_sub(1) else { return };
        let Some(place) = self.entries.get_mut(at) else { return };
        let Some(entry) = place else { return };
        entry.holders -= 1;
        if entry.holders == 0 {
            self.ids.remove(&entry.text);
            *place = None;
            self.free.push(id.0);
        }
    }

    /// Different strings held.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_kept_once_and_forgotten_with_its_last_holder() {
        let mut labels = Labels::default();
        let (one, two) = (labels.hold("VLC/3.0"), labels.hold("VLC/3.0"));
        assert_eq!(one, two);
        assert_eq!(labels.text(one), "VLC/3.0");
        labels.release(one);
        assert_eq!(labels.text(two), "VLC/3.0");
        labels.release(two);
        assert!(labels.is_empty());
        let other = labels.hold("mpv");
        assert_eq!((labels.text(other), labels.text(LabelId::default())), ("mpv", "-"));
    }

    #[test]
    fn a_new_agent_per_connection_fills_a_bounded_table() {
        let mut labels = Labels::default();
        let ids: Vec<_> =
            (0..LABELS_MAX + 10).map(|number| labels.hold(&format!("a{number}"))).collect();
        assert_eq!(labels.len(), LABELS_MAX);
        assert_eq!(ids.last(), Some(&LabelId::default()));
        ids.into_iter().for_each(|id| labels.release(id));
        assert!(labels.is_empty());
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let mut labels = Labels::default();
        let id = labels.hold(&"é".repeat(LABEL_BYTES_MAX));
        assert_eq!(labels.text(id).len(), LABEL_BYTES_MAX);
        let odd = labels.hold(&format!("x{}", "é".repeat(LABEL_BYTES_MAX)));
        assert_eq!(labels.text(odd).len(), LABEL_BYTES_MAX - 1);
    }
}

//! What is shown in the terminal: the chat as it goes, and what is done beside it.

use std::{
    collections::HashMap,
    env,
    io::{self, IsTerminal, Write},
};

const BOT: &str = "32";
const PERSON: &str = "36";
const DIM: &str = "2";
const BOLD: &str = "1";
/// Wide enough for the names.
const MARGIN: usize = 7;

pub struct Screen {
    coloured: bool,
    shown: HashMap<u32, Post>,
}

/// A message as the transcript of the stand-in has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Post {
    id: u32,
    who: String,
    lines: Vec<String>,
    /// What popped up over its buttons.
    toasts: Vec<String>,
}

impl Screen {
    pub fn new() -> Self {
        let coloured = io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none();
        Self { coloured, shown: HashMap::new() }
    }

    /// A word of the demo itself.
    pub fn note(&self, text: &str) {
        line(&self.paint(DIM, text));
    }

    /// What is run, as one would type it.
    pub fn run(&self, command: &str) {
        line(&format!("\n{}", self.paint(BOLD, &format!("$ {command}"))));
    }

    /// What that printed.
    pub fn output(text: &str) {
        text.lines().for_each(|text| line(&format!("  {text}")));
    }

    pub fn tap(&self, who: &str, label: &str) {
        line(&format!("\n{} taps [ {label} ]", self.name(who, PERSON)));
    }

    /// The last word: how to go on.
    pub fn say(&self, text: &str) {
        line(&format!("\n{}", self.paint(BOLD, text)));
    }

    /// Shows what is new in a chat since the last time.
    pub fn catch_up(&mut self, transcript: &str) {
        for post in posts(transcript) {
            let before = self.shown.insert(post.id, post.clone());
            self.show(&post, before.as_ref());
        }
    }

    fn show(&self, post: &Post, before: Option<&Post>) {
        let by_bot = post.who.starts_with('@');
        let (name, colour) = if by_bot { ("Bot", BOT) } else { (post.who.as_str(), PERSON) };
        let edge = self.paint(colour, "│");
        if before.is_none_or(|before| before.lines != post.lines) {
            let edited = before.map(|_| self.paint(DIM, "(edits a message)"));
            let mut margin = format!("\n{}", self.name(name, colour));
            for text in edited.iter().chain(&post.lines) {
                line(format!("{margin} {edge} {text}").trim_end_matches(' '));
                margin = " ".repeat(MARGIN);
            }
        }
        for toast in post.toasts.iter().skip(before.map_or(0, |before| before.toasts.len())) {
            line(&format!("{:MARGIN$} {edge} {}", "", self.paint(DIM, toast)));
        }
    }

    fn name(&self, name: &str, colour: &str) -> String {
        self.paint(colour, &format!("{name:>MARGIN$}"))
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.coloured { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn line(text: &str) {
    // A reader that went away is no reason to end badly: the children are to be ended in good order.
    let _ = writeln!(io::stdout(), "{text}");
}

/// The messages of a transcript: a line `#ID WHO:`, then theirs, indented.
fn posts(transcript: &str) -> Vec<Post> {
    let mut posts: Vec<Post> = Vec::new();
    for line in transcript.lines() {
        if let Some((id, who)) = line.strip_prefix('#').and_then(|header| header.split_once(' ')) {
            let who = who.split(" (").next().unwrap_or_default().trim_end_matches(':').to_owned();
            posts.extend(id.parse().ok().map(|id| Post { id, who, lines: Vec::new(), toasts: Vec::new() }));
        } else if let (Some(post), Some(text)) = (posts.last_mut(), line.strip_prefix("    ")) {
            let toast = ["(toast: ", "(alert: "].iter().any(|kind| text.starts_with(kind));
            if toast { post.toasts.push(text.to_owned()) } else { post.lines.push(text.to_owned()) }
        }
    }
    posts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_edits_and_toasts_are_told_apart() {
        let transcript = "── Anna (1001) ──\n#1 Anna:\n    /start\n#2 @osm_demo_bot (edited 2×):\n    Hello\n    #3 is not a header\n    [ Add ]\n    (toast: Done)\n";
        let posts = posts(transcript);
        assert_eq!(
            posts.iter().map(|post| (post.id, post.who.as_str())).collect::<Vec<_>>(),
            [(1, "Anna"), (2, "@osm_demo_bot")]
        );
        assert_eq!(posts[1].lines, ["Hello", "#3 is not a header", "[ Add ]"]);
        assert_eq!(posts[1].toasts, ["(toast: Done)"]);
    }
}

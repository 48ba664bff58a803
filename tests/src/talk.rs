//! What people and the bot say to each other. A story takes the messages of a chat one after the other: the next one is the one
//! that it expects, or the story fails.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use osm_telegram_sim::{BotMessage, ButtonKind, Group, Press, Sim, Toast, User};

use crate::{
    agent::Agent,
    world::{SOON, World},
};

/// Up to where a story has taken each chat's messages.
#[derive(Default)]
pub struct Taken {
    up_to: Mutex<HashMap<i64, i32>>,
    /// Messages that nobody expected are passed over.
    overlooks: AtomicBool,
}

impl Taken {
    fn up_to(&self, chat: i64) -> i32 {
        let taken = self.up_to.lock().unwrap_or_else(PoisonError::into_inner);
        taken.get(&chat).copied().unwrap_or_default()
    }

    fn take(&self, message: &BotMessage) {
        self.pass(message.chat_id, message.message_id);
    }

    fn pass(&self, chat: i64, message_id: i32) {
        let mut taken = self.up_to.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(chat, message_id);
    }

    fn left(&self, sim: &Sim, chat: i64) -> Vec<BotMessage> {
        let up_to = self.up_to(chat);
        sim.messages(chat).into_iter().filter(|message| message.message_id > up_to && !message.deleted).collect()
    }
}

impl World {
    /// Takes the chat's next message, which says `expected`, at once or by an edit. An empty one takes whatever comes.
    pub async fn see(&self, chat: impl Into<i64>, expected: &str) -> BotMessage {
        let chat = chat.into();
        if self.taken.overlooks.load(Ordering::Relaxed) {
            return self.see_among(chat, expected).await;
        }
        let up_to = self.taken.up_to(chat);
        let is_next = |message: &BotMessage| message.message_id > up_to;
        let Ok(_) = self.sim.wait(chat, SOON, is_next).await else {
            panic!("nothing comes, and {expected:?} is expected; the chat:\n{}", self.sim.transcript(chat))
        };
        let next = self.untaken(chat).into_iter().next().expect("it stays");
        let as_expected = |message: &BotMessage| message.message_id == next.message_id && message.plain.contains(expected);
        let Ok(next) = self.sim.wait(chat, SOON, as_expected).await else {
            panic!("{expected:?} is expected, and next comes\n{}\nthe chat:\n{}", next.plain, self.sim.transcript(chat))
        };
        self.taken.take(&next);
        next
    }

    /// From now on this story passes over messages that it does not expect, for this reason.
    pub fn overlooks(&self, _why: &str) {
        self.taken.overlooks.store(true, Ordering::Relaxed);
    }

    /// Takes the chat's next messages: one for each of these, in whatever order they come.
    pub async fn see_all(&self, chat: impl Into<i64>, expected: &[&str]) -> Vec<BotMessage> {
        let chat = chat.into();
        let mut left = expected.to_vec();
        let mut seen = Vec::new();
        while !left.is_empty() {
            let message = self.see(chat, "").await;
            let Some(which) = left.iter().position(|expected| message.plain.contains(expected)) else {
                panic!("{left:?} are expected, and next comes\n{}\nthe chat:\n{}", message.plain, self.sim.transcript(chat))
            };
            left.remove(which);
            seen.push(message);
        }
        seen
    }

    /// Takes the chat's messages up to the next that says `expected`, whatever comes before it: for chats that hear of more than
    /// the story is about.
    pub async fn see_among(&self, chat: impl Into<i64>, expected: &str) -> BotMessage {
        let chat = chat.into();
        let up_to = self.taken.up_to(chat);
        let message = self.sim.wait(chat, SOON, |message| message.message_id > up_to && message.plain.contains(expected)).await;
        let message = message.unwrap();
        self.taken.take(&message);
        message
    }

    /// The message as it stands once it says `expected`.
    pub async fn becomes(&self, message: &BotMessage, expected: &str) -> BotMessage {
        let as_expected = |now: &BotMessage| now.message_id == message.message_id && now.plain.contains(expected);
        self.sim.wait(message.chat_id, SOON, as_expected).await.unwrap()
    }

    /// How a message stands once everything is told.
    pub async fn now(&self, message: &BotMessage) -> BotMessage {
        self.settled(SOON).await;
        self.sim.message(message.chat_id, message.message_id).expect("a message that was there")
    }

    /// Once everything is told, the chat has no message that the story has not taken.
    pub async fn hears_nothing(&self, chat: impl Into<i64>) {
        let chat = chat.into();
        self.settled(SOON).await;
        let left = self.untaken(chat);
        assert!(left.is_empty(), "nobody expects\n{}\nthe chat:\n{}", left[0].plain, self.sim.transcript(chat));
    }

    /// The messages of a chat that the story has not taken yet.
    pub fn untaken(&self, chat: impl Into<i64>) -> Vec<BotMessage> {
        self.taken.left(&self.sim, chat.into())
    }

    /// Somebody writes in their private chat; takes the answer, which is the next message there.
    pub async fn ask(&self, user: &User, text: &str, expected: &str) -> BotMessage {
        let said = self.sim.say(user, user, text);
        if self.taken.overlooks.load(Ordering::Relaxed) {
            self.taken.pass(user.chat_id, said.message_id);
        }
        let answer = self.see(user, expected).await;
        assert!(answer.message_id > said.message_id, "was said before {text}:\n{}", self.sim.transcript(user));
        answer
    }

    /// Somebody taps a button; returns what popped up.
    pub async fn tap(&self, user: &User, message: &BotMessage, button: &str) -> Toast {
        let press = self.sim.press(message.chat_id, user, message.message_id, button).unwrap();
        self.popped_up(&press).await
    }

    /// Somebody taps a button that is not there, or not any more; returns what popped up.
    pub async fn tap_data(&self, user: &User, message: &BotMessage, data: &str) -> Toast {
        let press = self.sim.press_data(message.chat_id, user, message.message_id, data);
        self.popped_up(&press).await
    }

    pub async fn popped_up(&self, press: &Press) -> Toast {
        self.sim.wait_toast(press, SOON).await.unwrap()
    }

    /// A pairing token, from the bot's message.
    pub async fn token(&self, user: &User, name: &str) -> (String, BotMessage) {
        let message = self.ask(user, &format!("/add_server {name}"), "osm-agent pair").await;
        let token = token_in(&message).expect("a token in the message");
        (token, message)
    }

    /// Pairs an agent, as the chat hears of it.
    pub async fn pair(&self, chat: impl Into<i64>, token: &str) -> Agent {
        let mut agent = Agent::new(self);
        agent.pair(token).await.expect("pairing");
        self.see(chat, "Key fingerprint").await;
        agent
    }

    /// A server of Anna's, paired and with its first report.
    pub async fn paired(&self, name: &str) -> Agent {
        self.paired_with_card(name).await.0
    }

    /// A server of Anna's, paired and with its first report, and the card that came of it.
    pub async fn paired_with_card(&self, name: &str) -> (Agent, BotMessage) {
        let (token, _) = self.token(&self.anna, name).await;
        let agent = self.pair(&self.anna, &token).await;
        agent.send_report(&agent.report()).await.expect("a report");
        let card = self.see(&self.anna, "online").await;
        assert!(card.plain.contains(name), "{}", card.plain);
        (agent, card)
    }

    /// A server of a group's, which Anna asked for there, with its first report; and the card that came of it.
    pub async fn paired_in(&self, group: &Group, name: &str) -> (Agent, BotMessage) {
        self.sim.say(group, &self.anna, &format!("/add_server {name}"));
        // The command is for her eyes only.
        let message = self.see(&self.anna, "osm-agent pair").await;
        self.see(group, "in our private chat").await;
        let agent = self.pair(group, &token_in(&message).expect("a token in the message")).await;
        agent.send_report(&agent.report()).await.expect("a report");
        (agent, self.see(group, "online").await)
    }

    /// Anna asks for a restart on her newest card, up to the question.
    pub async fn restart_question(&self, unit: &str) -> BotMessage {
        let card = self.ask(&self.anna, "/status", "online").await;
        self.tap(&self.anna, &card, "Restart").await;
        let services = self.becomes(&card, "Restart a service on").await;
        self.tap(&self.anna, &services, unit).await;
        self.see(&self.anna, unit).await
    }

    /// Anna asks for a chore on her newest card, up to the question.
    pub async fn chore_question(&self, button: &str) -> BotMessage {
        let card = self.ask(&self.anna, "/status", "online").await;
        self.tap(&self.anna, &card, button).await;
        self.see(&self.anna, "can confirm").await
    }
}

/// The token of a pairing message: in the line to copy.
pub fn token_in(message: &BotMessage) -> Option<String> {
    let start = message.plain.find("OSM1-")?;
    Some(message.plain[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect())
}

/// What a Copy button copies.
pub fn copied(message: &BotMessage) -> Option<String> {
    message.buttons.iter().flatten().find_map(|button| match &button.kind {
        ButtonKind::CopyText(text) => Some(text.clone()),
        _ => None,
    })
}

/// What a button carries.
pub fn data(message: &BotMessage, button: &str) -> String {
    match &message.button(button).expect("the button").kind {
        ButtonKind::Callback(data) => data.clone(),
        other => panic!("{other:?}"),
    }
}

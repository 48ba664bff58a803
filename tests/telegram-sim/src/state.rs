//! Everything the stand-in remembers, behind one mutex, and the few operations that both the Bot API and the people
//! in the chats go through.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    Call, Delivery, Failure, Options, Toast, User,
    budget::Budgets,
    html,
    model::{Author, Chat, Post, Role, unix_now},
    queue::Queue,
};

/// Telegram's own account for administrators who hide behind their group.
const ANONYMOUS_ADMIN: i64 = 1_087_968_824;

#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    pub url: reqwest::Url,
    pub secret: Option<String>,
    pub max_connections: usize,
}

#[derive(Debug)]
pub(crate) struct Query {
    pub chat_id: i64,
    pub user_id: i64,
    pub message_id: i32,
    pub at: Instant,
    pub answered: bool,
}

#[derive(Debug)]
pub(crate) struct State {
    pub bot: Value,
    pub bot_username: String,
    pub privacy_mode: bool,
    pub users: BTreeMap<i64, User>,
    pub chats: BTreeMap<i64, Chat>,
    /// By scope (as JSON) and language.
    pub commands: BTreeMap<(String, String), Vec<Value>>,
    pub webhook: Option<Webhook>,
    /// `None`: Telegram's default, all but `chat_member` and reactions.
    pub allowed: Option<BTreeSet<String>>,
    pub webhook_error: Option<(i64, String)>,
    /// The newest getUpdates; an older one that still waits is ended with 409.
    pub poll: u64,
    pub queue: Queue,
    pub queries: HashMap<String, Query>,
    pub budgets: Budgets,
    pub failures: Vec<Failure>,
    pub calls: Vec<Call>,
    pub toasts: Vec<Toast>,
    pub deliveries: Vec<Delivery>,
    next_update_id: i64,
    next_query: u64,
    last_message_id: i32,
}

impl State {
    pub(crate) fn new(options: &Options) -> Self {
        let id: i64 = options.token.split(':').next().and_then(|id| id.parse().ok()).unwrap_or(1);
        Self {
            bot: json!({"id": id, "is_bot": true, "first_name": options.bot_name, "username": options.bot_username}),
            bot_username: options.bot_username.clone(),
            privacy_mode: options.privacy_mode,
            users: BTreeMap::new(),
            chats: BTreeMap::new(),
            commands: BTreeMap::new(),
            webhook: None,
            allowed: None,
            webhook_error: None,
            poll: 0,
            queue: Queue::default(),
            queries: HashMap::new(),
            budgets: Budgets::default(),
            failures: vec![],
            calls: vec![],
            toasts: vec![],
            deliveries: vec![],
            next_update_id: 100_000_001,
            next_query: 4_382_000_000_000_001,
            last_message_id: 0,
        }
    }

    /// Queues an update of this kind unless the bot did not ask for it.
    pub(crate) fn push(&mut self, kind: &str, chat_id: i64, payload: &Value) -> Option<i64> {
        let wanted = match &self.allowed {
            Some(kinds) => kinds.contains(kind),
            None => !matches!(kind, "chat_member" | "message_reaction" | "message_reaction_count"),
        };
        if !wanted {
            return None;
        }
        let update_id = self.next_update_id();
        self.queue.push(update_id, chat_id, json!({"update_id": update_id, kind: payload}), Instant::now());
        Some(update_id)
    }

    pub(crate) fn next_update_id(&mut self) -> i64 {
        self.next_update_id += 1;
        self.next_update_id - 1
    }

    pub(crate) fn next_query_id(&mut self) -> String {
        self.next_query += 1;
        self.next_query.to_string()
    }

    pub(crate) fn next_message_id(&mut self, chat_id: i64) -> i32 {
        match self.chats.get_mut(&chat_id) {
            Some(chat) if chat.kind == crate::model::ChatKind::Supergroup => {
                chat.last_own_id += 1;
                chat.last_own_id
            }
            _ => {
                self.last_message_id += 1;
                self.last_message_id
            }
        }
    }

    /// Puts a message into a chat and returns its Bot API form.
    pub(crate) fn add_post(&mut self, chat_id: i64, author: Author, raw: &str, text: html::Parsed) -> i32 {
        let message_id = self.next_message_id(chat_id);
        if let Some(chat) = self.chats.get_mut(&chat_id) {
            chat.posts.push(Post::new(message_id, author, raw, text));
        }
        message_id
    }

    /// Puts a service message into a chat and tells the bot.
    pub(crate) fn add_service(&mut self, chat_id: i64, note: &str, fields: Value) -> Option<i64> {
        let message_id = self.add_post(chat_id, Author::Service, note, html::verbatim(note));
        self.chats.get_mut(&chat_id)?.post_mut(message_id)?.service = Some(fields);
        let message = self.message_json(chat_id, message_id)?;
        self.push("message", chat_id, &message)
    }

    /// Changes what the bot is in a chat and tells it so.
    pub(crate) fn set_bot_role(&mut self, chat_id: i64, role: Role, by: i64) -> Option<i64> {
        let bot = self.bot.clone();
        let from = self.users.get(&by).map(User::json);
        let chat = self.chats.get_mut(&chat_id)?;
        let old = std::mem::replace(&mut chat.bot, role);
        if old == role {
            return None;
        }
        let payload = json!({
            "chat": chat.json(), "from": from.unwrap_or_else(|| bot.clone()), "date": unix_now(),
            "old_chat_member": old.json(&bot), "new_chat_member": role.json(&bot),
        });
        self.push("my_chat_member", chat_id, &payload)
    }

    /// A `Message` object, also for messages that were deleted since.
    pub(crate) fn message_json(&self, chat_id: i64, message_id: i32) -> Option<Value> {
        let chat = self.chats.get(&chat_id)?;
        let post = chat.posts.iter().find(|post| post.message_id == message_id)?;
        let mut message = json!({"message_id": message_id, "date": post.date, "chat": chat.json()});
        match post.author {
            Author::Bot => message["from"] = self.bot.clone(),
            Author::User(id) => message["from"] = self.users.get(&id)?.json(),
            Author::Anonymous => {
                message["from"] = json!({
                    "id": ANONYMOUS_ADMIN, "is_bot": true, "first_name": "Group", "username": "GroupAnonymousBot",
                });
                message["sender_chat"] = chat.json();
            }
            Author::Service => {}
        }
        if let Some(Value::Object(fields)) = &post.service {
            for (key, value) in fields {
                message[key] = value.clone();
            }
            return Some(message);
        }
        if let Some(topic) = post.topic {
            message["message_thread_id"] = topic.into();
            message["is_topic_message"] = true.into();
        }
        message["text"] = post.text.plain.as_str().into();
        if !post.text.entities.is_empty() {
            message["entities"] = post.text.entities.clone().into();
        }
        let optional = [
            ("edit_date", post.edited.map(Value::from)),
            ("reply_markup", post.markup.clone()),
            ("link_preview_options", post.link_preview.clone()),
            ("reply_to_message", post.reply_to.and_then(|id| self.message_json(chat_id, id))),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                message[key] = value;
            }
        }
        Some(message)
    }

    /// The commands a person is offered in a chat, resolved in Telegram's order: narrowest scope first, in each the
    /// person's language before none.
    pub(crate) fn commands_for(&self, chat_id: i64, user_id: i64) -> Vec<Value> {
        let language = self.users.get(&user_id).map_or("", |user| user.language_code.as_str());
        let short = language.split('-').next().unwrap_or_default();
        let admin = self.chats.get(&chat_id).is_some_and(|c| c.members.get(&user_id).is_some_and(|r| r.is_admin()));
        let mut scopes = vec![];
        if chat_id < 0 {
            scopes.push(json!({"type": "chat_member", "chat_id": chat_id, "user_id": user_id}));
            if admin {
                scopes.push(json!({"type": "chat_administrators", "chat_id": chat_id}));
            }
        }
        scopes.push(json!({"type": "chat", "chat_id": chat_id}));
        if chat_id > 0 {
            scopes.push(json!({"type": "all_private_chats"}));
        } else {
            if admin {
                scopes.push(json!({"type": "all_chat_administrators"}));
            }
            scopes.push(json!({"type": "all_group_chats"}));
        }
        scopes.push(json!({"type": "default"}));
        scopes
            .iter()
            .flat_map(|scope| [(scope.to_string(), short.to_owned()), (scope.to_string(), String::new())])
            .find_map(|key| self.commands.get(&key))
            .cloned()
            .unwrap_or_default()
    }
}

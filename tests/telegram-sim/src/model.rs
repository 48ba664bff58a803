//! The people, chats and messages the stand-in knows, and how the Bot API writes them.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::html::Parsed;

/// A person with a Telegram account, and at the same time the private chat with that person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Telegram's user id.
    pub id: i64,
    /// The private chat's id: the same number, as with Telegram.
    pub chat_id: i64,
    /// First name.
    pub name: String,
    /// `@username` without the `@`.
    pub username: Option<String>,
    /// IETF tag of the person's app, as the bot sees it.
    pub language_code: String,
}

impl User {
    /// This person as the owner of a group.
    #[must_use]
    pub fn owner(&self) -> (i64, Role) {
        (self.id, Role::Owner)
    }

    /// This person as an administrator of a group.
    #[must_use]
    pub fn admin(&self) -> (i64, Role) {
        (self.id, Role::Administrator)
    }

    /// This person as an ordinary member of a group.
    #[must_use]
    pub fn member(&self) -> (i64, Role) {
        (self.id, Role::Member)
    }

    pub(crate) fn json(&self) -> Value {
        let mut user = json!({"id": self.id, "is_bot": false, "first_name": self.name});
        if let Some(username) = &self.username {
            user["username"] = username.as_str().into();
        }
        if !self.language_code.is_empty() {
            user["language_code"] = self.language_code.as_str().into();
        }
        user
    }
}

/// A group (or, for ids below -1000000000000, a supergroup).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Telegram's chat id, negative.
    pub id: i64,
    /// The group's name.
    pub title: String,
}

impl From<&User> for i64 {
    fn from(user: &User) -> Self {
        user.chat_id
    }
}

impl From<&Group> for i64 {
    fn from(group: &Group) -> Self {
        group.id
    }
}

/// What somebody, or the bot, is in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Owner,
    Administrator,
    Member,
    Left,
    /// Banned; for the bot in a private chat: blocked.
    Kicked,
}

impl Role {
    pub(crate) fn is_admin(self) -> bool {
        matches!(self, Self::Owner | Self::Administrator)
    }

    pub(crate) fn is_present(self) -> bool {
        !matches!(self, Self::Left | Self::Kicked)
    }

    /// A `ChatMember` object.
    pub(crate) fn json(self, user: &Value) -> Value {
        match self {
            Self::Owner => json!({"status": "creator", "user": user, "is_anonymous": false}),
            Self::Administrator => json!({
                "status": "administrator", "user": user, "can_be_edited": false, "is_anonymous": false,
                "can_manage_chat": true, "can_delete_messages": true, "can_manage_video_chats": true,
                "can_restrict_members": true, "can_promote_members": false, "can_change_info": true,
                "can_invite_users": true, "can_post_stories": false, "can_edit_stories": false,
                "can_delete_stories": false, "can_pin_messages": true, "can_manage_topics": false,
            }),
            Self::Member => json!({"status": "member", "user": user}),
            Self::Left => json!({"status": "left", "user": user}),
            Self::Kicked => json!({"status": "kicked", "user": user, "until_date": 0}),
        }
    }
}

/// Which of Telegram's kinds a chat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChatKind {
    Private,
    Group,
    Supergroup,
}

impl ChatKind {
    pub(crate) fn of(id: i64) -> Self {
        match id {
            1.. => Self::Private,
            ..-1_000_000_000_000 => Self::Supergroup,
            _ => Self::Group,
        }
    }
}

/// What becomes of what a bot writes into a topic of a forum group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    Open,
    /// Nobody but administrators writes there.
    Closed,
    Deleted,
}

/// General, as a topic: messages for it name none.
pub const GENERAL: i32 = 1;

/// A chat with all that was said in it.
#[derive(Debug)]
pub(crate) struct Chat {
    pub id: i64,
    pub kind: ChatKind,
    pub title: String,
    pub username: Option<String>,
    pub members: BTreeMap<i64, Role>,
    /// What the bot is here.
    pub bot: Role,
    /// A bot may not write to a person who never wrote to it.
    pub started: bool,
    pub migrated_to: Option<i64>,
    pub posts: Vec<Post>,
    /// Of a forum group; empty of any other.
    pub topics: BTreeMap<i32, Topic>,
    /// Supergroups count their own messages; all other chats share one count.
    pub last_own_id: i32,
}

impl Chat {
    pub(crate) fn new(id: i64, title: &str) -> Self {
        Self {
            id,
            kind: ChatKind::of(id),
            title: title.to_owned(),
            username: None,
            members: BTreeMap::new(),
            bot: Role::Member,
            started: id < 0,
            migrated_to: None,
            posts: vec![],
            topics: BTreeMap::new(),
            last_own_id: 0,
        }
    }

    pub(crate) fn is_group(&self) -> bool {
        self.kind != ChatKind::Private
    }

    /// A `Chat` object.
    pub(crate) fn json(&self) -> Value {
        let mut chat = match self.kind {
            ChatKind::Private => json!({"id": self.id, "type": "private", "first_name": self.title}),
            ChatKind::Group => json!({"id": self.id, "type": "group", "title": self.title}),
            ChatKind::Supergroup => json!({"id": self.id, "type": "supergroup", "title": self.title}),
        };
        if let Some(username) = &self.username {
            chat["username"] = username.as_str().into();
        }
        if !self.topics.is_empty() {
            chat["is_forum"] = true.into();
        }
        chat
    }

    pub(crate) fn post(&self, message_id: i32) -> Option<&Post> {
        self.posts.iter().find(|post| post.message_id == message_id && !post.deleted)
    }

    pub(crate) fn post_mut(&mut self, message_id: i32) -> Option<&mut Post> {
        self.posts.iter_mut().find(|post| post.message_id == message_id && !post.deleted)
    }
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    Bot,
    User(i64),
    /// An administrator who hides behind the group: user 1087968824 with `sender_chat`.
    Anonymous,
    /// Telegram itself: "group upgraded" and the like.
    Service,
}

/// One message of a chat.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub message_id: i32,
    pub author: Author,
    pub date: i64,
    /// As the bot sent it, tags included.
    pub raw: String,
    pub text: Parsed,
    pub markup: Option<Value>,
    pub edited: Option<i64>,
    pub edits: u32,
    pub deleted: bool,
    pub silent: bool,
    pub reply_to: Option<i32>,
    /// The topic in which it stands; none: General, or no forum.
    pub topic: Option<i32>,
    pub link_preview: Option<Value>,
    /// Fields of a service message instead of a text.
    pub service: Option<Value>,
}

impl Post {
    pub(crate) fn new(message_id: i32, author: Author, raw: &str, text: Parsed) -> Self {
        Self {
            message_id,
            author,
            date: unix_now(),
            raw: raw.to_owned(),
            text,
            markup: None,
            edited: None,
            edits: 0,
            deleted: false,
            silent: false,
            reply_to: None,
            topic: None,
            link_preview: None,
            service: None,
        }
    }
}

/// The one place that asks for the date.
#[expect(clippy::disallowed_methods, reason = "the stand-in is the outside world: its messages carry real dates")]
pub(crate) fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

//! Who may use the bot, and what a role may do.

use crate::domain::{confirmation::Asks, ids::UserId, intent::Intent};

/// What configuration says about who may use the bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// The owner by claim link, and these.
    Listed(Vec<UserId>),
    /// `*`: a public service; every chat sees only its own servers.
    Everyone,
}

impl Allowed {
    pub fn admits(&self, user_id: UserId, owner: Option<UserId>) -> bool {
        match self {
            Self::Everyone => true,
            Self::Listed(users) => owner == Some(user_id) || users.contains(&user_id),
        }
    }

    /// Tells whether the backend offers a claim link: nobody is named, and there is no owner yet.
    pub fn needs_owner(&self, owner: Option<UserId>) -> bool {
        owner.is_none() && *self == Self::Listed(Vec::new())
    }
}

/// What a person may do in a chat; each role includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Viewer,
    /// Act on servers: restart services, do chores, reboot and cancel that.
    Operator,
    /// Add and remove servers.
    Manager,
}

/// What Telegram says of a person in a group. Not knowing means not allowing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Member,
    Administrator,
}

/// Gives the role that an intent asks for.
pub fn required(intent: &Intent) -> Role {
    match intent {
        Intent::AddServer { .. }
        | Intent::PairingSteps { .. }
        | Intent::RemoveServer { .. }
        | Intent::AskRemove { .. }
        | Intent::SetThreshold { .. } => Role::Manager,
        // Without a name it only asks.
        Intent::TimeZone { name } if name.is_some() => Role::Manager,
        // What is confirmed may ask for more: see `required_to_confirm`.
        Intent::AskRestart { .. }
        | Intent::AskChore { .. }
        | Intent::CancelReboot { .. }
        | Intent::Services { .. }
        | Intent::Acknowledge { .. }
        | Intent::AcknowledgeAll
        | Intent::Snooze { .. }
        | Intent::TestAlert
        | Intent::Mute { .. }
        | Intent::MuteFor { .. }
        | Intent::Unmute { .. }
        | Intent::Confirm { .. }
        | Intent::Decline { .. } => Role::Operator,
        Intent::Start { .. }
        | Intent::Help
        | Intent::Servers { .. }
        | Intent::Status { .. }
        | Intent::ShowServer { .. }
        | Intent::Refresh { .. }
        | Intent::Alerts { .. }
        | Intent::ShowIncident { .. }
        | Intent::Thresholds { .. }
        | Intent::ShowThresholds { .. }
        | Intent::TryThreshold { .. }
        | Intent::TimeZone { .. }
        | Intent::StaleButton
        | Intent::UnknownCommand
        | Intent::Reachable { .. }
        | Intent::Migrated { .. } => Role::Viewer,
    }
}

/// Gives the role that a confirmed question asks for. The role is that of the second tap, not of the first.
pub fn required_to_confirm(asks: &Asks) -> Role {
    match asks {
        Asks::Restart { .. } | Asks::Chore { .. } => Role::Operator,
        Asks::Remove {} => Role::Manager,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_but_owner_and_listed_users_is_admitted() {
        let listed = Allowed::Listed(vec![UserId(2)]);
        assert!(listed.admits(UserId(1), Some(UserId(1))));
        assert!(listed.admits(UserId(2), None));
        assert!(!listed.admits(UserId(3), Some(UserId(1))));
        assert!(Allowed::Everyone.admits(UserId(3), None));
    }

    #[test]
    fn a_claim_link_is_offered_only_where_nobody_is_named() {
        assert!(Allowed::Listed(Vec::new()).needs_owner(None));
        assert!(!Allowed::Listed(Vec::new()).needs_owner(Some(UserId(1))));
        assert!(!Allowed::Listed(vec![UserId(2)]).needs_owner(None));
        assert!(!Allowed::Everyone.needs_owner(None));
    }
}

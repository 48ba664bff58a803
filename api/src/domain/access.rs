//! Who may use the bot, and what a role may do.

use std::collections::BTreeSet;

use crate::domain::{confirmation::Asks, ids::UserId, intent::Intent};

/// What configuration says about who may use the bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// The owner by claim link, and these.
    Listed(Vec<UserId>),
    /// `*`: a public service; every chat sees only its own servers.
    Everyone,
}

/// What the operator said of a person with `osm-api access`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Granted,
    Revoked,
}

impl Word {
    pub const ALL: [Self; 2] = [Self::Granted, Self::Revoked];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Revoked => "revoked",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|word| word.as_str() == text)
    }
}

/// Whether a person may use the bot, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Owner,
    /// By `osm-api access grant`.
    Granted,
    /// By their number in `OSM_ALLOWED_USERS`.
    Listed,
    /// By `*` there.
    Everyone,
    /// Not admitted, whatever else names them: by `osm-api access revoke`, or they were the owner before another.
    Revoked,
    /// Not admitted, since nothing names them.
    Stranger,
}

impl Admission {
    pub fn is_admitted(self) -> bool {
        match self {
            Self::Owner | Self::Granted | Self::Listed | Self::Everyone => true,
            Self::Revoked | Self::Stranger => false,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Granted => "granted",
            Self::Listed => "listed",
            Self::Everyone => "everyone",
            Self::Revoked => "revoked",
            Self::Stranger => "stranger",
        }
    }
}

impl Allowed {
    /// Judges a person: the one truth about who is admitted. The operator's word goes before the configuration, and the owner,
    /// whom only another owner replaces, before both.
    pub fn admission(&self, user_id: UserId, owner: Option<UserId>, word: Option<Word>) -> Admission {
        match (self, word) {
            _ if owner == Some(user_id) => Admission::Owner,
            (_, Some(Word::Revoked)) => Admission::Revoked,
            (_, Some(Word::Granted)) => Admission::Granted,
            (Self::Everyone, None) => Admission::Everyone,
            (Self::Listed(users), None) if users.contains(&user_id) => Admission::Listed,
            (Self::Listed(_), None) => Admission::Stranger,
        }
    }

    /// Writes the setting in one form, by which a changed one is known.
    pub fn canonical(&self) -> String {
        match self {
            Self::Everyone => "*".to_owned(),
            Self::Listed(users) => {
                let users: BTreeSet<UserId> = users.iter().copied().collect();
                users.iter().map(UserId::to_string).collect::<Vec<_>>().join(",")
            }
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
    fn the_owner_the_granted_the_listed_and_with_a_star_everybody_is_admitted() {
        let listed = Allowed::Listed(vec![UserId(2)]);
        let owner = Some(UserId(1));
        assert_eq!(listed.admission(UserId(1), owner, None), Admission::Owner);
        assert_eq!(listed.admission(UserId(2), owner, None), Admission::Listed);
        assert_eq!(listed.admission(UserId(3), owner, Some(Word::Granted)), Admission::Granted);
        assert_eq!(listed.admission(UserId(3), owner, None), Admission::Stranger);
        assert_eq!(Allowed::Everyone.admission(UserId(3), owner, None), Admission::Everyone);
    }

    #[test]
    fn a_revocation_wins_over_everything_but_the_owners_row() {
        for allowed in [Allowed::Everyone, Allowed::Listed(vec![UserId(2)])] {
            assert_eq!(allowed.admission(UserId(2), Some(UserId(1)), Some(Word::Revoked)), Admission::Revoked);
            assert_eq!(allowed.admission(UserId(2), Some(UserId(2)), Some(Word::Revoked)), Admission::Owner);
        }
    }

    #[test]
    fn a_setting_has_one_form() {
        let written = |ids: &[i64]| Allowed::Listed(ids.iter().map(|id| UserId(*id)).collect()).canonical();
        assert_eq!(written(&[7, 5, 7]), written(&[5, 7]));
        assert_ne!(written(&[]), Allowed::Everyone.canonical());
    }

    #[test]
    fn a_claim_link_is_offered_only_where_nobody_is_named() {
        assert!(Allowed::Listed(Vec::new()).needs_owner(None));
        assert!(!Allowed::Listed(Vec::new()).needs_owner(Some(UserId(1))));
        assert!(!Allowed::Listed(vec![UserId(2)]).needs_owner(None));
        assert!(!Allowed::Everyone.needs_owner(None));
    }
}

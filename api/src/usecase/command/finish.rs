//! Commands are handed out, answered, or end by time alone.

use osm_protocol::{action::Outcome, envelope::Envelope};

use crate::{
    domain::{
        command::{Command, State},
        event::{By, CommandState, Event, Happened},
        ids::{CommandId, ServerId},
        notice::{Notice, Urgency},
    },
    error::{Refusal, Result},
    store::{self, commands, confirmations, outbox::Shown, servers},
    usecase::{Core, alert::incident, work::Work},
};

/// Hands out what waits for an agent beyond `after`, in order; each is from now on delivered.
pub async fn hand_out(core: &Core, server_id: ServerId, after: i64) -> Result<Vec<Envelope>> {
    // A look first: a poll that finds nothing writes nothing.
    let mut tx = core.store.read().await?;
    let server = servers::paired(&mut tx, server_id).await?.ok_or(Refusal::Removed(None))?;
    if server.suspended || !commands::any_waiting(&mut tx, server_id, after, core.clock.now()).await? {
        return Ok(Vec::new());
    }
    drop(tx);
    let mut work = Work::begin(core, By::Agent {}).await?;
    let handed_out = commands::hand_out(&mut work.tx, server_id, after, work.now).await?;
    for (open, _) in handed_out.iter().filter(|(open, _)| open.state == State::Queued) {
        show(&mut work, open).await?;
    }
    work.commit("hand-out").await?;
    Ok(handed_out.into_iter().map(|(_, envelope)| envelope).collect())
}

/// Notes how a command ended, as the agent says. Saying it again changes nothing.
pub async fn finish(core: &Core, server_id: ServerId, id: CommandId, outcome: &Outcome) -> Result<()> {
    let mut work = Work::begin(core, By::Agent {}).await?;
    servers::paired(&mut work.tx, server_id).await?.ok_or(Refusal::Removed(None))?;
    let open = commands::of_server(&mut work.tx, server_id, id).await?.ok_or(Refusal::NoSuchCommand)?;
    let Some(to) = open.state.with_outcome(outcome.result) else { return Ok(()) };
    let finish = commands::Finish { reason: outcome.reason, detail: &outcome.detail, at: work.now };
    if commands::transition(&mut work.tx, id, open.state, to, Some(finish)).await? {
        ended(&mut work, &open).await?;
    }
    work.commit("outcome").await?;
    Ok(())
}

/// Ends what time alone ends: commands nobody fetched or answered, questions nobody confirmed. Each chat is told by an edit.
pub async fn sweep(work: &mut Work<'_>) -> store::Result<()> {
    for open in commands::due(&mut work.tx, work.now).await? {
        if let Some(to) = open.state.with_time(open.expires_at, open.answer_by, work.now) {
            end(work, &open, to).await?;
        }
    }
    for closed in confirmations::expire(&mut work.tx, work.now).await? {
        show_closed(work, &closed).await?;
    }
    Ok(())
}

/// Ends what was asked of a server before its host was paired anew: questions, and commands that nobody has fetched.
pub async fn end_all(work: &mut Work<'_>, server_id: ServerId) -> store::Result<()> {
    for open in commands::queued(&mut work.tx, server_id).await? {
        take_back(work, &open).await?;
    }
    for closed in confirmations::close(&mut work.tx, server_id).await? {
        show_closed(work, &closed).await?;
    }
    Ok(())
}

/// Takes a command back; false when it was handed out first.
pub(super) async fn take_back(work: &mut Work<'_>, open: &commands::Open) -> store::Result<bool> {
    end(work, open, State::Cancelled).await
}

/// Ends a command without an outcome; false when something else ended it first.
async fn end(work: &mut Work<'_>, open: &commands::Open, to: State) -> store::Result<bool> {
    let finish = commands::Finish { reason: None, detail: "", at: work.now };
    let ended = commands::transition(&mut work.tx, open.id, open.state, to, Some(finish)).await?;
    if ended {
        self::ended(work, open).await?;
    }
    Ok(ended)
}

async fn ended(work: &mut Work<'_>, open: &commands::Open) -> store::Result<()> {
    if let Some(command) = commands::get(&mut work.tx, open.chat_id, open.id).await? {
        let Command { id, server_id, server_name, action, state, .. } = command;
        let event = Event::CommandEnded { command: id, action, state: CommandState(state) };
        work.record(Happened::to_server(open.chat_id, server_id, &server_name, event));
    }
    show(work, open).await
}

/// Lets the command's message, and the alerts that it may mend, show its course.
async fn show(work: &mut Work<'_>, open: &commands::Open) -> store::Result<()> {
    let notice = Notice::Command { command_id: open.id };
    let shown = Shown { chat_id: open.chat_id, message_id: open.message_id, notice: &notice, urgency: Urgency::Answer };
    work.edit(&shown).await?;
    incident::show_command(work, open.server_id).await
}

async fn show_closed(work: &mut Work<'_>, closed: &confirmations::Closed) -> store::Result<()> {
    work.refresh(closed.chat_id, closed.message_id, &Notice::Confirmation { confirmation_id: closed.id }).await
}

//! What agents call.

use std::{sync::Arc, time::Duration};

use osm_protocol::{
    action::Outcome,
    envelope::Envelope,
    messages::{Acknowledgement, Commands, PairResponse, Problem, Receipt, ReportBatch},
};
use poem::web::Data;
use poem_openapi::{
    ApiResponse, OpenApi, Tags,
    param::{Path, Query},
    payload::{Json, Payload},
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::Type,
};
use tokio::time::sleep;

use crate::{
    domain::ids::CommandId,
    error::{Error, Refusal, Result},
    http::{
        keys::Owner,
        problem,
        signed::{Caller, RETRY_S, SelfSigned, Signed, SignedJson},
        state::Http,
    },
    usecase::{command::finish, pair::complete::complete, report::Submission, server::remove},
};

/// The longest a poll may wait, seconds: below the idle time-outs that proxies have by default (60 s).
const WAIT_MAX: u64 = 50;

pub struct AgentApi;

#[derive(Tags)]
enum Tag {
    /// Calls of the agent on a monitored server.
    Agent,
}

#[OpenApi(prefix_path = "/agent/v1", tag = "Tag::Agent")]
impl AgentApi {
    /// Pair this host
    ///
    /// Uses up a one-time token from the chat. The request is signed with the new key that it brings. The same token from the
    /// same key gets the same answer again; wrong, used and expired tokens get one and the same refusal.
    #[oai(path = "/pair", method = "post", operation_id = "pair")]
    async fn pair(&self, http: Data<&Arc<Http>>, request: SelfSigned) -> Result<Json<PairResponse>> {
        let paired = complete(&http.core, &request.body, &request.key, &request.address).await?;
        http.keys.put(Owner { server_id: paired.server_id, key: request.key.into() }, http.core.clock.steady());
        drop(request.held);
        Ok(Json(paired))
    }

    /// Report
    ///
    /// The live report, or backlog, newest first. Answered when it is durable; a report that was stored before changes nothing.
    #[oai(path = "/reports", method = "post", operation_id = "report")]
    async fn reports(&self, http: Data<&Arc<Http>>, request: SignedJson<ReportBatch>) -> Result<Json<Receipt>> {
        let core = &http.core;
        let SignedJson { caller, body: batch, held } = request;
        let now = core.clock.now();
        let Caller { server_id, key, address, nonce } = caller;
        let submission = Submission { server_id, batch, address, received_at: now };
        http.reports.submit(submission).await.map_err(|error| http.prove(&key, error))?;
        drop(held);
        Ok(Json(Receipt { now: core.clock.now(), key_set_version: core.keys.trusted.version, nonce }))
    }

    /// Wait for commands
    ///
    /// Signed command envelopes (DSSE) with a seq above `after`, in order; empty when `wait` seconds (0 to 50) passed without
    /// one.
    #[oai(path = "/commands", method = "get", operation_id = "commands")]
    async fn commands(
        &self,
        http: Data<&Arc<Http>>,
        request: Signed,
        wait: Query<Option<u64>>,
        after: Query<Option<i64>>,
    ) -> Result<Json<Commands>> {
        let server_id = request.0.server_id;
        let _place = http.limits.polls_at_once.enter(server_id).ok_or(Refusal::TooManyOfKey { retry_after_s: RETRY_S })?;
        let wait = sleep(Duration::from_secs(wait.0.unwrap_or(0).min(WAIT_MAX)));
        tokio::pin!(wait);
        let poll = http.core.store.hub.poll(server_id);
        let mut is_over = false;
        loop {
            // Listening before looking: what is committed in between is not missed.
            let woken = poll.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let commands = finish::hand_out(&http.core, server_id, after.0.unwrap_or(0)).await;
            let commands = commands.map_err(|error| http.prove(&request.0.key, error))?;
            if !commands.is_empty() || is_over {
                return Ok(Json(Commands { commands }));
            }
            // It looks once more when the wait is over: a wake from another instance may have been lost.
            tokio::select! {
                () = woken => {}
                () = &mut wait => is_over = true,
                () = http.core.store.hub.stopped() => is_over = true,
            }
        }
    }

    /// Say how a command ended
    ///
    /// Saying it again changes nothing. An outcome overrides what the backend had assumed.
    #[oai(path = "/commands/:id/outcome", method = "post", operation_id = "outcome")]
    async fn outcome(
        &self,
        http: Data<&Arc<Http>>,
        request: SignedJson<Outcome>,
        id: Path<CommandId>,
    ) -> Result<Json<Acknowledgement>> {
        let Caller { server_id, key, nonce, .. } = request.caller;
        finish::finish(&http.core, server_id, id.0, &request.body).await.map_err(|error| http.prove(&key, error))?;
        Ok(Json(Acknowledgement { nonce }))
    }

    /// The key set
    ///
    /// Which keys sign commands: a DSSE envelope signed by the root key that the pairing token pinned.
    #[oai(path = "/keys", method = "get", operation_id = "keys")]
    #[expect(clippy::unused_async, reason = "a handler of poem-openapi is async")]
    async fn keys(&self, http: Data<&Arc<Http>>, _request: Signed) -> Result<Json<Envelope>> {
        Ok(Json(http.core.keys.key_set.clone()))
    }

    /// Unpair this host
    ///
    /// Deletes the server with all that is stored of it, and tells the chat.
    #[oai(path = "/unpair", method = "post", operation_id = "unpair")]
    async fn unpair(&self, http: Data<&Arc<Http>>, request: Signed) -> Result<Json<Acknowledgement>> {
        let Caller { server_id, key, nonce, .. } = request.0;
        remove::unpair(&http.core, server_id).await.map_err(|error| http.prove(&key, error))?;
        Ok(Json(Acknowledgement { nonce }))
    }
}

impl ApiResponse for Error {
    fn meta() -> MetaResponses {
        let content = || vec![MetaMediaType { content_type: problem::MEDIA_TYPE, schema: Problem::schema_ref() }];
        let responses = problem::documented().into_iter().map(|(status, description)| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content: content(),
            headers: Vec::new(),
        });
        MetaResponses { responses: responses.collect() }
    }

    fn register(registry: &mut Registry) {
        <Json<Problem> as Payload>::register(registry);
    }
}

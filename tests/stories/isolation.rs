//! Nobody sees or moves what belongs to another chat, whatever they send; in a group the role of the moment counts.

use osm_protocol::{
    envelope::{self, Envelope},
    key::PublicKey,
    keyset::Replace,
    messages::PairResponse,
    pairing_token::PairingToken,
};
use osm_telegram_sim::{BotMessage, ButtonKind, Failure, FailureKind, Group, Options, Role, User};
use osm_tests::{
    agent::Agent,
    story,
    world::{ANNA, BORIS, SOON, World},
};

/// A bot for everybody.
async fn public(engine: osm_tests::database::Engine) -> World {
    World::with(engine, Options::default(), &[("OSM_ALLOWED_USERS", "*"), ("OSM_TELEGRAM_MODE", "webhook")]).await
}

/// What a message's buttons carry, of those that name something of the chat's own.
fn named(message: &BotMessage) -> Vec<String> {
    let data = message.buttons.iter().flatten().filter_map(|button| match &button.kind {
        ButtonKind::Callback(data) => Some(data.clone()),
        _ => None,
    });
    data.filter(|data| data.len() > 16).collect()
}

story!(a_stranger_with_all_of_annas_buttons_sees_nothing_and_changes_nothing, |engine| {
    let world = public(engine).await;
    let agent = world.paired("web-1").await;
    let (token, pairing) = world.token(&world.anna, "web-2").await;
    let mut stolen = named(&pairing);
    let list = world.ask(&world.anna, "/servers", "Servers").await;
    stolen.extend(named(&list));
    let choice = world.ask(&world.anna, "/remove_server", "Which server").await;
    stolen.extend(named(&choice));
    let card = world.ask(&world.anna, "/status", "online").await;
    stolen.extend(named(&card));
    world.tap(&world.anna, &card, "Restart").await;
    let services = world.becomes(&card, "Restart a service on").await;
    stolen.extend(named(&services));
    world.tap(&world.anna, &services, "nginx").await;
    let question = world.see(ANNA, "can confirm, within 60 s").await;
    stolen.extend(named(&question));
    stolen.sort();
    stolen.dedup();
    // One of every kind: pairing steps, show, refresh, services, restart, chores, remove, confirm, decline.
    for verb in ["p:", "s:", "r:", "v:", "u:", "c:", "d:", "y:", "n:"] {
        assert!(stolen.iter().any(|data| data.starts_with(verb)), "{verb} is missing: {stolen:?}");
    }
    let before: Vec<_> = world.sim.messages(ANNA).into_iter().map(|message| (message.message_id, message.edits)).collect();

    world.ask(&world.boris, "/servers", "Nothing is paired").await;
    world.ask(&world.boris, "/status web-1", "No server here").await;
    world.ask(&world.boris, "/remove_server web-1", "No server here").await;
    let own = world.ask(&world.boris, "/help", "/servers").await;
    for data in &stolen {
        let toast = world.tap_data(&world.boris, &own, data).await;
        // Pairing steps show what there is in place, and there is nothing.
        let said = toast.text.unwrap_or_default();
        assert!(said.contains("no longer so") || data.starts_with("p:"), "{data}: {said:?}");
    }
    world.settled(SOON).await;

    let seen = world.sim.transcript(BORIS);
    for secret in ["online", "Debian", "nginx", "CPU", "OSM1-", "fingerprint", "can confirm"] {
        assert!(!seen.contains(secret), "{secret}:\n{seen}");
    }
    world.hears_nothing(BORIS).await;
    let after: Vec<_> = world.sim.messages(ANNA).into_iter().map(|message| (message.message_id, message.edits)).collect();
    assert_eq!(after, before, "nothing moves in Anna's chat");
    assert!(agent.envelopes(0).await.unwrap().is_empty());

    // Everything of Anna's is as it was: the question is open, the token works, the server is there.
    world.tap(&world.anna, &question, "Restart").await;
    assert_eq!(agent.envelopes(10).await.unwrap().len(), 1);
    world.pair(ANNA, &token).await;
    let list = world.ask(&world.anna, "/servers", "Servers").await;
    assert!(list.plain.contains("web-1") && list.plain.contains("web-2"), "{}", list.plain);
});

/// A server that belongs to a group of Anna's.
async fn paired_in_group(world: &World) -> (Group, Agent, BotMessage) {
    world.ask(&world.anna, "/start", "Online Server Monitor").await;
    let group = world.sim.group(-1_000_000_000_321, "Ops", &[world.anna.admin(), world.boris.member()]);
    let (agent, card) = world.paired_in(&group, "web-1").await;
    (group, agent, card)
}

async fn group_question(world: &World, group: &Group, card: &BotMessage) -> BotMessage {
    world.tap(&world.anna, card, "Restart").await;
    let services = world.becomes(card, "Restart a service on").await;
    world.tap(&world.anna, &services, "nginx").await;
    world.see(group, "can confirm, within 60 s").await
}

story!(who_is_no_administrator_any_more_cannot_confirm_what_they_asked_for, |engine| {
    let world = World::new(engine).await;
    let (group, agent, card) = paired_in_group(&world).await;
    let question = group_question(&world, &group, &card).await;

    world.sim.set_role(&group, &world.anna, Role::Member);
    let toast = world.tap(&world.anna, &question, "Restart").await;
    assert!(toast.text.unwrap_or_default().contains("You may look"));
    assert!(agent.envelopes(0).await.unwrap().is_empty());

    // The question was not used up.
    world.sim.set_role(&group, &world.anna, Role::Administrator);
    world.tap(&world.anna, &question, "Restart").await;
    assert_eq!(agent.envelopes(10).await.unwrap().len(), 1);
});

story!(when_telegram_does_not_say_who_is_administrator_nobody_is, |engine| {
    let world = World::new(engine).await;
    let (group, agent, card) = paired_in_group(&world).await;
    let question = group_question(&world, &group, &card).await;
    for kind in [FailureKind::DropBefore, FailureKind::ServerError, FailureKind::TooManyRequests { retry_after: 1 }] {
        world.sim.fail(Failure::new(kind).on("getChatMember"));
        let toast = world.tap(&world.anna, &question, "Restart").await;
        assert!(toast.text.unwrap_or_default().contains("You may look"), "{kind:?}");
        assert!(agent.envelopes(0).await.unwrap().is_empty(), "{kind:?}");
    }
    world.tap(&world.anna, &question, "Restart").await;
    assert_eq!(agent.envelopes(10).await.unwrap().len(), 1);
});

async fn token_of(world: &World, user: &User) -> String {
    world.token(user, "mine").await.0
}

story!(a_replacement_signed_by_another_servers_key_is_refused_and_takes_nothing, |engine| {
    let world = public(engine).await;
    let victim = world.paired("web-1").await;
    let of_boris = world.pair(BORIS, &token_of(&world, &world.boris).await).await;

    let token = token_of(&world, &world.boris).await;
    let mut new = Agent::new(&world);
    let reply = new.pair_replacing(&token, victim.server_id, &of_boris, "c").await;
    assert_eq!((reply.status, reply.problem().detail.starts_with("replaces: ")), (422, true));
    // Also when the envelope says that the victim's key had signed it.
    let mut request = new.pair_request(&token);
    let replace = Replace {
        server_id: victim.server_id,
        new_key: request.agent_key.clone(),
        token_hash: PairingToken::parse(&token).unwrap().hash(),
    };
    let mut forged = Envelope::sign_json(envelope::REPLACE, &replace, &of_boris.key);
    forged.signatures[0].keyid = PublicKey::from(&victim.key).id();
    request.replaces = Some(forged);
    let reply = new.post("/agent/v1/pair", &request).await.unwrap();
    assert_eq!((reply.status, reply.problem().detail.starts_with("replaces: ")), (422, true));
    // And when the victim's consent was for another key, or another token.
    let (other, other_token) = (Agent::new(&world), token_of(&world, &world.boris).await);
    for (new_key, token_hash) in [
        (PublicKey::from(&other.key).to_string(), PairingToken::parse(&token).unwrap().hash()),
        (request.agent_key.clone(), PairingToken::parse(&other_token).unwrap().hash()),
    ] {
        let replace = Replace { server_id: victim.server_id, new_key, token_hash };
        request.replaces = Some(Envelope::sign_json(envelope::REPLACE, &replace, &victim.key));
        assert_eq!(new.post("/agent/v1/pair", &request).await.unwrap().status, 422);
    }

    let mut report = victim.report();
    report.at += 1000;
    victim.send_report(&report).await.unwrap();
    assert_ne!(new.pair(&token).await.unwrap().server_id, victim.server_id, "the token was not used up");
    assert!(world.ask(&world.anna, "/status", "online").await.plain.contains("web-1"));
});

story!(a_clone_that_pairs_with_its_originals_key_is_a_second_server, |engine| {
    let world = World::new(engine).await;
    let original = world.paired("web-1").await;
    let (token, _) = world.token(&world.anna, "copy").await;
    let mut clone = Agent::new(&world);
    let reply = clone.pair_replacing(&token, original.server_id, &original, "d").await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let paired: PairResponse = reply.json().unwrap();
    assert_eq!(paired.name, "copy");
    world.see(ANNA, "Key fingerprint").await;
    assert_ne!(paired.server_id, original.server_id);
    clone.server_id = paired.server_id;
    clone.send_report(&clone.report()).await.unwrap();
    world.see(ANNA, "online").await;

    let mut report = original.report();
    report.at += 1000;
    original.send_report(&report).await.unwrap();
    let list = world.ask(&world.anna, "/servers", "Servers").await;
    assert!(list.plain.contains("web-1") && list.plain.contains("copy"), "{}", list.plain);
});

story!(a_replaced_key_is_refused_at_once_where_it_was_replaced, |engine| {
    let world = World::new(engine).await;
    let old = world.paired("web-1").await;
    let (token, _) = world.token(&world.anna, "web-1").await;
    let new = Agent::new(&world);
    assert_eq!(old.send_reports(vec![old.report()]).await.unwrap().status, 200);
    let reply = new.pair_replacing(&token, old.server_id, &old, "c").await;
    assert_eq!(reply.json::<PairResponse>().unwrap().server_id, old.server_id);
    assert_eq!(old.request("GET", "/agent/v1/keys", None, b"").await.unwrap().status, 410);
    assert_eq!(new.send_reports(vec![new.report()]).await.unwrap().status, 200);
});

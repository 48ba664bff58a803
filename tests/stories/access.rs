//! Who is admitted has one truth, looked at at each tap, when a token is used, and when a private chat is written to.

use osm_telegram_sim::BotMessage;
use osm_tests::{
    agent::Agent,
    database::{self, Engine},
    story,
    talk::token_in,
    world::{ANNA, BORIS, SOON, World},
};

/// A bot that nobody is named for, by the system's clock, as the operator's commands have no other; Anna has claimed it.
async fn owned(engine: Engine) -> World {
    let world = World::on_system_clock(engine, &[("OSM_ALLOWED_USERS", "")]).await;
    let link = world.claim_link().await;
    let code = link.rsplit_once('=').expect("a code").1;
    world.ask(&world.anna, &format!("/start {code}"), "You are now the owner").await;
    world
}

/// A server of Boris's, with its first report.
async fn of_boris(world: &World, name: &str) -> Agent {
    let (token, _) = world.token(&world.boris, name).await;
    let mut agent = Agent::new(world);
    agent.pair(&token).await.unwrap();
    agent.send_report(&agent.report()).await.unwrap();
    world.see_among(BORIS, "online").await;
    agent
}

/// A service of this server fails.
async fn fails(agent: &Agent) {
    let mut report = agent.report();
    "failed".clone_into(&mut report.services[0].active_state);
    "failed".clone_into(&mut report.services[0].sub_state);
    agent.send_report(&report).await.unwrap();
}

async fn refused(world: &World, token: &str) {
    let error = Agent::new(world).pair(token).await.unwrap_err().to_string();
    assert!(error.starts_with("403") && error.contains("wrong, used or expired"), "{error}");
}

fn heard(world: &World, chat: i64) -> Vec<(i32, u32)> {
    world.sim.messages(chat).into_iter().map(|message| (message.message_id, message.edits)).collect()
}

// Finding 2.
story!(a_stolen_owners_account_is_deposed_on_the_machine, |engine| {
    let mut world = owned(engine).await;
    let agent = world.paired("web-1").await;
    let (token, pairing) = world.token(&world.anna, "web-2").await;
    let card = world.ask(&world.anna, "/status web-1", "online").await;

    let revoked = world.operate(&["access", "revoke", "1001"]);
    assert_eq!(revoked.status.code(), Some(3), "{revoked:?}");
    assert!(revoked.failed().contains("make somebody else the owner first, by `osm-api access set-owner USER`"));
    // The operator learns the number of whoever comes after.
    world.ask(&world.boris, "/start", "your number is 1002").await;
    let said = world.operate(&["access", "set-owner", "1002"]).succeeded();
    for line in
        ["1002 is the owner.", "1001, the owner before, may no longer use the bot", "died: 1", "Left in chat 1001: web-1."]
    {
        assert!(said.contains(line), "{line}:\n{said}");
    }
    world.see_among(BORIS, "You are the owner of this bot now").await;
    let left = world.see_among(BORIS, "Servers of people who may no longer").await;
    assert!(left.plain.contains("Person 1001, private chat: web-1. Nothing is sent there."), "{}", left.plain);
    world.see_among(ANNA, "You may no longer use this bot").await;
    let without_token = |message: &BotMessage| message.message_id == pairing.message_id && !message.plain.contains(&token);
    world.sim.wait(ANNA, SOON, without_token).await.unwrap();

    let before = heard(&world, ANNA);
    refused(&world, &token).await;
    let toast = world.tap(&world.anna, &card, "Refresh").await;
    assert!(toast.text.unwrap_or_default().contains("You may look"));
    fails(&agent).await;
    world.settled(SOON).await;
    assert_eq!(heard(&world, ANNA), before, "nothing more is told:\n{}", world.sim.transcript(ANNA));

    // A star does not let the old owner in again, nor does their number.
    for setting in ["*", "1001"] {
        world.stop().await.unwrap();
        world.set("OSM_ALLOWED_USERS", setting);
        world.start().await.unwrap();
        world.ask(&world.anna, "/servers", "private bot").await;
    }
    assert_eq!(world.operate(&["access", "grant", "1001"]).succeeded(), "1001 may use the bot.\n");
    world.see_among(ANNA, "You may use this bot now").await;
    world.ask(&world.anna, "/servers", "web-1").await;
    // The operator moves what a thief paired, too.
    let list: serde_json::Value = serde_json::from_str(&world.operate(&["servers", "list", "--json"]).succeeded()).unwrap();
    let id = list["servers"][0]["id"].as_str().unwrap();
    world.ask(&world.boris, "/servers", "Nothing is paired").await;
    world.operate(&["servers", "move", id, "1002"]).succeeded();
    world.see_among(ANNA, "web-1 was moved to another chat").await;
    // What is wrong with it is told there, as soon as that it was moved: an alert may overtake.
    let mut left = vec!["web-1 was moved here", "nginx.service"];
    while !left.is_empty() {
        let message = world.see_among(BORIS, "").await;
        left.retain(|expected| !message.plain.contains(expected));
    }
    world.ask(&world.boris, "/servers", "web-1").await;
    world.ask(&world.anna, "/servers", "Nothing is paired").await;
});

// Finding 4.
story!(who_is_no_longer_named_hears_nothing_pairs_nothing_and_the_owner_is_told_once, |engine| {
    let mut world = World::on_system_clock(engine, &[("OSM_ALLOWED_USERS", "1001,1002")]).await;
    world.operate(&["access", "set-owner", "1001"]).succeeded();
    // That she is the owner reaches her only if she has written first.
    world.sim.say(&world.anna, &world.anna, "/start");
    world.see_among(ANNA, "Online Server Monitor").await;
    let agent = of_boris(&world, "db-1").await;
    let (token, pairing) = world.token(&world.boris, "db-2").await;
    world.settled(SOON).await;

    world.stop().await.unwrap();
    world.set("OSM_ALLOWED_USERS", "1001");
    world.start().await.unwrap();
    let told = |world: &World| {
        world.sim.messages(ANNA).iter().filter(|message| message.plain.contains("Person 1002, private chat: db-1.")).count()
    };
    world.see_among(ANNA, "Person 1002, private chat: db-1.").await;
    let without_token = |message: &BotMessage| message.message_id == pairing.message_id && !message.plain.contains(&token);
    world.sim.wait(BORIS, SOON, without_token).await.unwrap();
    let before = heard(&world, BORIS);
    refused(&world, &token).await;
    fails(&agent).await;
    world.settled(SOON).await;
    assert_eq!(heard(&world, BORIS), before, "{}", world.sim.transcript(BORIS));

    // Nothing has changed since.
    world.stop().await.unwrap();
    world.start().await.unwrap();
    world.ask(&world.anna, "/help", "/servers").await;
    world.settled(SOON).await;
    assert_eq!(told(&world), 1);
    assert_eq!(
        world.operate(&["chats", "revoke", "1002", "--json"]).succeeded(),
        "{\"chat_id\":1002,\"servers\":[\"db-1\"],\"tokens\":0}\n"
    );
    assert_eq!(agent.send_reports(vec![agent.report()]).await.unwrap().status, 410);
});

story!(a_token_made_before_its_maker_was_revoked_pairs_nothing, |engine| {
    let world = World::on_system_clock(engine, &[("OSM_ALLOWED_USERS", "*")]).await;
    let (token, _) = world.token(&world.boris, "web-1").await;
    // As if the word had come from elsewhere: the token itself is as it was.
    world.sql("INSERT INTO people (user_id, word, since) VALUES (1002, 'revoked', 1)").await;
    refused(&world, &token).await;
    world.sql("DELETE FROM people").await;
    Agent::new(&world).pair(&token).await.unwrap();
});

story!(a_revocation_wins_over_a_grant_the_list_and_the_star, |engine| {
    let mut world = World::on_system_clock(engine, &[("OSM_ALLOWED_USERS", "1001")]).await;
    world.ask(&world.boris, "/start", "private bot").await;
    let granted = world.operate(&["access", "grant", "1002", "--json"]).succeeded();
    assert_eq!(granted, "{\"user_id\":1002,\"changed\":true}\n");
    assert_eq!(world.operate(&["access", "grant", "1002"]).succeeded(), "1002 could use the bot before.\n");
    world.see_among(BORIS, "You may use this bot now").await;
    world.ask(&world.boris, "/start", "Add a server").await;
    for setting in ["1001", "1001,1002", "*"] {
        world.stop().await.unwrap();
        world.set("OSM_ALLOWED_USERS", setting);
        world.start().await.unwrap();
        let revoked = world.operate(&["access", "revoke", "1002", "--json"]).succeeded();
        let expected = if setting == "1001" {
            "{\"user_id\":1002,\"changed\":true,\"ended\":{\"user_id\":1002,\"tokens\":0,\"left\":[]}}\n"
        } else {
            "{\"user_id\":1002,\"changed\":false}\n"
        };
        assert_eq!(revoked, expected, "{setting}");
        world.ask(&world.boris, "/servers", "private bot").await;
    }
    let list: serde_json::Value = serde_json::from_str(&world.operate(&["access", "list", "--json"]).succeeded()).unwrap();
    assert_eq!(list["everyone"], true);
    assert_eq!(list["people"].as_array().unwrap().len(), 1, "{list}");
    let boris = &list["people"][0];
    assert_eq!((&boris["user_id"], &boris["admitted"], &boris["admission"]), (&1002.into(), &false.into(), &"revoked".into()));
    assert!(boris["since"].as_str().unwrap().ends_with('Z'), "{list}");
    // Each is an event of the operator, and those without a change are none.
    let kinds = database::texts(&world.database_url(), "SELECT kind FROM events WHERE actor LIKE '%operator%' ORDER BY id").await;
    assert_eq!(kinds.unwrap().concat(), [Some("access-granted".to_owned()), Some("access-revoked".to_owned())]);
});

// Finding 12.
story!(of_strangers_nothing_is_stored_and_of_nobody_the_title_of_a_chat, |engine| {
    let world = World::new(engine).await;
    world.ask(&world.anna, "/start", "Online Server Monitor").await;
    let group = world.sim.group(-1_000_000_000_555, "Secret plans", &[world.boris.member()]);
    world.ask(&world.boris, "/start", "private bot").await;
    world.sim.say(&group, &world.boris, "/servers@osm_demo_bot");
    world.sim.block(&world.boris);
    world.sim.wait_delivered(SOON).await.unwrap();
    world.settled(SOON).await;
    assert_eq!(world.rows("SELECT id FROM chats").await, [[ANNA]]);
    assert_eq!(world.rows("SELECT COUNT(*) FROM events").await, [[0]]);
    for column in ["id", "inner_id", "kind", "language", "zone"] {
        let texts = database::texts(&world.database_url(), &format!("SELECT CAST({column} AS TEXT) FROM chats")).await.unwrap();
        assert!(texts.concat().into_iter().flatten().all(|text| !text.contains("Anna")), "{column}");
    }
});

// Finding 9.
story!(a_host_that_is_paired_into_another_chat_begins_anew_there_and_its_history_stays, |engine| {
    let world = World::on_system_clock(engine, &[("OSM_ALLOWED_USERS", "*")]).await;
    let old = world.paired("web-1").await;
    fails(&old).await;
    world.see_among(ANNA, "failed").await;
    let (token, _) = world.token(&world.boris, "").await;
    let mut new = Agent::new(&world);
    let reply = new.pair_replacing(&token, old.server_id, &old, "c").await;
    let paired: osm_protocol::messages::PairResponse = reply.json().unwrap();
    assert_ne!(paired.server_id, old.server_id);
    new.server_id = paired.server_id;
    new.send_report(&new.report()).await.unwrap();
    world.see_among(BORIS, "online").await;

    // The old chat hears the truth, and has what it had.
    let told = world.see_among(ANNA, "web-1 was paired anew, in another chat").await;
    assert!(told.plain.contains("stays until you remove it") && !told.plain.contains("deleted"), "{}", told.plain);
    world.ask(&world.anna, "/servers", "paired elsewhere").await;
    let figures = |id: osm_protocol::ids::ServerId| format!("SELECT COUNT(*) FROM reports WHERE server_id = '{id}'");
    assert_eq!(world.rows(&figures(old.server_id)).await, [[2]]);
    assert_eq!(world.rows(&figures(new.server_id)).await, [[1]], "no history was handed over");
    assert_eq!(world.rows("SELECT COUNT(*) FROM incidents WHERE resolved_at IS NULL").await, [[0]]);
    world.ask(&world.boris, "/alerts", "Nothing is open").await;
    // Whoever still has the old key changes nothing there.
    assert_eq!(old.send_reports(vec![old.report()]).await.unwrap().status, 410);
    assert_eq!(world.rows(&figures(old.server_id)).await, [[2]]);

    let card = world.ask(&world.anna, "/status web-1", "paired anew in another chat").await;
    world.tap(&world.anna, &card, "Remove").await;
    let question = world.see_among(ANNA, "Remove web-1").await;
    world.tap(&world.anna, &question, "Remove").await;
    world.becomes(&question, "web-1 is removed").await;
    assert_eq!(world.rows(&figures(old.server_id)).await, [[0]]);
    new.send_report(&new.report()).await.unwrap();
    world.ask(&world.boris, "/servers", "web-1").await;
});

story!(the_owner_hears_of_what_somebody_paired_in_a_group_and_it_goes_on_there, |engine| {
    let world = World::on_system_clock(engine, &[("OSM_ALLOWED_USERS", "1001,1002")]).await;
    world.ask(&world.anna, "/start", "Online Server Monitor").await;
    world.operate(&["access", "set-owner", "1001"]).succeeded();
    world.see_among(ANNA, "You are the owner of this bot now").await;
    world.ask(&world.boris, "/start", "Online Server Monitor").await;
    let group = world.sim.group(-1_000_000_000_556, "Ops", &[world.boris.admin(), world.anna.member()]);
    world.sim.say(&group, &world.boris, "/add_server@osm_demo_bot web-1");
    let token = token_in(&world.see_among(BORIS, "osm-agent pair").await).unwrap();
    let mut agent = Agent::new(&world);
    agent.pair(&token).await.unwrap();
    agent.send_report(&agent.report()).await.unwrap();
    let card = world.see_among(&group, "online").await;

    world.operate(&["access", "revoke", "1002"]).succeeded();
    let left = world.see_among(ANNA, "Person 1002, paired in group").await;
    assert!(left.plain.contains("-1000000000556: web-1. The group goes on hearing of them."), "{}", left.plain);
    // They may look there, as every member, and no more.
    world.tap(&world.boris, &card, "Refresh").await;
    let toast = world.tap(&world.boris, &card, "Reboot").await;
    assert!(toast.text.unwrap_or_default().contains("You may look"));
    fails(&agent).await;
    world.see_among(&group, "nginx.service failed").await;
});

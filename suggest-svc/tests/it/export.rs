//! What a person gets to see of what is kept about them.

use proto::suggest::v1::Discoverability;

use crate::{
    on_both_stores,
    world::{World, connections},
};

/// A person's records as text, without their times.
async fn told(world: &World, person: &str) -> Vec<String> {
    let record = |record: proto::types::v1::ExportRecord| {
        let fields = record.fields.iter().map(|field| format!("{}={}", field.name, field.value));
        format!("{} {}", record.category, fields.collect::<Vec<_>>().join(" "))
    };
    world.export(person).await.into_iter().map(record).collect()
}

async fn everything_of_a_person_is_exported_and_of_others_only_whom_they_know(world: World) {
    world.people(&["ann", "bob", "cec"]).await;
    world.connect(&[("ann", "cec"), ("bob", "cec"), ("ann", "bob")]).await.unwrap();
    let end = world.clock.now().get() + 60_000;
    world.grants.grant_until(crate::world::USE, "ann", end);
    world.until_heard().await;
    // Nobody has the last address: what is told is how many were sent.
    world.user("ann").uploads(&["bob", "nobody"]).await;
    world.user("ann").settings(Discoverability::Nobody, false).await;
    world.user("ann").blocks("dan").await;
    world.user("bob").blocks("ann").await;
    assert_eq!(
        told(&world, "ann").await,
        [
            "suggest.consent transfer=granted \
             friend_suggestions=granted until 2026-03-01T00:01:00Z spam=granted",
            "suggest.registration identifier_keys=1 number_ranges=0",
            "suggest.contacts accepted=2",
            "suggest.uploaded fingerprints=2",
            "suggest.contact_quota full_at=2026-03-02T00:00:00Z",
            "suggest.settings discoverability=nobody may_be_mutual_connection=false",
            "suggest.block subject_id=dan",
            "suggest.connection subject_id=bob",
            "suggest.connection subject_id=cec",
        ]
    );
    let records = world.export("ann").await;
    assert_eq!(records[6].recorded_at, Some(world.clock.now().into()));
    assert!(told(&world, "dan").await.is_empty());
}

async fn an_export_of_many_connections_comes_in_parts(world: World) {
    let names: Vec<String> = (0..5_500).map(|n| format!("p{n:05}")).collect();
    let mut everybody: Vec<&str> = names.iter().map(String::as_str).collect();
    everybody.push("ann");
    world.agreed(&everybody);
    let pairs: Vec<_> = names.iter().map(|name| ("ann", name.as_str())).collect();
    assert_eq!(connections(&pairs).len(), 5_500);
    world.connect(&pairs).await.unwrap();
    let told = told(&world, "ann").await;
    let known = told.iter().filter_map(|one| one.strip_prefix("suggest.connection subject_id="));
    assert!(known.eq(names.iter().map(String::as_str)));
}

on_both_stores! {
    everything_of_a_person_is_exported_and_of_others_only_whom_they_know,
    an_export_of_many_connections_comes_in_parts,
}

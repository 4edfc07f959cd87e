//! Keys are changed while the routers share load, as docs/operation.md says.

use lab::group::Group;
use lab::load::Load;
use lab::poll;
use lab::topology::sharing::{Setup, Sharing};

use super::moves::move_around;
use super::{DEADLINE, RATES, expect_exact, program};

/// The setup with keys of these ids, the oldest first.
fn with_keys(ids: &[u8]) -> Setup {
    let keys: Vec<String> = ids
        .iter()
        .map(|id| format!("{{ id = {id}, secret = \"a secret of the laboratory, {id}\" }}"))
        .collect();
    let keys = keys.join(", ");
    Setup {
        sharing: Some(format!(
            "keys = [{keys}]\nend-systems = [\"10.75.1.8/29\"]\n"
        )),
        ..Setup::default()
    }
}

/// What a router shows of its group.
fn of_each<T>(group: &Group<'_>, what: impl Fn(&serde_json::Value) -> T) -> lab::Result<Vec<T>> {
    let shown = |(_, router)| Ok(what(&Group::shown(router, "show routers")?));
    group.running().map(shown).collect()
}

fn wait_for_key(group: &Group<'_>, id: u8) {
    poll::until("the key in use", DEADLINE, || {
        let keys = of_each(group, |shown| shown["key_id"] == id)?;
        Ok(keys.into_iter().all(|used| used).then_some(()))
    })
    .expect("a key");
}

#[test]
fn keys_are_rotated_without_an_interruption() {
    let net = Sharing::new(4, 3, 2).expect("a network");
    let mut group = Group::start(&net, program(), &with_keys(&[1])).expect("routers");
    group.wait_until_whole(DEADLINE).expect("equal tables");
    wait_for_key(&group, 1);
    let epochs = |group: &Group<'_>| of_each(group, |shown| shown["epoch"].clone());
    let before = epochs(&group).expect("epochs");
    let since = group.mark();
    let load = Load::start(&net, RATES).expect("a load");

    group.reload(&with_keys(&[1, 2])).expect("both keys");
    wait_for_key(&group, 2);
    move_around(&group, 2, 1);
    group.reload(&with_keys(&[2])).expect("the new key");
    move_around(&group, 2, 1);

    let report = load.stop().expect("counts");
    expect_exact(&net, &group, &since, &report);
    assert_eq!(group.upsets(&since, &[]), Vec::<String>::new());
    assert_eq!(epochs(&group).expect("epochs"), before);
    let refused = of_each(&group, |shown| {
        let refused = shown["refused"].as_object().into_iter().flatten();
        let keys = refused.filter(|(reason, _)| ["key", "hmac"].contains(&reason.as_str()));
        keys.filter_map(|(_, count)| count.as_u64()).sum::<u64>()
    });
    assert_eq!(refused.expect("counters"), [0, 0, 0]);
    group.wait_until_whole(DEADLINE).expect("equal tables");
}

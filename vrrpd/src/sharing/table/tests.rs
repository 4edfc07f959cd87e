//! What must hold of tables: whatever is lost, doubled or late, all come to have the authority's.

use std::net::{IpAddr, Ipv4Addr};

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::sharing::names::BootId;
use crate::sharing::wire::Body;

const MESSAGE_LEN_MAX: usize = 1200;

fn router(id: u32) -> RouterId {
    RouterId::new(id).unwrap()
}

fn condition(number: u32) -> Condition {
    IpAddr::V4(Ipv4Addr::from_bits(number)).into()
}

fn row(id: u32) -> Row {
    Row {
        router: router(id),
        unfinished: None,
        node: None,
        seen: Seen::Traffic,
        seen_at: Time::ZERO,
        rate_kbit_per_s: id,
    }
}

fn version(counter: u32, issuer: u32, generation: u32) -> Version {
    Version {
        epoch: Epoch {
            counter,
            issuer: RouterId::new(issuer),
        },
        generation,
    }
}

fn members() -> Vec<RouterRecord> {
    (1..=3)
        .map(|id| RouterRecord {
            router: router(id),
            state: MemberState::Working,
            weight: 1,
        })
        .collect()
}

fn table() -> Table {
    Table::new(Family::Ipv4, Mode::Sequence)
}

fn head(version: Version, fragment: u16, fragments: u16) -> Head {
    Head {
        priority: 100,
        router: version.epoch.issuer.unwrap(),
        boot: BootId(1),
        number: 1,
        version,
        fragment,
        fragments,
    }
}

fn split(allocation: Allocation) -> Vec<Body> {
    Body::Allocation(allocation).split(Family::Ipv4, MESSAGE_LEN_MAX)
}

fn deliver(
    to: &mut Table,
    version: Version,
    fragments: u16,
    number: u16,
    body: &Body,
) -> Result<Vec<Change>, Refusal> {
    let Body::Allocation(allocation) = body else {
        panic!("an allocation");
    };
    to.receive(Time::ZERO, &head(version, number, fragments), allocation)
}

fn response(of: &Table) -> Response {
    let mut response = Response {
        state: MemberState::Working,
        master: false,
        authority: false,
        wants_table: false,
        weight: 1,
        mode: Mode::Sequence,
        entries: 0,
        digest: 0,
        heard: Version::default(),
        keys: Vec::new(),
        acquaintances: Vec::new(),
        missing: Vec::new(),
        moves: Vec::new(),
        sightings: Vec::new(),
    };
    of.report(&mut response);
    response
}

fn content(of: &Table) -> Vec<(Condition, RouterId, Option<MoveName>)> {
    of.rows()
        .map(|(condition, row)| (condition, row.router, row.unfinished))
        .collect()
}

fn issue(
    of: &mut Table,
    version: Version,
    changes: &BTreeMap<Condition, Option<Row>>,
) -> (Version, Vec<Body>) {
    let base = of.installed();
    let (_, difference) = of.issue(Time::ZERO, version, Mode::Sequence, members(), changes);
    (base, split(difference))
}

#[test]
fn an_old_or_foreign_allocation_changes_nothing() {
    let mut authority = table();
    let changes = BTreeMap::from([(condition(1), Some(row(1)))]);
    let (_, difference) = issue(&mut authority, version(2, 1, 5), &changes);
    let mut member = table();
    deliver(&mut member, version(2, 1, 5), 1, 0, &difference[0]).unwrap();
    let before = content(&member);
    for (late, refusal) in [
        (version(1, 1, 9), Refusal::Epoch),
        (version(1, 3, 9), Refusal::Epoch),
        (version(2, 1, 4), Refusal::Generation),
    ] {
        let result = deliver(&mut member, late, 1, 0, &difference[0]);
        assert_eq!(result, Err(refusal), "{late}");
    }
    let Body::Allocation(allocation) = &difference[0] else {
        panic!("an allocation");
    };
    let mut foreign = head(version(3, 1, 1), 0, 1);
    foreign.router = router(2);
    let result = member.receive(Time::ZERO, &foreign, allocation);
    assert_eq!(result, Err(Refusal::Issuer));
    assert_eq!(content(&member), before);
    assert_eq!(member.heard(), version(2, 1, 5));
    assert_eq!(
        deliver(&mut member, version(2, 1, 5), 1, 0, &difference[0]),
        Ok(Vec::new()),
        "repeated"
    );
}

#[test]
fn what_does_not_come_to_the_digest_announced_is_not_installed() {
    let mut authority = table();
    let changes = BTreeMap::from([(condition(1), Some(row(1)))]);
    issue(&mut authority, version(1, 1, 1), &changes);
    let mut allocation = authority.full(Time::ZERO);
    allocation.digest ^= 1;
    let mut member = table();
    for body in split(allocation) {
        deliver(&mut member, version(1, 1, 1), 1, 0, &body).unwrap();
    }
    assert_eq!(member.heard(), version(1, 1, 1));
    assert_eq!(member.installed(), Version::default());
    assert!(response(&member).wants_table);
}

#[test]
fn a_new_authority_counts_above_everything_heard() {
    let mut member = table();
    member.note_heard(version(7, 3, 2));
    let next = member.next_epoch(router(2));
    assert_eq!(next.counter, 8);
    assert!(next > version(7, 3, 2).epoch);
    assert!(response(&member).wants_table);
}

#[test]
fn the_digest_is_as_documented() {
    // FNV-1a of 10.0.0.1, 192.0.2.2, mixed; computed with Python from the document.
    let condition = condition(0x0a00_0001);
    let router = router(0xc000_0202);
    assert_eq!(
        row::digest_of(condition, router, Family::Ipv4),
        0x4176_c793_dbf2_45ac
    );
}

#[test]
fn a_change_of_move_alone_is_told_and_does_not_touch_the_digest() {
    let mut authority = table();
    let name = MoveName {
        version: version(1, 1, 1),
        from: router(1),
        to: router(2),
        batch: 0,
    };
    let moving = Row {
        unfinished: Some(name),
        ..row(2)
    };
    let changes = BTreeMap::from([(condition(1), Some(moving))]);
    let (changed, _) = authority.issue(
        Time::ZERO,
        version(1, 1, 1),
        Mode::Sequence,
        members(),
        &changes,
    );
    assert_eq!(changed[0].after, Some((router(2), Some(name))));
    let digest = authority.digest();
    authority.finish(&name);
    assert_eq!(authority.digest(), digest);
    assert_eq!(authority.row(condition(1)).unwrap().unfinished, None);
}

fn changes() -> impl Strategy<Value = BTreeMap<Condition, Option<Row>>> {
    btree_map(
        (0u32..400).prop_map(condition),
        option::weighted(0.8, (1u32..=3).prop_map(row)),
        0..300,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    /// An authority issues one allocation after the other, each lost to each member in part, doubled and out of order;
    /// members answer now and then. In the end the repetitions bring everyone to the same table, and what a member was told
    /// along the way adds up to it.
    #[test]
    fn members_come_to_have_the_authoritys_table(
        rounds in vec((changes(), any::<bool>()), 1..8),
        loss in 0u32..90,
        seed in any::<u64>(),
    ) {
        let mut random = seed | 1;
        let mut chance = |percent: u32| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 32) % 100 < u64::from(percent)
        };
        let mut authority = table();
        let mut members = [table(), table()];
        let mut told: [BTreeMap<Condition, RouterId>; 2] = Default::default();
        let mut current = version(1, 1, 0);
        let mut issued = None;
        let mut send = |members: &mut [Table; 2], version, repetition: &Repetition, lossy: bool, chance: &mut dyn FnMut(u32) -> bool| {
            for (member, told) in members.iter_mut().zip(&mut told) {
                let mut order: Vec<_> = repetition.bodies.iter().collect();
                if chance(30) {
                    order.reverse();
                }
                for (number, body) in order {
                    let copies = usize::from(!lossy || !chance(loss)) + usize::from(chance(10));
                    for _ in 0..copies {
                        for change in deliver(member, version, repetition.fragments, *number, body).unwrap() {
                            let before = told.get(&change.condition).copied();
                            assert_eq!(before, change.before.map(|(router, _)| router));
                            match change.after {
                                Some((router, _)) => told.insert(change.condition, router),
                                None => told.remove(&change.condition),
                            };
                        }
                    }
                }
            }
        };
        for (changes, answer) in rounds {
            current.generation += 1;
            let (base, difference) = issue(&mut authority, current, &changes);
            let all = Repetition {
                fragments: difference.len() as u16,
                bodies: (0..).zip(difference.clone()).collect(),
            };
            let issued = issued.insert(Issued::new(current, base, difference));
            send(&mut members, current, &all, true, &mut chance);
            if answer {
                let response = response(&members[0]);
                let installed = members[0].installed();
                let full = || split(authority.full(Time::ZERO));
                if let Some(repetition) = issued.lacking(installed, &response, full) {
                    send(&mut members, current, &repetition, true, &mut chance);
                }
            }
        }
        let issued = issued.as_mut().unwrap();
        for round in 0..200 {
            let lossy = round < 100;
            for member in 0..2 {
                let response = response(&members[member]);
                let full = || split(authority.full(Time::ZERO));
                if let Some(repetition) = issued.lacking(members[member].installed(), &response, full) {
                    send(&mut members, current, &repetition, lossy, &mut chance);
                }
            }
        }
        for (member, told) in members.iter().zip(told) {
            prop_assert_eq!(member.installed(), current);
            prop_assert_eq!(member.digest(), authority.digest());
            prop_assert_eq!(content(member), content(&authority));
            let told: Vec<_> = told.into_iter().collect();
            let here: Vec<_> = content(member).iter().map(|(condition, router, _)| (*condition, *router)).collect();
            prop_assert_eq!(told, here);
            prop_assert!(member.missing().is_empty());
        }
    }
}

#[test]
fn a_full_table_gets_through_at_five_percent_loss_in_a_few_rounds() {
    let mut authority = table();
    let all = (0..65_536u32)
        .map(|number| (condition(0x0a00_0000 + number), Some(row(number % 3 + 1))))
        .collect();
    let current = version(1, 1, 1);
    let (base, difference) = issue(&mut authority, current, &all);
    let mut issued = Issued::new(current, base, difference);
    let mut member = table();
    member.note_heard(version(0, 9, 0));
    let mut sent = 0usize;
    let mut rounds = 0;
    while member.installed() != current {
        let full = || Body::Allocation(authority.full(Time::ZERO)).split(Family::Ipv4, 1400);
        let response = response(&member);
        let repetition = issued.lacking(member.installed(), &response, full).unwrap();
        for (number, body) in &repetition.bodies {
            sent += 1;
            // Every twentieth is lost.
            if !sent.is_multiple_of(20) {
                deliver(&mut member, current, repetition.fragments, *number, body).unwrap();
            }
        }
        rounds += 1;
        assert!(rounds < 10, "{} missing", member.missing().len());
    }
    assert_eq!(member.digest(), authority.digest());
}

//! What holds of any message: fragments together say what was written, and nothing that was changed on the way is read.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::bodies::*;
use super::*;

/// What `fragments` say together.
fn joined(fragments: Vec<Body>) -> Body {
    fragments
        .into_iter()
        .reduce(|all, part| match (all, part) {
            (Body::Response(mut all), Body::Response(part)) => {
                all.missing.extend(part.missing);
                for report in part.moves {
                    match all.moves.last_mut() {
                        Some(last) if last.name == report.name && last.status == report.status => {
                            last.conditions.extend(report.conditions);
                        }
                        _ => all.moves.push(report),
                    }
                }
                all.sightings.extend(part.sightings);
                Body::Response(all)
            }
            (Body::Allocation(mut all), Body::Allocation(part)) => {
                if let (Kind::Full { last, .. }, Kind::Full { first, last: end }) =
                    (&mut all.kind, part.kind)
                {
                    assert_eq!(*last, first.before(), "ranges leave no gap");
                    *last = end;
                }
                all.entries.extend(part.entries);
                Body::Allocation(all)
            }
            (Body::Answer(mut all), Body::Answer(part)) => {
                for accepted in part.accepted {
                    match all.accepted.last_mut() {
                        Some(last) if last.condition == accepted.condition => {
                            last.fingerprints.extend(accepted.fingerprints);
                        }
                        _ => all.accepted.push(accepted),
                    }
                }
                Body::Answer(all)
            }
            (Body::RateResponse(mut all), Body::RateResponse(part)) => {
                all.rates.extend(part.rates);
                Body::RateResponse(all)
            }
            (all, part) => panic!("{all:?} has a fragment {part:?}"),
        })
        .unwrap()
}

/// `body` with adjacent parts that [`joined`] cannot tell apart made one.
fn normal(body: Body) -> Body {
    match body {
        Body::Response(response) => joined(vec![
            Body::Response(Response {
                moves: Vec::new(),
                missing: Vec::new(),
                sightings: Vec::new(),
                ..response.clone()
            }),
            Body::Response(response),
        ]),
        Body::Answer(answer) => joined(vec![
            Body::Answer(Answer {
                accepted: Vec::new(),
                ..answer.clone()
            }),
            Body::Answer(answer),
        ]),
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn fragments_fit_read_as_written_and_say_all_together(
        (family, body) in family_and_body(),
        head in head(),
        message_len_max in MESSAGE_LEN_MAX_LEAST..2000,
    ) {
        let head = fitting(head, &body);
        let mut read_back = Vec::new();
        for fragment in body.clone().split(family, message_len_max) {
            let message = write(family, &head, &fragment);
            prop_assert!(message.len() <= message_len_max, "{} octets", message.len());
            let (head_read, fragment_read) = read(family, &message).unwrap();
            prop_assert_eq!(head_read, head);
            prop_assert_eq!(&fragment_read, &fragment);
            read_back.push(fragment_read);
        }
        prop_assert_eq!(normal(joined(read_back)), normal(body));
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed(
        (family, body) in family_and_body(),
        head in head(),
        octet in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let head = fitting(head, &body);
        let fragment = body.split(family, MESSAGE_LEN_MAX_DEFAULT).swap_remove(0);
        let mut message = write(family, &head, &fragment);
        let octet = octet.index(message.len());
        message[octet] ^= 1 << bit;
        prop_assert!(read(family, &message).is_err());
        // With the checksum mended, the authentication code tells.
        put_checksum(&mut message, 0);
        let checksum = sum(&message, source(family), group(family).destination).checksum();
        put_checksum(&mut message, checksum);
        prop_assert!(octet == 6 || octet == 7 || read(family, &message).is_err());
    }

    #[test]
    fn no_part_of_a_message_is_taken_for_one(
        (family, body) in family_and_body(),
        head in head(),
        len in any::<prop::sample::Index>(),
        tail in vec(any::<u8>(), 1..20),
    ) {
        let head = fitting(head, &body);
        let fragment = body.split(family, MESSAGE_LEN_MAX_DEFAULT).swap_remove(0);
        let mut message = write(family, &head, &fragment);
        let len = len.index(message.len());
        prop_assert!(read(family, &message[..len]).is_err());
        message.extend_from_slice(&tail);
        prop_assert!(read(family, &message).is_err());
    }

    #[test]
    fn random_octets_are_refused(
        family in family(),
        mut octets in vec(any::<u8>(), 0..300),
        message_type in 0u8..16,
    ) {
        prop_assert!(read(family, &octets).is_err());
        if let [first, vrid, ..] = &mut octets[..] {
            *first = 0x30 | message_type;
            *vrid = group(family).vrid.get();
        }
        prop_assert!(read(family, &octets).is_err());
    }

    /// Whoever has the key can write anything; it must still make sense or be refused, and never panic.
    #[test]
    fn a_sealed_body_of_random_octets_is_read_safely(
        (family, body) in family_and_body(),
        head in head(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in option::of(any::<prop::sample::Index>()),
    ) {
        let head = fitting(head, &body);
        let fragment = body.split(family, MESSAGE_LEN_MAX_DEFAULT).swap_remove(0);
        let message = write(family, &head, &fragment);
        let message = reseal(family, &message, |message| {
            for (octet, value) in changes {
                let octet = octet.index(message.len());
                message[octet] = value;
            }
            if let Some(cut) = cut {
                message.truncate(HEAD_LEN + cut.index(message.len() - HEAD_LEN + 1));
                let len = (message.len() - HEAD_LEN) as u16;
                message[10..12].copy_from_slice(&len.to_be_bytes());
            }
        });
        if let Ok((head, body)) = read(family, &message) {
            // What is accepted can be said again.
            let again = write(family, &head, &body);
            prop_assert_eq!(read(family, &again).unwrap(), (head, body));
        }
    }
}

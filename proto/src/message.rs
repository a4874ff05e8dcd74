//! Effects as protobuf messages: what prost makes of `schema/effect.proto`.
//!
//! For tools and tests that want an effect as owned data with fields to match on. The server's own
//! path is [`causet_core::wire`], which reads and writes the same bytes without a copy; a copy per
//! key and value is what a generated message costs.
//!
//! The rule kept: the schema is the contract. The tests below hold `causet_core::wire` to it in both
//! directions, over any effect.
//!
//! prost differs from the server's reader in two ways, both outside of what either writes: it keeps
//! an enum's unknown value as a number where the server refuses the effect, and it merges a payload
//! that is there twice where the server takes the last.

include!(concat!(env!("OUT_DIR"), "/causet.v1.rs"));

#[cfg(test)]
mod tests {
    use causet_core::effect as core;
    use causet_core::hlc::Hlc;
    use causet_core::id::{ElementNumber, NodeId, Offset};
    use causet_core::tip::Tip;
    use causet_core::wire::{WireError, marshal_effect, unmarshal_effect};
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..40)
    }

    fn any_value() -> impl Strategy<Value = Option<data::Value>> {
        prop_oneof![
            Just(None),
            any_bytes().prop_map(|bytes| Some(data::Value::Bytes(bytes))),
            any::<i64>().prop_map(|int| Some(data::Value::Int(int))),
            // By bits, so that NaNs and negative zero are met.
            any::<u64>().prop_map(|bits| Some(data::Value::Float(f64::from_bits(bits)))),
        ]
    }

    fn any_data() -> impl Strategy<Value = Data> {
        let enums = (0..2, 0..6, 0..3, 0..6, 0..5);
        let numbers = (any::<u64>(), any::<u64>(), any::<Option<u64>>());
        (enums, numbers, any_bytes(), any_value()).prop_map(|(enums, numbers, element, value)| {
            Data {
                op: enums.0,
                merge: enums.1,
                collection: enums.2,
                placement: enums.3,
                type_tag: enums.4,
                reference: numbers.0,
                number: numbers.1,
                element,
                value,
                expires_ms: numbers.2,
            }
        })
    }

    fn any_payload() -> impl Strategy<Value = effect::Payload> {
        use effect::Payload;
        let meta = prop_oneof![
            any::<u64>().prop_map(meta::Change::ExpireAtMs),
            Just(meta::Change::Persist(true)),
        ];
        let snapshot = (0..5, any::<Option<u64>>(), any_bytes());
        prop_oneof![
            4 => any_data().prop_map(Payload::Data),
            1 => meta.prop_map(|change| Payload::Meta(Meta { change: Some(change) })),
            1 => Just(Payload::Noop(Noop {})),
            1 => snapshot.prop_map(|(type_tag, expires_ms, state)| {
                Payload::Snapshot(Snapshot { type_tag, expires_ms, state })
            }),
            1 => Just(Payload::Flush(Flush {})),
            1 => any::<u32>().prop_map(|space| Payload::Place(Place { space })),
        ]
    }

    /// An effect as the schema has it, and a counter that its local dependency allows.
    fn any_effect() -> impl Strategy<Value = (u64, Effect)> {
        let refs = (any::<u64>(), any::<u64>()).prop_map(|(node, offset)| Ref { node, offset });
        let counters = (0u64..1 << 47, 0u64..1 << 47);
        let head = (any_bytes(), any::<u32>(), any::<u64>());
        let deps = prop::collection::vec(refs, 0..4);
        (head, counters, deps, any_payload()).prop_map(
            |((key, db, hlc), (before, local_dep), deps, payload)| {
                let effect = Effect {
                    key,
                    db,
                    hlc,
                    local_dep,
                    deps,
                    payload: Some(payload),
                };
                // At least 1 stays: the counter 0 is the root and no effect's.
                (before + local_dep + 1, effect)
            },
        )
    }

    /// The same effect made of core's types, each field by hand: the map between the two.
    fn core_payload(payload: &effect::Payload) -> core::Payload<'_> {
        match payload {
            effect::Payload::Data(data) => core::Payload::Data(core_data(data)),
            effect::Payload::Meta(meta) => core::Payload::Meta(match meta.change {
                Some(meta::Change::ExpireAtMs(ms)) => core::Meta::ExpireAt(ms),
                _ => core::Meta::Persist,
            }),
            effect::Payload::Noop(_) => core::Payload::Noop,
            effect::Payload::Snapshot(snapshot) => core::Payload::Snapshot(core::Snapshot {
                type_tag: core_type(snapshot.type_tag()),
                expires_ms: snapshot.expires_ms,
                state: &snapshot.state,
            }),
            effect::Payload::Flush(_) => core::Payload::Flush,
            effect::Payload::Place(place) => core::Payload::Place { space: place.space },
        }
    }

    fn core_data(data: &Data) -> core::Data<'_> {
        core::Data {
            op: match data.op() {
                Op::Insert => core::Op::Insert,
                Op::Remove => core::Op::Remove,
            },
            merge: match data.merge() {
                Merge::LastWriteWins => core::Merge::LastWriteWins,
                Merge::AddInt => core::Merge::AddInt,
                Merge::AddFloat => core::Merge::AddFloat,
                Merge::MaxInt => core::Merge::MaxInt,
                Merge::MaxBytes => core::Merge::MaxBytes,
                Merge::FirstWriteWins => core::Merge::FirstWriteWins,
            },
            collection: match data.collection() {
                Collection::Scalar => core::Collection::Scalar,
                Collection::Keyed => core::Collection::Keyed,
                Collection::Ordered => core::Collection::Ordered,
            },
            placement: match data.placement() {
                Placement::None => core::Placement::None,
                Placement::Head => core::Placement::Head,
                Placement::Tail => core::Placement::Tail,
                Placement::Before => core::Placement::Before,
                Placement::After => core::Placement::After,
                Placement::Itself => core::Placement::Itself,
            },
            type_tag: core_type(data.type_tag()),
            reference: ElementNumber(data.reference),
            number: ElementNumber(data.number),
            element: &data.element,
            value: match &data.value {
                None => core::Scalar::None,
                Some(data::Value::Bytes(bytes)) => core::Scalar::Bytes(bytes),
                Some(data::Value::Int(int)) => core::Scalar::Int(*int),
                Some(data::Value::Float(float)) => core::Scalar::Float(*float),
            },
            expires_ms: data.expires_ms,
        }
    }

    fn core_type(type_tag: TypeTag) -> core::TypeTag {
        match type_tag {
            TypeTag::String => core::TypeTag::String,
            TypeTag::List => core::TypeTag::List,
            TypeTag::Set => core::TypeTag::Set,
            TypeTag::Hash => core::TypeTag::Hash,
            TypeTag::SortedSet => core::TypeTag::SortedSet,
        }
    }

    fn core_deps(refs: &[Ref]) -> Vec<Tip> {
        let tip = |dep: &Ref| Tip {
            node: NodeId(dep.node),
            offset: Offset(dep.offset),
        };
        refs.iter().map(tip).collect()
    }

    fn core_effect<'a>(counter: u64, message: &'a Effect, deps: &'a [Tip]) -> core::Stamped<'a> {
        let payload = message.payload.as_ref().expect("every payload is made");
        core::Stamped {
            hlc: Hlc(message.hlc),
            local_dep: match message.local_dep {
                0 => 0,
                back => counter - back,
            },
            deps,
            effect: core::Effect {
                db: message.db,
                key: &message.key,
                payload: core_payload(payload),
            },
        }
    }

    fn marshal(counter: u64, stamped: &core::Stamped<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        marshal_effect(counter, stamped, &mut bytes);
        bytes
    }

    /// Equal effects, NaNs by their bits: the server's bytes are a function of the fields.
    fn assert_same(counter: u64, left: &core::Stamped<'_>, right: &core::Stamped<'_>) {
        assert_eq!(
            marshal(counter, left),
            marshal(counter, right),
            "{left:?} is not {right:?}"
        );
    }

    proptest! {
        #[test]
        fn what_the_server_writes_is_the_schemas((counter, message) in any_effect()) {
            let deps = core_deps(&message.deps);
            let bytes = marshal(counter, &core_effect(counter, &message, &deps));
            let read = Effect::decode(&bytes[..]).unwrap();
            // By their bytes, because a NaN is unlike itself.
            prop_assert_eq!(read.encode_to_vec(), message.encode_to_vec());
        }

        #[test]
        fn what_the_schema_allows_the_server_reads((counter, message) in any_effect()) {
            let bytes = message.encode_to_vec();
            let mut read_deps = Vec::new();
            let read = unmarshal_effect(counter, &bytes, &mut read_deps).unwrap();
            let deps = core_deps(&message.deps);
            assert_same(counter, &read, &core_effect(counter, &message, &deps));
        }

        #[test]
        fn effects_go_through_both_forms_unchanged((counter, message) in any_effect()) {
            let deps = core_deps(&message.deps);
            let stamped = core_effect(counter, &message, &deps);
            let through = Effect::decode(&marshal(counter, &stamped)[..]).unwrap().encode_to_vec();
            let mut read_deps = Vec::new();
            let read = unmarshal_effect(counter, &through, &mut read_deps).unwrap();
            assert_same(counter, &read, &stamped);
        }

        #[test]
        fn the_server_reads_nothing_that_the_schema_refuses(bytes in any_bytes(), counter in 1u64..99) {
            if unmarshal_effect(counter, &bytes, &mut Vec::new()).is_ok() {
                prop_assert!(Effect::decode(&bytes[..]).is_ok());
            }
        }
    }

    /// What a later version may add to each message that can be extended.
    #[derive(Clone, PartialEq, Message)]
    struct Later {
        #[prost(uint64, tag = "1000")]
        number: u64,
        #[prost(bytes = "vec", tag = "1001")]
        bytes: Vec<u8>,
        #[prost(fixed32, tag = "1002")]
        fixed32: u32,
        #[prost(fixed64, tag = "1003")]
        fixed64: u64,
    }

    proptest! {
        #[test]
        fn the_server_passes_over_fields_of_later_versions((counter, message) in any_effect()) {
            let later = Later { number: u64::MAX, bytes: vec![0xff; 9], fixed32: 7, fixed64: 8 };
            let mut bytes = later.encode_to_vec();
            message.encode(&mut bytes).unwrap();
            later.encode(&mut bytes).unwrap();
            let mut read_deps = Vec::new();
            let read = unmarshal_effect(counter, &bytes, &mut read_deps).unwrap();
            let deps = core_deps(&message.deps);
            assert_same(counter, &read, &core_effect(counter, &message, &deps));
        }
    }

    #[test]
    fn the_server_refuses_enum_values_that_it_does_not_know() {
        for (field, data) in [
            (
                1,
                Data {
                    op: 2,
                    ..Data::default()
                },
            ),
            (
                2,
                Data {
                    merge: 6,
                    ..Data::default()
                },
            ),
            (
                3,
                Data {
                    collection: 3,
                    ..Data::default()
                },
            ),
            (
                4,
                Data {
                    placement: 6,
                    ..Data::default()
                },
            ),
            (
                5,
                Data {
                    type_tag: 5,
                    ..Data::default()
                },
            ),
        ] {
            let message = Effect {
                payload: Some(effect::Payload::Data(data)),
                ..Effect::default()
            };
            assert_eq!(
                unmarshal_effect(1, &message.encode_to_vec(), &mut Vec::new()),
                Err(WireError::UnknownValue(field))
            );
        }
    }

    #[test]
    fn the_server_refuses_a_payload_of_the_wrong_wire_type() {
        // A number where Noop (field 10) and Flush (field 13) are messages.
        for bytes in [[10 << 3, 0], [13 << 3, 0]] {
            assert!(Effect::decode(&bytes[..]).is_err());
            assert_eq!(
                unmarshal_effect(1, &bytes, &mut Vec::new()),
                Err(WireError::Malformed)
            );
        }
    }

    #[test]
    fn a_default_written_out_means_what_its_absence_means() {
        // `local_dep` (field 4) as an explicit zero, then a Noop.
        let bytes = [4 << 3, 0, 10 << 3 | 2, 0];
        let read = unmarshal_effect(9, &bytes, &mut Vec::new())
            .unwrap()
            .local_dep;
        assert_eq!(read, 0);
    }
}

//! What is done to the cache and its model, at random.

use proptest::prelude::*;

/// Keys are below.
pub(super) const KEYS: u8 = 40;

#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) capacity: u64,
    pub(super) many: bool,
    pub(super) ttl: Option<u64>,
    pub(super) idle: Option<u64>,
    pub(super) stale: u64,
    pub(super) negative_ttl: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Put { key: u8, weight: u64, ttl: Option<u64>, tag: Option<u8> },
    PutAbsent { key: u8, ttl: Option<u64>, tag: Option<u8> },
    AskGeneration(u8),
    PutIf { key: u8, weight: u64 },
    Read(u8),
    Load { key: u8, brings: Brings, absence: bool, meanwhile: Meanwhile },
    Invalidate(u8),
    InvalidateTag(u8),
    Clear,
    Shrink(u8),
    Sweep(usize),
    SweepAll,
    Advance(u64),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Brings {
    Value(u64),
    Absence,
    Failure,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Meanwhile {
    Nothing,
    Invalidate,
    Put(u64),
}

pub(super) fn setups() -> impl Strategy<Value = Setup> {
    let time = || proptest::option::of(1..20_000_u64);
    let capacity = prop_oneof![Just(0), Just(1), 2..30_u64, 30..300_u64];
    (capacity, any::<bool>(), time(), time(), 0..10_000_u64, time()).prop_map(
        |(capacity, many, ttl, idle, stale, negative_ttl)| {
            let stale = if ttl.is_some() { stale } else { 0 };
            Setup { capacity, many, ttl, idle, stale, negative_ttl }
        },
    )
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || 0..KEYS;
    let weight = || prop_oneof![4 => 0..4_u64, 1 => 0..40_u64];
    let ttl = || proptest::option::weighted(0.3, 0..30_000_u64);
    let tag = || proptest::option::weighted(0.4, 0..4_u8);
    let brings = prop_oneof![
        3 => weight().prop_map(Brings::Value),
        1 => Just(Brings::Absence),
        1 => Just(Brings::Failure),
    ];
    let meanwhile = prop_oneof![
        6 => Just(Meanwhile::Nothing),
        1 => Just(Meanwhile::Invalidate),
        1 => weight().prop_map(Meanwhile::Put),
    ];
    let step = prop_oneof![
        12 => (key(), weight(), ttl(), tag())
            .prop_map(|(key, weight, ttl, tag)| Step::Put { key, weight, ttl, tag }),
        3 => (key(), ttl(), tag()).prop_map(|(key, ttl, tag)| Step::PutAbsent { key, ttl, tag }),
        2 => key().prop_map(Step::AskGeneration),
        3 => (key(), weight()).prop_map(|(key, weight)| Step::PutIf { key, weight }),
        12 => key().prop_map(Step::Read),
        6 => (key(), brings, any::<bool>(), meanwhile)
            .prop_map(|(key, brings, absence, meanwhile)| Step::Load { key, brings, absence, meanwhile }),
        2 => key().prop_map(Step::Invalidate),
        1 => (0..4_u8).prop_map(Step::InvalidateTag),
        1 => Just(Step::Clear),
        1 => (0..101_u8).prop_map(Step::Shrink),
        1 => (0..10_usize).prop_map(Step::Sweep),
        1 => Just(Step::SweepAll),
        4 => prop_oneof![4 => 0..6000_u64, 1 => 0..100_000_000_000_u64].prop_map(Step::Advance),
    ];
    proptest::collection::vec(step, 1..300)
}

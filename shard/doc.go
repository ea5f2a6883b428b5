// Package shard settles who acts: for every registered key it answers "is this
// key mine, and at which epoch".
//
// A key is an opaque pair of tokens; the package knows nothing of what is done
// for it. Two things are kept apart. Membership, heartbeats, views and the ring
// are hints about who should own a key. The last record on the key's claim
// subject is the truth about who may act: its stream sequence is the epoch, and
// every write of an owner is conditional on it. Losing, doubling or reordering
// hints delays an owner or moves a key; it never lets two owners write.
//
// Guarantees:
//
//   - Of all records of a key, at most one is the last; a write conditional on
//     an older epoch is refused. That holds without clocks.
//   - Own is called for a key only after its claim was acknowledged, never twice
//     at a time for one key, and its context ends when the claim is known to be
//     lost or has to be given up. The cause tells which: [ErrFenced] or
//     [ErrHandOver].
//   - A claim is released only after own returned.
//   - Nothing waits for one key inside a loop that serves others.
//
// Not guaranteed: that an effect sent just before a claim was lost arrives
// before the successor's effects. That rests on time: [Claim.MayAct] refuses
// when this instance cannot be sure of itself, and a successor that took over
// without a release waits until [Claim.EffectsAfter].
//
// The ports are declared here and implemented by natskv; shardtest has an
// in-memory implementation with injectable faults, the contract both must meet,
// and the checkers.
package shard

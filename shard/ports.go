package shard

import (
	"context"
	"time"
)

// KeyChange is one change of the registry.
type KeyChange struct {
	Key  Key
	Gone bool
}

// Registry is the durable set of keys that must have an owner.
type Registry interface {
	// Register adds a key; it returns once that is stored. Adding again is no error.
	Register(ctx context.Context, k Key) error
	// Unregister removes a key; it returns once that is stored. Removing again is no error.
	Unregister(ctx context.Context, k Key) error
	// Watch calls seen first with every registered key (perhaps none), then with
	// changes in the order they happened, never concurrently. Of several changes of
	// one key, all but the last may be left out. It returns when ctx ends (nil) or
	// when changes may have been missed (an error): call it again.
	Watch(ctx context.Context, seen func(changes []KeyChange)) error
}

// Claims is the ledger's claim register: one record per key that counts, the last.
type Claims interface {
	// Put appends a record on condition that the key's last sequence is expect (0:
	// none), and returns its sequence once it is stored durably. Sequences only
	// rise, over all keys. It fails with ErrFenced when the condition does not
	// hold, ErrBusy when it could not be checked and nothing is stored, and
	// ErrUnknownOutcome when the record may be stored now or later. Any other
	// error means: not stored. It never retries by itself.
	Put(ctx context.Context, k Key, r Record, expect uint64) (seq uint64, err error)
	// Last reads the head of a key. It may be stale: use it to choose what to
	// expect, never to decide who owns.
	Last(ctx context.Context, k Key) (Head, error)
	// Follow calls seen first with the head of every key that has one (perhaps
	// none), then with new heads in stream order, never concurrently. Heads that
	// have already been replaced may be left out. It returns when ctx ends (nil) or
	// when heads may have been missed (an error): call it again.
	Follow(ctx context.Context, seen func(heads []Head)) error
}

// Members is the set of membership records. A record that is not written again
// expires; that is noticed some seconds late and decides nothing by itself.
type Members interface {
	// PutMember stores the record of m.ID on condition that its last revision is
	// expect (0: there is none, or it is gone), and returns the new revision. It
	// fails with ErrFenced when the condition does not hold, and with
	// ErrUnknownOutcome when the record may be stored.
	PutMember(ctx context.Context, m Member, expect uint64) (rev uint64, err error)
	// DropMember removes a member's own record, as its last act. The condition is
	// that of PutMember.
	DropMember(ctx context.Context, id MemberID, expect uint64) error
	// WatchMembers calls seen first with all records, then with changes; it ends as Registry.Watch does.
	WatchMembers(ctx context.Context, seen func([]MemberChange)) error
}

// Views is the register of the agreed view.
type Views interface {
	// PutView replaces the view on condition that its revision is still expect (0:
	// there is none). It fails with ErrFenced when it is not, and with
	// ErrUnknownOutcome when the view may be stored.
	PutView(ctx context.Context, v View, expect uint64) (rev uint64, err error)
	// WatchView calls seen first with the view, or with nil when there is none,
	// then with each new one, or with nil when it was removed; views in between may be left out. A view that cannot
	// be decoded is given with its revision and a Schema above this package's. It
	// ends as Registry.Watch does.
	WatchView(ctx context.Context, seen func(v *View)) error
}

// Beats carries heartbeats. They may be lost, doubled and reordered.
type Beats interface {
	// SendBeat sends to all others; it does not wait for anybody.
	SendBeat(b Beat) error
	// ReceiveBeats calls seen with the beats of all instances, perhaps one's own; it
	// ends as Registry.Watch does.
	ReceiveBeats(ctx context.Context, seen func(Beat)) error
}

// LedgerMark tells one ledger from another and how far it has got.
type LedgerMark struct {
	Created time.Time
	Last    uint64
}

// Ledger answers whether the ledger can be reached.
type Ledger interface {
	// Probe makes one round trip to whoever serves the ledger's writes.
	Probe(ctx context.Context) (LedgerMark, error)
}

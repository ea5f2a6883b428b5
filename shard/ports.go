package shard

import "context"

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
	// changes in the order they happened, never concurrently. It returns when ctx
	// ends (nil) or when changes may have been missed (an error): call it again.
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
	// none), then with new heads in stream order, never concurrently. It returns
	// when ctx ends (nil) or when heads may have been missed (an error): call it again.
	Follow(ctx context.Context, seen func(heads []Head)) error
}

package natskv

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn"
	"wadm/shard"
)

// Registry implements shard.Registry in a bucket with one entry per key.
type Registry struct {
	js jetstream.JetStream
	kv jetstream.KeyValue
}

// Registry gives the registry.
func (s *Store) Registry() *Registry { return &Registry{js: s.js, kv: s.lat} }

// Register implements shard.Registry.
func (r *Registry) Register(ctx context.Context, k shard.Key) error {
	if _, err := shard.ParseKey(string(k)); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	for wait, began := time.Millisecond, time.Now(); ; wait = min(2*wait, mostBusyPause) {
		_, err := r.kv.Create(ctx, string(k), []byte(`{}`))
		switch {
		case err == nil:
			return nil
		case isBusy(err) && time.Since(began) < mostBusy && pause(ctx, wait):
			// The client says that the key exists, but the other write may be a removal,
			// or never be stored.
		case errors.Is(err, jetstream.ErrKeyExists) && !isBusy(err):
			return nil
		default:
			return fmt.Errorf("register %s: %w", k, err)
		}
	}
}

// A write that is refused because another one is in flight is made again, ever later
// up to mostBusyPause, for mostBusy.
const (
	mostBusyPause = 50 * time.Millisecond
	mostBusy      = 2 * time.Second
)

// pause waits for d; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Unregister implements shard.Registry.
func (r *Registry) Unregister(ctx context.Context, k shard.Key) error {
	if _, err := shard.ParseKey(string(k)); err != nil {
		return fmt.Errorf("unregister: %w", err)
	}
	if err := r.kv.Purge(ctx, string(k)); err != nil {
		return fmt.Errorf("unregister %s: %w", k, err)
	}
	return nil
}

// Watch implements shard.Registry. Entries whose name is not a key are ignored.
func (r *Registry) Watch(ctx context.Context, seen func([]shard.KeyChange)) error {
	return watch(ctx, r.js, r.kv, true, func(key string, e natsconn.Message) (shard.KeyChange, bool) {
		k, err := shard.ParseKey(key)
		return shard.KeyChange{Key: k, Gone: e.Op() != jetstream.KeyValuePut}, err == nil
	}, seen)
}

package natskv

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/shard"
)

// Registry implements shard.Registry in a bucket with one entry per key.
type Registry struct {
	kv jetstream.KeyValue
}

// Registry gives the registry.
func (s *Store) Registry() *Registry { return &Registry{kv: s.lat} }

// Register implements shard.Registry.
func (r *Registry) Register(ctx context.Context, k shard.Key) error {
	if _, err := shard.ParseKey(string(k)); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	_, err := r.kv.Create(ctx, string(k), []byte(`{}`))
	if err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
		return fmt.Errorf("register %s: %w", k, err)
	}
	return nil
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
	return watch(ctx, r.kv, "registry", func(e jetstream.KeyValueEntry) (shard.KeyChange, bool) {
		k, err := shard.ParseKey(e.Key())
		return shard.KeyChange{Key: k, Gone: e.Operation() != jetstream.KeyValuePut}, err == nil
	}, seen, jetstream.MetaOnly())
}

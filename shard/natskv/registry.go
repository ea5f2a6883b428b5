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
	w, err := r.kv.WatchAll(ctx, jetstream.MetaOnly())
	if err != nil {
		return fmt.Errorf("watch registry: %w", err)
	}
	defer func() { _ = w.Stop() }()
	var first []shard.KeyChange
	loaded := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				if ctx.Err() != nil {
					return nil
				}
				return errors.New("watch registry: ended")
			case e == nil:
				loaded = true
				seen(first)
				first = nil
				continue
			}
			k, err := shard.ParseKey(e.Key())
			if err != nil {
				continue
			}
			c := shard.KeyChange{Key: k, Gone: e.Operation() != jetstream.KeyValuePut}
			if !loaded {
				first = append(first, c)
				continue
			}
			seen([]shard.KeyChange{c})
		}
	}
}

package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"wadm/shard"
	"wadm/tenancy"
)

// registrar makes sure that lattices are registered, without asking for those it
// knows: hosts are seen, and applications deployed, over and over again.
type registrar struct {
	registry shard.Registry
	log      *slog.Logger

	mu    sync.Mutex
	known map[shard.Key]bool
}

func newRegistrar(registry shard.Registry, log *slog.Logger) *registrar {
	return &registrar{registry: registry, log: log, known: map[shard.Key]bool{}}
}

// register returns once the lattice is registered.
func (r *registrar) register(ctx context.Context, key tenancy.LatticeKey) error {
	k := shard.Key(key.Token())
	r.mu.Lock()
	known := r.known[k]
	r.mu.Unlock()
	if known {
		return nil
	}
	if err := r.registry.Register(ctx, k); err != nil {
		return err
	}
	r.note(k, true)
	return nil
}

func (r *registrar) note(k shard.Key, there bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if there {
		r.known[k] = true
	} else {
		delete(r.known, k)
	}
}

// run follows the registry until ctx ends, so that what somebody removed is
// registered again when it shows itself.
func (r *registrar) run(ctx context.Context) error {
	for ctx.Err() == nil {
		// Each watch begins with everything that is there.
		first := true
		err := r.registry.Watch(ctx, func(changes []shard.KeyChange) {
			if first {
				first = false
				r.mu.Lock()
				clear(r.known)
				r.mu.Unlock()
			}
			for _, c := range changes {
				r.note(c.Key, !c.Gone)
			}
		})
		if ctx.Err() != nil {
			break
		}
		r.log.Warn("registry of lattices not followed; trying again", "error", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	return nil
}

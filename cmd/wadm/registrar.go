package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"wadm/shard"
	"wadm/tenancy"
)

// registering bounds the lattices that are registered at once: thousands may show
// themselves within a second, and each is a write.
const registering = 32

// A watch of the registry that ends is begun again soon, because meanwhile no lattice
// is known and all that are seen are written; one that did not begin, later.
const (
	followAgain = 100 * time.Millisecond
	followLater = time.Second
)

// registrar makes sure that lattices are registered, without asking for those it
// knows: hosts are seen, and applications deployed, over and over again. What it
// knows comes from following the registry and from nowhere else. So it may take a
// lattice for registered that somebody has removed since: for a moment, and for as long
// as it takes natsconn.Follow to miss a message. [server.registerDeployed] and hosts make up for that.
type registrar struct {
	registry shard.Registry
	log      *slog.Logger

	mu    sync.Mutex
	known map[shard.Key]bool
	// wanted are to be registered, or being so; kick has room for one and tells that there are some.
	wanted map[shard.Key]bool
	kick   chan struct{}
	// listed is closed once the first list is complete.
	listed chan struct{}
	once   sync.Once
}

func newRegistrar(registry shard.Registry, log *slog.Logger) *registrar {
	return &registrar{
		registry: registry, log: log, known: map[shard.Key]bool{}, wanted: map[shard.Key]bool{},
		kick: make(chan struct{}, 1), listed: make(chan struct{}),
	}
}

// register returns once the lattice is registered, as far as is known.
func (r *registrar) register(ctx context.Context, key tenancy.LatticeKey) error {
	k := shard.Key(key.Token())
	if r.knows(k) {
		return nil
	}
	return r.registry.Register(ctx, k)
}

// want has a lattice registered before long, and returns at once. What fails is
// dropped: the lattice will be seen again.
func (r *registrar) want(key tenancy.LatticeKey) {
	k := shard.Key(key.Token())
	r.mu.Lock()
	news := !r.known[k] && !r.wanted[k]
	if news {
		r.wanted[k] = true
	}
	r.mu.Unlock()
	if !news {
		return
	}
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

func (r *registrar) knows(k shard.Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[k]
}

// run follows the registry and registers what is wanted, until ctx ends.
func (r *registrar) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.follow(ctx) })
	g.Go(func() error {
		for {
			select {
			case <-r.kick:
				r.registerWanted(ctx)
			case <-ctx.Done():
				return nil
			}
		}
	})
	return g.Wait()
}

func (r *registrar) registerWanted(ctx context.Context) {
	r.mu.Lock()
	wanted := slices.Collect(maps.Keys(r.wanted))
	r.mu.Unlock()
	var g errgroup.Group
	g.SetLimit(registering)
	for _, k := range wanted {
		g.Go(func() error {
			defer r.done(k)
			if r.knows(k) {
				return nil
			}
			if err := r.registry.Register(ctx, k); err != nil && ctx.Err() == nil {
				r.log.Warn("lattice not registered; it will be seen again", "key", string(k), "error", err)
			}
			return nil
		})
	}
	_ = g.Wait() // its jobs return nil
}

// done takes a lattice off the wanted ones, whose registering has ended.
func (r *registrar) done(k shard.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.wanted, k)
}

func (r *registrar) follow(ctx context.Context) error {
	for ctx.Err() == nil {
		// Each watch begins with everything that is there.
		first := true
		err := r.registry.Watch(ctx, func(changes []shard.KeyChange) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if first {
				first = false
				clear(r.known)
			}
			for _, c := range changes {
				if c.Gone {
					delete(r.known, c.Key)
				} else {
					r.known[c.Key] = true
				}
			}
			r.once.Do(func() { close(r.listed) })
		})
		// What is removed from now on is not heard of.
		r.mu.Lock()
		clear(r.known)
		r.mu.Unlock()
		if ctx.Err() != nil {
			break
		}
		r.log.Warn("registry of lattices not followed; trying again", "error", err)
		wait := followAgain
		if first {
			wait = followLater
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	return nil
}

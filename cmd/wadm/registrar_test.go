package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wadm/loadtest/simhost"
	"wadm/shard"
	"wadm/shard/natskv"
	"wadm/tenancy"
)

// slowRegistry takes its time for each write, and tells of them as a registry does.
type slowRegistry struct {
	mu         sync.Mutex
	keys       map[shard.Key]bool
	open, most int
	writes     int
	changes    chan shard.KeyChange
	// broken, when not nil, is what a watch ends with.
	broken chan error
}

func (r *slowRegistry) Register(_ context.Context, k shard.Key) error {
	r.mu.Lock()
	r.open++
	r.writes++
	r.most = max(r.most, r.open)
	r.mu.Unlock()
	time.Sleep(10 * time.Millisecond) // of the bubble
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open--
	if !r.keys[k] {
		r.keys[k] = true
		r.changes <- shard.KeyChange{Key: k}
	}
	return nil
}

func (r *slowRegistry) Unregister(_ context.Context, k shard.Key) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.keys, k)
	return nil
}

func (r *slowRegistry) Watch(ctx context.Context, seen func([]shard.KeyChange)) error {
	var all []shard.KeyChange
	r.mu.Lock()
	for k := range r.keys {
		all = append(all, shard.KeyChange{Key: k})
	}
	r.mu.Unlock()
	seen(all)
	for {
		select {
		case c := <-r.changes:
			seen([]shard.KeyChange{c})
		case err := <-r.broken:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

func inRegistrar(t *testing.T, fn func(r *slowRegistry, reg *registrar)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &slowRegistry{keys: map[shard.Key]bool{}, changes: make(chan shard.KeyChange, 1<<16), broken: make(chan error)}
		reg := newRegistrar(r, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- reg.run(ctx) }()
		<-reg.listed
		fn(r, reg)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestManyLatticesAreRegisteredSideBySide(t *testing.T) {
	t.Parallel()
	inRegistrar(t, func(r *slowRegistry, reg *registrar) {
		const n = 10_000
		began := time.Now()
		for range 2 {
			for i := range n {
				reg.want(tenancy.LatticeKey{Tenant: tenancy.DefaultTenant, Lattice: tenancy.Lattice(fmt.Sprintf("l%d", i))})
			}
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("whoever sees lattices waited %v", took)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.keys) != n || r.writes != n || r.most > registering || r.most < registering/2 {
			t.Errorf("%d lattices registered in 5 s, by %d writes, %d at once", len(r.keys), r.writes, r.most)
		}
	})
}

// TestALatticeThatSomebodyRemovedIsRegisteredAgain: also when the word of it was
// lost, and when it was removed in the moment it was registered.
func TestALatticeThatSomebodyRemovedIsRegisteredAgain(t *testing.T) {
	t.Parallel()
	inRegistrar(t, func(r *slowRegistry, reg *registrar) {
		key := tenancy.LatticeKey{Tenant: tenancy.DefaultTenant, Lattice: "default"}
		register := func(writes int) {
			t.Helper()
			if err := reg.register(context.Background(), key); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.writes != writes || !r.keys[shard.Key(key.Token())] {
				t.Errorf("%d writes, want %d; registered: %v", r.writes, writes, r.keys)
			}
		}
		register(1)
		register(1)
		if err := r.Unregister(context.Background(), shard.Key(key.Token())); err != nil {
			t.Error(err)
		}
		r.changes <- shard.KeyChange{Key: shard.Key(key.Token()), Gone: true}
		synctest.Wait()
		register(2)
		// Removed while nobody follows: nothing is known until the next list.
		if err := r.Unregister(context.Background(), shard.Key(key.Token())); err != nil {
			t.Error(err)
		}
		r.broken <- errors.New("cut")
		synctest.Wait()
		register(3)
		// The next list comes soon: without it all that is seen would be written.
		time.Sleep(200 * time.Millisecond)
		register(3)
	})
}

// TestALatticeThatIsSilentForEverIsLetGoAndComesBack: neither its owner nor the
// ledger keeps anything of it, until a host speaks again.
func TestALatticeThatIsSilentForEverIsLetGoAndComesBack(t *testing.T) {
	t.Parallel()
	inBubble(t, simhost.Config{RequireEpoch: true}, func(w *world) {
		t := w.t
		s, down := w.up("one", func(s *server) { s.dropAfter = 10 * time.Minute })
		defer down()
		h := w.host("a")
		w.deploy("shop", zoned("shop", 2, "a"))
		w.want(time.Minute, "shop", "shop-web", map[string]uint32{"a": 2})
		owned := func(want int) func() error {
			return func() error {
				if n := s.scheduler.Owned(); n != want {
					return fmt.Errorf("%d owned, want %d", n, want)
				}
				return nil
			}
		}
		// A host is enough, and so is an application.
		if _, err := w.client.Delete(t.Context(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		w.status(time.Minute, "shop", tenancy.StatusUndeployed)
		time.Sleep(20 * time.Minute)
		w.within(0, "with a host", owned(1))
		w.deploy("shop", zoned("shop", 2, "a"))
		if err := h.Kill(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Minute)
		w.within(0, "with an application", owned(1))
		if err := w.client.Undeploy(t.Context(), "shop"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Minute)
		w.within(0, "with an application that is not deployed", owned(1))
		if _, err := w.client.Delete(t.Context(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		w.within(20*time.Minute, "without anything", owned(0))
		time.Sleep(time.Hour + 5*time.Minute)
		st, err := w.js.Stream(t.Context(), natskv.DefaultLedger)
		if err != nil {
			t.Fatal(err)
		}
		if n := st.CachedInfo().State.Msgs; n != 0 {
			t.Errorf("%d records are left in the ledger", n)
		}
		// It comes back, first by a host and then, without one, by an application.
		w.host("a")
		w.within(time.Minute, "a host again", owned(1))
		w.deploy("shop", zoned("shop", 2, "a"))
		w.want(time.Minute, "shop", "shop-web", map[string]uint32{"a": 2})
		w.spotless()
	})
}

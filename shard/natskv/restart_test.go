package natskv_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/shard"
	"wadm/shard/natskv"
	"wadm/shard/ring"
	"wadm/shard/shardtest"
)

// hearing is how long it may take, once NATS is back, to hear what is stored: some
// 2 s. The client's own watches take 10 to 20 s.
const hearing = 6 * time.Second

// restarting is a fleet of one instance with one key, whole again after NATS was restarted.
func restarting(t *testing.T, srv *natstest.Server, f *fleet) (m *member, admin *natskv.Store) {
	t.Helper()
	m, admin = join(t, srv, f, "wadm-0")
	register(t, admin, f, "t.first")
	eventually(t, "whole", func() bool { return m.fleet.Ready() == nil && f.covered() == nil })
	restart(t, srv, f, m)
	return m, admin
}

func restart(t *testing.T, srv *natstest.Server, f *fleet, m *member) {
	t.Helper()
	srv.Stop()
	eventually(t, "doubts", func() bool { return !m.fleet.Status().Healthy })
	srv.StartAgain(t)
	eventually(t, "whole again", func() bool { return m.fleet.Status().Healthy && m.fleet.Ready() == nil && f.covered() == nil })
}

func join(t *testing.T, srv *natstest.Server, f *fleet, id shard.MemberID) (*member, *natskv.Store) {
	t.Helper()
	nc := srv.Connect(t, nats.ReconnectBufSize(-1))
	st, err := natskv.Open(t.Context(), nc, natskv.Config{Storage: jetstream.FileStorage, LedgerBytes: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	m := f.run(id, st, st.JetStream(), nc.Close, quick)
	t.Cleanup(func() {
		m.cancel()
		<-m.done //nolint:errcheck // it was cancelled, so its error says nothing
	})
	return m, st
}

func register(t *testing.T, s *natskv.Store, f *fleet, k shard.Key) {
	t.Helper()
	if err := s.Registry().Register(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	f.keys = append(f.keys, k)
}

func TestAKeyRegisteredAfterARestartOfNATSHasAnOwnerSoon(t *testing.T) {
	t.Parallel()
	srv, f := natstest.Start(t), &fleet{t: t, effects: shardtest.NewEffects()}
	m, admin := restarting(t, srv, f)
	for i := range 2 {
		register(t, admin, f, shard.Key(fmt.Sprintf("t.new%d", i)))
		within(t, hearing, "the new key has an owner", func() bool { return f.covered() == nil })
		restart(t, srv, f, m)
	}
}

func TestAKeyUnregisteredAfterARestartOfNATSIsGivenUpSoon(t *testing.T) {
	t.Parallel()
	srv, f := natstest.Start(t), &fleet{t: t, effects: shardtest.NewEffects()}
	m, admin := restarting(t, srv, f)
	if err := admin.Registry().Unregister(t.Context(), "t.first"); err != nil {
		t.Fatal(err)
	}
	within(t, hearing, "the key is given up", func() bool { return len(m.keys()) == 0 })
}

func TestSubscriptionsHearSoonAfterARestartOfNATS(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := srv.Connect(t, nats.ReconnectBufSize(-1))
	s, err := natskv.Open(t.Context(), nc, natskv.Config{Storage: jetstream.FileStorage, LedgerBytes: 32 << 20, MemberTTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	all := subscriptions(s)
	hears := make([]*heard, len(all))
	for i, sub := range all {
		hears[i] = &heard{last: map[string]bool{}}
		again(t, sub, hears[i])
		eventually(t, "follows "+sub.stream, func() bool { return hears[i].is(began, true) })
	}
	srv.Stop()
	eventually(t, "is not connected", func() bool { return !nc.IsConnected() })
	srv.StartAgain(t)
	eventually(t, "is connected", nc.IsConnected)
	for _, sub := range all {
		if err := sub.store(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i, sub := range all {
		within(t, hearing, sub.stream+" is heard", func() bool { return hears[i].is(sub.key, true) })
	}
}

// heard is what a subscription told last of each key, and that it began.
type heard struct {
	mu   sync.Mutex
	last map[string]bool // there or not
}

const began = "began"

func (h *heard) set(k string, there bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last[k] = there
}

func (h *heard) is(k string, there bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	got, ok := h.last[k]
	return ok && got == there
}

// subscription is one kind of them, to the stores.
type subscription struct {
	stream string
	follow func(ctx context.Context, h *heard) error
	// store stores what is to be heard of key.
	store func(ctx context.Context) error
	key   string
}

func subscriptions(s *natskv.Store) []subscription {
	return []subscription{
		{stream: "KV_wadm_lattices", key: "t.new", follow: func(ctx context.Context, h *heard) error {
			return s.Registry().Watch(ctx, func(cs []shard.KeyChange) {
				h.set(began, true)
				for _, c := range cs {
					h.set(string(c.Key), !c.Gone)
				}
			})
		}, store: func(ctx context.Context) error {
			return errors.Join(s.Registry().Register(ctx, "t.new"), s.Registry().Unregister(ctx, "t.old"))
		}},
		{stream: "KV_wadm_members", key: "wadm-9", follow: func(ctx context.Context, h *heard) error {
			return s.WatchMembers(ctx, func(cs []shard.MemberChange) {
				h.set(began, true)
				for _, c := range cs {
					h.set(string(c.Member.ID), !c.Gone)
				}
			})
		}, store: func(ctx context.Context) error {
			_, err := s.PutMember(ctx, shard.Member{ID: "wadm-9", Incarnation: "wadm-9-1", Units: 4, State: shard.MemberActive}, 0)
			return err
		}},
		{stream: "KV_wadm_view", key: "view", follow: func(ctx context.Context, h *heard) error {
			return s.WatchView(ctx, func(v *shard.View) {
				h.set(began, true)
				h.set("view", v != nil)
			})
		}, store: func(ctx context.Context) error {
			_, err := s.PutView(ctx, shard.View{
				Schema: shard.Schema, Params: ring.DefaultParams(), Fingerprint: "f", Proposer: "a",
				Members: []shard.ViewMember{{ID: "a", Incarnation: "a-1", Units: 4, State: shard.MemberActive}},
			}, 0)
			return err
		}},
		{stream: "wadm_ledger", key: "t.new", follow: func(ctx context.Context, h *heard) error {
			return s.Follow(ctx, func(hs []shard.Head) {
				h.set(began, true)
				for _, c := range hs {
					h.set(string(c.Key), true)
				}
			})
		}, store: func(ctx context.Context) error {
			_, err := s.Put(ctx, "t.new", shard.Record{Owner: "x", Incarnation: "x", State: shard.Released}, 0)
			return err
		}},
	}
}

// again calls a subscription again and again until stop is called, or the test ends.
func again(t *testing.T, sub subscription, h *heard) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = sub.follow(ctx, h) // whatever it says
			time.Sleep(100 * time.Millisecond)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

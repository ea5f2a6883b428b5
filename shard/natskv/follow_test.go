package natskv_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"wadm/config/natsconn/natstest"
	"wadm/shard"
	"wadm/shard/natskv"
	"wadm/shard/shardtest"
)

// A subscription to the stores that hears nothing any more is made again. What ends it
// meanwhile must end it: an instance waits for its subscriptions when it stops.
func TestSubscriptionsEndWhileNATSIsSilent(t *testing.T) {
	t.Parallel()
	subscriptions := map[string]func(ctx context.Context, s *natskv.Store) error{
		"claims": func(ctx context.Context, s *natskv.Store) error { return s.Follow(ctx, func([]shard.Head) {}) },
		"members": func(ctx context.Context, s *natskv.Store) error {
			return s.WatchMembers(ctx, func([]shard.MemberChange) {})
		},
		"view": func(ctx context.Context, s *natskv.Store) error { return s.WatchView(ctx, func(*shard.View) {}) },
		"registry": func(ctx context.Context, s *natskv.Store) error {
			return s.Registry().Watch(ctx, func([]shard.KeyChange) {})
		},
	}
	ends := map[string]func(cancel func(), closeConn func()){
		"by its context":         func(cancel, _ func()) { cancel() },
		"by a closed connection": func(_, closeConn func()) { closeConn() },
	}
	for what, subscribe := range subscriptions {
		for how, end := range ends {
			t.Run(what+" "+how, func(t *testing.T) {
				t.Parallel()
				natstest.Bubble(t, func(t *testing.T, srv *natstest.Server) {
					s, f := openFaulty(t, srv)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					done := make(chan error, 1)
					go func() { done <- subscribe(ctx, s) }()
					time.Sleep(3 * time.Second)
					f.Set(natstest.Holding)
					time.Sleep(3 * time.Second)
					end(cancel, s.JetStream().Conn().Close)
					began := time.Now()
					select {
					case <-done: //nolint:errcheck // only that it ends counts
						// The client may try for the store's timeout to tell the server.
						if d := time.Since(began); d > 5*time.Second {
							t.Errorf("ended after %s", d)
						}
					case <-time.After(time.Hour):
						t.Error("goes on after an hour")
					}
					f.Set(natstest.Passing)
					time.Sleep(10 * time.Millisecond) // what was held back arrives
				})
			})
		}
	}
}

func TestAnInstanceStopsWhileNATSIsSilent(t *testing.T) {
	t.Parallel()
	natstest.Bubble(t, func(t *testing.T, srv *natstest.Server) {
		f := &fleet{t: t, effects: shardtest.NewEffects(), keys: []shard.Key{"t.l"}}
		if err := open(t, srv).Registry().Register(t.Context(), "t.l"); err != nil {
			t.Fatal(err)
		}
		s, wire := openFaulty(t, srv)
		m := f.run("wadm-0", s, s.JetStream(), func() {}, nil)
		time.Sleep(10 * time.Second)
		if err := f.covered(); err != nil {
			t.Fatal(err)
		}
		wire.Set(natstest.Holding)
		time.Sleep(5 * time.Second)
		m.cancel()
		began := time.Now()
		select {
		case err := <-m.done:
			if d := time.Since(began); !errors.Is(err, shard.ErrUnhealthy) || d > 10*time.Second {
				t.Errorf("ended after %s with %v", d, err)
			}
		case <-time.After(time.Hour):
			t.Error("does not stop")
		}
		wire.Set(natstest.Passing)
		time.Sleep(10 * time.Millisecond) // what was held back arrives
	})
}

// TestASubscriptionToClaimsLeavesNothingBehind: with a ledger that comes and goes it
// is made again several times a second.
func TestASubscriptionToClaimsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := open(t, natstest.Start(t))
	consumers := func() int {
		info, err := s.JetStream().Stream(t.Context(), natskv.DefaultLedger)
		if err != nil {
			t.Fatal(err)
		}
		return info.CachedInfo().State.Consumers
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	following := make(chan struct{}, 1)
	done := make(chan error, 1)
	go func() { done <- s.Follow(ctx, func([]shard.Head) { following <- struct{}{} }) }()
	select {
	case <-following:
	case err := <-done:
		t.Fatalf("ended with %v", err)
	case <-time.After(10 * time.Second):
		t.Fatal("does not follow")
	}
	if n := consumers(); n != 1 {
		t.Errorf("%d consumers while it follows, want 1", n)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("does not end")
	}
	if n := consumers(); n != 0 {
		t.Errorf("%d consumers are left", n)
	}
}

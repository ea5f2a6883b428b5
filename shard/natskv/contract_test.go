package natskv_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/shard"
	"wadm/shard/natskv"
	"wadm/shard/shardtest"
)

func TestNATSMeetsTheContract(t *testing.T) {
	t.Parallel()
	shardtest.Contract(t, func(t *testing.T, body func(*testing.T, shard.Ports)) {
		natstest.Bubble(t, func(t *testing.T, s *natstest.Server) { body(t, open(t, s).Ports()) })
	})
}

func openFaulty(t *testing.T, s *natstest.Server) (*natskv.Store, *natstest.Wire) {
	t.Helper()
	nc, wire := s.Faulty(t)
	st, err := natskv.Open(t.Context(), nc, natskv.Config{Storage: jetstream.MemoryStorage})
	if err != nil {
		t.Fatal(err)
	}
	return st, wire
}

func TestEveryWriteWithoutAnswerIsOfUnknownOutcomeStoredOrNot(t *testing.T) {
	t.Parallel()
	rec := shard.Record{Owner: "a", Incarnation: "a-1", State: shard.Held}
	mem := shard.Member{ID: "a", Incarnation: "a-1", Units: 4, State: shard.MemberActive}
	for name, tc := range map[string]struct {
		write  func(ctx context.Context, s *natskv.Store) error
		stored func(ctx context.Context, s *natskv.Store) (bool, error)
	}{
		"claim": {
			func(ctx context.Context, s *natskv.Store) error { _, err := s.Put(ctx, "t.l", rec, 0); return err },
			func(ctx context.Context, s *natskv.Store) (bool, error) {
				h, err := s.Last(ctx, "t.l")
				return h.HeldBy("a-1"), err
			},
		},
		"member": {
			func(ctx context.Context, s *natskv.Store) error { _, err := s.PutMember(ctx, mem, 0); return err },
			func(ctx context.Context, s *natskv.Store) (bool, error) {
				n, err := first(ctx, s.WatchMembers)
				return len(n) == 1, err
			},
		},
		"view": {
			func(ctx context.Context, s *natskv.Store) error {
				_, err := s.PutView(ctx, shard.View{Schema: 1}, 0)
				return err
			},
			func(ctx context.Context, s *natskv.Store) (bool, error) {
				v, err := first(ctx, s.WatchView)
				return v != nil, err
			},
		},
		"registration": {
			func(ctx context.Context, s *natskv.Store) error { return s.Registry().Register(ctx, "t.l") },
			func(ctx context.Context, s *natskv.Store) (bool, error) {
				n, err := first(ctx, s.Registry().Watch)
				return len(n) == 1, err
			},
		},
	} {
		for mode, stored := range map[natstest.WireMode]bool{natstest.Losing: false, natstest.Holding: true} {
			t.Run(name+map[bool]string{true: " stored", false: " not stored"}[stored], func(t *testing.T) {
				t.Parallel()
				natstest.Bubble(t, func(t *testing.T, srv *natstest.Server) {
					s, f := openFaulty(t, srv)
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					f.Set(mode)
					err := tc.write(ctx, s)
					f.Set(natstest.Passing)
					time.Sleep(10 * time.Millisecond) // what was held back arrives late
					if name == "registration" {
						if err == nil {
							t.Error("no error")
						}
					} else if !errors.Is(err, shard.ErrUnknownOutcome) {
						t.Errorf("error %v", err)
					}
					got, err := tc.stored(t.Context(), open(t, srv))
					if err != nil || got != stored {
						t.Errorf("stored: %v, %v, want %v", got, err, stored)
					}
				})
			})
		}
	}
}

// first gives what a subscription delivers first.
func first[T any](ctx context.Context, watch func(context.Context, func(T)) error) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var x T
	got := false
	err := watch(ctx, func(v T) {
		if !got {
			x, got = v, true
			cancel()
		}
	})
	if err == nil && !got {
		err = errors.New("nothing delivered")
	}
	return x, err
}

func TestWithoutJetStreamAWriteIsNotStored(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	s := open(t, srv)
	if err := srv.NATS().DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Put(t.Context(), "t.l", shard.Record{Owner: "a", Incarnation: "a-1", State: shard.Held}, 0)
	if err == nil || errors.Is(err, shard.ErrUnknownOutcome) || errors.Is(err, shard.ErrFenced) {
		t.Errorf("error %v, want a plain refusal", err)
	}
}

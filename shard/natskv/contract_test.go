package natskv_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
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

// write is one kind of write, on condition of a revision or, if free, on none.
type write struct {
	// before is what must be there already; it gives the revision for the condition.
	before func(ctx context.Context, s *natskv.Store) (uint64, error)
	do     func(ctx context.Context, s *natskv.Store, expect uint64) (uint64, error)
	free   bool
	// stored reads back whether it is stored, and the revision of the next condition.
	stored func(ctx context.Context, s *natskv.Store) (bool, uint64, error)
	// next is what follows it on that condition.
	next func(ctx context.Context, s *natskv.Store, expect uint64) (uint64, error)
	// from is in the first message without answer, if that is not the first of all.
	from string
}

// writes are all kinds of writes that instances make.
func writes() map[string]write {
	nothing := func(context.Context, *natskv.Store) (uint64, error) { return 0, nil }
	claim := func(owner shard.MemberID, state shard.ClaimState, forget bool) func(context.Context, *natskv.Store, uint64) (uint64, error) {
		return func(ctx context.Context, s *natskv.Store, expect uint64) (uint64, error) {
			rec := shard.Record{Owner: owner, Incarnation: shard.Incarnation(owner + "-1"), State: state, Forget: forget}
			return s.Put(ctx, "t.l", rec, expect)
		}
	}
	claimed := func(owner shard.MemberID, state shard.ClaimState) func(context.Context, *natskv.Store) (bool, uint64, error) {
		return func(ctx context.Context, s *natskv.Store) (bool, uint64, error) {
			h, err := s.Last(ctx, "t.l")
			return h.Record.Owner == owner && h.Record.State == state, h.Seq, err
		}
	}
	member := func(held int) func(context.Context, *natskv.Store, uint64) (uint64, error) {
		return func(ctx context.Context, s *natskv.Store, expect uint64) (uint64, error) {
			return s.PutMember(ctx, shard.Member{ID: "a", Incarnation: "a-1", Units: 4, State: shard.MemberActive, Held: held}, expect)
		}
	}
	drop := func(ctx context.Context, s *natskv.Store, expect uint64) (uint64, error) {
		return 0, s.DropMember(ctx, "a", expect)
	}
	memberIs := func(held int) func(context.Context, *natskv.Store) (bool, uint64, error) {
		return func(ctx context.Context, s *natskv.Store) (bool, uint64, error) {
			all, err := first(ctx, s.WatchMembers)
			if err != nil || len(all) != 1 || all[0].Gone {
				return held < 0, 0, err
			}
			return all[0].Member.Held == held, all[0].Rev, nil
		}
	}
	view := func(cause string) func(context.Context, *natskv.Store, uint64) (uint64, error) {
		return func(ctx context.Context, s *natskv.Store, expect uint64) (uint64, error) {
			return s.PutView(ctx, shard.View{Schema: 1, Cause: cause}, expect)
		}
	}
	viewIs := func(cause string) func(context.Context, *natskv.Store) (bool, uint64, error) {
		return func(ctx context.Context, s *natskv.Store) (bool, uint64, error) {
			v, err := first(ctx, s.WatchView)
			if v == nil {
				return false, 0, err
			}
			return v.Cause == cause, v.Rev, err
		}
	}
	register := func(ctx context.Context, s *natskv.Store, _ uint64) (uint64, error) {
		return 0, s.Registry().Register(ctx, "t.l")
	}
	unregister := func(ctx context.Context, s *natskv.Store, _ uint64) (uint64, error) {
		return 0, s.Registry().Unregister(ctx, "t.l")
	}
	registered := func(want bool) func(context.Context, *natskv.Store) (bool, uint64, error) {
		return func(ctx context.Context, s *natskv.Store) (bool, uint64, error) {
			keys, err := first(ctx, s.Registry().Watch)
			return slices.ContainsFunc(keys, func(c shard.KeyChange) bool { return c.Key == "t.l" && !c.Gone }) == want, 0, err
		}
	}
	// after makes one write the premise of another.
	after := func(dos ...func(context.Context, *natskv.Store, uint64) (uint64, error)) func(context.Context, *natskv.Store) (uint64, error) {
		return func(ctx context.Context, s *natskv.Store) (rev uint64, err error) {
			for _, do := range dos {
				if rev, err = do(ctx, s, rev); err != nil {
					return 0, err
				}
			}
			return rev, nil
		}
	}
	const held, released = shard.Held, shard.Released
	// What takes the place of something that was removed is refused at first.
	lastOf := func(seq int) string { return fmt.Sprintf("%s: %d\r\n", jetstream.ExpectedLastSubjSeqHeader, seq) }
	return map[string]write{
		"claim":             {nothing, claim("a", held, false), false, claimed("a", held), claim("b", held, false), ""},
		"take-over":         {after(claim("a", held, false)), claim("b", held, false), false, claimed("b", held), claim("c", held, false), ""},
		"release":           {after(claim("a", held, false)), claim("a", released, false), false, claimed("a", released), claim("b", held, false), ""},
		"release for good":  {after(claim("a", held, false)), claim("a", released, true), false, claimed("a", released), claim("b", held, false), ""},
		"member":            {nothing, member(1), false, memberIs(1), member(2), ""},
		"refreshed member":  {after(member(1)), member(2), false, memberIs(2), member(3), ""},
		"dropped member":    {after(member(1)), drop, false, memberIs(-1), member(2), ""},
		"returning member":  {after(member(1), drop), member(2), false, memberIs(2), member(3), lastOf(2)},
		"view":              {nothing, view("one"), false, viewIs("one"), view("two"), ""},
		"next view":         {after(view("one")), view("two"), false, viewIs("two"), view("three"), ""},
		"registration":      {nothing, register, true, registered(true), unregister, ""},
		"registration anew": {after(register, unregister), register, true, registered(true), unregister, lastOf(2)},
		"removal":           {after(register), unregister, true, registered(false), register, ""},
	}
}

// Whoever gets no answer does not know; what is there says it. A second write on
// the same condition finds out, and on the revision that is there it goes on.
func TestEveryWriteWithoutAnswerIsOfUnknownOutcomeStoredOrNot(t *testing.T) {
	t.Parallel()
	for name, w := range writes() {
		for mode, stored := range map[natstest.WireMode]bool{natstest.Losing: false, natstest.Holding: true} {
			t.Run(name+map[bool]string{true: " stored", false: " not stored"}[stored], func(t *testing.T) {
				t.Parallel()
				natstest.Bubble(t, func(t *testing.T, srv *natstest.Server) {
					direct := open(t, srv)
					expect, err := w.before(t.Context(), direct)
					if err != nil {
						t.Fatal(err)
					}
					s, f := openFaulty(t, srv)
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					f.SetAt(mode, w.from)
					_, err = w.do(ctx, s, expect)
					f.Set(natstest.Passing)
					time.Sleep(10 * time.Millisecond) // what was held back arrives late
					if err == nil || errors.Is(err, shard.ErrFenced) || !w.free && !errors.Is(err, shard.ErrUnknownOutcome) {
						t.Errorf("without answer: %v", err)
					}
					got, rev, err := w.stored(t.Context(), direct)
					if err != nil || got != stored {
						t.Errorf("stored: %v, %v, want %v", got, err, stored)
					}

					_, err = w.do(t.Context(), s, expect)
					if refused := errors.Is(err, shard.ErrFenced); refused != (stored && !w.free) || err != nil && !refused {
						t.Errorf("the same again: %v", err)
					}
					got, last, err := w.stored(t.Context(), direct)
					if err != nil || !got || stored && last != rev {
						t.Errorf("after that, stored: %v, %v, at %d, before %d", got, err, last, rev)
					}
					if _, err := w.next(t.Context(), s, last); err != nil {
						t.Errorf("what follows: %v", err)
					}
					if got, _, err := w.stored(t.Context(), direct); err != nil || got {
						t.Errorf("after what follows it is still there: %v", err)
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

// Replicated streams refuse a conditional write while another is in flight, which
// may yet be a removal or come to nothing. One server never does, so a subscriber
// answers in the bucket's place.
func TestARegistrationIsNotTakenForMadeWhileAnotherWriteIsInFlight(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	s := open(t, srv)
	if err := s.JetStream().DeleteKeyValue(t.Context(), natskv.DefaultLattices); err != nil {
		t.Fatal(err)
	}
	nc := srv.Connect(t)
	var tries atomic.Int32
	if _, err := nc.Subscribe("$KV."+natskv.DefaultLattices+".>", func(m *nats.Msg) {
		answer := `{"stream":"KV_wadm_lattices","seq":9}`
		if tries.Add(1) <= 3 {
			answer = `{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"},"stream":"KV_wadm_lattices","seq":0}`
		}
		_ = m.Respond([]byte(answer))
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Registry().Register(t.Context(), "t.l"); err != nil || tries.Load() != 4 {
		t.Errorf("registered after %d tries with %v, want 4", tries.Load(), err)
	}
	tries.Store(-1 << 20)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := s.Registry().Register(ctx, "t.l"); err == nil {
		t.Error("registered although every write was refused")
	}
}

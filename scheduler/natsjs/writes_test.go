package natsjs_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"wadm/config/natsconn/natstest"
	"wadm/scheduler"
	"wadm/scheduler/natsjs"
	"wadm/tenancy"
)

// Whoever gets no answer to a write of the ledger does not know whether it is stored.
// It may make it again under the same claim; a successor sees it once, and from then
// on it is refused.
func TestEveryWriteWithoutAnswerIsOfUnknownOutcomeStoredOrNot(t *testing.T) {
	t.Parallel()
	inDoubtNow := func(t *testing.T, l *natsjs.Ledger, c scheduler.Claim) string {
		t.Helper()
		return strings.Join(inDoubt(t, l, c), " ")
	}
	state := func(t *testing.T, l *natsjs.Ledger, c scheduler.Claim) string {
		t.Helper()
		s, err := l.LoadState(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return string(s)
	}
	appended := func(ctx context.Context, l *natsjs.Ledger, c scheduler.Claim) error {
		return l.Append(ctx, c, commands("a", "b"))
	}
	saved := func(state string) func(context.Context, *natsjs.Ledger, scheduler.Claim) error {
		return func(ctx context.Context, l *natsjs.Ledger, c scheduler.Claim) error {
			return l.SaveState(ctx, c, []byte(state))
		}
	}
	for name, w := range map[string]struct {
		before, do func(context.Context, *natsjs.Ledger, scheduler.Claim) error
		// seen is what a reader of the ledger sees: without is before, with when it is stored.
		seen          func(*testing.T, *natsjs.Ledger, scheduler.Claim) string
		without, with string
	}{
		"commands": {saved("old"), appended, inDoubtNow, "", "a b"},
		"outcomes": {appended, func(ctx context.Context, l *natsjs.Ledger, c scheduler.Claim) error {
			return errors.Join(l.Resolve(ctx, c, []string{"a"}), l.Settle(ctx, c, []string{"b"}))
		}, inDoubtNow, "a b", ""},
		"proof": {appended, func(ctx context.Context, l *natsjs.Ledger, c scheduler.Claim) error {
			return l.ProveClaim(ctx, c)
		}, inDoubtNow, "a b", "a b"},
		"state": {saved("old"), saved("new"), state, "old", "new"},
		"removal of the state": {saved("old"), func(ctx context.Context, l *natsjs.Ledger, c scheduler.Claim) error {
			return l.ForgetState(ctx, c)
		}, state, "old", ""},
	} {
		for mode, stored := range map[natstest.WireMode]bool{natstest.Losing: false, natstest.Holding: true} {
			t.Run(name+map[bool]string{true: " stored", false: " not stored"}[stored], func(t *testing.T) {
				t.Parallel()
				srv := natstest.Start(t)
				js := srv.JetStream(t)
				direct := newLedger(t, srv)
				c := claim(t, js, lattice1("default"))
				if err := w.before(t.Context(), direct, c); err != nil {
					t.Fatal(err)
				}
				nc, wire := srv.Faulty(t)
				l := natsjs.NewLedger(open(t, nc, natsjs.Config{AppendTimeout: 200 * time.Millisecond}))
				last := func() uint64 {
					st, err := js.Stream(t.Context(), "wadm_ledger")
					if err != nil {
						t.Fatal(err)
					}
					return st.CachedInfo().State.LastSeq
				}
				before := last()
				wire.Set(mode)
				err := w.do(t.Context(), l, c)
				wire.Set(natstest.Passing)
				if !errors.Is(err, scheduler.ErrUnknownOutcome) || errors.Is(err, scheduler.ErrFenced) {
					t.Errorf("without answer: %v", err)
				}
				if got, want := w.seen(t, direct, c), map[bool]string{true: w.with, false: w.without}[stored]; got != want {
					t.Errorf("then %q is seen, want %q", got, want)
				}
				if got, want := last()-before, map[bool]uint64{true: 1, false: 0}[stored]; got != want {
					t.Errorf("stored %d times, want %d", got, want)
				}
				// As long as it takes an answer that was held back to come.
				eventually(t, "made again", func() bool { return w.do(t.Context(), l, c) == nil })
				next := claim(t, js, lattice1("default"))
				if got := w.seen(t, direct, next); got != w.with {
					t.Errorf("the successor sees %q, want %q", got, w.with)
				}
				if err := w.do(t.Context(), l, c); !errors.Is(err, scheduler.ErrFenced) {
					t.Errorf("after the successor's claim: %v", err)
				}
				if got := w.seen(t, direct, next); got != w.with {
					t.Errorf("after that the successor sees %q, want %q", got, w.with)
				}
			})
		}
	}
}

// A status without answer is published again; it, and no older one, is the last.
func TestAStatusWithoutAnswerIsPublishedAgainUnlessItIsStored(t *testing.T) {
	t.Parallel()
	for mode, stored := range map[natstest.WireMode]bool{natstest.Losing: false, natstest.Holding: true} {
		t.Run(map[bool]string{true: "stored", false: "not stored"}[stored], func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			js := srv.JetStream(t)
			nc, wire := srv.Faulty(t)
			p := natsjs.NewStatuses(open(t, nc, natsjs.Config{AppendTimeout: 20 * time.Second}))
			publish := func(limit time.Duration, kind tenancy.StatusType) error {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				return p.Publish(ctx, lattice1("default"), "shop", tenancy.Status{Status: tenancy.StatusInfo{Type: kind}})
			}
			published := func(want int, last tenancy.StatusType) {
				t.Helper()
				st, err := js.Stream(t.Context(), "wadm_status")
				if err != nil {
					t.Fatal(err)
				}
				if n := int(st.CachedInfo().State.Msgs); n != want {
					t.Errorf("%d statuses, want %d", n, want)
				}
				if want == 0 {
					return
				}
				m, err := st.GetLastMsgForSubject(t.Context(), "wadm.status.default.shop")
				if err != nil {
					t.Fatal(err)
				}
				if got, err := tenancy.DecodeStatus(m.Data); err != nil || got.Status.Type != last {
					t.Errorf("the last one is %q, %v, want %q", got.Status.Type, err, last)
				}
			}
			// The look at what is there is answered.
			wire.SetAt(mode, "Nats-Expected-Stream")
			if err := publish(300*time.Millisecond, tenancy.StatusFailed); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("without answer: %v", err)
			}
			wire.Set(natstest.Passing)
			published(map[bool]int{true: 1, false: 0}[stored], tenancy.StatusFailed)
			if err := publish(patience, tenancy.StatusFailed); err != nil {
				t.Errorf("again: %v", err)
			}
			published(1, tenancy.StatusFailed)
			if err := publish(patience, tenancy.StatusDeployed); err != nil {
				t.Errorf("the next one: %v", err)
			}
			published(2, tenancy.StatusDeployed)
		})
	}
}

package shard_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wadm/shard"
	"wadm/shard/shardtest"
)

// act runs a fleet of one that owns one key by own.
func (r *rig) act(cfg shard.FleetConfig, own shard.Own) (cancel func(), done <-chan error) {
	r.t.Helper()
	cfg.Instance, cfg.NewIncarnation = "wadm-0", r.life("wadm-0")
	f, err := shard.New(r.w.Link().Ports(), cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.t.Cleanup(cancel)
	end := make(chan error, 1)
	go func() { end <- f.Run(ctx, own) }()
	return cancel, end
}

// A claim that is lost, given back or taken away allows nothing, whatever keeps it.
func TestAClaimThatIsOverAllowsNothing(t *testing.T) {
	t.Parallel()
	over := func(t *testing.T, c shard.Claim, when string) {
		t.Helper()
		if err := c.MayAct(); !errors.Is(err, shard.ErrFenced) {
			t.Errorf("%s: may act = %v", when, err)
		}
	}
	t.Run("lost to a newer claim", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 1)
			first := make(chan shard.Claim, 1)
			cancel, done := r.act(shard.FleetConfig{}, func(ctx context.Context, c shard.Claim) error {
				select {
				case first <- c:
				default:
				}
				<-ctx.Done()
				if errors.Is(context.Cause(ctx), shard.ErrFenced) {
					over(t, c, "while own still runs")
				}
				return nil
			})
			c := <-first
			if err := c.MayAct(); err != nil {
				t.Fatal(err)
			}
			other := shard.Record{Owner: "other", Incarnation: "other-1", State: shard.Held}
			if _, err := r.w.Put(t.Context(), c.Key, other, c.Epoch); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
			over(t, c, "after the newer claim")
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("own has returned", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 1)
			kept := make(chan shard.Claim, 1)
			cancel, done := r.act(shard.FleetConfig{}, func(ctx context.Context, c shard.Claim) error {
				select {
				case kept <- c:
					return errors.New("own failed")
				default:
				}
				<-ctx.Done()
				return nil
			})
			c := <-kept
			time.Sleep(time.Millisecond)
			over(t, c, "after own returned")
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("not handed over in time", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 1)
			held, release := make(chan shard.Claim, 1), make(chan struct{})
			cancel, done := r.act(shard.FleetConfig{StopLimit: time.Second}, func(_ context.Context, c shard.Claim) error {
				held <- c
				<-release
				return nil
			})
			c := <-held
			time.Sleep(time.Second)
			cancel()
			if err := <-done; err == nil {
				t.Error("ended well with an owner that still runs")
			}
			over(t, c, "after the stop limit")
			close(release)
		})
	})
}

// backed is a ledger that tells something else of itself than is the case.
type backed struct {
	shard.Ledger
	tell atomic.Pointer[func(shard.LedgerMark) shard.LedgerMark]
}

func (b *backed) Probe(ctx context.Context) (shard.LedgerMark, error) {
	m, err := b.Ledger.Probe(ctx)
	if tell := b.tell.Load(); tell != nil && err == nil {
		m = (*tell)(m)
	}
	return m, err
}

func TestALedgerThatIsLostOrRolledBackIsClaimedAnew(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		tell func(shard.LedgerMark) shard.LedgerMark
		lost bool
	}{
		"as it was":   {func(m shard.LedgerMark) shard.LedgerMark { return m }, false},
		"grown":       {func(m shard.LedgerMark) shard.LedgerMark { m.Last++; return m }, false},
		"another one": {func(m shard.LedgerMark) shard.LedgerMark { m.Created = m.Created.Add(1); return m }, true},
		// Others have written since the last own claim, so only what was told before shows it.
		"without the last record": {func(m shard.LedgerMark) shard.LedgerMark {
			if m.Last == 7 {
				m.Last--
			}
			return m
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 5)
				told := &backed{}
				o, _ := r.lone("wadm-0", func(l shard.Ledger) shard.Ledger { told.Ledger = l; return told })
				time.Sleep(10 * time.Second)
				other := shard.Record{Owner: "other", Incarnation: "other-1", State: shard.Held}
				for _, k := range []shard.Key{"t.other1", "t.other2"} {
					if _, err := r.w.Put(t.Context(), k, other, 0); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Second)
				before := o.held()
				if len(before) != 5 {
					t.Fatalf("holds %d keys", len(before))
				}
				told.tell.Store(&tc.tell)
				time.Sleep(5 * time.Second)
				after := o.held()
				for k, c := range before {
					if anew := after[k].Epoch > c.Epoch; anew != tc.lost {
						t.Errorf("%s: claimed anew = %v: epoch %d, then %d", k, anew, c.Epoch, after[k].Epoch)
					}
					if err := c.MayAct(); (err == nil) == tc.lost {
						t.Errorf("%s: the claim of before: may act = %v", k, err)
					}
				}
			})
		})
	}
}

// A server that was behind when it took the ledger over may never have told of more
// than it has; but what this instance stored itself has to be there.
func TestALedgerWithoutAnOwnClaimIsRolledBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 5)
		told, empty := &backed{}, func(m shard.LedgerMark) shard.LedgerMark { m.Last = 0; return m }
		told.tell.Store(&empty)
		r.lone("wadm-0", func(l shard.Ledger) shard.Ledger { told.Ledger = l; return told })
		time.Sleep(5 * time.Second)
		if n := r.lives.Load(); n < 2 {
			t.Errorf("%d lives although none of its claims is in the ledger", n)
		}
	})
}

func TestAnExcludedInstanceComesBackEverLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20)
		is := r.fleetOf(2)
		out := r.start("wadm-9", func(c *shard.FleetConfig) { c.WriteTimeout = 200 * time.Millisecond })
		time.Sleep(40 * time.Second)
		// back cuts it off until the others have given it up, and tells how long it
		// stays away once it knows.
		back := func() time.Duration {
			old := out.fleet.Status().Incarnation
			out.cut(true)
			time.Sleep(5 * time.Second)
			out.cut(false)
			for out.fleet.Status().Incarnation == old {
				time.Sleep(10 * time.Millisecond)
			}
			began, anew := time.Now(), out.fleet.Status().Incarnation
			for {
				for _, m := range is[0].fleet.Status().Members {
					if m.Incarnation == anew {
						time.Sleep(20 * time.Second)
						r.mustCover("after it came back")
						return time.Since(began) - 20*time.Second
					}
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
		check := func(want time.Duration) {
			t.Helper()
			if got := back(); got < want-100*time.Millisecond || got > want+500*time.Millisecond {
				t.Errorf("came back after %s, want %s", got, want)
			}
		}
		for _, want := range []time.Duration{1, 2, 4} {
			check(want * time.Second)
		}
		time.Sleep(time.Minute) // long enough in the view to be trusted again
		check(time.Second)
	})
}

func TestARefusedViewIsNotProposedAgainAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 5)
		is := r.fleetOf(2)
		tries := 0
		r.w.SetFault(func(op, _ string) shardtest.Fault {
			if op != "view" {
				return shardtest.None
			}
			tries++
			return shardtest.Refused
		})
		r.crash(is[1])
		time.Sleep(6 * time.Second)
		r.w.SetFault(nil)
		if tries < 8 || tries > 15 {
			t.Errorf("proposed %d times within about 4 s, want one each 0.3 s", tries)
		}
		time.Sleep(5 * time.Second)
		r.mustCover("in the end")
	})
}

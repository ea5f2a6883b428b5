package shard_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wadm/shard"
	"wadm/shard/shardtest"
)

// tardy is a fleet of a and b in which every effect of a reaches the hosts late by
// hold after its check. With appends, each check follows an append at once, as
// owners have to do it; without, the append was made long ago. What arrived stale
// is returned. Effects flow all the time from strike on, which ends a's life, or its
// being heard.
func tardy(t *testing.T, hold time.Duration, appends bool, strike func(r *rig, a, b *shardtest.Link)) []string {
	r := newRig(t, 3)
	hosts, armed := shardtest.NewEffects(), make(chan struct{})
	run := func(id shard.MemberID, hold time.Duration) (*shardtest.Link, func()) {
		link := r.w.Link()
		f, err := shard.New(link.Ports(), shard.FleetConfig{Instance: id, NewIncarnation: r.life(id)})
		if err != nil {
			t.Fatal(err)
		}
		act := func(ctx context.Context, c shard.Claim) error {
			if !appends {
				return c.MayAct()
			}
			ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			if err := link.Append(ctx, c); err != nil {
				return err
			}
			return c.MayAct()
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			done <- f.Run(ctx, func(ctx context.Context, c shard.Claim) error {
				var wire sync.WaitGroup
				defer wire.Wait()
				select {
				case <-armed:
				case <-ctx.Done():
				}
				for ctx.Err() == nil {
					if act(ctx, c) == nil {
						wire.Go(func() {
							time.Sleep(hold)
							hosts.Effect(c.Key, c.Epoch)
						})
					}
					time.Sleep(10 * time.Millisecond)
				}
				return nil
			})
		}()
		return link, func() {
			cancel()
			<-done //nolint:errcheck // it was cancelled, so its error says nothing
		}
	}
	la, stopA := run("a", hold)
	time.Sleep(5 * time.Second)
	lb, stopB := run("b", 0)
	time.Sleep(30 * time.Second)
	close(armed)
	time.Sleep(3 * time.Second)
	strike(r, la, lb)
	time.Sleep(4 * time.Second)
	stopA()
	stopB()
	return hosts.Stale()
}

// The bounds of DESIGN.md. Each is tight: a little more delay and hosts see it.
func TestEffectsUnderWayArriveBeforeThoseOfTheSuccessor(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	cut := func(_ *rig, a, _ *shardtest.Link) { a.Cut(true) }
	unheard := func(r *rig, a, b *shardtest.Link) {
		a.Lag(time.Minute) // nor is it told of the claim, which takes its time
		b.Deafen("a", true)
		r.w.SetDelay(func(string, string) time.Duration { return time.Second })
	}
	for name, tc := range map[string]struct {
		strike         func(r *rig, a, b *shardtest.Link)
		appends        bool
		within, beyond time.Duration
	}{
		"cut off":                     {cut, true, 1990 * ms, 2250 * ms},
		"cut off, long after appends": {cut, false, 950 * ms, 1400 * ms},
		"unheard":                     {unheard, true, 490 * ms, 550 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Beats are up to 300 ms apart, probes of the ledger 250 ms.
			late := 0
			for phase := time.Duration(0); phase < 550*ms; phase += 110 * ms {
				for _, hold := range []time.Duration{tc.within, tc.beyond} {
					synctest.Test(t, func(t *testing.T) {
						s := tardy(t, hold, tc.appends, func(r *rig, a, b *shardtest.Link) {
							time.Sleep(phase)
							tc.strike(r, a, b)
						})
						switch {
						case hold == tc.beyond:
							late += len(s)
						case len(s) > 0:
							t.Errorf("%s late, struck at %s: %d stale effects, the first: %s", hold, phase, len(s), s[0])
						}
					})
				}
			}
			if late == 0 {
				t.Errorf("no stale effect although all arrive %s late: this test would not see one", tc.beyond)
			}
		})
	}
}

package shard_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wadm/shard"
)

// lone starts an instance whose ledger and claims are reached over a link of their
// own, which it gives, together with the instance's owners.
func (r *rig) lone(id shard.MemberID, ledger func(shard.Ledger) shard.Ledger) (*owners, func(lost bool)) {
	r.t.Helper()
	over, ports := r.w.Link(), r.w.Link().Ports()
	ports.Claims, ports.Ledger = over, over
	if ledger != nil {
		ports.Ledger = ledger(over)
	}
	f, err := shard.New(ports, shard.FleetConfig{Instance: id, NewIncarnation: r.life(id)})
	if err != nil {
		r.t.Fatal(err)
	}
	o, done := newOwners(), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- f.Run(ctx, o.own) }()
	r.t.Cleanup(func() {
		cancel()
		<-done //nolint:errcheck // how it ends is of no concern here
	})
	return o, over.LoseStores
}

func TestOnlyTheLedgersAnswersLetAnInstanceTrustItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 5)
		o, lose := r.lone("wadm-0", nil)
		time.Sleep(10 * time.Second)
		held := o.held()
		for k, c := range held {
			if err := c.MayAct(); err != nil {
				t.Fatalf("%s: %v", k, err)
			}
		}
		// Membership records are written every 2 s, and are answered all the time.
		for range 10 {
			lose(true)
			time.Sleep(time.Second)
			for range 100 {
				for k, c := range held {
					if err := c.MayAct(); !errors.Is(err, shard.ErrUnhealthy) {
						t.Fatalf("%s: %v although the ledger is silent for more than a second", k, err)
					}
				}
				time.Sleep(20 * time.Millisecond)
			}
			lose(false)
			time.Sleep(1300 * time.Millisecond)
		}
	})
}

// slow is a ledger whose answers take their time, on the way back.
type slow struct {
	shard.Ledger
	by time.Duration
}

func (s slow) Probe(ctx context.Context) (shard.LedgerMark, error) {
	m, err := s.Ledger.Probe(ctx)
	time.Sleep(s.by)
	return m, err
}

func TestAnInstanceTrustsItselfAllTheTimeWhileTheLedgerAnswersWithinHalfTheLimit(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{0, 100 * time.Millisecond, 240 * time.Millisecond, 260 * time.Millisecond, 490 * time.Millisecond} {
		t.Run(by.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 5)
				o, _ := r.lone("wadm-0", func(l shard.Ledger) shard.Ledger { return slow{l, by} })
				time.Sleep(10 * time.Second)
				held := o.held()
				if len(held) != 5 {
					t.Fatalf("holds %d keys", len(held))
				}
				for range 12000 {
					for k, c := range held {
						if err := c.MayAct(); err != nil {
							t.Fatalf("%s: %v", k, err)
						}
					}
					time.Sleep(5 * time.Millisecond)
				}
			})
		})
	}
}

// lossy is a ledger that leaves a question without answer now and then, as one does
// whose leader changes.
type lossy struct {
	shard.Ledger
	asked *atomic.Int64
}

func (l lossy) Probe(ctx context.Context) (shard.LedgerMark, error) {
	if l.asked.Add(1)%20 == 0 {
		<-ctx.Done()
		return shard.LedgerMark{}, ctx.Err()
	}
	return l.Ledger.Probe(ctx)
}

func TestOneQuestionWithoutAnswerDoesNotEndTrust(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 5)
		var asked atomic.Int64
		o, _ := r.lone("wadm-0", func(l shard.Ledger) shard.Ledger { return lossy{l, &asked} })
		time.Sleep(10 * time.Second)
		held := o.held()
		if len(held) != 5 {
			t.Fatalf("holds %d keys", len(held))
		}
		for range 6000 {
			for k, c := range held {
				if err := c.MayAct(); err != nil {
					t.Fatalf("%s: %v", k, err)
				}
			}
			time.Sleep(5 * time.Millisecond)
		}
		if n := asked.Load(); n < 100 {
			t.Errorf("asked %d times", n)
		}
	})
}

// What counts is when a round trip began, a probe's or a claim's: an answer that was
// long on its way says nothing about the time since.
func TestTrustIsReckonedFromTheBeginningOfTheRoundTrip(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const by = 400 * time.Millisecond
		r := newRig(t, 5)
		o, lose := r.lone("wadm-0", func(l shard.Ledger) shard.Ledger { return slow{l, by} })
		r.w.SetDelay(func(string, string) time.Duration { return 2 * by })
		time.Sleep(10 * time.Second)
		for i := range 10 {
			if i > 4 { // claims are under way too
				if err := r.w.Register(t.Context(), shard.Key(fmt.Sprintf("t.new%d", i))); err != nil {
					t.Fatal(err)
				}
				time.Sleep(20 * time.Millisecond)
			}
			lose(true)
			time.Sleep(time.Second)
			for k, c := range o.held() {
				if err := c.MayAct(); !errors.Is(err, shard.ErrUnhealthy) {
					t.Fatalf("%s: %v a second after the last round trip that could begin", k, err)
				}
			}
			lose(false)
			time.Sleep(5070 * time.Millisecond)
		}
	})
}

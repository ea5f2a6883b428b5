package shard

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// executor carries out what Holdings asks for. Its fields but mail are owned by
// the goroutine that runs the loop.
type executor struct {
	claims  Claims
	hold    *Holdings
	own     Own
	mail    *mailbox
	log     *slog.Logger
	timeout time.Duration
	record  func(a Action, state ClaimState) Record
	health  func() error
	// answered is told of every write that the ledger answered, and when it began.
	answered func(start time.Time)
	// written is the highest sequence of a claim of ours that is known to be stored.
	written atomic.Uint64

	running map[Key]*running
	wg      sync.WaitGroup
}

type running struct {
	epoch  uint64
	cancel context.CancelCauseFunc
	guard  *guard
	told   time.Time // when it was first told to stop
}

// do carries out actions. base outlives the run's own context: owners end by
// their cause, writes by their own deadline.
func (e *executor) do(base context.Context, acts []Action) {
	for _, a := range acts {
		switch a.Kind {
		case DoAcquire:
			e.write(base, a, Held)
		case DoRelease:
			e.write(base, a, Released)
		case DoStart:
			e.start(base, a)
		case DoCancel:
			if r := e.running[a.Key]; r != nil && r.epoch == a.Epoch {
				if errors.Is(a.Cause, ErrFenced) {
					r.guard.fenced.Store(true)
				}
				r.cancel(a.Cause)
				if r.told.IsZero() {
					r.told = time.Now()
				}
			}
		}
	}
}

func (e *executor) write(base context.Context, a Action, state ClaimState) {
	rec := e.record(a, state)
	e.wg.Go(func() {
		ctx, cancel := context.WithTimeout(base, e.timeout)
		defer cancel()
		start := time.Now()
		seq, err := putClaim(ctx, e.claims, a.Key, rec, a.Expect)
		if err == nil {
			raise(&e.written, seq)
			e.answered(start)
		}
		var head Head
		if err != nil {
			// What to expect next time. Not a decision: the next write decides.
			if read, rerr := e.claims.Last(ctx, a.Key); rerr == nil {
				head = read
			}
			e.log.Debug("claim not written", "key", string(a.Key), "state", string(state), "expect", a.Expect, "error", err)
		}
		e.mail.post(func(now time.Time) {
			if state == Held {
				e.hold.Claimed(now, a.Key, a, seq, err, head)
			} else {
				e.hold.Released(now, a.Key, a, seq, err, head)
			}
		})
	})
}

func raise(a *atomic.Uint64, v uint64) {
	for {
		old := a.Load()
		if v <= old || a.CompareAndSwap(old, v) {
			return
		}
	}
}

// putClaim writes a record, repeating what is known not to be stored for a
// passing reason.
func putClaim(ctx context.Context, c Claims, k Key, r Record, expect uint64) (uint64, error) {
	wait := time.Millisecond
	for {
		seq, err := c.Put(ctx, k, r, expect)
		if !errors.Is(err, ErrBusy) {
			return seq, err
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return 0, err
		}
		wait = min(2*wait, 50*time.Millisecond)
	}
}

func (e *executor) start(base context.Context, a Action) {
	ctx, cancel := context.WithCancelCause(base)
	g := &guard{health: e.health}
	g.onRecovered = func() {
		e.mail.post(func(time.Time) { e.hold.Recovered(a.Key, a.Epoch) })
	}
	e.running[a.Key] = &running{epoch: a.Epoch, cancel: cancel, guard: g}
	e.log.Debug("key claimed", "key", string(a.Key), "epoch", a.Epoch)
	e.wg.Go(func() {
		err := e.own(ctx, Claim{Key: a.Key, Epoch: a.Epoch, EffectsAfter: a.EffectsAfter, TakenOver: a.TakenOver, guard: g})
		g.fenced.Store(true) // a returned owner may not act, whatever it kept
		stopped := context.Cause(ctx)
		cancel(nil)
		if err != nil && stopped == nil {
			e.log.Warn("owner stopped by itself", "key", string(a.Key), "epoch", a.Epoch, "error", err)
		}
		e.mail.post(func(now time.Time) {
			if r := e.running[a.Key]; r != nil && r.epoch == a.Epoch {
				delete(e.running, a.Key)
			}
			e.hold.Returned(now, a.Key, a.Epoch, err)
		})
	})
}

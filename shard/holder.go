package shard

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// mailbox hands work to the one goroutine that owns an instance's state.
// Posting never blocks, so no callback can stall its sender.
type mailbox struct {
	mu     sync.Mutex
	items  []func(now time.Time)
	signal chan struct{}
}

func newMailbox() *mailbox { return &mailbox{signal: make(chan struct{}, 1)} }

func (m *mailbox) post(f func(now time.Time)) {
	m.mu.Lock()
	m.items = append(m.items, f)
	m.mu.Unlock()
	select {
	case m.signal <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() []func(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fs := m.items
	m.items = nil
	return fs
}

// holder carries out what Holdings asks for. Its fields but mail are owned by
// the goroutine that runs the loop.
type holder struct {
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
func (h *holder) do(base context.Context, acts []Action) {
	for _, a := range acts {
		switch a.Kind {
		case DoAcquire:
			h.write(base, a, Held)
		case DoRelease:
			h.write(base, a, Released)
		case DoStart:
			h.start(base, a)
		case DoCancel:
			if r := h.running[a.Key]; r != nil && r.epoch == a.Epoch {
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

func (h *holder) write(base context.Context, a Action, state ClaimState) {
	rec := h.record(a, state)
	h.wg.Go(func() {
		ctx, cancel := context.WithTimeout(base, h.timeout)
		defer cancel()
		start := time.Now()
		seq, err := putClaim(ctx, h.claims, a.Key, rec, a.Expect)
		if err == nil {
			raise(&h.written, seq)
			h.answered(start)
		}
		var head Head
		if err != nil {
			// What to expect next time. Not a decision: the next write decides.
			if read, rerr := h.claims.Last(ctx, a.Key); rerr == nil {
				head = read
			}
			h.log.Debug("claim not written", "key", string(a.Key), "state", string(state), "expect", a.Expect, "error", err)
		}
		h.mail.post(func(now time.Time) {
			if state == Held {
				h.hold.Claimed(now, a.Key, a, seq, err, head)
			} else {
				h.hold.Released(now, a.Key, a, seq, err, head)
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

func (h *holder) start(base context.Context, a Action) {
	ctx, cancel := context.WithCancelCause(base)
	g := &guard{health: h.health}
	g.onRecovered = func() {
		h.mail.post(func(time.Time) { h.hold.Recovered(a.Key, a.Epoch) })
	}
	h.running[a.Key] = &running{epoch: a.Epoch, cancel: cancel, guard: g}
	h.log.Debug("key claimed", "key", string(a.Key), "epoch", a.Epoch)
	h.wg.Go(func() {
		err := h.own(ctx, Claim{Key: a.Key, Epoch: a.Epoch, EffectsAfter: a.EffectsAfter, guard: g})
		g.fenced.Store(true) // a returned owner may not act, whatever it kept
		stopped := context.Cause(ctx)
		cancel(nil)
		if err != nil && stopped == nil {
			h.log.Warn("owner stopped by itself", "key", string(a.Key), "epoch", a.Epoch, "error", err)
		}
		h.mail.post(func(now time.Time) {
			if r := h.running[a.Key]; r != nil && r.epoch == a.Epoch {
				delete(h.running, a.Key)
			}
			h.hold.Returned(now, a.Key, a.Epoch, err)
		})
	})
}

// follow keeps a subscription alive until ctx ends: what returns with an error
// is called again, after a pause that grows while it keeps failing.
func follow(ctx context.Context, log *slog.Logger, what string, run func(context.Context) error) {
	const least, most = 100 * time.Millisecond, time.Second
	pause := least
	for ctx.Err() == nil {
		began := time.Now()
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue // it was ended to be started again
		}
		if time.Since(began) > most {
			pause = least
		}
		log.Warn("subscription lost, starting it again", "what", what, "error", err)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		pause = min(2*pause, most)
	}
}

// firstThen adapts a callback whose first call after each start is a snapshot.
func firstThen[T any](f func(items []T, reset bool)) func() func([]T) {
	return func() func([]T) {
		reset := true
		return func(items []T) {
			f(items, reset)
			reset = false
		}
	}
}

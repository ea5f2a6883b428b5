package shard

import (
	"context"
	"sync/atomic"
	"time"
)

// Claim is the right to act for one key, as given to [Own].
type Claim struct {
	Key Key
	// Epoch is the stream sequence of the claim's record. Every write of the owner
	// must be conditional on it.
	Epoch uint64
	// EffectsAfter is the end of the quarantine: before it no effect may leave,
	// because last effects of an earlier owner may still be under way: it did not
	// release, or could not tell, or they were this one's own. It carries a monotonic reading; zero means no quarantine.
	EffectsAfter time.Time
	// TakenOver: another instance held the key and did not release it.
	TakenOver bool

	guard *guard
}

// Own acts for a claimed key until ctx ends, and returns when nothing of it runs
// any more. context.Cause(ctx) is ErrHandOver when the claim is to be given up
// in order (state may still be saved, within the stop limit), ErrFenced when it
// is lost (nothing may be written). Returning earlier gives the claim back for
// evaluation: with back-off and a new epoch it is claimed again if the key is
// still to be owned here. Return ErrFenced or ErrUnknownOutcome (wrapped) when a
// write said so.
type Own func(ctx context.Context, c Claim) error

// MayAct is the last check before an effect, made right after the append that the
// effect rests on was acknowledged; it does not replace the append. It returns
// nil, or why the effect must not leave: ErrFenced, ErrQuarantine, ErrUnhealthy. It does no I/O.
func (c Claim) MayAct() error {
	if c.guard == nil {
		return nil
	}
	return c.guard.mayAct(c.EffectsAfter)
}

// Recovered tells that the owner has loaded its state and acts: the pause after its
// next failure is the shortest again. Calling it again is harmless.
func (c Claim) Recovered() {
	if c.guard != nil && c.guard.recovered.CompareAndSwap(false, true) && c.guard.onRecovered != nil {
		c.guard.onRecovered()
	}
}

// guard is what a claim's holder shares with the machinery that may lose it.
type guard struct {
	fenced      atomic.Bool
	recovered   atomic.Bool
	health      func() error // nil: always healthy
	onRecovered func()
}

func (g *guard) mayAct(after time.Time) error {
	if g.fenced.Load() {
		return ErrFenced
	}
	if !after.IsZero() && time.Now().Before(after) {
		return ErrQuarantine
	}
	if g.health != nil {
		return g.health()
	}
	return nil
}

// AwaitEffects waits until c's quarantine is over; it returns ctx's cause if that
// ends first. MayAct is still to be asked before each effect.
func (c Claim) AwaitEffects(ctx context.Context) error {
	if c.EffectsAfter.IsZero() {
		return nil
	}
	d := time.Until(c.EffectsAfter)
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// SingleConfig tunes Single. Instance and Incarnation are required.
type SingleConfig struct {
	// Instance names this instance in claims.
	Instance MemberID
	// Incarnation tells this life from all others; it must never be reused.
	Incarnation Incarnation
	// Log takes what an operator should know; nil discards it.
	Log *slog.Logger
	// WriteTimeout bounds one write of a claim; default 5 s. A write that takes
	// longer is of unknown outcome and repeated with a new epoch.
	WriteTimeout time.Duration
	// StopLimit bounds how long Run waits for owners to stop and for releases
	// once its context ended; default 10 s.
	StopLimit time.Duration
	// Holdings tunes the claims.
	Holdings HoldingsConfig
}

// WithDefaults fills what is zero.
func (c SingleConfig) WithDefaults() SingleConfig {
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 5 * time.Second
	}
	if c.StopLimit == 0 {
		c.StopLimit = 10 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Holdings = c.Holdings.WithDefaults()
	return c
}

// Validate reports the first field that cannot work.
func (c SingleConfig) Validate() error {
	if _, err := ParseMemberID(string(c.Instance)); err != nil {
		return fmt.Errorf("instance: %w", err)
	}
	if _, err := ParseMemberID(string(c.Incarnation)); err != nil {
		return fmt.Errorf("incarnation: %w", err)
	}
	if c.WriteTimeout < 0 || c.StopLimit < 0 {
		return errors.New("shard: WriteTimeout and StopLimit must not be negative")
	}
	return nil
}

// Single owns every registered key: the fleet of one. When another single
// instance is started it takes everything; this one is fenced key by key, stops
// its owners, reports not ready and stays passive, so that two instances started
// by mistake do not take turns.
type Single struct {
	registry Registry
	claims   Claims
	cfg      SingleConfig

	superseded atomic.Bool
	seated     atomic.Bool
	loaded     atomic.Bool
}

// NewSingle checks the configuration; Run does the rest.
func NewSingle(registry Registry, claims Claims, cfg SingleConfig) (*Single, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("new single owner: %w", err)
	}
	return &Single{registry: registry, claims: claims, cfg: cfg}, nil
}

// Ready returns nil when this instance owns, or is about to own, every key;
// ErrSuperseded or ErrNotReady otherwise.
func (s *Single) Ready() error {
	switch {
	case s.superseded.Load():
		return ErrSuperseded
	case !s.seated.Load() || !s.loaded.Load():
		return ErrNotReady
	default:
		return nil
	}
}

// Run claims every registered key and calls own for each in its own goroutine,
// until ctx ends. It returns nil when all owners have stopped and the claims are
// released, an error when that took longer than the stop limit. Trouble with the
// ledger does not end it.
func (s *Single) Run(ctx context.Context, own Own) error {
	log := s.cfg.Log
	generation, ok := s.takeSeat(ctx)
	if !ok {
		return nil
	}
	log.Info("acting for every key", "instance", string(s.cfg.Instance), "generation", generation)

	hold := NewHoldings(s.cfg.Incarnation, func(Key) bool { return true },
		func(h Head) Standing { return Standing{Above: h.Record.Generation > generation} }, s.cfg.Holdings)
	h := &holder{
		claims: s.claims, hold: hold, own: own, mail: newMailbox(), log: log, timeout: s.cfg.WriteTimeout,
		running: map[Key]*running{},
		record: func(a Action, state ClaimState) Record {
			return Record{
				Owner: s.cfg.Instance, Incarnation: a.Incarnation, State: state,
				Generation: generation, Settle: settleMillis(a.Settle), Forget: a.Forget, Reason: a.Reason,
			}
		},
	}
	registered := firstThen(func(c []KeyChange, reset bool) {
		h.mail.post(func(time.Time) { hold.Registry(c, reset); s.loaded.Store(true) })
	})
	seen := firstThen(func(heads []Head, reset bool) {
		h.mail.post(func(now time.Time) {
			if s.supersededBy(heads, generation) {
				hold.Halt()
			}
			hold.Heads(now, heads, reset)
		})
	})
	base := context.WithoutCancel(ctx)
	subs, stopSubs := context.WithCancel(base)
	var subscriptions sync.WaitGroup
	defer subscriptions.Wait()
	defer stopSubs()
	subscriptions.Go(func() {
		follow(subs, log, "registry", func(ctx context.Context) error { return s.registry.Watch(ctx, registered()) })
	})
	subscriptions.Go(func() {
		follow(subs, log, "claims", func(ctx context.Context) error { return s.claims.Follow(ctx, seen()) })
	})
	return h.loop(ctx, s.cfg.StopLimit)
}

// supersededBy looks for a newer instance among heads: a newer seat, or a claim
// by anybody whose seat is newer.
func (s *Single) supersededBy(heads []Head, generation uint64) bool {
	for _, h := range heads {
		newer := h.Record.Generation > generation || (h.Key == seatKey && h.Seq > generation)
		if h.Record.Incarnation != s.cfg.Incarnation && newer {
			if !s.superseded.Swap(true) {
				s.cfg.Log.Error("another instance has taken over; this one stops acting",
					"instance", string(h.Record.Owner), "key", string(h.Key), "epoch", h.Seq)
			}
			return true
		}
	}
	return false
}

// takeSeat claims the right to own everything. It takes it from whoever holds
// it: being started later is what counts.
func (s *Single) takeSeat(ctx context.Context) (generation uint64, ok bool) {
	rec := Record{Owner: s.cfg.Instance, Incarnation: s.cfg.Incarnation, State: Held, Reason: "start"}
	pause := s.cfg.Holdings.BackOffMin
	for ctx.Err() == nil {
		wctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
		head, err := s.claims.Last(wctx, seatKey)
		if err == nil {
			generation, err = putClaim(wctx, s.claims, seatKey, rec, head.Seq)
		}
		cancel()
		if err == nil {
			s.seated.Store(true)
			return generation, true
		}
		if ctx.Err() == nil {
			s.cfg.Log.Warn("seat not taken, trying again", "error", err)
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		pause = min(2*pause, s.cfg.Holdings.BackOffMax)
	}
	return 0, false
}

func settleMillis(d time.Duration) int64 {
	return min(maxSettle, int64((d+time.Millisecond-1)/time.Millisecond))
}

package scheduler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"wadm/scheduler/core"
	"wadm/tenancy"
)

// Deps are the adapters of a Scheduler; all are required except Tracer.
type Deps struct {
	Ledger   Ledger
	Intake   Intake
	Hosts    Hosts
	Desired  Desired
	Statuses Statuses
	Log      *slog.Logger
	Tracer   trace.Tracer
}

// Config is what an operator may choose. The zero value works.
type Config struct {
	// Core configures the decision.
	Core core.Config
	// Requests bounds the commands, and apart from them the questions, that are open
	// at once for one lattice. Too few slow a large deploy down, too many flood slow hosts.
	// Default 64.
	Requests int
	// Reread is how often the catalog is read although it did not seem to change.
	// Default 3 minutes.
	Reread time.Duration
	// SnapshotDelay is how long changes of the hosts may wait before they are
	// stored for a successor. Default 5 seconds.
	SnapshotDelay time.Duration
}

// WithDefaults fills in what is zero.
func (c Config) WithDefaults() Config {
	c.Core = c.Core.WithDefaults()
	c.Requests = cmp.Or(c.Requests, 64)
	c.Reread = cmp.Or(c.Reread, 3*time.Minute)
	c.SnapshotDelay = cmp.Or(c.SnapshotDelay, 5*time.Second)
	return c
}

// Scheduler acts for the lattices this instance owns.
type Scheduler struct {
	deps Deps
	cfg  Config
	// Stats may be read at any time.
	Stats Stats

	mu      sync.Mutex
	panics  map[tenancy.LatticeKey]panics
	workers map[tenancy.LatticeKey]*worker
}

// panics counts the crashes of a lattice's worker.
type panics struct {
	n           int
	last, until time.Time
}

// A lattice whose worker panics for the third time within the hour rests, so that its input
// can't occupy the process.
const (
	panicsAllowed = 3
	panicRest     = 5 * time.Minute
	// panicMemory is how long after a panic another one counts as its repetition.
	panicMemory = time.Hour
)

// New returns a scheduler that acts for nothing yet; see Own.
func New(deps Deps, cfg Config) (*Scheduler, error) {
	if deps.Ledger == nil || deps.Intake == nil || deps.Hosts == nil || deps.Desired == nil || deps.Statuses == nil || deps.Log == nil {
		return nil, errors.New("new scheduler: an adapter is missing")
	}
	cfg = cfg.WithDefaults()
	return &Scheduler{
		deps: deps, cfg: cfg,
		panics: map[tenancy.LatticeKey]panics{}, workers: map[tenancy.LatticeKey]*worker{},
	}, nil
}

// Own acts for one lattice under a claim until ctx ends or the claim turns out to
// be lost. It returns when nothing of it runs any more: ErrFenced or
// ErrUnknownOutcome (wrapped) when a write said so, nil after ctx ended; with
// ErrUnderWay in it when commands may arrive later. A panic is caught here and
// returned; it disturbs no other lattice.
func (s *Scheduler) Own(ctx context.Context, c Claim) error {
	log := s.deps.Log.With("tenant", c.Key.Tenant, "lattice", c.Key.Lattice, "epoch", c.Epoch)
	if err := s.rest(ctx, c.Key, log); err != nil {
		return nil
	}
	w := newWorker(s, c, log)
	s.mu.Lock()
	s.workers[c.Key] = w
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.workers, c.Key)
		s.mu.Unlock()
	}()
	err := w.run(ctx)
	if p, ok := errors.AsType[*crash](err); ok {
		err = fmt.Errorf("own lattice %s: %w", c.Key, p)
	}
	if !errors.Is(err, ErrFenced) && !errors.Is(context.Cause(ctx), ErrFenced) {
		// Who has taken the claim without waiting for this owner reckons with what it sent.
		err = errors.Join(err, w.awaitArrival(ctx))
	}
	return err
}

// rest waits while a lattice is quarantined after repeated panics.
func (s *Scheduler) rest(ctx context.Context, key tenancy.LatticeKey, log *slog.Logger) error {
	s.mu.Lock()
	until := s.panics[key].until
	s.mu.Unlock()
	wait := time.Until(until)
	if wait <= 0 {
		return nil
	}
	log.Error("lattice rests after repeated panics", "for", wait)
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Scheduler) countPanic(key tenancy.LatticeKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	// Lattices come and go: none is remembered for longer than it matters.
	maps.DeleteFunc(s.panics, func(_ tenancy.LatticeKey, p panics) bool { return now.Sub(p.last) > panicMemory })
	p := s.panics[key]
	p.n++
	p.last = now
	if p.n >= panicsAllowed {
		p.until = now.Add(panicRest)
	}
	s.panics[key] = p
}

// Owned is the number of lattices that are acted for.
func (s *Scheduler) Owned() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.workers)
}

// Vacant lists the claims of owned lattices from which nothing was heard for at
// least d, in which no host is known and nothing is wanted or left. Nor is a snapshot
// waiting to be stored: whoever forgets the state must not find it there again.
func (s *Scheduler) Vacant(ctx context.Context, d time.Duration) []Claim {
	s.mu.Lock()
	var silent []Claim
	for _, w := range s.workers {
		if w.silence() >= d {
			silent = append(silent, w.claim)
		}
	}
	s.mu.Unlock()
	return slices.DeleteFunc(silent, func(c Claim) bool {
		vacant := false
		err := s.inspect(ctx, c.Key, func(w *worker) { vacant = w.state.Vacant() && w.saveAt.IsZero() })
		return err != nil || !vacant
	})
}

// ErrNotOwned is returned for questions about a lattice another instance owns.
var ErrNotOwned = errors.New("lattice is not owned by this instance")

// Inspect runs look with the state of an owned lattice, in the goroutine that
// owns it. A panic of look is logged and returned; it disturbs nothing else.
func (s *Scheduler) Inspect(ctx context.Context, key tenancy.LatticeKey, look func(*core.State)) error {
	return s.inspect(ctx, key, func(w *worker) { look(w.state) })
}

func (s *Scheduler) inspect(ctx context.Context, key tenancy.LatticeKey, look func(*worker)) error {
	s.mu.Lock()
	w := s.workers[key]
	s.mu.Unlock()
	if w == nil {
		return fmt.Errorf("inspect %s: %w", key, ErrNotOwned)
	}
	done := make(chan error, 1)
	select {
	case w.inbox <- input{look: func() { done <- w.show(look) }}:
	case <-w.stopped:
		return fmt.Errorf("inspect %s: %w", key, ErrNotOwned)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("inspect %s: %w", key, err)
		}
		return nil
	case <-w.stopped:
		return fmt.Errorf("inspect %s: %w", key, ErrNotOwned)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// RepeatStatuses has every owned lattice publish the statuses of its applications
// once more: what was stored of them is gone. It returns when all have been told.
func (s *Scheduler) RepeatStatuses(ctx context.Context) {
	s.mu.Lock()
	owned := slices.Collect(maps.Values(s.workers))
	s.mu.Unlock()
	for _, w := range owned {
		again := input{cause: causeCatalog, decide: func(st *core.State, now time.Time) (core.Decision, error) {
			st.RepublishAll()
			return st.Tick(now), nil
		}}
		select {
		case w.inbox <- again:
		case <-w.stopped:
		case <-ctx.Done():
			return
		}
	}
}

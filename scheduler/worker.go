package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"wadm/scheduler/core"
	"wadm/scheduler/lattice"
)

// worker acts for one lattice under one claim. Its state is in the hands of the
// goroutine that calls run; everything else reaches it through inbox.
type worker struct {
	s     *Scheduler
	claim Claim
	log   *slog.Logger
	state *core.State

	inbox chan input
	// tasks are the requests, questions and followers the worker has started; end
	// ends them and the worker.
	tasks sync.WaitGroup
	end   context.CancelCauseFunc
	// asking and sending have room for the questions and the commands that are open:
	// hosts that don't answer questions must not hold up commands to others.
	asking, sending queue
	stopped         chan struct{}

	// heard is when the newest event came, in nanoseconds since begun.
	begun time.Time
	heard atomic.Int64

	crashed sync.Once

	// recovered: the grantor of the claim has been told that the worker acts.
	recovered bool

	timer *time.Timer
	// saveAt is when a snapshot is due that nothing waits for; zero when none is.
	// savedAt is when the last one was stored.
	saveAt, savedAt time.Time
	// hostless: a whole snapshot was too large.
	hostless bool

	// foldedAt is when the current input had been brought into the state.
	foldedAt time.Time
	// folding is the event that is being handled, for the report of a panic.
	folding []byte
	// sent links a command's confirmation to the decision that sent it.
	sent map[string]sentCommand
	// unsent are the commands that are stored, or being stored, and have not left.
	unsent unsent
	// proven is when the newest write began that the ledger took under the claim, in
	// nanoseconds since begun: when it was taken is not known, and its answer may come
	// long after a newer claim. Commands that find it too long ago have it confirmed together.
	proven  atomic.Int64
	confirm singleflight.Group

	statuses statusQueue
}

// input is one thing for the worker to handle: exactly one field is set.
type input struct {
	delivery Delivery
	// decide turns an answer into a decision.
	decide func(st *core.State, now time.Time) (core.Decision, error)
	cause  cause
	look   func()
	gap    bool
}

// savePause is how long after a snapshot the next one is stored at the earliest
// because something of ours has gone: a thousand links go one by one.
const savePause = time.Second

// eventLogged is how much of an event that led to a panic is logged. One may have a
// megabyte.
const eventLogged = 256

// inboxSize lets a burst of events and answers pass without a goroutine switch each.
const inboxSize = 16

func newWorker(s *Scheduler, c Claim, log *slog.Logger) *worker {
	cfg := s.cfg.Core
	cfg.Prefix = fmt.Sprintf("%s.%d", c.Key.Token(), c.Epoch)
	w := &worker{
		s: s, claim: c, log: log, begun: time.Now(),
		inbox: make(chan input, inboxSize), asking: queue{most: s.cfg.Requests}, sending: queue{most: s.cfg.Requests}, stopped: make(chan struct{}), sent: map[string]sentCommand{},
		statuses: newStatusQueue(),
	}
	cfg.Folded = func() { w.foldedAt = time.Now() }
	w.state = core.New(cfg)
	return w
}

// run acts until ctx ends, a write is refused, or something panics.
func (w *worker) run(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			var event []any
			if n := len(w.folding); n > 0 {
				event = []any{"event", string(w.folding[:min(n, eventLogged)]), "bytes", n}
			}
			err = w.panicked(r, event...)
		}
	}()
	work, cancel := context.WithCancelCause(ctx)
	w.end = cancel
	defer func() {
		cancel(nil)
		close(w.stopped)
		w.tasks.Wait()
	}()
	w.timer = time.NewTimer(time.Hour)
	defer w.timer.Stop()
	snapshot, doubt, err := w.inherit(work)
	if err != nil {
		return w.leave(ctx, err)
	}
	w.follow(work)
	started := false
	for {
		select {
		case <-work.Done():
			return w.leave(ctx, context.Cause(work))
		case in := <-w.inbox:
			if in.gap && !started {
				// Only now do events arrive, so nothing can happen unseen between the
				// inventory and them.
				started = true
				err = w.decide(work, causeTakeOver, func(st *core.State, now time.Time) (core.Decision, error) {
					d, err := st.Start(snapshot, doubt, now)
					if err != nil {
						w.log.Error("stored state is unreadable; starting from the hosts alone", "error", err)
						return st.Start(nil, doubt, now)
					}
					return d, nil
				})
				w.start(func() { w.followDesired(work) })
			} else {
				err = w.handle(work, in)
			}
		case <-w.timer.C:
			err = w.tick(work)
		}
		if err != nil {
			return w.leave(ctx, err)
		}
	}
}

// crash is a panic that was caught in a worker, one of its tasks, or a look at its state.
type crash struct{ value any }

func (c *crash) Error() string { return fmt.Sprintf("panic: %v", c.value) }

// panicked reports a panic of the worker or a task, from the deferred function that
// caught it: also of one that was told to stop, whose error nobody hears any more. One
// panic seldom comes alone; together they count once against the lattice.
func (w *worker) panicked(value any, more ...any) *crash {
	w.s.Stats.Panics.Add(1)
	w.log.Error("worker panicked", append(more, "panic", value, "stack", string(debug.Stack()))...)
	w.crashed.Do(func() { w.s.countPanic(w.claim.Key) })
	return &crash{value}
}

// show has the worker looked at. A panic in that is its caller's, not the lattice's.
func (w *worker) show(look func(*worker)) (err error) {
	defer func() {
		if r := recover(); r != nil {
			w.s.Stats.Panics.Add(1)
			w.log.Error("look at a lattice panicked", "panic", r, "stack", string(debug.Stack()))
			err = &crash{r}
		}
	}()
	look(w)
	return nil
}

// start runs a task beside the worker. It reads answers of hosts and records of
// tenants, so a panic in it has to stay in this lattice as well.
func (w *worker) start(f func()) {
	w.tasks.Go(func() {
		defer func() {
			if r := recover(); r != nil {
				w.end(w.panicked(r))
			}
		}()
		f()
	})
}

// inherit reads what the previous owner left. It is not needed to be right, only
// to be quick and considerate, so an unreadable snapshot is set aside.
func (w *worker) inherit(ctx context.Context) ([]byte, []lattice.Command, error) {
	snapshot, err := w.s.deps.Ledger.LoadState(ctx, w.claim)
	if err != nil {
		return nil, nil, fmt.Errorf("load state: %w", err)
	}
	doubt, err := w.s.deps.Ledger.InDoubt(ctx, w.claim)
	if err != nil {
		return nil, nil, fmt.Errorf("read commands in doubt: %w", err)
	}
	return snapshot, doubt, nil
}

// leave ends the ownership: in order when the claim is given up, at once when it
// is lost.
func (w *worker) leave(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), ErrFenced) {
		// Whoever says so tells of it, and of all that were lost with it.
		w.s.Stats.Fenced.Add(1)
		return nil
	}
	if errors.Is(err, ErrFenced) {
		w.s.Stats.Fenced.Add(1)
		w.log.Warn("claim is lost; dropping the lattice")
		return err
	}
	if ctx.Err() == nil {
		return err
	}
	// Time to store is short and has its own limit; the successor can do without.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if !w.saveAt.IsZero() {
		if err := w.save(last, w.state.Snapshot()); err != nil {
			w.log.Warn("last snapshot not stored", "error", err)
		}
	}
	// What never left is not in doubt: without the note the successor would wait
	// for what it did before it decides about the same workloads.
	if err := w.s.deps.Ledger.Settle(last, w.claim, w.unsent.close()); err != nil {
		w.log.Warn("outcome of the last commands not noted", "error", err)
	}
	return nil
}

// flushTimeout is how long an owner waits at its end for what it has sent to
// arrive. A server that is well answers within milliseconds.
const flushTimeout = time.Second

// awaitArrival makes sure, after run has returned, that nothing of this owner arrives
// later than what the next one sends: the ledger fences what is written, not what
// is under way.
func (w *worker) awaitArrival(ctx context.Context) error {
	left := w.unsent.left()
	if left.IsZero() {
		return nil
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := w.s.deps.Hosts.Flush(limited, left); err != nil {
		w.log.Warn("commands may still be under way; the next owner waits for them", "error", err)
		return fmt.Errorf("%w: %w", ErrUnderWay, err)
	}
	return nil
}

// follow starts the stream of events.
func (w *worker) follow(ctx context.Context) {
	w.start(func() {
		err := w.s.deps.Intake.Attach(ctx, w.claim,
			func(d Delivery) { w.post(ctx, input{delivery: d}) },
			func() { w.post(ctx, input{gap: true}) })
		if err != nil && ctx.Err() == nil {
			w.end(fmt.Errorf("attach to events: %w", err))
		}
	})
}

// followDesired reads the catalog whenever it may have changed and, in case a
// change goes unnoticed, every few minutes.
func (w *worker) followDesired(ctx context.Context) {
	// The state decides nothing before it has the manifests, so nothing leaves.
	if err := w.claim.awaitEffects(ctx); err != nil {
		return
	}
	changed := make(chan struct{}, 1)
	poke := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	poke()
	w.start(func() {
		if err := w.s.deps.Desired.Watch(ctx, w.claim.Key, poke); err != nil && ctx.Err() == nil {
			w.end(fmt.Errorf("watch catalog: %w", err))
		}
	})
	reread := time.NewTicker(w.s.cfg.Reread)
	defer reread.Stop()
	retry := time.Second
	changes := map[string]string{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-reread.C:
		}
		apps, err := w.s.deps.Desired.Deployed(ctx, w.claim.Key)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.log.Warn("catalog not readable; trying again", "error", err, "in", retry)
			reread.Reset(retry)
			retry = min(2*retry, time.Minute)
			continue
		}
		reread.Reset(w.s.cfg.Reread)
		retry = time.Second
		// An application that was deleted and put again lost its status with the
		// delete, even if its manifest is what it was.
		var again []string
		for app := range apps {
			id, _ := w.s.deps.Desired.Cause(w.claim.Key, app)
			if before, known := changes[app]; known && before != id {
				again = append(again, app)
			}
			changes[app] = id
		}
		maps.DeleteFunc(changes, func(app, _ string) bool { _, there := apps[app]; return !there })
		w.post(ctx, input{cause: causeCatalog, decide: func(st *core.State, now time.Time) (core.Decision, error) {
			st.Republish(again)
			return st.Desired(apps, now)
		}})
	}
}

// post hands an input to the worker.
func (w *worker) post(ctx context.Context, in input) {
	select {
	case w.inbox <- in:
	case <-ctx.Done():
	}
}

// now is the time by the clock as it stood when the claim began: steps of the
// machine's clock during a claim are not seen. The times of hosts are compared
// with it, and a step would make what is new look old.
func (w *worker) now() time.Time { return w.begun.Add(time.Since(w.begun)) }

// silence is how long no event has come, from the beginning of the claim on.
func (w *worker) silence() time.Duration {
	return time.Since(w.begun) - time.Duration(w.heard.Load())
}

func (w *worker) handle(ctx context.Context, in input) error {
	switch {
	case in.look != nil:
		in.look()
		return nil
	case in.gap:
		return w.decide(ctx, causeGap, func(st *core.State, now time.Time) (core.Decision, error) { return st.Gap(now), nil })
	case in.decide != nil:
		return w.decide(ctx, in.cause, in.decide)
	}
	w.folding = in.delivery.Data
	err := w.event(ctx, in.delivery)
	w.folding = nil // not deferred: after a panic it is reported
	return err
}

// event folds one event, and acknowledges it once what it led to is stored.
func (w *worker) event(ctx context.Context, d Delivery) error {
	w.s.Stats.Events.Add(1)
	now := w.now()
	w.heard.Store(int64(now.Sub(w.begun)))
	dec := w.state.Event(d.Data, now)
	if dec.Unchanged {
		w.s.Stats.Unchanged.Add(1)
		if !dec.Wake.IsZero() {
			w.wake(dec.Wake)
		}
		d.Ack()
		return nil
	}
	if dec.Dropped != nil {
		w.s.Stats.Dropped.Add(1)
		w.log.Debug("event dropped", "reason", dec.Dropped)
	}
	c := eventCause(d.Data, now)
	c.folded = w.foldedAt
	if err := w.carryOut(ctx, dec, c); err != nil {
		return err
	}
	d.Ack()
	return nil
}

func (w *worker) tick(ctx context.Context) error {
	now := w.now()
	if !w.saveAt.IsZero() && !now.Before(w.saveAt) {
		w.saveAt = time.Time{}
		if err := w.save(ctx, w.state.Snapshot()); errors.Is(err, ErrFenced) {
			return err
		} else if err != nil {
			// Nobody has acted on it: no reason to give the lattice up.
			w.log.Debug("snapshot not stored; trying again", "error", err)
			w.saveBy(w.savedAt.Add(w.s.cfg.SnapshotDelay))
		}
	}
	return w.decide(ctx, causeTimer, func(st *core.State, now time.Time) (core.Decision, error) { return st.Tick(now), nil })
}

// decide makes a decision in the state's goroutine and carries it out.
func (w *worker) decide(ctx context.Context, c cause, f func(*core.State, time.Time) (core.Decision, error)) error {
	now := w.now()
	c.at = now
	d, err := f(w.state, now)
	if err != nil {
		return err
	}
	c.folded = w.foldedAt
	return w.carryOut(ctx, d, c)
}

// wake sets the timer to the earlier of what the state and the snapshot want.
func (w *worker) wake(at time.Time) {
	if at.IsZero() || !w.saveAt.IsZero() && w.saveAt.Before(at) {
		at = w.saveAt
	}
	if at.IsZero() {
		w.timer.Reset(time.Hour)
		return
	}
	w.timer.Reset(max(time.Until(at), 0))
}

// saveBy has a snapshot stored at a time unless one is due earlier.
func (w *worker) saveBy(at time.Time) {
	if w.saveAt.IsZero() || at.Before(w.saveAt) {
		w.saveAt = at
	}
}

// save stores a snapshot. When it is too large, it and all later ones go without
// the hosts.
func (w *worker) save(ctx context.Context, state []byte) error {
	defer func() { w.savedAt = time.Now() }()
	err := w.s.deps.Ledger.SaveState(ctx, w.claim, state)
	if errors.Is(err, ErrTooLarge) && !w.hostless {
		w.hostless = true
		w.log.Warn("lattice is too large for a whole snapshot; a successor has to ask all of its hosts", "bytes", len(state), "error", err)
		w.state.OmitHosts()
		state = w.state.Snapshot()
		err = w.s.deps.Ledger.SaveState(ctx, w.claim, state)
	}
	if errors.Is(err, ErrTooLarge) {
		// Better a successor that knows less than no owner.
		w.log.Error("not even what is ours fits into a snapshot; a successor does not know it", "bytes", len(state), "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}

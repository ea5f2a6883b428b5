package natsjs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/scheduler"
	"wadm/tenancy"
)

// inboxDepth bounds the messages between the connection and the lattices. It is
// emptied without waiting for any lattice.
const inboxDepth = 1 << 16

// ErrStopped means that the intake's Run has ended.
var ErrStopped = errors.New("intake stopped")

// Intake delivers the events of lattices. It implements [scheduler.Intake].
//
// One goroutine per connection ([Intake.Run]) sorts messages by lattice; each
// lattice delivers in the goroutine that called Attach, so a slow one holds up
// nobody else. A lattice costs no goroutine and no timer of its own. Its
// requests are answered on a subject of its own and not on a shared wildcard:
// only so does the server drop them the moment the lattice is given up.
type Intake struct {
	s   *Streams
	log *slog.Logger

	msgs    chan *nats.Msg
	creates chan struct{}
	done    chan struct{}
	running atomic.Bool
	// looks are the lattices whose consumers are to be looked up.
	looks chan *attachment

	mu       sync.RWMutex
	attached map[*nats.Subscription]*attachment

	stats struct {
		delivered, acked, dropped, created, gaps atomic.Uint64
	}
}

var _ scheduler.Intake = (*Intake)(nil)

// IntakeStats counts since the intake was made.
type IntakeStats struct {
	// Delivered and Acked count events; the difference is at work or was given up.
	Delivered, Acked uint64
	// Dropped counts events that came faster than their lattice took them; they
	// are delivered again.
	Dropped uint64
	// Created counts consumers, Gaps the calls of gap.
	Created, Gaps uint64
}

// NewIntake returns an intake on the connection of s.
func NewIntake(s *Streams) *Intake {
	return &Intake{
		s:        s,
		log:      s.log,
		msgs:     make(chan *nats.Msg, inboxDepth),
		creates:  make(chan struct{}, s.cfg.Creates),
		done:     make(chan struct{}),
		looks:    make(chan *attachment, looksDepth),
		attached: map[*nats.Subscription]*attachment{},
	}
}

// Stats reads the counters.
func (in *Intake) Stats() IntakeStats {
	return IntakeStats{
		Delivered: in.stats.delivered.Load(), Acked: in.stats.acked.Load(), Dropped: in.stats.dropped.Load(),
		Created: in.stats.created.Load(), Gaps: in.stats.gaps.Load(),
	}
}

// Run moves messages to their lattices until ctx ends. It may be called once.
func (in *Intake) Run(ctx context.Context) error {
	if in.running.Swap(true) {
		return errors.New("run intake: it runs already or has ended")
	}
	defer close(in.done)
	status := in.s.nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED)
	defer in.s.nc.RemoveStatusListener(status)
	elected := make(chan *nats.Msg, 1024)
	advisories, err := in.s.nc.ChanSubscribe(electedSubject+"*", elected)
	if err != nil {
		return fmt.Errorf("run intake: %w", err)
	}
	defer func() { _ = advisories.Unsubscribe() }()
	sweep := time.NewTicker(in.s.cfg.Probe / 60)
	defer sweep.Stop()
	ctx, cancel := context.WithCancel(ctx)
	var lookers sync.WaitGroup
	defer lookers.Wait()
	defer cancel()
	for range lookersAtOnce {
		lookers.Go(func() { in.look(ctx) })
	}
	var cut time.Time
	for {
		select {
		case m := <-in.msgs:
			in.dispatch(m)
		case st := <-status:
			switch st {
			case nats.RECONNECTING:
				if cut.IsZero() {
					cut = time.Now()
				}
			case nats.CONNECTED:
				// The server has forgotten our requests. Longer than events are kept,
				// and some are gone too.
				gap := !cut.IsZero() && time.Since(cut) > in.s.cfg.EventsMaxAge/2
				cut = time.Time{}
				in.each(func(a *attachment) { a.reconnected(gap) })
			case nats.CLOSED:
				return fmt.Errorf("run intake: %w", nats.ErrConnectionClosed)
			}
		case m := <-elected:
			if e := in.s.elected(m.Subject); e != nil {
				lookers.Go(func() { e.lookAtLeader(ctx) })
			}
		case now := <-sweep.C:
			told := 0
			in.each(func(a *attachment) {
				a.sweep(now)
				if told < gapsPerSweep && a.missed(now) {
					told++
				}
			})
		case <-ctx.Done():
			return nil
		}
	}
}

func (in *Intake) each(f func(*attachment)) {
	in.mu.RLock()
	defer in.mu.RUnlock()
	for _, a := range in.attached {
		f(a)
	}
}

// dispatch hands a message to its lattice. Only the server answers without a
// reply subject: a status can not be forged by a header of an event.
func (in *Intake) dispatch(m *nats.Msg) {
	in.mu.RLock()
	a := in.attached[m.Sub]
	in.mu.RUnlock()
	switch {
	case a == nil:
	case m.Reply == "":
		a.status(m)
	default:
		a.push(m)
	}
}

// Attach delivers the events of the claim's lattice until ctx ends, calling
// deliver and gap from the calling goroutine, never two at a time. Events stored
// before Attach are left out: the inventory that the first call of gap asks for is
// newer. From then on none is, but a later gap tells that some may be gone.
// Attach blocks for as long as deliver does; meanwhile the server keeps what is
// not delivered. A lattice is attached at most once at a time per intake.
//
// It returns the cause of ctx's end; ErrFenced when the consumer shows a newer
// claim; ErrStopped when Run has ended.
func (in *Intake) Attach(ctx context.Context, c scheduler.Claim, deliver func(scheduler.Delivery), gap func()) error {
	if _, err := tenancy.ParseLattice(string(c.Key.Lattice)); err != nil {
		return fmt.Errorf("attach intake: %w", err)
	}
	ev, err := in.s.tenantEvents(c.Key.Tenant)
	if err != nil {
		return fmt.Errorf("attach intake: %w", err)
	}
	a := newAttachment(in, ev, c)
	defer in.deafen(a)
	if err := a.run(ctx, deliver, gap); err != nil {
		return fmt.Errorf("attach intake of %s: %w", c.Key, err)
	}
	return nil
}

// listen has what a new consumer sends brought to its lattice, and nothing any
// more that the one before it sent.
func (in *Intake) listen(a *attachment) error {
	sub, err := in.s.nc.ChanSubscribe(in.s.nc.NewInbox(), in.msgs)
	if err != nil {
		return fmt.Errorf("subscribe to events: %w", err)
	}
	in.deafen(a)
	in.mu.Lock()
	in.attached[sub] = a
	in.mu.Unlock()
	a.sub = sub
	return nil
}

// deafen ends what listen began. With the interest goes the standing request.
func (in *Intake) deafen(a *attachment) {
	if a.sub == nil {
		return
	}
	in.mu.Lock()
	delete(in.attached, a.sub)
	in.mu.Unlock()
	_ = a.sub.Unsubscribe()
}

package natsjs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/scheduler"
	"wadm/tenancy"
)

// Backoff between tries while JetStream does not answer.
const (
	firstPause = 50 * time.Millisecond
	mostPause  = 2 * time.Second
)

// pause waits for a jittered, growing time; false when ctx ended first.
func pause(ctx context.Context, try int) bool {
	d := mostPause
	if try < 6 {
		d = min(d, firstPause<<try)
	}
	return wait(ctx, d/2+rand.N(d))
}

// wait waits for d; false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Statuses publishes application statuses. It implements [scheduler.Statuses].
type Statuses struct {
	s *Streams

	mu   sync.Mutex
	apps map[string]*statusSlot
}

var _ scheduler.Statuses = (*Statuses)(nil)

// statusSlot is the one writer of an application's status.
type statusSlot struct {
	data []byte
	// newest counts the statuses handed in, stored the newest one stored.
	newest, stored uint64
	writing        bool
	// changed is closed and replaced whenever stored or writing change.
	changed chan struct{}
	users   int
}

// NewStatuses returns the statuses of s.
func NewStatuses(s *Streams) *Statuses {
	return &Statuses{s: s, apps: map[string]*statusSlot{}}
}

// Publish stores st or a newer status of the application, trying until ctx ends.
// Of statuses that are handed in while an older one is on its way only the
// newest is stored; all their callers return then. Errors are those of the
// arguments, of ctx, and a status too large for the server.
func (p *Statuses) Publish(ctx context.Context, key tenancy.LatticeKey, app string, st tenancy.Status) error {
	if _, err := tenancy.ParseApp(app); err != nil {
		return fmt.Errorf("publish status: %w", err)
	}
	e, err := p.s.tenantEvents(key.Tenant)
	if err != nil {
		return fmt.Errorf("publish status: %w", err)
	}
	if _, err := tenancy.ParseLattice(string(key.Lattice)); err != nil {
		return fmt.Errorf("publish status: %w", err)
	}
	data, err := st.Encode()
	if err != nil {
		return fmt.Errorf("publish status: %w", err)
	}
	subject := e.prefix() + statusSubject + string(key.Lattice) + "." + app

	slot, mine := p.enter(subject, data)
	defer p.leave(subject, slot)
	for {
		data, number, changed := p.next(slot, mine)
		switch {
		case changed != nil:
			select {
			case <-changed:
			case <-ctx.Done():
				return fmt.Errorf("publish status: %w", context.Cause(ctx))
			}
		case number == 0:
			return nil
		default:
			if err := p.write(slot, number, func() error { return p.store(ctx, key, e.account, subject, data) }); err != nil {
				return fmt.Errorf("publish status: %w", err)
			}
		}
	}
}

// enter hands in a status; mine is its number.
func (p *Statuses) enter(subject string, data []byte) (slot *statusSlot, mine uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slot = p.apps[subject]
	if slot == nil {
		slot = &statusSlot{changed: make(chan struct{})}
		p.apps[subject] = slot
	}
	slot.users++
	slot.newest++
	slot.data = data
	return slot, slot.newest
}

// leave forgets a slot that nobody uses any more.
func (p *Statuses) leave(subject string, slot *statusSlot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slot.users--; slot.users == 0 {
		delete(p.apps, subject)
	}
}

// next says what is to be done until mine is stored: wait for changed, while somebody
// else writes; else write data, which has that number; number 0: nothing any more.
func (p *Statuses) next(slot *statusSlot, mine uint64) (data []byte, number uint64, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case slot.stored >= mine:
		return nil, 0, nil
	case slot.writing:
		return nil, 0, slot.changed
	}
	slot.writing = true
	return slot.data, slot.newest, nil
}

// write stores a status of the slot. Whatever becomes of store, a panic too, the
// others go on.
func (p *Statuses) write(slot *statusSlot, number uint64, store func() error) error {
	stored := false
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		slot.writing = false
		if stored {
			slot.stored = number
		}
		close(slot.changed)
		slot.changed = make(chan struct{})
	}()
	err := store()
	stored = err == nil
	return err
}

// told reports whether data is what the stream says already: a new owner does
// not know what its predecessor has published. Not knowing counts as no.
func (p *Statuses) told(ctx context.Context, subject string, data []byte) bool {
	limited, cancel := context.WithTimeout(ctx, p.s.cfg.AppendTimeout)
	defer cancel()
	body, err := json.Marshal(getRequest{LastFor: subject})
	if err != nil {
		return false
	}
	m, err := p.s.nc.RequestWithContext(limited, p.s.api+"STREAM.MSG.GET."+p.s.cfg.Status.Name, body)
	var answer struct {
		Message *stored `json:"message"`
	}
	return err == nil && json.Unmarshal(m.Data, &answer) == nil && answer.Message != nil && bytes.Equal(answer.Message.Data, data)
}

// store publishes one status until the stream has it.
func (p *Statuses) store(ctx context.Context, key tenancy.LatticeKey, account, subject string, data []byte) error {
	if p.told(ctx, subject, data) {
		return nil
	}
	var gone time.Time
	for try := 0; ; try++ {
		limited, cancel := context.WithTimeout(ctx, p.s.cfg.AppendTimeout)
		_, err := p.s.js.Publish(limited, subject, data, jetstream.WithExpectStream(p.s.cfg.Status.Name), jetstream.WithRetryAttempts(0))
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if permanent(err) {
			return err
		}
		if try == 0 {
			p.s.log.Warn("status not stored, trying again", "tenant", key.Tenant, "lattice", key.Lattice, "subject", subject, "error", err)
		}
		if errors.Is(err, jetstream.ErrNoStreamResponse) && try > 2 {
			// The stream may be gone, or not take the tenant's subjects any more.
			if _, err := p.s.ensure(ctx, p.s.statusConfig(account), needSubjects, &gone); err != nil && ctx.Err() == nil {
				p.s.log.Debug("status stream not there", "error", err)
			}
		}
		if !pause(ctx, try) {
			return context.Cause(ctx)
		}
	}
}

// permanent tells the errors that no later try can cure.
func permanent(err error) bool {
	if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrConnectionClosed) {
		return true
	}
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum
}

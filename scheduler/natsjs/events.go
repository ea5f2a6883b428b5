package natsjs

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/tenancy"
)

// storedSubject is the root under which events are stored, one subject per
// lattice. With one subject a consumer's filter is literal, and the server finds
// a lattice's next event by index instead of walking everybody's.
const storedSubject = "evt."

// duplicateWindow is short: hosts send no message ids, so whoever does is not a host.
const duplicateWindow = time.Second

// events is the events stream of one tenant.
type events struct {
	s       *Streams
	tenant  tenancy.Tenant
	account string
	stream  string

	mu sync.Mutex
	// looking is closed when the look at the stream that is under way ends; nil:
	// none is. checked is when the last one that came to a result began, and failed
	// that result.
	looking chan struct{}
	checked time.Time
	failed  error

	// made is when the stream was created: another time is another stream, in
	// which the sequences of the old one mean nothing. gone is since when it has been
	// away after it was there. Both belong to the look that is under way.
	made, gone time.Time
	// incarnation counts the streams seen under this name, last is the newest one's
	// last sequence at the last look. A look writes them.
	incarnation, last atomic.Uint64

	// ahead is by how much this process's clock was ahead of the server's when the
	// server was heard last; events bear the server's.
	ahead      atomic.Int64
	alarms     alarms
	leadership leadership
	// warned is when a lattice without a consumer was last spoken of.
	warned time.Time
}

// mayWarn tells whether it is time to speak of a lattice without a consumer again. One
// stands for all: they have the stream in common, and may be thousands.
func (e *events) mayWarn(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now.Sub(e.warned) < warnEach {
		return false
	}
	e.warned = now
	return true
}

// alarms have the silent consumers of a stream looked at: seldom is one gone alone.
// Their times are compared by the monotonic clock, whatever becomes of the other one.
type alarms struct {
	mu sync.Mutex
	// raised is when a consumer was last found to be gone, or may have been; sounded
	// when that was last an alarm for all.
	raised, sounded time.Time
}

// raise notes that a consumer is gone.
func (a *alarms) raise(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.raised = now
}

// last is when there was an alarm, which is at most once per pause.
func (a *alarms) last(now time.Time, pause time.Duration) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.raised.After(a.sounded) && now.Sub(a.sounded) >= pause {
		a.sounded = now
	}
	return a.sounded
}

// heard compares the clocks and the leaders.
func (e *events) heard(info *jetstream.StreamInfo) {
	if !info.TimeStamp.IsZero() {
		e.ahead.Store(int64(time.Since(info.TimeStamp)))
	}
	e.leadership.heard(info.Cluster, time.Now())
}

// age is how long ago an event was stored, given the server's time (nanoseconds
// of the Unix clock).
func (e *events) age(stored int64) time.Duration {
	return time.Since(time.Unix(0, stored)) - time.Duration(e.ahead.Load())
}

func newEvents(s *Streams, tenant tenancy.Tenant, account string) *events {
	e := &events{s: s, tenant: tenant, account: account, stream: s.cfg.Events}
	if tenant != tenancy.DefaultTenant {
		e.stream += "_" + string(tenant)
	}
	return e
}

// prefix is what stands before the subjects of the tenant.
func (e *events) prefix() string {
	if e.account == "" {
		return ""
	}
	return e.account + "."
}

func (e *events) config() jetstream.StreamConfig {
	c := e.s.cfg
	source := e.prefix() + "wasmbus.evt.*.*"
	want := jetstream.StreamConfig{
		Name:        e.stream,
		Description: "events of lattices, stored under one subject per lattice",
		Subjects:    []string{source},
		// Plain subscribers of the source are not affected: only what is stored moves.
		SubjectTransform: &jetstream.SubjectTransformConfig{Source: source, Destination: storedSubject + "{{wildcard(1)}}"},
		Discard:          jetstream.DiscardOld,
		MaxAge:           c.EventsMaxAge,
		MaxConsumers:     c.MaxConsumers,
		MaxBytes:         limit(c.EventsMaxBytes),
		Duplicates:       min(duplicateWindow, c.EventsMaxAge),
		Replicas:         max(1, c.Replicas),
		NoAck:            true,
	}
	if c.Memory {
		want.Storage = jetstream.MemoryStorage
	}
	return want
}

// ensure looks at the stream and makes it what it must be.
func (e *events) ensure(ctx context.Context) error {
	return e.look(ctx, time.Now())
}

// look is ensure for many callers at once: what came of a look that began after
// since, success or failure, serves all of them. It ends with ctx.
func (e *events) look(ctx context.Context, since time.Time) error {
	for {
		e.mu.Lock()
		if e.checked.After(since) {
			defer e.mu.Unlock()
			return e.failed
		}
		looking := e.looking
		if looking == nil {
			e.looking = make(chan struct{})
		}
		e.mu.Unlock()
		if looking == nil {
			return e.lookNow(ctx)
		}
		select {
		case <-looking:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// lookNow looks for all who wait for looking to be closed.
func (e *events) lookNow(ctx context.Context) (err error) {
	began, result := time.Now(), false
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if result {
			e.checked, e.failed = began, err
		}
		close(e.looking)
		e.looking = nil
	}()
	var away *time.Time
	if !e.made.IsZero() {
		away = &e.gone
	}
	info, err := e.s.ensure(ctx, e.config(), needEvents, away)
	if ctx.Err() != nil && err != nil {
		return context.Cause(ctx) // one of the others has to look again
	}
	result = true
	if err != nil {
		return fmt.Errorf("events of tenant %s: %w", e.tenant, err)
	}
	e.heard(info)
	// A stream that lost its end (a server that was killed) gives sequences out
	// again, so it counts as another one.
	if !info.Created.Equal(e.made) || info.State.LastSeq < e.last.Load() {
		e.made = info.Created
		e.incarnation.Add(1)
	}
	e.last.Store(info.State.LastSeq)
	return nil
}

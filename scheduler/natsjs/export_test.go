package natsjs

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/scheduler"
	"wadm/scheduler/lattice"
	"wadm/tenancy"
)

// What the fuzz targets and tables reach.
var (
	AckSubject  = ackSubject
	Covers      = covers
	EncodeState = newStateCodec().encode
	DecodeState = newStateCodec().decode
)

// Doubt pairs the messages of a lattice's command subject.
func Doubt(messages ...[]byte) []lattice.Command {
	d := newDoubt()
	for _, m := range messages {
		_ = d.add(m, time.Time{})
	}
	return d.list()
}

// Waiting counts the callers of Publish that have not returned.
func Waiting(p *Statuses) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, slot := range p.apps {
		n += slot.users
	}
	return n
}

// BenchAttachment is a lattice without a consumer.
type BenchAttachment struct{ a *attachment }

// NewBenchAttachment makes one for the default tenant.
func NewBenchAttachment(s *Streams, key tenancy.LatticeKey) BenchAttachment {
	ev, err := s.tenantEvents(key.Tenant)
	if err != nil {
		panic(err)
	}
	return BenchAttachment{newAttachment(NewIntake(s), ev, scheduler.Claim{Key: key, Epoch: 1})}
}

// Deliver passes a message through and acknowledges it; false: it is none to deliver.
func (b BenchAttachment) Deliver(m *nats.Msg) bool {
	b.a.push(m)
	d, _, ok := b.a.take()
	if ok {
		d.Ack()
	}
	return ok
}

// Overcount makes every lattice believe that its requests may still bring n more
// events: what is left when the connection dropped as many.
func Overcount(in *Intake, n int) {
	in.each(func(a *attachment) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.open += n
	})
}

// Age is how old an event counts as, whose storing a server tells whose clock is
// behind this process's.
func Age(s *Streams, actual, ahead time.Duration) time.Duration {
	e := newEvents(s, tenancy.DefaultTenant, "")
	server := time.Now().Add(-ahead)
	e.heard(&jetstream.StreamInfo{TimeStamp: server})
	return e.age(server.Add(-actual).UnixNano())
}

// Alarmed tells whether any consumer was found to be gone.
func Alarmed(in *Intake) (yes bool) {
	in.each(func(a *attachment) {
		a.ev.alarms.mu.Lock()
		defer a.ev.alarms.mu.Unlock()
		yes = yes || !a.ev.alarms.raised.IsZero()
	})
	return yes
}

// Alarms are those of a stream.
type Alarms struct{ alarms alarms }

// Raise notes that a consumer is gone.
func (a *Alarms) Raise(now time.Time) { a.alarms.raise(now) }

// Last is when there was an alarm.
func (a *Alarms) Last(now time.Time, pause time.Duration) time.Time { return a.alarms.last(now, pause) }

// Looks counts how often a lattice's consumer is looked up whose events come at
// these times after it was attached, swept every second.
func Looks(most time.Duration, events []time.Duration) (n int) {
	q := newQuiet(most)
	begin := q.heard
	for now := time.Duration(0); len(events) > 0; now += time.Second {
		for ; len(events) > 0 && events[0] <= now; events = events[1:] {
			q.hear(begin.Add(events[0]))
		}
		if at := begin.Add(now); at.Sub(q.last()) >= q.patience() {
			q.look(at)
			n++
		}
	}
	return n
}

// Elect has the stream of the default tenant heard to be led by that server.
func Elect(s *Streams, leader string) {
	e, err := s.tenantEvents(tenancy.DefaultTenant)
	if err != nil {
		panic(err)
	}
	e.heard(&jetstream.StreamInfo{Cluster: &jetstream.ClusterInfo{Leader: leader, Replicas: []*jetstream.PeerInfo{{}}}})
}

// GapsPerSweep is how many lattices are told of a gap together.
const GapsPerSweep = gapsPerSweep

// Settle is how long a stream that has disappeared must stay away.
const Settle = settle

// LookAtEvents looks at the events stream of the default tenant.
func LookAtEvents(ctx context.Context, s *Streams) error {
	e, err := s.tenantEvents(tenancy.DefaultTenant)
	if err != nil {
		return err
	}
	return e.look(ctx, time.Now())
}

// PanicOnce has the first status that is stored panic with what comes over values,
// once began is closed.
func PanicOnce(s *Streams) (began <-chan struct{}, values chan<- any) {
	p := &panicky{JetStream: s.js, began: make(chan struct{}), values: make(chan any)}
	s.js = p
	return p.began, p.values
}

type panicky struct {
	jetstream.JetStream
	once   sync.Once
	began  chan struct{}
	values chan any
}

func (p *panicky) Publish(ctx context.Context, subject string, data []byte, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	p.once.Do(func() {
		close(p.began)
		panic(<-p.values)
	})
	return p.JetStream.Publish(ctx, subject, data, opts...)
}

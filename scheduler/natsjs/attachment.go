package natsjs

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/scheduler"
)

// holdOff is how long a lattice waits with its next request after a refused one.
const holdOff = 500 * time.Millisecond

// attachment is one lattice that is delivered here.
type attachment struct {
	in       *Intake
	ev       *events
	claim    scheduler.Claim
	consumer string
	// sub takes what requests for events are answered with, by the newest consumer
	// only: each has an inbox of its own. Of run only.
	sub *nats.Subscription
	// next is the subject of requests for events.
	next string

	// wake has room for one: something changed for the goroutine in run.
	wake chan struct{}

	mu sync.Mutex
	// queue holds messages between the connection and run, oldest first.
	queue []*nats.Msg
	head  int
	// open is how many messages the standing requests may still bring.
	open  int
	quiet quiet
	// lost: the consumer is not there. unsure: it may be another owner's by now.
	// looking: it is being looked up. reborn: the server has made it anew, in memory,
	// without its position. gap: events may have been missed. off: don't ask before
	// askAgain.
	lost, unsure, looking, reborn, gap, off bool
	gapAt                                   time.Time
	// begun: there has been a consumer of ours.
	begun bool
	// incarnation of the stream the rest belongs to; last is the highest sequence
	// that was delivered or need not be, pending what is delivered and not
	// acknowledged. count is the consumer's own number of its last delivery.
	incarnation uint64
	last        uint64
	count       uint64
	pending     []*slot
	free        []*slot
	// term of the stream's leadership up to which gaps were told.
	term uint64
}

func newAttachment(in *Intake, ev *events, c scheduler.Claim) *attachment {
	consumer := consumerName(c.Key)
	return &attachment{
		in: in, ev: ev, claim: c,
		consumer: consumer,
		next:     in.s.api + "CONSUMER.MSG.NEXT." + ev.stream + "." + consumer,
		wake:     make(chan struct{}, 1),
		quiet:    newQuiet(in.s.cfg.Probe),
		lost:     true,
	}
}

func (a *attachment) signal() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// push takes a message from the connection. It never waits.
func (a *attachment) push(m *nats.Msg) {
	a.mu.Lock()
	a.quiet.hear(time.Now())
	a.open = max(0, a.open-1)
	if len(a.queue)-a.head >= 4*a.in.s.cfg.MaxAckPending {
		// More than one consumer's worth: redeliveries to a lattice that stands
		// still. Unacknowledged, they come again.
		a.mu.Unlock()
		a.in.stats.dropped.Add(1)
		return
	}
	if a.head > 0 && len(a.queue) == cap(a.queue) {
		// Room at the front before more room at the end.
		n := copy(a.queue, a.queue[a.head:])
		clear(a.queue[n:])
		a.queue, a.head = a.queue[:n], 0
	}
	a.queue = append(a.queue, m)
	a.mu.Unlock()
	a.signal()
}

// status takes an answer without an event.
func (a *attachment) status(m *nats.Msg) {
	code, text := header(m, "Status"), header(m, "Description")
	a.mu.Lock()
	switch {
	case code == "100": // still there
	case code == "503", code == "409" && (strings.Contains(text, "Deleted") || strings.Contains(text, "not found")):
		a.lose()
	case code == "404", code == "408":
		a.discount(m)
	default:
		// Moved, shutting down, too many requests and what servers may yet invent:
		// it passes.
		a.discount(m)
		a.off = true
		time.AfterFunc(holdOff, a.askAgain)
		a.in.log.Debug("request for events refused", "tenant", a.claim.Key.Tenant, "lattice", a.claim.Key.Lattice, "status", code, "description", text)
	}
	a.mu.Unlock()
	a.signal()
}

// lose notes that the consumer is not there. Called with mu.
func (a *attachment) lose() {
	a.lost = true
	a.ev.alarms.raise(time.Now())
}

// discount takes what an ended request will not bring off the account. Called with mu.
func (a *attachment) discount(m *nats.Msg) {
	if n, err := strconv.Atoi(header(m, "Nats-Pending-Messages")); err == nil {
		a.open = max(0, a.open-n)
		return
	}
	a.open = 0
}

func header(m *nats.Msg, name string) string {
	if v := m.Header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (a *attachment) askAgain() {
	a.mu.Lock()
	a.off = false
	a.mu.Unlock()
	a.signal()
}

// reconnected: requests of the broken connection are gone. Meanwhile another owner
// may have taken over, whose events a request of ours would take: they would wait for
// their acknowledgement until they are delivered again. So the consumer is looked up
// first.
func (a *attachment) reconnected(gap bool) {
	a.mu.Lock()
	a.open, a.off, a.unsure = 0, false, true
	a.gap = a.gap || gap
	a.mu.Unlock()
	a.signal()
}

// run makes the consumer and delivers until ctx ends.
func (a *attachment) run(ctx context.Context, deliver func(scheduler.Delivery), gap func()) error {
	for {
		a.mu.Lock()
		doubtful := a.lost || a.unsure
		a.mu.Unlock()
		if doubtful {
			made, err := a.renew(ctx)
			if err != nil {
				return err
			}
			if made {
				a.tellGap(gap)
			}
		}
		a.pull()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-a.in.done:
			return ErrStopped
		case <-a.wake:
		}
		for ctx.Err() == nil {
			d, missed, ok := a.take()
			if missed {
				a.tellGap(gap)
			}
			if !ok {
				break
			}
			a.in.stats.delivered.Add(1)
			deliver(d)
		}
	}
}

func (a *attachment) tellGap(gap func()) {
	a.in.stats.gaps.Add(1)
	gap()
}

// pull keeps a standing request open.
func (a *attachment) pull() {
	cfg := &a.in.s.cfg
	a.mu.Lock()
	n := 0
	if !a.lost && !a.unsure && !a.off && a.open <= cfg.PullBatch/2 {
		n = cfg.PullBatch - a.open
	}
	a.open += n
	a.mu.Unlock()
	if n == 0 {
		return
	}
	// An error means no connection; the next one asks again.
	_ = a.in.s.nc.PublishRequest(a.next, a.sub.Subject, fmt.Appendf(nil, `{"batch":%d,"expires":%d}`, n, cfg.PullExpires.Nanoseconds()))
}

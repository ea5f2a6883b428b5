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

// ackBody is the payload of an acknowledgement.
var ackBody = []byte("+ACK")

// attachment is one lattice that is delivered here.
type attachment struct {
	in       *Intake
	ev       *events
	claim    scheduler.Claim
	sub      *nats.Subscription
	inbox    string
	consumer string
	// next is the subject of requests for events, ask the body of a full one.
	next string
	ask  []byte

	// wake has room for one: something changed for the goroutine in run.
	wake chan struct{}

	mu sync.Mutex
	// queue holds messages between the connection and run, oldest first.
	queue []*nats.Msg
	head  int
	// open is how many messages the standing requests may still bring.
	open int
	// heard is when the server last sent anything for this lattice.
	heard time.Time
	// lost: the consumer is not there. gap: events may have been missed.
	// probe: ask whether the consumer is there. off: don't ask before askAgain.
	lost, gap, probe, off bool
	gapAt                 time.Time
	// incarnation of the stream the rest belongs to; last is the highest sequence
	// delivered, pending what is delivered and not acknowledged.
	incarnation uint64
	last        uint64
	pending     []*slot
	free        []*slot
}

// slot is one delivered event. Slots are used again, so that an event costs no
// allocation of ours.
type slot struct {
	a           *attachment
	ack         func()
	reply       string
	seq         uint64
	incarnation uint64
	armed       bool
	// apart: a newer delivery of the same event took this one's place.
	apart bool
}

func newAttachment(in *Intake, ev *events, c scheduler.Claim) *attachment {
	cfg := in.s.cfg
	consumer := consumerName(c.Key)
	return &attachment{
		in: in, ev: ev, claim: c,
		inbox:    in.s.nc.NewInbox(),
		consumer: consumer,
		next:     in.s.api + "CONSUMER.MSG.NEXT." + ev.stream + "." + consumer,
		ask:      request(cfg.PullBatch, cfg.PullExpires),
		wake:     make(chan struct{}, 1),
		heard:    time.Now(),

		incarnation: ev.now(),
	}
}

func request(batch int, expires time.Duration) []byte {
	return fmt.Appendf(nil, `{"batch":%d,"expires":%d}`, batch, expires.Nanoseconds())
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
	a.heard = time.Now()
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

// status takes an answer without an event; later asks for a call of askAgain.
func (a *attachment) status(m *nats.Msg) (later bool) {
	code, text := header(m, "Status"), header(m, "Description")
	a.mu.Lock()
	a.heard = time.Now()
	switch code {
	case "100": // still there
	case "503":
		a.lost = true
	case "404", "408":
		a.settle(m)
	case "409":
		switch {
		case strings.Contains(text, "Deleted"), strings.Contains(text, "not found"):
			a.lost = true
		default:
			// Moved, shutting down, too many requests: it passes.
			a.settle(m)
			a.off, later = true, true
		}
	default: // 400, 412, 423 and what servers may yet invent
		a.settle(m)
		a.off, later = true, true
		a.in.log.Warn("request for events refused", "tenant", a.claim.Key.Tenant, "lattice", a.claim.Key.Lattice, "status", code, "description", text)
	}
	a.mu.Unlock()
	a.signal()
	return later
}

// settle takes what an ended request will not bring off the account. Called with mu.
func (a *attachment) settle(m *nats.Msg) {
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

// reconnected: requests of the broken connection are gone.
func (a *attachment) reconnected(gap bool) {
	a.mu.Lock()
	a.open, a.off = 0, false
	a.gap = a.gap || gap
	a.mu.Unlock()
	a.signal()
}

// sweep asks after a consumer that has been silent for long: a server that dies
// with it says nothing.
func (a *attachment) sweep(now time.Time) {
	a.mu.Lock()
	silent := now.Sub(a.heard) >= a.in.s.cfg.Probe
	a.probe = a.probe || silent
	a.mu.Unlock()
	if silent {
		a.signal()
	}
}

// run attaches the consumer and delivers until ctx ends.
func (a *attachment) run(ctx context.Context, deliver func(scheduler.Delivery), gap func()) error {
	if _, err := a.bring(ctx, true); err != nil {
		return err
	}
	a.tellGap(gap)
	for {
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
		a.mu.Lock()
		lost := a.lost
		a.mu.Unlock()
		if lost {
			created, err := a.bring(ctx, false)
			if err != nil {
				return err
			}
			if created {
				a.tellGap(gap)
			}
		}
	}
}

func (a *attachment) tellGap(gap func()) {
	a.in.stats.gaps.Add(1)
	gap()
}

// pull keeps a standing request open.
func (a *attachment) pull() {
	full, cfg := false, &a.in.s.cfg
	a.mu.Lock()
	n := 0
	switch {
	case a.lost, a.off:
	case a.open <= cfg.PullBatch/2:
		n, full = cfg.PullBatch-a.open, a.open == 0
	case a.probe:
		n = 1
	}
	probe := a.probe && n == 1
	a.open += n
	a.probe = false
	if n > 0 {
		// Counts as heard, so that one silence is probed once.
		a.heard = time.Now()
	}
	a.mu.Unlock()
	if n == 0 {
		return
	}
	body := a.ask
	switch {
	case probe:
		body = request(1, cfg.Probe)
	case !full:
		body = request(n, cfg.PullExpires)
	}
	// An error means no connection; the next one asks again.
	_ = a.in.s.nc.PublishRequest(a.next, a.inbox, body)
}

// take gives the next message a slot; missed tells that events may be gone.
func (a *attachment) take() (d scheduler.Delivery, missed, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	missed, a.gap = a.gap, false
	for a.head < len(a.queue) {
		m := a.queue[a.head]
		a.queue[a.head] = nil
		if a.head++; a.head == len(a.queue) {
			a.queue, a.head = a.queue[:0], 0
		}
		seq, stored, fine := ackSubject(m.Reply)
		if !fine {
			continue
		}
		if old := time.Since(time.Unix(0, stored)); old > a.in.s.cfg.EventsMaxAge*3/4 && time.Since(a.gapAt) > a.in.s.cfg.EventsMaxAge {
			// Nearly as old as events get: some may have gone before they were taken.
			missed, a.gapAt = true, time.Now()
		}
		a.last = max(a.last, seq)
		sl := a.slot(seq)
		sl.reply = m.Reply
		return scheduler.Delivery{Data: m.Data, Ack: sl.ack}, missed, true
	}
	return scheduler.Delivery{}, missed, false
}

// slot finds a slot for a delivery of seq. Called with mu.
func (a *attachment) slot(seq uint64) *slot {
	for i, p := range a.pending {
		if p.seq == seq {
			// Whoever holds the earlier delivery may still acknowledge it, so it is
			// not used again.
			p.apart = true
			a.pending = append(a.pending[:i], a.pending[i+1:]...)
			break
		}
	}
	var sl *slot
	if len(a.free) > 0 {
		sl = a.free[0]
		a.free = append(a.free[:0], a.free[1:]...)
	} else {
		sl = &slot{a: a}
		sl.ack = sl.acknowledge
	}
	sl.seq, sl.incarnation, sl.armed = seq, a.incarnation, true
	a.pending = append(a.pending, sl)
	return sl
}

// acknowledge publishes the acknowledgement of a delivery.
func (sl *slot) acknowledge() {
	a := sl.a
	a.mu.Lock()
	if !sl.armed {
		a.mu.Unlock()
		return
	}
	sl.armed = false
	reply := sl.reply
	// A sequence of another stream would acknowledge something else.
	valid := sl.incarnation == a.incarnation
	if !sl.apart {
		for i, p := range a.pending {
			if p == sl {
				a.pending = append(a.pending[:i], a.pending[i+1:]...)
				break
			}
		}
		if len(a.free) < a.in.s.cfg.MaxAckPending {
			a.free = append(a.free, sl)
		}
	}
	a.mu.Unlock()
	if valid && a.in.s.nc.Publish(reply, ackBody) == nil {
		a.in.stats.acked.Add(1)
	}
}

// position is the sequence from which a new consumer must start, 0 when nothing
// is known. Called with mu.
func (a *attachment) position() uint64 {
	if a.last == 0 {
		return 0
	}
	from := a.last + 1
	for _, p := range a.pending {
		from = min(from, p.seq)
	}
	return from
}

// ackSubject reads the stream sequence and the time of storing (nanoseconds of
// the Unix clock) out of
//
//	$JS.ACK.{stream}.{consumer}.{delivered}.{sequence}.{consumer sequence}.{time}.{pending}
//
// or the longer form, which has a domain and an account hash after ACK.
func ackSubject(s string) (seq uint64, stored int64, ok bool) {
	rest, ok := strings.CutPrefix(s, "$JS.ACK.")
	if !ok {
		return 0, 0, false
	}
	tokens := strings.Count(rest, ".") + 1
	skip := 3
	switch {
	case tokens == 7:
	case tokens >= 9:
		skip = 5
	default:
		return 0, 0, false
	}
	var token string
	for range skip + 1 {
		token, rest, _ = strings.Cut(rest, ".")
	}
	seq, err := strconv.ParseUint(token, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	_, rest, _ = strings.Cut(rest, ".")
	token, _, _ = strings.Cut(rest, ".")
	stored, err = strconv.ParseInt(token, 10, 64)
	return seq, stored, err == nil && seq > 0
}

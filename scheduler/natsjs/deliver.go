package natsjs

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"wadm/scheduler"
)

// ackBody is the payload of an acknowledgement.
var ackBody = []byte("+ACK")

// slot is one delivered event. Slots are used again, so that an event costs no
// allocation of ours.
type slot struct {
	a           *attachment
	ack         func()
	reply       string
	seq         uint64
	incarnation uint64
	armed       bool
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
		seq, count, stored, fine := ackSubject(m.Reply)
		if !fine {
			continue
		}
		if count <= a.count {
			// Its server has forgotten the consumer and made it again where it once
			// started. One in its place starts where it stood; this event comes again.
			a.reborn = true
			a.lose()
			return scheduler.Delivery{}, missed, false
		}
		a.count = count
		if old := a.ev.age(stored); old > a.in.s.cfg.EventsMaxAge*3/4 && time.Since(a.gapAt) > a.in.s.cfg.EventsMaxAge {
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
	if i := slices.IndexFunc(a.pending, func(p *slot) bool { return p.seq == seq }); i >= 0 {
		// Whoever holds the earlier delivery may still acknowledge it, so its slot is
		// not used again.
		a.pending = slices.Delete(a.pending, i, i+1)
	}
	var sl *slot
	if n := len(a.free); n > 0 {
		sl, a.free = a.free[n-1], a.free[:n-1]
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
	if i := slices.Index(a.pending, sl); i >= 0 {
		a.pending = slices.Delete(a.pending, i, i+1)
		if len(a.free) < a.in.s.cfg.MaxAckPending {
			a.free = append(a.free, sl)
		}
	}
	a.mu.Unlock()
	if valid && a.in.s.nc.Publish(reply, ackBody) == nil {
		a.in.stats.acked.Add(1)
	}
}

// ackSubject reads the stream sequence, the consumer's own and the time of storing
// (nanoseconds of the Unix clock) out of
//
//	$JS.ACK.{stream}.{consumer}.{delivered}.{sequence}.{consumer sequence}.{time}.{pending}
//
// or the longer form, which has a domain and an account hash after ACK.
func ackSubject(s string) (seq, count uint64, stored int64, ok bool) {
	rest, ok := strings.CutPrefix(s, "$JS.ACK.")
	if !ok {
		return 0, 0, 0, false
	}
	tokens := strings.Count(rest, ".") + 1
	skip := 3
	switch {
	case tokens == 7:
	case tokens >= 9:
		skip = 5
	default:
		return 0, 0, 0, false
	}
	var token string
	for range skip + 1 {
		token, rest, _ = strings.Cut(rest, ".")
	}
	seq, err := strconv.ParseUint(token, 10, 64)
	if err != nil {
		return 0, 0, 0, false
	}
	token, rest, _ = strings.Cut(rest, ".")
	if count, err = strconv.ParseUint(token, 10, 64); err != nil {
		return 0, 0, 0, false
	}
	token, _, _ = strings.Cut(rest, ".")
	stored, err = strconv.ParseInt(token, 10, 64)
	return seq, count, stored, err == nil && seq > 0 && count > 0
}

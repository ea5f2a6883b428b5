package shard

import (
	"sync/atomic"
	"time"
)

// health judges whether this instance may trust its claims: only while the
// ledger has answered a round trip that began less than limit ago. Reckoning
// from the beginning makes a pause anywhere on the way count against it.
type health struct {
	zero  time.Time // monotonic origin
	limit time.Duration
	last  atomic.Int64 // start of the newest answered round trip, since zero; 0: none
	// lapses counts the times trust was lost and regained. What others did meanwhile
	// is not known until the claims have been looked at again: valid is the lapse
	// after which that was done.
	lapses, valid atomic.Int64
	before        atomic.Int64 // last, as it was before the newest lapse
	// suspended gives the total time of suspension; slept is how much of it is known
	// to whoever looks after this.
	suspended func() (time.Duration, bool)
	slept     atomic.Int64
}

func newHealth(now time.Time, limit time.Duration, suspended func() (time.Duration, bool)) *health {
	h := &health{zero: now.Add(-time.Nanosecond), limit: limit, suspended: suspended}
	slept, _ := suspended()
	h.slept.Store(int64(slept))
	return h
}

// answered notes a round trip that began at start and has been answered.
func (h *health) answered(start time.Time) {
	at := int64(start.Sub(h.zero))
	for {
		old := h.last.Load()
		if at <= old {
			return
		}
		if lapse := time.Since(h.zero)-time.Duration(old) >= h.limit; lapse {
			h.before.Store(old)
			h.lapses.Add(1) // before trust returns
		}
		if h.last.CompareAndSwap(old, at) {
			return
		}
	}
}

// lapse names the newest lapse, and whether the claims were looked at since.
func (h *health) lapse() (n int64, valid bool) {
	n = h.lapses.Load()
	return n, h.valid.Load() == n
}

// revalidated notes that every claim was looked at after lapse n.
func (h *health) revalidated(n int64) {
	for {
		old := h.valid.Load()
		if n <= old || h.valid.CompareAndSwap(old, n) {
			return
		}
	}
}

func (h *health) ok(now time.Time) bool {
	last := h.last.Load()
	return last > 0 && now.Sub(h.zero)-time.Duration(last) < h.limit
}

// blind reports whether the claims may have changed unseen, and if so since when:
// the ledger does not answer, or did not and the claims were not looked at since.
func (h *health) blind(now time.Time) (since time.Time, yes bool) {
	last := h.last.Load()
	if h.ok(now) {
		if _, valid := h.lapse(); valid {
			return time.Time{}, false
		}
		last = h.before.Load()
	}
	if last == 0 {
		return now, true // it never did, or this clock stood still meanwhile
	}
	return h.zero.Add(time.Duration(last)), true
}

func (h *health) check() error {
	// An owner may run before the loop has noticed that the machine was suspended.
	if total, ok := h.suspended(); ok && total-time.Duration(h.slept.Load()) >= h.limit {
		return ErrUnhealthy
	}
	if !h.ok(time.Now()) {
		return ErrUnhealthy
	}
	if _, valid := h.lapse(); !valid {
		return ErrUnhealthy
	}
	return nil
}

// lose forgets every round trip: the machine was suspended, and this clock stood
// still meanwhile.
func (h *health) lose() { h.last.Store(0) }

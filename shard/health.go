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
}

func newHealth(now time.Time, limit time.Duration) *health {
	return &health{zero: now.Add(-time.Nanosecond), limit: limit}
}

// answered notes a round trip that began at start and has been answered.
func (h *health) answered(start time.Time) {
	at := int64(start.Sub(h.zero))
	for {
		old := h.last.Load()
		if at <= old || h.last.CompareAndSwap(old, at) {
			return
		}
	}
}

func (h *health) ok(now time.Time) bool {
	last := h.last.Load()
	return last > 0 && now.Sub(h.zero)-time.Duration(last) < h.limit
}

func (h *health) check() error {
	if !h.ok(time.Now()) {
		return ErrUnhealthy
	}
	return nil
}

// lose forgets every round trip: the machine was suspended, and this clock stood
// still meanwhile.
func (h *health) lose() { h.last.Store(0) }

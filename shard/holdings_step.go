package shard

import (
	"container/heap"
	"slices"
	"time"
)

// Reasons of records, for people and for the arithmetic of the quarantine.
const (
	reasonFree     = "free"
	reasonTakeOver = "take-over"
	reasonAgain    = "again"
	reasonHandOver = "hand-over"
	reasonLeft     = "left"
)

// Step says what to do now, and when to ask again at the latest. Every change
// reported since the last Step is taken into account; so is everything whose
// time has come.
func (h *Holdings) Step(now time.Time) ([]Action, time.Time) {
	for len(h.wakes) > 0 && !h.wakes[0].at.After(now) {
		h.touch(heap.Pop(&h.wakes).(wake).l)
	}
	if !now.Before(h.nextPass) {
		h.nextPass = now.Add(h.cfg.Pass)
		h.collect(now)
		h.Reconsider()
	}
	h.refill(now)

	var acts []Action
	for len(h.dirty) > 0 {
		due := h.dirty
		h.dirty = nil
		h.order(due)
		for _, l := range due {
			l.dirty = false
			acts = append(acts, h.evaluate(now, l)...)
		}
	}

	// Places freed meanwhile go to who has waited longest.
	for len(h.queue) > 0 && h.yields < h.cfg.MaxStopping {
		l := h.queue[0]
		h.queue = h.queue[1:]
		l.queued = false
		acts = append(acts, h.evaluate(now, l)...)
	}
	wait := h.blocked
	h.blocked = nil
	for i, l := range wait {
		if !h.room() {
			h.blocked = append(wait[i:], h.blocked...)
			break
		}
		if l.blocked {
			l.blocked = false
			acts = append(acts, h.evaluate(now, l)...)
		}
	}

	next := h.nextPass
	if len(h.wakes) > 0 && h.wakes[0].at.Before(next) {
		next = h.wakes[0].at
	}
	if len(h.blocked) > 0 && h.tokens < 1 && h.acquiring < h.cfg.Parallel {
		refill := now.Add(time.Duration((1 - h.tokens) / h.cfg.Rate * float64(time.Second))).Add(time.Microsecond)
		if refill.Before(next) {
			next = refill
		}
	}
	return acts, next
}

// evaluate moves one key by one transition.
func (h *Holdings) evaluate(now time.Time, l *lane) []Action {
	wanted := l.registered && !h.draining && !h.halted && h.want(l.key)
	switch l.state {
	case Idle:
		return h.fromIdle(now, l, wanted)
	case Recovering, Active:
		if h.halted || l.head.Seq > l.epoch {
			return h.fence(l)
		}
		if !l.running {
			if !wanted {
				h.set(l, Stopping)
				return h.release(now, l)
			}
			l.running = true
			return []Action{{Kind: DoStart, Key: l.key, Epoch: l.epoch, EffectsAfter: l.after, TakenOver: l.takenOver, Incarnation: h.self}}
		}
		if !wanted {
			return h.yield(now, l)
		}
	case Stopping:
		ownRelease := l.releasing && l.head.Record.Incarnation == h.self && l.head.Record.State == Released
		if (h.halted || l.head.Seq > l.epoch) && !ownRelease {
			if l.releasing && !h.halted {
				return nil // the release will be refused, and says so
			}
			return h.fence(l)
		}
		if !l.running && !l.releasing {
			return h.release(now, l)
		}
		if l.yielding && now.Sub(l.yieldFrom) >= h.cfg.StopSlot {
			l.yielding = false // slow to stop: others need not wait for it
			h.yields--
		}
	case Acquiring, Fenced:
	}
	return nil
}

func (h *Holdings) fromIdle(now time.Time, l *lane, wanted bool) []Action {
	if h.halted || l.running {
		return nil
	}
	mine := l.head.HeldBy(h.self)
	if !wanted {
		// Who wants the key again waits for its holder again.
		l.waitSeq = 0
		if !mine {
			return nil
		}
	}
	// Owning may wait; what is held for another one may not.
	if now.Before(l.notBefore) && (wanted || l.unreleased) {
		h.wakeAt(l, l.notBefore)
		return nil
	}
	if h.paused {
		return nil // resuming reconsiders everything
	}
	if !wanted {
		// A claim whose fate was unknown came through after all.
		h.set(l, Stopping)
		l.epoch = l.head.Seq
		return h.release(now, l)
	}
	if !h.registryLoaded || !h.claimsLoaded {
		return nil
	}

	free := l.head.Seq == 0 || (!l.head.Bad && l.head.Record.State == Released)
	again := !free && !l.head.Bad && (mine || h.past[l.head.Record.Incarnation])
	a := Action{Kind: DoAcquire, Key: l.key, Expect: l.head.Seq, Reason: reasonFree}
	after := l.underWay()
	switch {
	case again:
		a.Reason = reasonAgain
	case !free:
		st := Standing{Silent: l.headAt}
		if !l.head.Bad {
			st = h.standing(l.head)
		}
		silent := st.Silent
		if silent.IsZero() {
			silent = now
		}
		if st.Alive {
			if l.waitSeq != l.head.Seq {
				l.waitSeq, l.waitFrom = l.head.Seq, h.seen(now)
			}
			// A holder with much to give up is given time as long as it gets on.
			from := latest(l.waitFrom, h.progress[l.head.Record.Incarnation])
			if left := from.Add(h.cfg.HandOff).Sub(h.seen(now)); left > 0 {
				h.wakeAt(l, now.Add(left))
				return nil
			}
			silent = now
		}
		a.Reason = reasonTakeOver
		after = latest(after, silent.Add(h.cfg.Quarantine), now.Add(h.cfg.Settle))
	}
	if !h.room() {
		if !l.blocked {
			l.blocked = true
			h.blocked = append(h.blocked, l)
		}
		return nil
	}
	if after.After(now) {
		a.EffectsAfter = after
		a.Settle = after.Sub(now)
	}
	h.tokens--
	h.acquiring++
	l.blocked = false
	h.set(l, Acquiring)
	l.attempt++
	a.Incarnation, a.Attempt = h.self, l.attempt
	return []Action{a}
}

// underWay is until when effects of earlier owners, or our last ones, may arrive, as
// far as is known here and told by the newest record.
func (l *lane) underWay() time.Time {
	return latest(l.after, l.headAt.Add(time.Duration(l.head.Record.Settle)*time.Millisecond))
}

// yield begins to give a running key up, when there is a place.
func (h *Holdings) yield(now time.Time, l *lane) []Action {
	if h.yields >= h.cfg.MaxStopping {
		if !l.queued {
			l.queued = true
			h.queue = append(h.queue, l)
		}
		return nil
	}
	h.set(l, Stopping)
	l.yielding, l.yieldFrom = true, now
	h.yields++
	h.wakeAt(l, now.Add(h.cfg.StopSlot))
	return []Action{{Kind: DoCancel, Key: l.key, Epoch: l.epoch, Cause: ErrHandOver}}
}

func (h *Holdings) release(now time.Time, l *lane) []Action {
	l.releasing = true
	l.attempt++
	a := Action{
		Kind: DoRelease, Key: l.key, Expect: l.epoch, Epoch: l.epoch, Reason: reasonHandOver,
		Incarnation: h.self, Attempt: l.attempt,
	}
	if after := l.underWay(); after.After(now) {
		a.Settle = after.Sub(now)
	}
	if !l.registered {
		a.Forget, a.Reason = true, reasonLeft
	}
	return []Action{a}
}

// fence drops a claim that is lost. The epoch stays known until own has returned.
func (h *Holdings) fence(l *lane) []Action {
	l.releasing = false
	if !l.running {
		h.set(l, Idle)
		l.epoch = 0
		h.touch(l)
		return nil
	}
	h.set(l, Fenced)
	return []Action{{Kind: DoCancel, Key: l.key, Epoch: l.epoch, Cause: ErrFenced}}
}

// room reports whether another claim may be begun.
func (h *Holdings) room() bool {
	return h.acquiring < h.cfg.Parallel && h.tokens >= 1
}

func (h *Holdings) refill(now time.Time) {
	if h.filled.IsZero() {
		h.filled = now
	}
	if d := now.Sub(h.filled); d > 0 {
		h.tokens = min(float64(h.cfg.Parallel), h.tokens+d.Seconds()*h.cfg.Rate)
		h.filled = now
	}
}

// collect forgets keys that nobody needs any more.
func (h *Holdings) collect(now time.Time) {
	for k, l := range h.lanes {
		if !l.registered && l.state == Idle && !l.running && !l.blocked && !l.dirty &&
			!l.head.HeldBy(h.self) && now.Sub(l.headAt) > time.Minute && h.registryLoaded {
			delete(h.lanes, k)
			h.counts[Idle]--
		}
	}
	for i, at := range h.progress {
		if h.seen(now).Sub(at) > time.Minute {
			delete(h.progress, i)
		}
	}
	if len(h.wakes) > 4*len(h.lanes)+64 {
		h.wakes = slices.DeleteFunc(h.wakes, func(w wake) bool { return h.lanes[w.l.key] != w.l })
		heap.Init(&h.wakes)
	}
}

// order sorts lanes into this life's own order: instances that take over the
// same keys begin at different ones, and equal inputs give equal actions.
func (h *Holdings) order(ls []*lane) {
	type ranked struct {
		r uint64
		l *lane
	}
	rs := make([]ranked, len(ls))
	for i, l := range ls {
		rs[i] = ranked{mix(string(h.self), string(l.key), 0), l}
	}
	slices.SortFunc(rs, func(a, b ranked) int {
		switch {
		case a.r < b.r:
			return -1
		case a.r > b.r:
			return 1
		default:
			return 0
		}
	})
	for i := range rs {
		ls[i] = rs[i].l
	}
}

func (h *Holdings) sorted() []*lane {
	ls := make([]*lane, 0, len(h.lanes))
	for _, l := range h.lanes {
		ls = append(ls, l)
	}
	h.order(ls)
	return ls
}

func latest(ts ...time.Time) time.Time {
	var t time.Time
	for _, x := range ts {
		if x.After(t) {
			t = x
		}
	}
	return t
}

package shard

import (
	"errors"
	"hash/fnv"
	"time"
)

// State is where one key stands in this instance.
type State uint8

// The states of a key. Every key is Idle when it is first heard of.
//
//	Idle → Acquiring → Recovering → Active → Stopping → Idle
//
// Fenced is reached from Acquiring (lost the race), Recovering, Active and
// Stopping when a newer claim exists, and left for Idle when own has returned.
const (
	Idle State = iota
	Acquiring
	Recovering
	Active
	Stopping
	Fenced
)

// Standing says what is known of a key's holder.
type Standing struct {
	// Alive: its release is awaited before its claim is taken over.
	Alive bool
	// Silent is when a holder that is not alive was last heard of, on this
	// instance's clock; zero: not known, reckon from now.
	Silent time.Time
}

// ActionKind is what Holdings asks its caller to do.
type ActionKind uint8

// The kinds of action.
const (
	// DoAcquire: write a held record expecting Expect; report with Claimed.
	DoAcquire ActionKind = iota
	// DoStart: call own with Epoch, EffectsAfter and TakenOver; report with Returned.
	DoStart
	// DoCancel: end own's context with Cause. Returned is still to come.
	DoCancel
	// DoRelease: write a released record expecting Expect; report with Released.
	DoRelease
)

// Action is one thing to do for a key.
type Action struct {
	Kind         ActionKind
	Key          Key
	Expect       uint64
	Epoch        uint64
	EffectsAfter time.Time
	TakenOver    bool
	// Settle goes into the record of DoAcquire and DoRelease.
	Settle time.Duration
	// Forget asks DoRelease for a record that need not be kept: the key is not
	// registered any more.
	Forget bool
	Reason string
	Cause  error
	// Incarnation is the life the action belongs to, Attempt its number for the
	// key; an outcome is matched by it.
	Incarnation Incarnation
	Attempt     uint64
}

// lane is what is known of one key.
type lane struct {
	key        Key
	registered bool
	state      State
	head       Head
	headAt     time.Time // when head was first seen
	epoch      uint64    // ours, in Recovering, Active, Stopping; else 0
	after      time.Time // until when effects of earlier owners, or our last ones, may arrive
	takenOver  bool      // the holder before us did not release it
	running    bool      // own was started and has not returned
	releasing  bool
	since      time.Time
	failures   int
	notBefore  time.Time
	unreleased bool      // the newest failure was one of a release
	waitSeq    uint64    // the live claim whose release is awaited …
	waitFrom   time.Time // … by the clock of seen
	dirty      bool
	blocked    bool
	attempt    uint64
	yielding   bool      // counts against MaxStopping
	yieldFrom  time.Time // since when
	queued     bool      // waits for a place among those being given up
	bareFrom   time.Time // since when nobody living holds it; zero: somebody does
}

// Holdings compares which keys this instance should own with which it owns, and
// says what to do about the difference. It is pure: it reads no clock and does
// no I/O; the same calls give the same actions. One goroutine owns it.
type Holdings struct {
	cfg  HoldingsConfig
	self Incarnation
	past map[Incarnation]bool // earlier lives of this very process

	want     func(Key) bool
	standing func(Head) Standing

	lanes   map[Key]*lane
	dirty   []*lane
	blocked []*lane // wanted, but over a limit; oldest first
	wakes   wakeHeap

	acquiring int
	yields    int
	counts    [Fenced + 1]int
	queue     []*lane                   // to be given up, over the limit; oldest first
	progress  map[Incarnation]time.Time // when a holder last released something, by the clock of seen
	tokens    float64
	filled    time.Time
	nextPass  time.Time

	paused   bool // nothing is begun
	pausedAt time.Time
	readFrom time.Time     // when the last pause ended
	blind    time.Duration // how long all that ended have lasted
	draining bool          // everything is given up in order
	halted   bool          // everything is dropped, nothing written

	registryLoaded bool
	claimsLoaded   bool
}

// NewHoldings makes the record of an instance's life. want says which keys it
// should own; standing what is known of another holder. Both are asked during
// Step only.
func NewHoldings(self Incarnation, want func(Key) bool, standing func(Head) Standing, cfg HoldingsConfig) *Holdings {
	cfg = cfg.WithDefaults()
	return &Holdings{
		cfg: cfg, self: self, past: map[Incarnation]bool{},
		want: want, standing: standing,
		lanes: map[Key]*lane{}, tokens: float64(cfg.Parallel), progress: map[Incarnation]time.Time{},
	}
}

func (h *Holdings) lane(k Key) *lane {
	l := h.lanes[k]
	if l == nil {
		l = &lane{key: k}
		h.lanes[k] = l
		h.counts[Idle]++
	}
	return l
}

func (h *Holdings) set(l *lane, s State) {
	h.counts[l.state]--
	h.counts[s]++
	l.state = s
	if s != Stopping && l.yielding {
		l.yielding = false
		h.yields--
	}
}

func (h *Holdings) touch(l *lane) {
	if !l.dirty {
		l.dirty = true
		h.dirty = append(h.dirty, l)
	}
}

// Reconsider has every key compared in the next Step: the answer of want or
// standing may have changed.
func (h *Holdings) Reconsider() {
	for _, l := range h.lanes {
		h.touch(l)
	}
}

// Registry takes changes of the registry. With reset, changes is all there is.
func (h *Holdings) Registry(changes []KeyChange, reset bool) {
	if reset {
		h.loaded(&h.registryLoaded)
		present := make(map[Key]bool, len(changes))
		for _, c := range changes {
			present[c.Key] = !c.Gone
		}
		for k, l := range h.lanes {
			if l.registered && !present[k] {
				l.registered = false
				h.touch(l)
			}
		}
	}
	for _, c := range changes {
		l := h.lane(c.Key)
		if l.registered == c.Gone {
			l.registered = !c.Gone
			h.touch(l)
		}
	}
}

// Heads takes heads of claims. With reset, heads is all there is.
func (h *Holdings) Heads(now time.Time, heads []Head, reset bool) {
	if reset {
		h.loaded(&h.claimsLoaded)
	}
	for _, hd := range heads {
		h.see(now, h.lane(hd.Key), hd)
	}
}

// loaded notes that one of the two pictures is complete; nothing is claimed
// before both are.
func (h *Holdings) loaded(what *bool) {
	if !*what {
		*what = true
		h.Reconsider()
	}
}

// see takes a head, and marks the lane fenced when it shows that our claim is not the last.
func (h *Holdings) see(now time.Time, l *lane, hd Head) {
	if hd.Seq == l.head.Seq {
		l.head = hd // what was written here, in full
	}
	if hd.Seq <= l.head.Seq {
		return
	}
	l.head, l.headAt = hd, now
	if !hd.Bad && hd.Record.State == Released {
		h.progress[hd.Record.Incarnation] = h.seen(now)
	}
	h.touch(l)
}

// Claimed reports the outcome of DoAcquire. head is what was read after a
// failure; its zero value means nothing was read.
func (h *Holdings) Claimed(now time.Time, k Key, a Action, seq uint64, err error, head Head) {
	l := h.lane(k)
	if l.state != Acquiring || l.attempt != a.Attempt {
		return
	}
	h.acquiring--
	h.touch(l)
	if err != nil {
		h.set(l, Idle)
		h.reread(now, l, head, a.Expect)
		h.failed(now, l)
		return
	}
	l.epoch, l.since = seq, now
	l.after = a.EffectsAfter
	l.takenOver = a.Reason == reasonTakeOver
	if l.takenOver {
		// The quarantine was reckoned when the write began; Settle counts from its end.
		l.after = latest(l.after, now.Add(h.cfg.Settle))
	}
	if !l.after.After(now) {
		l.after = time.Time{}
	}
	if l.head.Seq < seq {
		l.head = Head{Key: k, Seq: seq, Record: Record{Incarnation: h.self, State: Held, Settle: a.Settle.Milliseconds()}}
		l.headAt = now
	}
	h.set(l, Recovering)
}

// reread takes what was read after a refused write. A head older than what was
// expected tells that the ledger lost a record; the newest read is what the next
// claim must expect, so it counts even when it is lower.
func (h *Holdings) reread(now time.Time, l *lane, head Head, expected uint64) {
	if head.Key == "" {
		return
	}
	if head.Seq > l.head.Seq || l.head.Seq == expected {
		if head.Seq != l.head.Seq {
			l.headAt = now
		}
		l.head = head
	}
}

// Recovered reports that own has recovered.
func (h *Holdings) Recovered(k Key, epoch uint64) {
	l := h.lanes[k]
	if l == nil || l.epoch != epoch || l.state != Recovering {
		return
	}
	h.set(l, Active)
	l.failures = 0
}

// Returned reports that own has returned.
func (h *Holdings) Returned(now time.Time, k Key, epoch uint64, err error) {
	l := h.lanes[k]
	if l == nil || !l.running {
		return
	}
	l.running = false
	h.touch(l)
	if errors.Is(err, ErrUnderWay) {
		l.after = latest(l.after, now.Add(h.cfg.Quarantine))
	}
	switch l.state {
	case Recovering, Active:
		// By itself: the epoch is spent. A claim under which own ran for long was a good one.
		if now.Sub(l.since) > h.cfg.BackOffMax {
			l.failures = 0
		}
		h.set(l, Idle)
		l.epoch = 0
		h.failed(now, l)
	case Fenced:
		h.set(l, Idle)
		l.epoch = 0
	case Stopping:
		// evaluate releases.
	}
}

// Released reports the outcome of DoRelease.
func (h *Holdings) Released(now time.Time, k Key, a Action, seq uint64, err error, head Head) {
	l := h.lanes[k]
	if l == nil || l.state != Stopping || !l.releasing || l.attempt != a.Attempt {
		return
	}
	l.releasing = false
	epoch := l.epoch
	h.set(l, Idle)
	l.epoch = 0
	h.touch(l)
	if err != nil {
		h.reread(now, l, head, epoch)
		h.failed(now, l)
		l.unreleased = true
		return
	}
	l.failures = 0
	if l.head.Seq < seq {
		l.head = Head{Key: k, Seq: seq, Record: Record{Incarnation: h.self, State: Released}}
		l.headAt = now
	}
}

// Pause stops or resumes beginning anything, because the ledger cannot be read or
// can be again; what runs, runs on. at is since when: a pause is noticed only some
// time after the ledger was last read.
func (h *Holdings) Pause(p bool, at time.Time) {
	switch {
	case p == h.paused:
		return
	case p:
		h.pausedAt = latest(at, h.readFrom)
	default:
		h.readFrom = at
		h.blind += at.Sub(h.pausedAt)
		h.Reconsider()
	}
	h.paused = p
}

// seen gives the time on a clock that stands still during pauses: a release that
// happens meanwhile could not be seen, so no wait for one runs on.
func (h *Holdings) seen(now time.Time) time.Time {
	if h.paused {
		now = h.pausedAt
	}
	return now.Add(-h.blind)
}

// Drain gives everything up in order. There is no way back.
func (h *Holdings) Drain() {
	h.draining = true
	h.Reconsider()
}

// Resume takes Halt back. Renew has to follow.
func (h *Holdings) Resume() {
	h.halted = false
	h.Reconsider()
}

// Halt drops everything at once and writes nothing more, until Resume.
func (h *Holdings) Halt() {
	h.halted = true
	h.Reconsider()
}

// Renew begins a new life: every claim of the old one is dropped, and what is
// still wanted is claimed again.
func (h *Holdings) Renew(self Incarnation) []Action {
	h.past[h.self] = true
	h.self = self
	var acts []Action
	for _, l := range h.sorted() {
		switch l.state {
		case Recovering, Active, Stopping:
			acts = append(acts, h.fence(l)...)
		case Acquiring:
			h.acquiring--
			h.set(l, Idle)
		}
		l.waitSeq = 0
		l.attempt++
		h.touch(l)
	}
	return acts
}

// Reset forgets every head: the ledger was lost or rolled back, and what is
// known of it means nothing. Renew goes with it.
func (h *Holdings) Reset() {
	h.claimsLoaded = false
	for _, l := range h.lanes {
		l.head, l.headAt, l.waitSeq = Head{}, time.Time{}, 0
		h.touch(l)
	}
}

// Drained reports that nothing is held, running or being written.
func (h *Holdings) Drained() bool {
	if h.counts[Idle] != len(h.lanes) {
		return false
	}
	for _, l := range h.lanes {
		if l.running || l.state != Idle || (!h.halted && l.head.HeldBy(h.self)) {
			return false
		}
	}
	return true
}

// failed sets the back-off of a lane.
func (h *Holdings) failed(now time.Time, l *lane) {
	d := h.cfg.BackOffMax
	if l.failures < 16 {
		d = min(d, h.cfg.BackOffMin<<l.failures)
	}
	l.failures++
	l.unreleased = false
	// Between half and all of it, by the key and the life: instances that lost the
	// same race do not meet again.
	d = d/2 + time.Duration(mix(string(h.self), string(l.key), l.failures)%uint64(d/2+1))
	l.notBefore = now.Add(d)
	h.wakeAt(l, l.notBefore)
}

// mix hashes its arguments; it stands in for randomness, so that equal inputs
// give equal actions.
func mix(a, b string, n int) uint64 {
	f := fnv.New64a()
	f.Write([]byte(a))
	f.Write([]byte{0})
	f.Write([]byte(b))
	f.Write([]byte{0, byte(n), byte(n >> 8)})
	return f.Sum64()
}

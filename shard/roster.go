package shard

import (
	"slices"
	"strings"
	"time"

	"wadm/shard/ring"
)

// RosterConfig tunes Roster. The zero value works; the times hold together (see
// Validate of FleetConfig).
type RosterConfig struct {
	// Suspect is the silence after which a member is suspected; default 1.5 s.
	// Shorter mistakes a slow instance for a dead one, longer leaves its keys alone.
	Suspect time.Duration
	// Voters is the size of a view from which a suspicion needs a second voice,
	// or the record's expiry, to count; default 4.
	Voters int
	// Loss, Join and Rank delay proposals: how long a loss or a join must be
	// stable, and how much longer each further rank waits; defaults 0.2 s, 3 s, 0.3 s.
	Loss, Join, Rank time.Duration
	// Ramp is the time between two steps in which a joining member gets its keys; default 5 s.
	Ramp time.Duration
	// Brake holds back the loss of more than a third of the view (at least two)
	// within BrakeWindow; defaults 12 s and 2 s. It exceeds an election of the store.
	Brake, BrakeWindow time.Duration
	// Sick is how long a member may say that it cannot act, without a record, before
	// it counts as dead although it is heard; default 15 s. It exceeds an election of the store.
	Sick time.Duration
	// Grace is how long nobody is suspected after this instance itself was cut
	// off; default 3 s. It covers the others' reconnection.
	Grace time.Duration
}

// WithDefaults fills what is zero.
func (c RosterConfig) WithDefaults() RosterConfig {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.Suspect, 1500*time.Millisecond)
	set(&c.Loss, 200*time.Millisecond)
	set(&c.Join, 3*time.Second)
	set(&c.Rank, 300*time.Millisecond)
	set(&c.Ramp, 5*time.Second)
	set(&c.Brake, 12*time.Second)
	set(&c.BrakeWindow, 2*time.Second)
	set(&c.Sick, 15*time.Second)
	set(&c.Grace, 3*time.Second)
	if c.Voters == 0 {
		c.Voters = 4
	}
	return c
}

type heard struct {
	at   time.Time // when the last sign of life arrived
	beat Beat
	any  bool      // a beat was received, not only a record seen
	sick time.Time // since when it says that it cannot act; zero: it can
}

type stable struct {
	what  string
	since time.Time
}

func (s *stable) note(now time.Time, what string) {
	if s.what != what {
		s.what, s.since = what, now
	}
}

// due gives when a change that must be stable for d may be proposed; zero: there is none.
func (s *stable) due(d time.Duration) time.Time {
	if s.what == "" {
		return time.Time{}
	}
	return s.since.Add(d)
}

// Roster keeps what one instance believes about the others, and proposes views.
// It is pure: it reads no clock and does no I/O. One goroutine owns it. All
// times are of this instance's clock; none comes from another machine.
type Roster struct {
	cfg    RosterConfig
	me     Member
	params ring.Params

	records map[MemberID]MemberChange
	left    map[Incarnation]bool // lives that said good-bye
	heard   map[Incarnation]heard
	died    map[Incarnation]time.Time // when a life in the view was first found dead
	ended   map[Incarnation]time.Time // when a life was last heard, as a view told

	view   View
	viewAt time.Time

	// removedAt: since when the view seen last is not stored any more; zero: it is.
	removedAt time.Time

	recordsLoaded, viewLoaded bool
	healthy                   bool
	everHealthy               bool
	quietFrom                 time.Time // silence counts from here at the earliest
	draining                  bool

	losses, joins, drains stable
	brakeUntil            time.Time
	braked                int // how often the brake was applied
}

// NewRoster makes the roster of an instance that describes itself as me and
// computes rings by params.
func NewRoster(me Member, params ring.Params, cfg RosterConfig) *Roster {
	return &Roster{
		cfg: cfg.WithDefaults(), me: me, params: params,
		records: map[MemberID]MemberChange{}, left: map[Incarnation]bool{},
		heard: map[Incarnation]heard{}, died: map[Incarnation]time.Time{}, ended: map[Incarnation]time.Time{},
	}
}

// Records takes changes of the membership records. With reset, changes is all there is.
func (r *Roster) Records(now time.Time, changes []MemberChange, reset bool) {
	before := r.records // the records themselves, unless changes is all there is
	if reset {
		r.recordsLoaded = true
		r.records = make(map[MemberID]MemberChange, len(changes))
	}
	for _, c := range changes {
		old, known := before[c.Member.ID]
		if known && !reset && old.Rev > c.Rev {
			continue
		}
		if c.Gone {
			if c.Left && known {
				r.left[old.Member.Incarnation] = true
			}
			delete(r.records, c.Member.ID)
			continue
		}
		r.records[c.Member.ID] = c
		r.sign(now, c.Member.Incarnation)
	}
}

// sign notes that a life was first heard of.
func (r *Roster) sign(now time.Time, i Incarnation) {
	if _, ok := r.heard[i]; !ok {
		r.heard[i] = heard{at: now}
	}
}

// Heard takes a beat.
func (r *Roster) Heard(now time.Time, b Beat) {
	h := heard{at: now, beat: b, any: true}
	if b.Unhealthy {
		if h.sick = r.heard[b.Incarnation].sick; h.sick.IsZero() {
			h.sick = now
		}
	}
	r.heard[b.Incarnation] = h
}

// Saw takes a view. It reports whether this life was in the view before and is
// no longer: the others have given it up.
func (r *Roster) Saw(now time.Time, v View) (excluded bool) {
	r.viewLoaded = true
	if v.Rev < r.view.Rev {
		return false
	}
	r.removedAt = time.Time{}
	if v.Rev == r.view.Rev {
		return false
	}
	excluded = r.view.Has(r.me.ID, r.me.Incarnation) && !v.Has(r.me.ID, r.me.Incarnation)
	r.view, r.viewAt = v, now
	for _, m := range v.Members {
		r.sign(now, m.Incarnation)
	}
	for _, e := range v.Ended {
		r.ended[e.Incarnation] = now.Add(-time.Duration(e.Silent) * time.Millisecond)
	}
	return excluded
}

// NoView notes that no view is stored. One that was seen before is acted by until
// it is stored again.
func (r *Roster) NoView(now time.Time) {
	r.viewLoaded = true
	if r.view.Rev > 0 && r.removedAt.IsZero() {
		r.removedAt = now
	}
}

// Stored notes that a view is stored after all.
func (r *Roster) Stored() { r.removedAt = time.Time{} }

// View gives the view last seen; Rev 0: none.
func (r *Roster) View() View { return r.view }

// Health notes whether the ledger answers this instance. Coming back, it gives
// the others time to come back too: their silence was its own deafness.
func (r *Roster) Health(now time.Time, healthy bool) {
	if healthy == r.healthy {
		return
	}
	r.healthy = healthy
	if !healthy {
		return
	}
	r.quietFrom = now
	if r.everHealthy {
		r.quietFrom = now.Add(r.cfg.Grace - r.cfg.Suspect)
	}
	r.everHealthy = true
}

// Drain marks this instance as draining.
func (r *Roster) Drain() { r.draining = true }

// Renew begins a new life of this instance.
func (r *Roster) Renew(i Incarnation) { r.me.Incarnation = i }

// Healthy reports what Health was told last.
func (r *Roster) Healthy() bool { return r.healthy }

// silence gives how long a life has not been heard, not counting time in which
// this instance could not hear.
func (r *Roster) silence(now time.Time, i Incarnation) time.Duration {
	if i == r.me.Incarnation || !r.healthy {
		return 0
	}
	return now.Sub(latest(r.heard[i].at, r.quietFrom))
}

// Suspects lists the members of the view that have fallen silent: this
// instance's votes. It has none about a view of another kind than its own.
func (r *Roster) Suspects(now time.Time) []Suspect {
	if r.outside() {
		return nil
	}
	var s []Suspect
	for _, m := range r.view.Members {
		if r.silence(now, m.Incarnation) >= r.cfg.Suspect {
			s = append(s, Suspect{m.ID, m.Incarnation})
		}
	}
	return s
}

// dead reports whether a member of the view counts as dead.
func (r *Roster) dead(now time.Time, m ViewMember) bool {
	if m.Incarnation == r.me.Incarnation {
		return false
	}
	if m.ID == r.me.ID || r.left[m.Incarnation] {
		return true
	}
	rec, recorded := r.records[m.ID]
	if recorded && rec.Member.Incarnation != m.Incarnation && r.living(now, rec.Member.Incarnation) {
		return true // it has started again
	}
	// Its beats flow, but it cannot act, for longer than an election takes, while
	// this instance could all the time; and it does not get its record renewed.
	if h := r.heard[m.Incarnation]; !recorded && r.healthy && !h.sick.IsZero() && now.Sub(latest(h.sick, r.quietFrom)) >= r.cfg.Sick {
		return true
	}
	limit := r.cfg.Suspect
	if !recorded && !r.heard[m.Incarnation].any {
		limit /= 2 // without a record and never heard here: left over from before
	}
	if r.silence(now, m.Incarnation) < limit {
		return false
	}
	if len(r.view.Members) < r.cfg.Voters || !recorded || rec.Member.Incarnation != m.Incarnation {
		return true
	}
	for i, h := range r.heard {
		if i == r.me.Incarnation || i == m.Incarnation || !h.any || r.silence(now, i) >= r.cfg.Suspect || !r.hasVoice(h.beat.ID, i) {
			continue
		}
		if slices.Contains(h.beat.Silent, Suspect{m.ID, m.Incarnation}) {
			return true
		}
	}
	return false
}

// hasVoice reports whether a life is of the view's kind, so that its suspicions count.
func (r *Roster) hasVoice(id MemberID, i Incarnation) bool {
	rec, ok := r.records[id]
	return r.view.Has(id, i) || (ok && rec.Member.Incarnation == i && rec.Member.kind() == r.view.kind())
}

// living reports whether beats of that life arrive.
func (r *Roster) living(now time.Time, i Incarnation) bool {
	if i == r.me.Incarnation {
		return true
	}
	h := r.heard[i]
	return h.any && now.Sub(h.at) < r.cfg.Suspect
}

// Standing says what is known of the holder of a claim.
func (r *Roster) Standing(now time.Time, h Head) Standing {
	rec := h.Record
	if rec.View > r.view.Rev {
		// It acts on a view that has not arrived here: wait for it, or for the release.
		return Standing{Alive: true}
	}
	silent := r.ended[rec.Incarnation]
	switch hd := r.heard[rec.Incarnation]; {
	case r.living(now, rec.Incarnation):
		silent = time.Time{}
	case hd.any:
		silent = hd.at
	}
	m, ok := r.view.Member(rec.Owner)
	if !ok || m.Incarnation != rec.Incarnation || r.dead(now, m) {
		return Standing{Silent: silent}
	}
	return Standing{Alive: true}
}

// Covers reports whether the head is a claim of a member that counts as living and
// does not say that it cannot act.
func (r *Roster) Covers(now time.Time, h Head) bool {
	if h.Seq == 0 || h.Bad || h.Record.State != Held {
		return false
	}
	m, ok := r.view.Member(h.Record.Owner)
	return ok && m.Incarnation == h.Record.Incarnation && !r.dead(now, m) && r.heard[m.Incarnation].sick.IsZero()
}

// collect forgets lives that play no part any more.
func (r *Roster) collect(now time.Time) {
	keep := map[Incarnation]bool{r.me.Incarnation: true}
	for _, m := range r.view.Members {
		keep[m.Incarnation] = true
	}
	for _, c := range r.records {
		keep[c.Member.Incarnation] = true
	}
	for i, h := range r.heard {
		if !keep[i] && now.Sub(h.at) > time.Minute {
			delete(r.heard, i)
		}
	}
	for i, at := range r.ended {
		if now.Sub(at) > time.Minute {
			delete(r.ended, i)
		}
	}
	for i := range r.left {
		if _, ok := r.heard[i]; !ok {
			delete(r.left, i)
		}
	}
}

func names(ids []MemberID) string {
	s := make([]string, len(ids))
	for i, id := range ids {
		s[i] = string(id)
	}
	slices.Sort(s)
	return strings.Join(s, " ")
}

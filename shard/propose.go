package shard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Proposal is a view to be written on condition that the current one is still Expect.
type Proposal struct {
	View   View
	Expect uint64
}

// change is the difference between the living and the view.
type change struct {
	lost      []MemberID          // in the view, dead, gone
	restarted map[MemberID]Member // in the view, living a new life
	draining  []MemberID          // active in the view, wants to give up
	joining   []Member            // not in the view, wants to be
	grown     map[MemberID]int    // in the view, with a higher weight than there
	shrunk    map[MemberID]int    // with a lower one, which need not be ramped
	fresh     bool                // nobody in the view lives: nothing to disturb
	migrate   bool                // and all that live are of this instance's kind, not of the view's
}

// Propose says which view this instance should write now, if any, and when to
// ask again at the latest.
func (r *Roster) Propose(now time.Time) (*Proposal, time.Time) {
	const idle = time.Second
	next := now.Add(idle)
	r.collect(now)
	c := r.compare(now)
	if !r.recordsLoaded || !r.viewLoaded || !r.healthy || !r.mayWrite(now, c) {
		// What is not known, or not this instance's to change, cannot be stable.
		r.losses, r.joins, r.drains = stable{}, stable{}, stable{}
		return nil, next
	}
	rank := time.Duration(r.rank(now)) * r.cfg.Rank
	if !r.removedAt.IsZero() && !c.migrate {
		at := r.removedAt.Add(rank)
		if at.After(now) {
			return nil, at
		}
		v := r.view.clone()
		v.Proposer, v.Cause = r.me.ID, "the view was removed"
		return &Proposal{View: v}, next
	}
	r.losses.note(now, lossesOf(c))
	r.joins.note(now, joinsOf(c))
	r.drains.note(now, names(c.draining))
	r.brake(now, c)

	join := r.cfg.Join
	if c.fresh {
		join = r.cfg.Loss
	}
	lossAt := r.losses.due(r.cfg.Loss)
	if !lossAt.IsZero() {
		lossAt = latest(lossAt, r.brakeUntil)
	}
	joinAt, drainAt := r.joins.due(join), r.drains.due(0)
	var rampAt, shrinkAt time.Time
	if len(c.grown) > 0 || r.view.Ramp != nil {
		rampAt = r.viewAt.Add(r.cfg.Ramp)
	}
	if len(c.shrunk) > 0 {
		shrinkAt = r.viewAt
	}
	if r.view.Ramp != nil && !c.fresh {
		// One ramp at a time. It ends by itself, so nobody waits for long.
		joinAt = time.Time{}
	}
	if c.migrate {
		// Either the loss of all of the old kind is believed, or nothing changes.
		joinAt = latest(joinAt, lossAt)
		lossAt, rampAt = joinAt, time.Time{}
	}
	mature, fire := false, false
	for _, at := range []time.Time{lossAt, joinAt, drainAt, rampAt, shrinkAt} {
		if at.IsZero() {
			continue
		}
		mature = mature || !at.After(now)
		turn := at.Add(rank)
		if at.Equal(drainAt) && slices.Contains(c.draining, r.me.ID) {
			turn = at // who wants to leave asks for itself at once
		}
		if !turn.After(now) {
			fire = true
		} else if turn.Before(next) {
			next = turn
		}
	}
	if !mature || !fire {
		return nil, next
	}
	is := func(at time.Time) bool { return !at.IsZero() && !at.After(now) }
	v := r.build(now, c, due{losses: is(lossAt), joins: is(joinAt), drains: is(drainAt), ramp: is(rampAt), shrinks: is(shrinkAt)})
	p := &Proposal{View: v, Expect: r.view.Rev}
	if !r.removedAt.IsZero() {
		p.Expect = 0 // that is no more
	}
	return p, next
}

// compare finds what the view should change.
func (r *Roster) compare(now time.Time) change {
	c := change{restarted: map[MemberID]Member{}, grown: map[MemberID]int{}, shrunk: map[MemberID]int{}, fresh: true}
	// Who is of another kind than the view proposes nothing unless it replaces the kind.
	fits := func(m Member) bool { return m.kind() == r.me.kind() }

	for _, m := range r.view.Members {
		rec, ok := r.recordOf(m.ID)
		if r.dead(now, m) {
			if ok && rec.Incarnation != m.Incarnation && fits(rec) && rec.State == MemberActive && !r.left[rec.Incarnation] && r.living(now, rec.Incarnation) {
				c.restarted[m.ID] = rec
			} else {
				c.lost = append(c.lost, m.ID)
			}
			continue
		}
		c.fresh = false
		if m.State == MemberActive && r.wantsOut(m) {
			c.draining = append(c.draining, m.ID)
			continue
		}
		if ok && m.State == MemberActive && rec.Incarnation == m.Incarnation {
			switch {
			case rec.Units < m.Units:
				c.shrunk[m.ID] = rec.Units
			case rec.Units > m.Units:
				c.grown[m.ID] = rec.Units
			}
		}
	}
	for _, rec := range r.livingRecords(now) {
		if _, in := r.view.Member(rec.ID); !in && fits(rec) && rec.State == MemberActive && !r.leaving(rec.Incarnation) && !r.left[rec.Incarnation] {
			c.joining = append(c.joining, rec)
		}
	}
	slices.SortFunc(c.joining, func(a, b Member) int { return strings.Compare(string(a.ID), string(b.ID)) })
	c.migrate = c.fresh && r.outside() && r.unanimous(now)
	return c
}

// recordOf gives a member's record; this instance's own is known without the store.
func (r *Roster) recordOf(id MemberID) (Member, bool) {
	if id == r.me.ID {
		m := r.me
		if r.draining {
			m.State = MemberDraining
		}
		c, ok := r.records[id]
		return m, ok && c.Member.Incarnation == r.me.Incarnation
	}
	c, ok := r.records[id]
	return c.Member, ok
}

// livingRecords lists the records of lives that are heard.
func (r *Roster) livingRecords(now time.Time) []Member {
	var ms []Member
	for id := range r.records {
		if m, ok := r.recordOf(id); ok && r.living(now, m.Incarnation) {
			ms = append(ms, m)
		}
	}
	return ms
}

// outside reports whether there is a view and it is of another kind than this instance.
func (r *Roster) outside() bool { return r.view.Rev > 0 && r.view.kind() != r.me.kind() }

// unanimous reports whether there are living instances and all are of this one's kind.
func (r *Roster) unanimous(now time.Time) bool {
	ms := r.livingRecords(now)
	return len(ms) > 0 && !slices.ContainsFunc(ms, func(m Member) bool { return m.kind() != r.me.kind() })
}

// mayWrite reports whether the view is this instance's to write: it is of its own
// kind or changes to it, or it has seen none. In that case somebody may still follow
// one that was removed before this instance came, and it is theirs to store again.
func (r *Roster) mayWrite(now time.Time, c change) bool {
	if r.view.Rev > 0 {
		// What a newer schema allows is not known here, so its view stays while it is stored.
		unknown := r.view.Schema > r.me.Schema && r.removedAt.IsZero()
		return !r.outside() || (c.migrate && !unknown)
	}
	for i, h := range r.heard {
		if h.beat.View > 0 && !h.beat.Unhealthy && r.living(now, i) {
			return false
		}
	}
	return true
}

func (r *Roster) wantsOut(m ViewMember) bool {
	if m.Incarnation == r.me.Incarnation {
		return r.draining
	}
	rec, ok := r.records[m.ID]
	return (ok && rec.Member.Incarnation == m.Incarnation && rec.Member.State == MemberDraining) || r.leaving(m.Incarnation)
}

func (r *Roster) leaving(i Incarnation) bool {
	if i == r.me.Incarnation {
		return r.draining
	}
	return r.heard[i].any && r.heard[i].beat.Draining
}

// rank is this instance's place among those that may propose. Members of the view
// come first: they heard those that are lost, and who has just started did not.
func (r *Roster) rank(now time.Time) int {
	n, mine := 0, r.view.Has(r.me.ID, r.me.Incarnation)
	if !mine {
		// Not all of them may have been heard yet.
		for _, m := range r.view.Members {
			if !r.dead(now, m) {
				n++
			}
		}
	}
	for _, m := range r.livingRecords(now) {
		if m.ID < r.me.ID && m.kind() == r.me.kind() && r.view.Has(m.ID, m.Incarnation) == mine && !r.heard[m.Incarnation].beat.Unhealthy {
			n++
		}
	}
	return n
}

// brake holds losses back when too many vanish at once: more likely the store or
// the network than so many instances.
func (r *Roster) brake(now time.Time, c change) {
	lost := map[Incarnation]bool{}
	for _, id := range c.lost {
		m, _ := r.view.Member(id)
		// Who said good-bye, or was never heard here, did not vanish.
		if r.left[m.Incarnation] || !r.heard[m.Incarnation].any {
			continue
		}
		lost[m.Incarnation] = true
		if _, ok := r.died[m.Incarnation]; !ok {
			r.died[m.Incarnation] = now
		}
	}
	// Those already taken out of the view still count for a while.
	var last time.Time
	fleet := len(r.view.Members)
	for i, at := range r.died {
		switch {
		case lost[i]:
		case now.Sub(at) > r.cfg.BrakeWindow || r.living(now, i):
			delete(r.died, i)
			continue
		default:
			fleet++
		}
		last = latest(last, at)
	}
	// Beats of several do not stop at the same moment: who has missed a few is
	// counted before it counts as dead.
	gone := 0
	for _, m := range r.view.Members {
		if !lost[m.Incarnation] && r.heard[m.Incarnation].any && !r.left[m.Incarnation] && r.silence(now, m.Incarnation) >= r.cfg.Suspect/2 {
			gone++
		}
	}
	most := max(1, fleet/3)
	if gone+len(r.died) <= most {
		r.brakeUntil = time.Time{}
		return
	}
	for _, at := range r.died {
		if last.Sub(at) <= r.cfg.BrakeWindow {
			gone++
		}
	}
	if len(lost) > 0 && gone > most {
		if until := last.Add(r.cfg.Brake); until.After(r.brakeUntil) {
			r.brakeUntil = until
			r.braked++
		}
	}
}

// rampSteps is in how many parts members get the keys of a higher weight.
const rampSteps = 4

// due says which kinds of change have their time come.
type due struct{ losses, joins, drains, ramp, shrinks bool }

// build makes the view with the changes whose time has come.
func (r *Roster) build(now time.Time, c change, due due) View {
	v := r.view.clone()
	v.Proposer = r.me.ID
	if r.view.Rev == 0 || c.migrate {
		v.Params, v.Fingerprint, v.Schema = r.params, r.me.Fingerprint, r.me.Schema
	}
	var causes []string
	ms := map[MemberID]ViewMember{}
	for _, m := range v.Members {
		ms[m.ID] = m
	}
	resize := func(units map[MemberID]int) {
		for id, u := range units {
			m := ms[id]
			m.Units = u
			ms[id] = m
			causes = append(causes, fmt.Sprintf("weight of %s %d", id, u))
		}
	}
	if due.shrinks {
		resize(c.shrunk)
	}
	if due.joins {
		for _, rec := range c.joining {
			ms[rec.ID] = ViewMember{ID: rec.ID, Incarnation: rec.Incarnation, Units: rec.Units, State: MemberActive}
			causes = append(causes, "joined "+string(rec.ID))
		}
	}
	begin := due.joins && !c.fresh
	switch ramp := v.Ramp; {
	case c.migrate:
		v.Ramp = nil // its weights are of another kind
	case due.ramp && ramp == nil:
		resize(c.grown)
		begin = true
	case due.ramp && !due.joins:
		ramp.Step++
		causes = append(causes, fmt.Sprintf("step %d of %d", ramp.Step, ramp.Of))
	}
	if begin {
		v.Ramp = &Ramp{From: r.view.weights(), Step: 1, Of: rampSteps}
	}
	if due.losses {
		for _, id := range c.lost {
			how := "lost "
			if r.left[ms[id].Incarnation] {
				how = "left "
			}
			delete(ms, id)
			causes = append(causes, how+string(id))
		}
		for id, rec := range c.restarted {
			m := ms[id]
			m.Incarnation, m.State = rec.Incarnation, MemberActive
			if m.Units == 0 { // it was draining: what it gets back, it gets step by step
				m.Units = rec.Units
				if v.Ramp == nil && !c.fresh && !c.migrate {
					v.Ramp = &Ramp{From: r.view.weights(), Step: 1, Of: rampSteps}
				}
			}
			ms[id] = m
			causes = append(causes, "restarted "+string(id))
		}
	}
	if due.drains {
		for _, id := range c.draining {
			m := ms[id]
			m.State, m.Units = MemberDraining, 0
			ms[id] = m
			causes = append(causes, "draining "+string(id))
		}
	}
	v.Ended = nil
	for _, m := range r.view.Members {
		if ms[m.ID].Incarnation == m.Incarnation {
			continue
		}
		// One that is given up although it is heard has not fallen silent.
		_, again := c.restarted[m.ID]
		if h := r.heard[m.Incarnation]; h.any && (again || !r.living(now, m.Incarnation)) {
			v.Ended = append(v.Ended, Ended{m.Incarnation, min(maxSettle, now.Sub(h.at).Milliseconds())})
		}
	}
	v.Members = v.Members[:0]
	for _, m := range ms {
		v.Members = append(v.Members, m)
	}
	slices.SortFunc(v.Members, func(a, b ViewMember) int { return strings.Compare(string(a.ID), string(b.ID)) })
	v.trim()
	if v.Ramp != nil && due.joins && c.fresh {
		// Nobody is heard from whom they could take, so they have their share at once; but
		// what those get that may be heard again must not move in one leap with that.
		for _, rec := range c.joining {
			v.Ramp.setFrom(Weight{rec.ID, rec.Units})
		}
		v.trim()
	}
	for k, id := range v.Overrides {
		if _, ok := ms[id]; !ok {
			delete(v.Overrides, k)
		}
	}
	slices.Sort(causes)
	v.Cause = strings.Join(causes, ", ")
	if len(v.Cause) > maxText {
		v.Cause = v.Cause[:maxText]
	}
	return v
}

// lossesOf names those whose life in the view is over, whether or not they live
// again by now: a restart does not put off what is due already.
func lossesOf(c change) string {
	return names(slices.AppendSeq(slices.Clone(c.lost), maps.Keys(c.restarted)))
}

func joinsOf(c change) string {
	ids := make([]MemberID, len(c.joining))
	for i, m := range c.joining {
		ids[i] = m.ID
	}
	return names(ids)
}

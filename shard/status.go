package shard

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Status is a picture of one instance and of what it believes of the others. It
// is for people and for metrics; nothing is decided by it.
type Status struct {
	Instance    MemberID
	Incarnation Incarnation
	Fingerprint string
	// Ready: this instance takes the part it should. Reason says why it does not.
	Ready    bool
	Reason   string
	Healthy  bool
	Draining bool
	View     View
	// Digest is that of the ring computed from View; 0: none is followed.
	Digest uint64
	// Members are the view's, and those that are known but not in it.
	Members []MemberStatus
	// Counts of keys by State.
	Idle, Acquiring, Recovering, Active, Stopping, Fenced int
	// Overdue counts those of Recovering that have been for longer than 30 s: they are
	// owned, and not acted for.
	Overdue int
	// Orphans have been without a living owner for longer than the limit; Bare
	// counts them, Orphans lists the oldest few.
	Bare    int
	Orphans []Bare
	// Disagree lists who computes another ring from the same view.
	Disagree []MemberID
	// BrakedUntil is when losses may be proposed again; Braked counts how often they were held back.
	BrakedUntil time.Time
	Braked      int
}

// MemberStatus is what is known of one member.
type MemberStatus struct {
	Member
	InView  bool
	Silence time.Duration
	Dead    bool
	// Foreign: it has another fingerprint or schema than the view and therefore owns nothing.
	Foreign bool
}

// Status gives a picture that is at most a quarter of a second old.
func (f *Fleet) Status() Status { return *f.status.Load() }

// Ready returns nil when this instance takes the part it should, else an error
// that says why not.
func (f *Fleet) Ready() error {
	s := f.status.Load()
	if s.Ready {
		return nil
	}
	return fmt.Errorf("shard: %s", s.Reason)
}

const (
	maxListed = 20
	// recoverLimit is how long a key may be recovering before that is told of. An
	// owner gathers its lattice within seconds, also after a take-over.
	recoverLimit = 30 * time.Second
)

func (f *Fleet) publish(now time.Time) {
	old := f.status.Load()
	v := f.roster.View()
	if f.ring != nil && !f.settled && !now.Before(f.nextStatus) {
		f.settled = f.hold.Settled()
	}
	reason := f.unready(now)
	if old.Reason == reason && old.View.Rev == v.Rev && now.Before(f.nextStatus) {
		return
	}
	f.nextStatus = now.Add(250 * time.Millisecond)
	if !f.settled {
		f.nextStatus = now.Add(tick) // somebody waits for it
	}
	c := f.hold.Counts()
	s := Status{
		Instance: f.me.ID, Incarnation: f.me.Incarnation, Fingerprint: f.me.Fingerprint,
		Ready: reason == "", Reason: reason, Healthy: f.roster.Healthy(), Draining: f.me.State == MemberDraining, View: v,
		Idle: c[Idle], Acquiring: c[Acquiring], Recovering: c[Recovering], Active: c[Active], Stopping: c[Stopping], Fenced: c[Fenced],
		Overdue: f.hold.Overdue(now, recoverLimit),
		Bare:    len(f.orphans), Orphans: f.orphans[:min(maxListed, len(f.orphans))],
		BrakedUntil: f.roster.brakeUntil, Braked: f.roster.braked,
	}
	if f.ring != nil {
		s.Digest = f.ring.Digest()
	}
	for id := range f.disagree {
		s.Disagree = append(s.Disagree, id)
	}
	s.Members = f.roster.Members(now)
	f.status.Store(&s)
}

// unready says why this instance is not ready; "" when it is.
func (f *Fleet) unready(now time.Time) string {
	v := f.roster.View()
	_, valid := f.health.lapse()
	switch {
	case f.replaced:
		return ErrSuperseded.Error()
	case f.ringErr != nil:
		return f.ringErr.Error()
	case !f.roster.Healthy():
		return ErrUnhealthy.Error()
	case f.me.State == MemberDraining:
		return "draining"
	case f.stuck != "":
		return ErrStuck.Error() + ": " + string(f.stuck)
	case !valid:
		return "looking at the claims again"
	case v.Rev == 0:
		return "no view yet"
	case !v.Has(f.me.ID, f.me.Incarnation):
		return "not in the view yet"
	case !f.settled && now.Sub(f.joinedAt) < f.cfg.ReadyLimit:
		return "taking over its keys"
	}
	// As of the last picture: nobody needs to know sooner. One or two may be their own fault.
	if s := f.status.Load(); s.Overdue > 2 && 2*s.Overdue > s.Recovering+s.Active {
		return fmt.Sprintf("%d of its %d keys have been recovering for longer than %v", s.Overdue, s.Recovering+s.Active, recoverLimit)
	}
	return ""
}

// Members lists what is known of every member.
func (r *Roster) Members(now time.Time) []MemberStatus {
	var ms []MemberStatus
	for _, m := range r.view.Members {
		s := MemberStatus{InView: true, Silence: r.silence(now, m.Incarnation), Dead: r.dead(now, m)}
		if rec, ok := r.records[m.ID]; ok && rec.Member.Incarnation == m.Incarnation {
			s.Member = rec.Member
		}
		s.ID, s.Incarnation, s.State, s.Units = m.ID, m.Incarnation, m.State, m.Units
		s.Foreign = s.Fingerprint != "" && s.kind() != r.view.kind()
		ms = append(ms, s)
	}
	for _, rec := range r.records {
		m := rec.Member
		if r.view.Has(m.ID, m.Incarnation) {
			continue
		}
		ms = append(ms, MemberStatus{
			Member: m, Silence: r.silence(now, m.Incarnation),
			Foreign: r.view.Rev > 0 && m.kind() != r.view.kind(),
		})
	}
	sortMembers(ms)
	return ms
}

func sortMembers(ms []MemberStatus) {
	slices.SortFunc(ms, func(a, b MemberStatus) int {
		return cmp.Or(strings.Compare(string(a.ID), string(b.ID)), strings.Compare(string(a.Incarnation), string(b.Incarnation)))
	})
}

package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"wadm/loadtest/simhost"
	"wadm/shard"
)

// Limits of judgement.
const (
	// aftermath is how long after a fault what happens may still be its doing: a
	// rejoining member gains weight step by step.
	aftermath = 30 * time.Second
	// comeback is how long after a fault of an instance lattices may still move for
	// it: one that was given up again and again waits up to a minute before it
	// rejoins.
	comeback = time.Minute + aftermath
	// mostBesideBusy is the longest reaction of a lattice that is well while others
	// are not. It is generous because the machine is shared.
	mostBesideBusy = time.Second
	// blindness is how long after trouble of NATS the checker may still be without
	// a subscription. What is made and replaced meanwhile it does not see.
	blindness = 5 * time.Second
)

// judge brings everything that was seen together.
func (r *runner) judge(rep *Report, heads map[shard.Key]uint64) {
	claims, samples := r.ledger.Claims(), r.probes.all()
	r.mu.Lock()
	rep.Violations = append(rep.Violations, r.bad...)
	done := slices.Clone(r.done)
	rep.Kinds = map[Kind]*KindReport{}
	kind := func(k Kind) *KindReport {
		if rep.Kinds[k] == nil {
			rep.Kinds[k] = &KindReport{}
		}
		return rep.Kinds[k]
	}
	for k, n := range r.skipped {
		kind(k).Skipped = n
	}
	r.mu.Unlock()
	slices.SortFunc(done, func(a, b happened) int { return a.from.Compare(b.from) })
	for _, d := range done {
		kind(d.Kind).Faults++
	}

	rep.Violations = append(rep.Violations, r.ledger.Violations()...)
	rep.Violations = append(rep.Violations, r.wire.check(claims, heads, r.cfg)...)
	r.judgeHosts(rep, done)
	r.judgeGaps(rep, done, samples, r.judgeMoves(rep, done, claims))
	views, stored := r.wire.history()
	rep.Violations = append(rep.Violations, r.judgeViews(done, views, stored)...)
	rep.Violations = append(rep.Violations, judgeOdd(views, claims)...)
	rep.Moved, rep.Least, rep.Partitions = r.wire.moves()
	rep.InFlight, rep.ViewsAtOnce, rep.Requests = r.wire.herd()
	for _, in := range append(append([]*instance(nil), r.base...), r.extra...) {
		rep.Violations = append(rep.Violations, in.crashes()...)
		ends := in.ends()
		rep.Violations = append(rep.Violations, ends...)
		rep.Restarts += len(ends)
	}
	rep.Probes, rep.Claims = len(samples), len(claims)
	r.ledger.mu.Lock()
	rep.Writes = r.ledger.writes
	r.ledger.mu.Unlock()
	r.wire.mu.Lock()
	rep.Acks, rep.Views = len(r.wire.acks), len(r.wire.views)
	r.wire.mu.Unlock()
}

// judgeHosts looks at everything hosts were asked for (I2).
func (r *runner) judgeHosts(rep *Report, done []happened) {
	for _, s := range append(append([]*site(nil), r.sites...), r.churning...) {
		for _, v := range s.sim.Violations() {
			rep.Violations = append(rep.Violations, fmt.Sprintf("I2: %s: %v, at %s", s.key, v, v.Time.Format("04:05.000")))
		}
		rep.Violations = append(rep.Violations, lost(s)...)
		asked := s.sim.Commands()
		for _, c := range asked {
			rep.Commands++
			if c.Needless {
				rep.Needless++
			}
			if c.Needless && undisturbed(done, c.Time) {
				rep.Violations = append(rep.Violations, fmt.Sprintf("I2: %s: %s of %s at %s asks for what was so already, and nothing was broken", s.key, c.Subject, c.Instance, c.Time.Format("04:05.000")))
			}
		}
		rep.Violations = append(rep.Violations, judgeCommands(s.key, asked, r.ledger, r.wire, done)...)
	}
}

// judgeCommands holds what the hosts of one lattice were asked for, in order,
// against what its owners had stored (I2).
func judgeCommands(key shard.Key, asked []simhost.Record, l *Ledger, w *Wire, done []happened) (bad []string) {
	intents := map[uint64]map[ask]int{}
	for _, c := range asked {
		if c.Epoch == 0 {
			continue // the hosts said so already
		}
		what := func(format string, args ...any) {
			bad = append(bad, fmt.Sprintf("I2: %s: %s at %s of %s under epoch %d", key, c.Subject, c.Time.Format("04:05.000"), c.Instance, c.Epoch)+fmt.Sprintf(format, args...))
		}
		claim, ok := l.Held(key, c.Epoch)
		if !ok {
			// One that was replaced before the ledger could be read was seen on its way.
			claim.Record, ok = w.held(key, c.Epoch)
		}
		switch {
		case !ok && !blindAt(done, c.Time):
			what(", which is no claim")
		case ok && c.Instance != string(claim.Record.Owner):
			what(" of %s", claim.Record.Owner)
		}
		a, err := askedOf(c)
		if err != nil {
			what(": %v", err)
			continue
		}
		left := intents[c.Epoch]
		if left == nil {
			left = l.intended(key, c.Epoch)
			intents[c.Epoch] = left
		}
		// The reader misses no command: it goes on where it was, and they stay for
		// longer than any trouble lasts.
		switch n, stored := left[a]; {
		case !stored:
			what(" without a stored intent")
		case n == 0:
			what(" once more than it was stored")
		default:
			left[a]--
		}
	}
	return bad
}

// undisturbed tells whether no fault can have led to what happens at t.
func undisturbed(done []happened, t time.Time) bool {
	return !slices.ContainsFunc(done, func(d happened) bool { return !t.Before(d.from) && t.Before(d.to.Add(aftermath)) })
}

// blindAt tells whether at t the checker may not have seen what was made and
// replaced at once.
func blindAt(done []happened, t time.Time) bool {
	return slices.ContainsFunc(done, func(d happened) bool {
		return d.Kind.OfNATS() && !t.Before(d.from) && t.Before(d.to.Add(blindness))
	})
}

// lost tells of requests the simulation itself dropped: they prove nothing.
func lost(s *site) []string {
	if n := s.sim.Stats().Lost; n > 0 {
		return []string{fmt.Sprintf("the simulated hosts of %s lost %d requests", s.key, n)}
	}
	return nil
}

// moved names a lattice that changed its owner after a fault.
type moved struct {
	fault int
	key   shard.Key
}

// judgeMoves counts changes of owners by the newest fault before them. Where no
// instance was in trouble there must be none (I6).
func (r *runner) judgeMoves(rep *Report, done []happened, claims []Claim) map[moved]bool {
	owner, last := map[shard.Key]shard.MemberID{}, map[shard.Key]Claim{}
	changed := map[moved]bool{}
	for _, c := range claims {
		if c.At.After(r.ended) {
			break
		}
		prev := last[c.Key]
		last[c.Key] = c
		if c.Record.State != shard.Held {
			if c.Record.Reason == "left" {
				delete(owner, c.Key) // undeployed: who gets it next takes it from nobody
			}
			continue
		}
		before, ok := owner[c.Key]
		owner[c.Key] = c.Record.Owner
		if !ok || before == c.Record.Owner {
			continue
		}
		newest, calm := -1, true
		for i, d := range done {
			if d.from.After(c.At) {
				break
			}
			newest = i
			calm = calm && (r.sparesInstances(d) || c.At.Sub(d.to) > comeback)
		}
		if newest < 0 {
			continue // the start
		}
		d := done[newest]
		changed[moved{newest, c.Key}] = true
		k := rep.Kinds[d.Kind]
		k.Moved++
		since := d.from
		if prev.Record.State == shard.Released {
			since = prev.At
		}
		k.Unowned = append(k.Unowned, c.At.Sub(since))
		if calm {
			rep.Violations = append(rep.Violations, fmt.Sprintf("I6: %s moved from %s to %s at %d, %s, although no instance was in trouble", c.Key, before, c.Record.Owner, c.Seq, c.At.Format("04:05.000")))
		}
	}
	return changed
}

// sparesInstances tells the faults that no instance must be given up for. One server
// of several that halts is another matter than all of NATS: to the rest, the
// instances connected to it are cut off.
func (r *runner) sparesInstances(d happened) bool {
	switch d.Kind {
	case Busy, Backlog, Churn, Odd, NATSKill, NATSRestart, NATSAll:
		return true
	case NATSStop:
		return r.cfg.Servers == 1 || len(d.cutOff) == 0
	default:
		return d.Kind.ofLinks() && d.Of == CommandsOnly
	}
}

// judgeViews expects that an instance is given up for what was done to itself (I6).
func (r *runner) judgeViews(done []happened, views []shard.View, stored []time.Time) (bad []string) {
	for i := 1; i < len(views); i++ {
		if views[i].Rev != views[i-1].Rev+1 {
			continue // one was replaced before it was read
		}
		for _, m := range views[i-1].Members {
			now, there := views[i].Member(m.ID)
			if there && now.Incarnation == m.Incarnation {
				continue
			}
			if !slices.ContainsFunc(done, func(d happened) bool {
				return !r.sparesInstances(d) && !stored[i].Before(d.from) && stored[i].Before(d.to.Add(comeback)) &&
					(slices.Contains(d.cutOff, m.ID) || d.Kind == Burst && m.ID[0] == 'x')
			}) {
				bad = append(bad, fmt.Sprintf("I6: view %d (%s) of %s at %s gives up %s, to which nothing was done", views[i].Rev, views[i].Cause, views[i].Proposer, stored[i].Format("04:05.000"), m.ID))
			}
		}
	}
	return bad
}

// judgeOdd expects that who computes another ring takes part in nothing (I7).
func judgeOdd(views []shard.View, claims []Claim) (bad []string) {
	odd := func(id shard.MemberID) bool { return strings.HasPrefix(string(id), oddPrefix) }
	for _, v := range views {
		if odd(v.Proposer) || slices.ContainsFunc(v.Members, func(m shard.ViewMember) bool { return odd(m.ID) }) {
			bad = append(bad, fmt.Sprintf("I7: an instance with another ring has part in view %d (%s) of %s", v.Rev, v.Cause, v.Proposer))
		}
	}
	for _, c := range claims {
		if odd(c.Record.Owner) {
			bad = append(bad, fmt.Sprintf("I7: %s: %s, whose ring is another, claimed it at %d", c.Key, c.Record.Owner, c.Seq))
		}
	}
	return bad
}

// judgeGaps attributes the longest gap of each lattice to the newest fault before it.
func (r *runner) judgeGaps(rep *Report, done []happened, samples []Sample, changed map[moved]bool) {
	longest := map[moved]time.Duration{}
	for _, s := range samples {
		newest, others := -1, false
		for i, d := range done {
			// A probe that was under way when the fault came counts for it.
			if d.from.After(s.At.Add(s.For)) {
				break
			}
			newest = i
			if !d.Kind.ofHosts() && s.At.Before(d.to.Add(aftermath)) {
				others = true
			}
		}
		switch {
		case s.Disturbed:
			continue
		case newest < 0:
			rep.Calm = append(rep.Calm, s.For)
			continue
		}
		p := moved{newest, s.Key}
		longest[p] = max(longest[p], s.For)
		if others {
			continue
		}
		rep.Beside = append(rep.Beside, s.For)
		if s.For > mostBesideBusy {
			rep.Violations = append(rep.Violations, fmt.Sprintf("I10: %s waited %v from %s on while only hosts of other lattices were busy", s.Key, ms(s.For), s.At.Format("04:05.000")))
		}
	}
	for p, d := range longest {
		k := rep.Kinds[done[p.fault].Kind]
		k.Gaps = append(k.Gaps, d)
		if changed[p] {
			k.Hit = append(k.Hit, d)
		}
	}
}

package core

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"wadm/scheduler/lattice"
)

var errStale = errors.New("older than what is known")

// target is what one command acts on. At most one command per target is in flight.
type target struct {
	Host     lattice.HostID
	Workload lattice.Workload
	Link     lattice.LinkID
	Config   string
}

func targetOf(c *lattice.Command) target {
	switch {
	case c.Link != nil:
		return target{Link: c.Link.ID()}
	case c.ConfigName != "":
		return target{Config: c.ConfigName}
	}
	return target{Host: c.Host, Workload: lattice.Workload{ID: c.Workload, Provider: c.Kind == lattice.StartProvider || c.Kind == lattice.StopProvider}}
}

// flight is a command that has been decided and is not yet known to have worked.
type flight struct {
	cmd      lattice.Command
	deadline time.Time
	// askAt is when the host is asked whether it has happened, in case its event got lost.
	askAt time.Time
	// change: the workload ran already, so the event alone does not confirm; the
	// inventory does.
	change bool
	// repeatAt is when a command of a previous owner is sent once more; zero for our own.
	repeatAt time.Time
	// accepted: the host has said that it will do it.
	accepted bool
	// executed is the host's time, in nanoseconds since 1970, at which it did it though
	// it has not yet told what came of it; zero before.
	executed int64
}

// backoff is the wait after failures of a target.
type backoff struct {
	failures int
	next     time.Time
	reason   string
	image    string
	// scaler is the rule that failed: image and configuration names are in its id.
	scaler string
}

// askAfter is how long a command may be quiet before its host is asked.
const askAfter = 10 * time.Second

// issue puts a command in flight.
func (s *State) issue(c lattice.Command, change bool, now time.Time) {
	s.serial++
	c.ID = fmt.Sprintf("%s.%d", s.cfg.Prefix, s.serial)
	c.SentAt = now
	t := targetOf(&c)
	f := &flight{cmd: c, deadline: now.Add(s.cfg.CommandDeadline), askAt: now.Add(askAfter), change: change}
	s.fly(t, f)
	s.out.Commands = append(s.out.Commands, c)
	if c.App != "" {
		s.dirty.apps[c.App] = true
	}
}

// repeatable tells whether a command of a previous owner should be sent again:
// it was stored, but perhaps never sent. Nothing has shown it to have happened
// although its host answers, and it is still what is wanted, so that it does no
// harm if it happens twice. What someone else runs there by now is left alone.
func (s *State) repeatable(t target, f *flight, now time.Time) bool {
	h := s.obs.Hosts[t.Host]
	if f.repeatAt.IsZero() || now.Before(f.repeatAt) || h == nil || h.Silent {
		return false
	}
	if i := h.Workloads[t.Workload]; i != nil && !i.Managed() {
		return false
	}
	u := s.units[t.Workload]
	switch {
	case f.cmd.Kind == lattice.StopProvider, f.cmd.Kind == lattice.ScaleComponent && f.cmd.Count == 0:
		return u == nil || len(u.scalers) == 0
	case f.cmd.Kind == lattice.StartProvider, f.cmd.Kind == lattice.ScaleComponent:
		return u != nil && slices.ContainsFunc(u.scalers, func(sc *scaler) bool {
			return sc.image == f.cmd.Image && sc.app == f.cmd.App && sc.id == f.cmd.Scaler && slices.ContainsFunc(sc.spreads, func(sp spread) bool {
				return sp.name == f.cmd.Annotations[lattice.AnnotationSpread] && sp.count > 0 && uint64(f.cmd.Count) <= sp.count && h.Has(sp.labels)
			})
		})
	}
	return false
}

func (s *State) fly(t target, f *flight) {
	s.land(t)
	s.flights[t] = f
	s.remind(t, f.due())
	put(s.appFlight, f.cmd.App, t, f)
	if t.Host != "" {
		put(s.hostFlight, t.Host, t, f)
		put(s.unitFlight, t.Workload, t.Host, f)
	}
}

// due is when something has to be done about a flight if nothing happens before.
func (f *flight) due() time.Time {
	if f.askAt.Before(f.deadline) {
		return f.askAt
	}
	return f.deadline
}

// put enters a value into a map of maps, drop takes it out again.
func put[A, B comparable, V any](m map[A]map[B]V, a A, b B, v V) {
	if m[a] == nil {
		m[a] = map[B]V{}
	}
	m[a][b] = v
}

func drop[A, B comparable, V any](m map[A]map[B]V, a A, b B) {
	if delete(m[a], b); len(m[a]) == 0 {
		delete(m, a)
	}
}

// nobody tells whether there is no host that could carry out a command that any
// host may. The next one to join causes a fresh look at links and configurations.
func (s *State) nobody() bool { return len(s.obs.Hosts) == 0 }

// land takes a command out of flight: what became of it is known, or no longer matters.
func (s *State) land(t target) {
	if f := s.flights[t]; f != nil {
		s.unfly(t, f)
		s.out.Resolved = append(s.out.Resolved, f.cmd.ID)
	}
}

func (s *State) unfly(t target, f *flight) {
	delete(s.flights, t)
	drop(s.appFlight, f.cmd.App, t)
	if t.Host != "" {
		drop(s.hostFlight, t.Host, t)
		drop(s.unitFlight, t.Workload, t.Host)
	}
	s.touch(t)
	if f.cmd.App != "" {
		s.dirty.apps[f.cmd.App] = true
	}
}

// overtake takes an image update that is no longer wanted out of the way of the
// next command, though it may still happen until its deadline.
func (s *State) overtake(t target, f *flight) {
	s.unfly(t, f)
	s.overtaken[t] = append(s.overtaken[t], f)
	s.remind(t, f.deadline)
}

// overtakenOver ends the wait for the overtaken updates of a target that are done
// according to over.
func (s *State) overtakenOver(t target, over func(*flight) bool) {
	all := s.overtaken[t]
	rest := slices.DeleteFunc(all, func(f *flight) bool {
		if over(f) {
			s.out.Resolved = append(s.out.Resolved, f.cmd.ID)
			return true
		}
		return false
	})
	if len(rest) == len(all) {
		return
	}
	if s.overtaken[t] = rest; len(rest) == 0 {
		delete(s.overtaken, t)
	}
	s.touch(t)
}

// overtakenSeen ends the wait for an overtaken update that has shown itself.
func (s *State) overtakenSeen(t target) {
	if i := s.obs.Holders(t.Workload)[t.Host]; i != nil && len(s.overtaken[t]) > 0 {
		s.overtakenOver(t, func(f *flight) bool { return f.cmd.Image == i.Image })
	}
}

// touch marks a target for evaluation.
func (s *State) touch(t target) {
	switch {
	case t.Config != "":
		s.dirty.configs[t.Config] = true
	case t.Workload.ID != "":
		s.dirty.units[t.Workload] = true
	default:
		s.dirty.links[t.Link] = true
	}
}

// adopt takes over a command of a previous owner whose outcome is not known: it
// may still happen, so it is not contradicted before its deadline.
func (s *State) adopt(c lattice.Command, now time.Time) {
	deadline := c.SentAt.Add(s.cfg.CommandDeadline)
	f := &flight{cmd: c, deadline: deadline, askAt: now, change: true, repeatAt: now.Add(askAfter)}
	t := targetOf(&c)
	if !f.deadline.After(now) || t.Host == "" {
		// Links and configurations are idempotent and quick: they are just compared again.
		// One that is still on its way to a host when this owner may act would be late by
		// more than the wait before that allows for. One that a busy host carries out
		// later than what this owner asks for is found all the same, and undone: it was
		// in the snapshot before it was sent, and restore has what is ours looked at once
		// more when no command of a previous owner can be carried out any more.
		s.out.Resolved = append(s.out.Resolved, c.ID)
		return
	}
	if before := s.flights[t]; before != nil && before.cmd.Kind == lattice.UpdateComponent {
		s.overtake(t, before)
	}
	s.fly(t, f)
}

// succeed lands a command that did what it should.
func (s *State) succeed(t target) {
	s.land(t)
	s.pardon(t)
}

// fail lands a command that did not, and makes its target wait.
func (s *State) fail(t target, reason string, now time.Time) {
	f := s.flights[t]
	if f == nil {
		return
	}
	s.land(t)
	b := s.backoffs[t]
	if b == nil || b.image != f.cmd.Image {
		b = &backoff{image: f.cmd.Image}
	}
	b.failures++
	b.reason, b.scaler = reason, f.cmd.Scaler
	b.next = now.Add(s.delay(t, b.failures))
	s.rest(t, b)
}

// postpone lands a command that has not happened and will not.
func (s *State) postpone(t target, f *flight, reason string, now time.Time) {
	s.land(t)
	s.rest(t, &backoff{failures: 1, next: now.Add(s.cfg.BackoffMin), reason: reason, image: f.cmd.Image, scaler: f.cmd.Scaler})
}

// rest makes a target wait.
func (s *State) rest(t target, b *backoff) {
	s.backoffs[t] = b
	s.remind(t, b.next)
	if t.Host != "" {
		put(s.unitBackoff, t.Workload, t.Host, b)
	}
}

// pardon ends the wait of a target.
func (s *State) pardon(t target) {
	delete(s.backoffs, t)
	if t.Host != "" {
		drop(s.unitBackoff, t.Workload, t.Host)
	}
}

// delay is the wait after the nth failure: doubling, capped, and spread by up to
// a quarter so that many targets don't retry in step. The spread is a hash of
// the target, since the decision has no randomness.
func (s *State) delay(t target, n int) time.Duration {
	d := s.cfg.BackoffMin
	for range min(n-1, 30) {
		if d >= s.cfg.BackoffMax {
			break
		}
		d *= 2
	}
	d = min(d, s.cfg.BackoffMax)
	h := fnv.New32a()
	fmt.Fprint(h, t.Host, t.Workload, t.Link, t.Config, n)
	return d - time.Duration(uint64(d)/4*uint64(h.Sum32()&0xff)/0xff)
}

// waiting tells whether a target is in its back-off for this image.
func (s *State) waiting(t target, image string, now time.Time) *backoff {
	b := s.backoffs[t]
	if b == nil || b.image != image || !now.Before(b.next) {
		return nil
	}
	return b
}

// forgive ends the back-off of a workload everywhere.
func (s *State) forgive(w lattice.Workload) {
	for host := range s.unitBackoff[w] {
		s.pardon(target{Host: host, Workload: w})
	}
}

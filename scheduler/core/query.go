package core

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"wadm/scheduler/lattice"
)

// asked is a question that is open, or that failed and is due again.
type asked struct {
	at time.Time
	// told is what the host that is asked had told by then; see lattice.Question.
	told int64
	// retry is when a failed question is asked again; zero while it is open.
	retry time.Time
	// again: something happened since it was asked, so the answer may be old.
	again bool
}

// Waits before a question is asked again.
const (
	retrySoon = 250 * time.Millisecond
	retryLate = time.Second
	// lookAgain is how often a configuration that someone else should provide is
	// looked for when no event tells.
	lookAgain = 30 * time.Second
)

// ask puts a question unless it is open already.
func (s *State) ask(q Query, now time.Time) {
	if a := s.queries[q]; a != nil && a.retry.IsZero() {
		a.again = true
		return
	}
	a := &asked{at: now}
	if h := s.obs.Hosts[q.Host]; h != nil {
		a.told = h.Told()
	}
	s.queries[q] = a
	s.out.Queries = append(s.out.Queries, q)
}

// answered closes a question and returns when it was put. A question that came
// up again meanwhile is put once more.
func (s *State) answered(q Query, now time.Time) (at time.Time, ok bool) {
	a := s.queries[q]
	if a == nil {
		return time.Time{}, false
	}
	delete(s.queries, q)
	if a.again {
		s.ask(q, now)
	}
	return a.at, true
}

// failed lets a question rest for a while.
func (s *State) failed(q Query, wait time.Duration, now time.Time) {
	if a := s.queries[q]; a != nil {
		a.retry, a.again = now.Add(wait), false
		s.queriesDue(a.retry)
	}
}

// queriesDue keeps queryWake a lower bound.
func (s *State) queriesDue(at time.Time) {
	if s.queryWake.IsZero() || at.Before(s.queryWake) {
		s.queryWake = at
	}
}

func (s *State) retryQueries(now time.Time) {
	if s.queryWake.IsZero() || now.Before(s.queryWake) {
		return
	}
	s.queryWake = time.Time{}
	var due []Query
	for q, a := range s.queries {
		if !a.retry.IsZero() && !now.Before(a.retry) {
			due = append(due, q)
		} else if !a.retry.IsZero() {
			s.queriesDue(a.retry)
		}
	}
	slices.SortFunc(due, compareQueries)
	for _, q := range due {
		s.ask(q, now)
	}
	var looks []Query
	for q, at := range s.looking {
		if !now.Before(at) {
			looks = append(looks, q)
		} else {
			s.queriesDue(at)
		}
	}
	slices.SortFunc(looks, compareQueries)
	for _, q := range looks {
		delete(s.looking, q)
		s.ask(q, now)
	}
}

// lookAt puts a question later, unless it is due before: whoever needs a later
// answer says so again when the earlier one is there.
func (s *State) lookAt(q Query, at time.Time) {
	if due, set := s.looking[q]; !set || at.Before(due) {
		s.looking[q] = at
		s.queriesDue(at)
	}
}

// lookAfter puts a question at a moment, or as soon as possible after it, unless
// one that was put after it is open. A zero moment asks for nothing.
func (s *State) lookAfter(q Query, at time.Time) {
	if a := s.queries[q]; !at.IsZero() && (a == nil || a.at.Before(at)) {
		s.lookAt(q, at)
	}
}

// mayReappear tells whether what is gone may yet be made by a late command. When
// all hosts are gone nobody can tell, and after that moment nobody is expected to.
func (s *State) mayReappear(late, now time.Time) bool {
	return !late.IsZero() && (now.Before(late) || !s.nobody())
}

func compareQueries(a, b Query) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Config, b.Config))
}

// KnownHosts lists the hosts that the state knows, from events, inventories or
// the snapshot, in no order.
func (s *State) KnownHosts() []lattice.HostID {
	return slices.Collect(maps.Keys(s.obs.Hosts))
}

// HostsListed answers AskHosts with the hosts that answered the roll call. Each
// is asked for its inventory.
func (s *State) HostsListed(ids []lattice.HostID, now time.Time) Decision {
	d := s.begin()
	s.answered(Query{Kind: AskHosts}, now)
	s.roll = make(map[lattice.HostID]bool, len(ids))
	for _, id := range ids {
		s.roll[id] = true
	}
	all := slices.Sorted(maps.Keys(s.roll))
	for id := range s.obs.Hosts {
		if !s.roll[id] {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	for _, id := range slices.Compact(all) {
		s.ask(Query{Kind: AskInventory, Host: id}, now)
	}
	return s.finish(d, now)
}

// HostsFailed says that the roll call could not be made; it is repeated.
func (s *State) HostsFailed(now time.Time) Decision {
	d := s.begin()
	s.failed(Query{Kind: AskHosts}, retryLate, now)
	return s.finish(d, now)
}

// InventoryRead answers AskInventory.
func (s *State) InventoryRead(inv lattice.Inventory, now time.Time) Decision {
	d := s.begin()
	q := Query{Kind: AskInventory, Host: inv.Host}
	question := s.queries[q]
	at, ok := s.answered(q, now)
	if !ok {
		return s.finish(d, now)
	}
	delete(s.roll, inv.Host)
	ch := lattice.Changes{Host: inv.Host}
	s.obs.Polled(inv, lattice.Question{Sent: at, Told: question.told}, now, &ch)
	s.spoke(s.obs.Hosts[inv.Host])
	s.changed(&ch, now)
	s.confirmAll(inv.Host, s.obs.Hosts[inv.Host].HostTime(at))
	return s.finish(d, now)
}

// InventoryFailed says that a host did not answer. With undelivered the server
// knows of no listener; twice in a row means that the host is gone.
func (s *State) InventoryFailed(host lattice.HostID, undelivered bool, now time.Time) Decision {
	d := s.begin()
	q := Query{Kind: AskInventory, Host: host}
	h := s.obs.Hosts[host]
	delete(s.roll, host)
	switch {
	case h == nil:
		delete(s.queries, q)
	case undelivered:
		s.failed(q, retrySoon, now)
		s.noResponder(h, now)
	default:
		s.hush(h)
		s.failed(q, retryLate, now)
	}
	return s.finish(d, now)
}

// wake is the earliest moment at which something is due.
func (s *State) wake() time.Time {
	var w time.Time
	at := func(t time.Time) {
		if !t.IsZero() && (w.IsZero() || t.Before(w)) {
			w = t
		}
	}
	at(s.hostWake)
	at(s.nextTimer())
	at(s.queryWake)
	at(s.restWake)
	if !s.recovering {
		at(s.nextSync)
	}
	return w
}

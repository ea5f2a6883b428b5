package core

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"wadm/scheduler/lattice"
)

// listHost brings the list of hosts up to date about one of them.
func (s *State) listHost(id lattice.HostID) {
	at, listed := slices.BinarySearchFunc(s.hosts, id, func(h *lattice.Host, id lattice.HostID) int { return cmp.Compare(h.ID, id) })
	h := s.obs.Hosts[id]
	switch {
	case h == nil && listed:
		s.hosts = slices.Delete(s.hosts, at, at+1)
	case h != nil && listed:
		s.hosts[at] = h
	case h != nil:
		s.hosts = slices.Insert(s.hosts, at, h)
	}
}

// hostsChanged marks the units whose choice of hosts may differ now: of those that
// want something they have not got, or go by host, the ones that the host
// concerns, and, when labels moved or the host speaks again, those on the host. A
// new host ends the back-offs; one that comes and goes would keep them from ever
// growing.
func (s *State) hostsChanged(ch *lattice.Changes, now time.Time) {
	h := s.obs.Hosts[ch.Host]
	for id := range s.eager {
		if !s.concerns(ch, h, id) {
			continue
		}
		s.dirty.units[id] = true
		if ch.Joined && !ch.Back {
			s.forgive(id)
		}
	}
	if ch.Labels || ch.Woke {
		if h != nil {
			for w := range h.Workloads {
				s.dirty.units[w] = true
			}
		}
	}
	if ch.Joined {
		alone := len(s.obs.Hosts) == 1
		for t := range s.backoffs {
			if t.Host == "" && (alone || !ch.Back) {
				s.pardon(t)
				s.touch(t)
			}
		}
		if alone {
			// Until now there was nobody to ask.
			for id := range s.links {
				s.dirty.links[id] = true
			}
			for n := range s.configs {
				s.dirty.configs[n] = true
			}
		}
		if !s.obs.LinksKnown {
			s.ask(Query{Kind: AskLinks}, now)
		}
	}
}

// concerns tells whether a change of a host, nil when it is gone, can matter to an
// eager unit: something of it is under way or has failed there, the host fits what
// it wants or did so before, or it is new and waits end. Without this, applications
// that no host fits would be evaluated anew, over all hosts, for every host that
// comes or goes.
func (s *State) concerns(ch *lattice.Changes, h *lattice.Host, id lattice.Workload) bool {
	waits := s.unitBackoff[id]
	if s.unitFlight[id][ch.Host] != nil || waits[ch.Host] != nil || len(waits) > 0 && ch.Joined && !ch.Back {
		return true
	}
	return slices.ContainsFunc(s.units[id].wants, func(sp *spread) bool {
		return h != nil && h.Has(sp.labels) || ch.Before != nil && lattice.Carries(ch.Before, sp.labels)
	})
}

// landAll takes everything out of flight that was asked of a host.
func (s *State) landAll(id lattice.HostID) {
	for _, t := range slices.SortedFunc(maps.Keys(s.hostFlight[id]), compareTargets) {
		s.land(t)
	}
	for _, t := range slices.SortedFunc(maps.Keys(s.overtaken), compareTargets) {
		if t.Host == id {
			s.overtakenOver(t, func(*flight) bool { return true })
		}
	}
}

// forgetHost forgets a host that is gone. What is in
// flight to it stays: should it only have been busy, it does everything when it
// is back.
func (s *State) forgetHost(id lattice.HostID) {
	delete(s.roll, id)
	for w, on := range s.unitBackoff {
		if on[id] == nil {
			continue
		}
		s.pardon(target{Host: id, Workload: w})
		if s.eager[w] {
			s.dirty.units[w] = true
		}
	}
	delete(s.queries, Query{Kind: AskInventory, Host: id})
}

// hush notes that a host does not answer, and marks the units that may have waited
// for something else, or will now say that they wait for it.
func (s *State) hush(h *lattice.Host) {
	if h.Silent {
		return
	}
	h.Silent = true
	ch := &lattice.Changes{Host: h.ID}
	for id := range s.eager {
		if s.concerns(ch, h, id) {
			s.dirty.units[id] = true
		}
	}
}

// noResponder counts a request that the server refused for want of a listener.
func (s *State) noResponder(h *lattice.Host, now time.Time) {
	if h == nil {
		return
	}
	s.hush(h)
	// Several requests of one moment are one refusal: a route that flaps refuses all.
	if h.Refusals == 0 || now.Sub(h.Refused) >= retrySoon {
		h.Refusals++
		h.Refused = now
	}
	if h.Refusals >= 2 {
		s.lose(h.ID, now)
		return
	}
	if s.queries[Query{Kind: AskInventory, Host: h.ID}] == nil {
		s.ask(Query{Kind: AskInventory, Host: h.ID}, now)
	}
}

// lose takes a host for gone.
func (s *State) lose(id lattice.HostID, now time.Time) {
	ch := lattice.Changes{Host: id}
	s.obs.Remove(id, &ch)
	s.changed(&ch, now)
}

// Grace added to a host's heartbeat interval before it counts as missed, and
// to two intervals before the host counts as lost.
const (
	beatGrace = 500 * time.Millisecond
	lossGrace = time.Second
)

// due is when a host must be looked after if it does not speak before.
func due(h *lattice.Host) time.Time {
	interval := h.Interval()
	if h.Silent {
		return h.LastSeen.Add(2*interval + lossGrace)
	}
	return h.LastSeen.Add(interval + beatGrace)
}

// spoke keeps hostWake a lower bound of what is due after a sign of life. A host
// that speaks moves its own moment later, except when its interval turns out
// shorter; walking the other hosts is left to watchHosts.
func (s *State) spoke(h *lattice.Host) {
	if t := due(h); s.hostWake.IsZero() || t.Before(s.hostWake) {
		s.hostWake = t
	}
}

// watchHosts finds hosts that fell silent and hosts that are gone.
func (s *State) watchHosts(now time.Time) {
	if s.hostWake.IsZero() || now.Before(s.hostWake) {
		return
	}
	var overdue []lattice.HostID
	for id, h := range s.obs.Hosts {
		if !now.Before(due(h)) {
			overdue = append(overdue, id)
		}
	}
	slices.Sort(overdue)
	for _, id := range overdue {
		h := s.obs.Hosts[id]
		if now.Sub(h.LastSeen) >= 2*h.Interval()+lossGrace {
			s.lose(id, now)
			continue
		}
		s.hush(h)
		if s.queries[Query{Kind: AskInventory, Host: id}] == nil {
			s.ask(Query{Kind: AskInventory, Host: id}, now)
		}
	}
	s.hostWake = time.Time{}
	for _, h := range s.obs.Hosts {
		s.spoke(h)
	}
}

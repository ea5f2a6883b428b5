package core

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"wadm/scheduler/lattice"
)

// begin opens a decision; finish evaluates what is dirty and closes it.
func (s *State) begin() *Decision {
	s.out = &Decision{}
	return s.out
}

func (s *State) finish(d *Decision, now time.Time) Decision {
	if s.cfg.Folded != nil {
		s.cfg.Folded()
	}
	if s.recovering && s.started && s.gathered() {
		s.recovering = false
		s.pruneKept()
		s.everythingDirty()
	}
	if !s.recovering {
		s.evaluate(now)
		s.statuses(now)
	}
	if s.dirtyState && !s.recovering {
		d.State = s.snapshot()
	}
	d.Stale, d.Fewer = s.stale, s.fewer
	d.Wake = s.wake()
	s.out = nil
	return *d
}

// gathered tells whether enough is known to decide: the manifests, an answer
// from every host that answered the roll call, and the links.
func (s *State) gathered() bool {
	if !s.desired || s.queries[Query{Kind: AskHosts}] != nil || len(s.roll) > 0 {
		return false
	}
	return s.obs.LinksKnown || len(s.obs.Hosts) == 0
}

func (s *State) everythingDirty() {
	for id := range s.units {
		s.dirty.units[id] = true
	}
	for _, id := range s.obs.Workloads() {
		s.dirty.units[id] = true
	}
	for id := range s.links {
		s.dirty.links[id] = true
	}
	for n := range s.configs {
		s.dirty.configs[n] = true
	}
	for a := range s.apps {
		s.dirty.apps[a] = true
	}
	for a := range s.known {
		s.dirty.apps[a] = true
	}
}

// evaluate works through the dirty targets until none is left. Configurations
// go first because the others wait for them.
func (s *State) evaluate(now time.Time) {
	var resting []*unit
	for len(s.dirty.configs)+len(s.dirty.links)+len(s.dirty.units) > 0 {
		for _, n := range take(&s.dirty.configs) {
			s.evalConfig(n, now)
		}
		for _, id := range takeBy(&s.dirty.links, compareLinks) {
			s.evalLink(id, now)
		}
		for _, id := range takeBy(&s.dirty.units, lattice.Workload.Compare) {
			if u := s.units[id]; u != nil && now.Before(u.rest) {
				resting = append(resting, u)
				continue
			}
			s.evalUnit(id, now)
		}
	}
	s.restWake = time.Time{}
	for _, u := range resting {
		s.dirty.units[u.id] = true
		if s.restWake.IsZero() || u.rest.Before(s.restWake) {
			s.restWake = u.rest
		}
	}
}

// take empties a dirty set and returns it sorted.
func take[K cmp.Ordered](set *map[K]bool) []K {
	if len(*set) == 0 {
		return nil
	}
	keys := slices.Sorted(maps.Keys(*set))
	clear(*set)
	return keys
}

// takeBy is take for what has an order of its own.
func takeBy[K comparable](set *map[K]bool, compare func(a, b K) int) []K {
	if len(*set) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(*set), compare)
	clear(*set)
	return keys
}

func compareLinks(a, b lattice.LinkID) int {
	return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Package, b.Package), cmp.Compare(a.Name, b.Name))
}

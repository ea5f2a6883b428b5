package core

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"wadm/scheduler/lattice"
	"wadm/tenancy/manifest"
)

// setDesired compiles what changed among the deployed manifests and marks what
// that touches. Unchanged applications keep their scalers and their waits. An
// application without a manifest is deployed, but its record can't be read: it
// stays as it is, as last known or as it runs.
func (s *State) setDesired(apps map[string]*manifest.Manifest, now time.Time) error {
	changed := map[string]bool{}
	texts := make(map[string]string, len(apps))
	frozen := map[string]bool{}
	for name, m := range apps {
		if m == nil {
			frozen[name] = true
			continue
		}
		if a := s.apps[name]; a != nil && a.manifest == m {
			texts[name] = a.canonical
			continue
		}
		b, err := m.MarshalJSON()
		if err != nil {
			return fmt.Errorf("compile application %s: %w", name, err)
		}
		texts[name] = string(b)
		if a := s.apps[name]; a == nil || a.canonical != texts[name] {
			changed[name] = true
		}
	}
	for name := range s.apps {
		if apps[name] == nil && !frozen[name] {
			changed[name] = true
		}
	}
	if len(changed) == 0 && maps.Equal(frozen, s.frozen) {
		return nil
	}
	s.thaw(frozen)
	for name, a := range s.apps {
		if a.refers && !frozen[name] && !changed[name] && !a.equal(compile(name, apps[name], texts[name], apps)) {
			// What it refers to has changed its id, or is no longer shared.
			changed[name] = true
		}
	}
	for name := range changed {
		s.touchApp(s.apps[name])
		if apps[name] == nil {
			delete(s.apps, name)
			s.dirty.apps[name] = true
			continue
		}
		s.apps[name] = compile(name, apps[name], texts[name], apps)
		s.dirty.apps[name] = true
	}
	s.index()
	for name := range changed {
		s.touchApp(s.apps[name])
	}
	s.supersede()
	s.pruneUnits()
	return nil
}

// thaw replaces the set of applications that are left as they are and looks
// again at everything that either set may keep from being removed.
func (s *State) thaw(frozen map[string]bool) {
	if maps.Equal(frozen, s.frozen) {
		return
	}
	for name := range s.frozen {
		s.dirty.apps[name] = true
	}
	for name := range frozen {
		s.dirty.apps[name] = true
	}
	s.frozen = frozen
	s.everythingDirty()
}

// supersede stops waiting for image updates that are no longer wanted: an update
// that a host can't do is silent, and whoever corrects the image should not have
// to sit out its deadline. Should it land after all, it is seen and corrected.
func (s *State) supersede() {
	for _, t := range s.flightsInOrder() {
		f := s.flights[t]
		if f.cmd.Kind != lattice.UpdateComponent {
			continue
		}
		u := s.units[t.Workload]
		if u == nil || !slices.ContainsFunc(u.scalers, func(sc *scaler) bool { return sc.image == f.cmd.Image }) {
			s.overtake(t, f)
		}
	}
}

// touchApp marks every target of an application and ends their waits: what has
// changed deserves a fresh try.
func (s *State) touchApp(a *app) {
	if a == nil {
		return
	}
	for _, sc := range a.scalers {
		if sc.link != nil {
			id := sc.link.ID()
			s.dirty.links[id] = true
			s.pardon(target{Link: id})
			s.touchEnds(id)
		} else {
			s.dirty.units[sc.workload] = true
			s.forgive(sc.workload)
			if u := s.units[sc.workload]; u != nil {
				u.rest = time.Time{}
			}
		}
		for _, n := range sc.configNames() {
			s.dirty.configs[n] = true
			s.pardon(target{Config: n})
		}
	}
}

// index rebuilds which rules want which target.
func (s *State) index() {
	for _, u := range s.units {
		u.scalers, u.daemon = nil, false
	}
	for _, l := range s.links {
		l.want, l.scalers = nil, nil
	}
	old := make(map[string]configTarget, len(s.configs))
	for n, c := range s.configs {
		old[n] = *c
		*c = configTarget{made: c.made, late: c.late, owner: c.owner, values: map[string]ownedConfig{},
			workloads: map[lattice.Workload]bool{}, links: map[lattice.LinkID]bool{}}
	}
	for _, name := range slices.Sorted(maps.Keys(s.apps)) {
		a := s.apps[name]
		for _, oc := range a.configs {
			c := s.config(oc.name)
			if len(c.values) == 0 {
				c.owner = name
			}
			if _, twice := c.values[name]; !twice {
				c.values[name] = oc
			}
		}
		for _, sc := range a.scalers {
			if sc.fixed != nil {
				continue
			}
			s.indexScaler(sc)
		}
	}
	clear(s.endGoing)
	clear(s.appGoing)
	for id, l := range s.links {
		if l.want == nil {
			put(s.endGoing, id.Source, id, true)
			put(s.endGoing, id.Target, id, true)
			put(s.appGoing, l.owner, id, true)
		}
	}
	clear(s.retired)
	for n, c := range s.configs {
		if c.wanted() {
			continue
		}
		c.workloads, c.links = old[n].workloads, old[n].links
		s.retired[n] = true
		s.dirty.configs[n] = true
		delete(s.looking, Query{Kind: AskConfig, Config: n})
	}
}

func (s *State) indexScaler(sc *scaler) {
	for _, n := range sc.configNames() {
		c := s.config(n)
		c.users++
		if sc.link != nil {
			c.links[sc.link.ID()] = true
		} else {
			c.workloads[sc.workload] = true
		}
	}
	if sc.link == nil {
		u := s.units[sc.workload]
		if u == nil {
			u = &unit{id: sc.workload}
			s.units[sc.workload] = u
		}
		u.scalers = append(u.scalers, sc)
		u.daemon = u.daemon || sc.daemon
		return
	}
	id := sc.link.ID()
	l := s.links[id]
	if l == nil {
		l = &linkTarget{}
		s.links[id] = l
		s.listLink(id)
	}
	l.scalers = append(l.scalers, sc)
	if l.want == nil {
		want := *sc.link
		l.want, l.owner = &want, sc.app
		return
	}
	// Two traits for one pair and name: a host keeps one link for both.
	l.want.Interfaces = union(l.want.Interfaces, sc.link.Interfaces)
	l.want.SourceConfig = union(l.want.SourceConfig, sc.link.SourceConfig)
	l.want.TargetConfig = union(l.want.TargetConfig, sc.link.TargetConfig)
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, x := range b {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

// config returns the target of a configuration, making it if need be.
func (s *State) config(name string) *configTarget {
	c := s.configs[name]
	if c == nil {
		c = &configTarget{values: map[string]ownedConfig{}, workloads: map[lattice.Workload]bool{}, links: map[lattice.LinkID]bool{}}
		s.configs[name] = c
		s.dirty.configs[name] = true
	}
	return c
}

// pruneUnits forgets units that nothing wants and nothing runs.
func (s *State) pruneUnits() {
	for id, u := range s.units {
		if len(u.scalers) == 0 && len(s.obs.Holders(id)) == 0 && !s.flying(id) {
			s.dropUnit(u)
			delete(s.dirty.units, id)
			s.reviewConfigs(id)
		}
	}
}

func (s *State) flying(w lattice.Workload) bool { return len(s.unitFlight[w]) > 0 }

// dropUnit forgets a unit.
func (s *State) dropUnit(u *unit) {
	s.runs(u, nil)
	delete(s.units, u.id)
	delete(s.eager, u.id)
}

package core

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"wadm/scheduler/lattice"
)

// configTarget is one configuration that something needs, or that we made and is
// to go.
type configTarget struct {
	// values are the wanted contents by owning application; empty when the
	// configuration is managed by someone else.
	values map[string]ownedConfig
	// owner is the application whose value is put: the first by name.
	owner string
	// needed by this many rules.
	users int
	// workloads that use it, or did when it was last wanted.
	workloads map[lattice.Workload]bool
	links     map[lattice.LinkID]bool
	made      bool
	// late: until then a command without a prompt answer may still be carried out, by
	// a host that was busy: a put after the configuration has been deleted, a
	// deletion after it has been put again. Zero once it has been read after that.
	late time.Time
}

func (c *configTarget) wanted() bool { return c.users > 0 }

func (c *configTarget) managed() bool { return len(c.values) > 0 }

// want is the value that should be stored, and whether all owners agree on it.
func (c *configTarget) want() (ownedConfig, bool) {
	v := c.values[c.owner]
	for _, o := range c.values {
		if !maps.Equal(o.value, v.value) {
			return v, false
		}
	}
	return v, true
}

// unready names the first of the configurations that an application can't use
// yet, in words; empty when all can be used.
func (s *State) unready(app string, names []string) string {
	for _, n := range names {
		c := s.configs[n]
		fact, known := s.obs.Configs[n]
		switch {
		case c == nil || !known:
			return fmt.Sprintf("Waiting for configuration %s", n)
		case !c.managed():
			if !fact.Exists {
				return fmt.Sprintf(textNoConfig, n)
			}
		default:
			v, agreed := c.want()
			if v.err != "" {
				return v.err
			}
			if !agreed && app != c.owner {
				return fmt.Sprintf(textConflict, n, c.owner)
			}
			if !fact.Exists || !maps.Equal(fact.Value, v.value) {
				return fmt.Sprintf("Waiting for configuration %s", n)
			}
		}
	}
	return ""
}

// absent is unready for the case that someone has to act: a configuration that
// nobody provides.
func (s *State) absent(names []string) string {
	for _, n := range names {
		if c := s.configs[n]; c != nil && !c.managed() {
			if fact, known := s.obs.Configs[n]; known && !fact.Exists {
				return fmt.Sprintf(textNoConfig, n)
			}
		}
	}
	return ""
}

func (s *State) evalConfig(name string, now time.Time) {
	c := s.configs[name]
	if c == nil {
		return
	}
	fact, known := s.obs.Configs[name]
	if !known {
		if len(s.obs.Hosts) > 0 {
			s.ask(Query{Kind: AskConfig, Config: name}, now)
		}
		return
	}
	t := target{Config: name}
	busy := s.nobody() || s.flights[t] != nil || s.waiting(t, "", now) != nil
	switch {
	case !c.wanted():
		s.retireConfig(name, c, fact, busy, now)
	case !c.managed():
		if !fact.Exists {
			s.lookAt(Query{Kind: AskConfig, Config: name}, now.Add(lookAgain))
		}
	default:
		v, _ := c.want()
		if v.err != "" {
			return
		}
		if !c.made {
			c.made, s.dirtyState = true, true
		}
		s.lookAfter(Query{Kind: AskConfig, Config: name}, c.late)
		if busy || fact.Exists && maps.Equal(fact.Value, v.value) {
			return
		}
		reason := "the configuration does not exist"
		if fact.Exists {
			reason = "the configuration differs from the manifest"
		}
		s.issue(lattice.Command{Kind: lattice.PutConfig, ConfigName: name, ConfigValue: v.value, App: c.owner, Reason: reason}, false, now)
	}
}

// retireConfig deletes a configuration of ours once nothing uses it any more.
func (s *State) retireConfig(name string, c *configTarget, fact lattice.ConfigFact, busy bool, now time.Time) {
	if c.made && !fact.Exists && s.mayReappear(c.late, now) {
		s.lookAfter(Query{Kind: AskConfig, Config: name}, c.late)
		if c.owner != "" {
			s.dirty.apps[c.owner] = true
		}
		return
	}
	if !c.made || !fact.Exists {
		if s.flights[target{Config: name}] == nil {
			delete(s.configs, name)
			delete(s.obs.Configs, name)
			delete(s.looking, Query{Kind: AskConfig, Config: name})
			delete(s.retired, name)
			s.fewer = s.fewer || c.made
			if c.owner != "" {
				s.dirty.apps[c.owner] = true
			}
		}
		return
	}
	if busy || s.frozen[c.owner] || s.inUse(c) {
		return
	}
	s.issue(lattice.Command{Kind: lattice.DeleteConfig, ConfigName: name, App: c.owner, Reason: "nothing uses the configuration any more"}, false, now)
}

// inUse tells whether a workload that used the configuration is still being
// changed or removed, or a link that named it is still there.
func (s *State) inUse(c *configTarget) bool {
	for w := range c.workloads {
		// What is about to be evaluated is not settled, whatever it was before.
		if u := s.units[w]; s.dirty.units[w] || u != nil && !u.settled || u == nil && len(s.obs.Holders(w)) > 0 {
			return true
		}
	}
	for id := range c.links {
		if l := s.links[id]; l != nil {
			have, there := s.obs.Links[id]
			if there && (l.want == nil || !have.Equal(*l.want)) {
				return true
			}
		}
	}
	return false
}

// reviewConfigs looks again at the retired configurations a workload has used.
func (s *State) reviewConfigs(w lattice.Workload) {
	for n := range s.retired {
		if c := s.configs[n]; c != nil && c.workloads[w] {
			s.dirty.configs[n] = true
		}
	}
}

// reviewLinkConfigs looks again at the retired configurations a link has named.
func (s *State) reviewLinkConfigs(id lattice.LinkID) {
	for n := range s.retired {
		if c := s.configs[n]; c != nil && c.links[id] {
			s.dirty.configs[n] = true
		}
	}
}

// configChanged marks everything that waits for a configuration.
func (s *State) configChanged(name string) {
	c := s.configs[name]
	if c == nil {
		return
	}
	s.dirty.configs[name] = true
	for w := range c.workloads {
		s.dirty.units[w] = true
	}
	for id := range c.links {
		s.dirty.links[id] = true
	}
}

// ConfigRead answers AskConfig; ok is false when the configuration does not exist.
func (s *State) ConfigRead(name string, value map[string]string, ok bool, now time.Time) Decision {
	d := s.begin()
	at, open := s.answered(Query{Kind: AskConfig, Config: name}, now)
	if c := s.configs[name]; open && c != nil {
		if !at.Before(c.late) {
			c.late = time.Time{}
		}
		s.obs.Configs[name] = lattice.ConfigFact{Exists: ok, Value: value}
		s.configChanged(name)
	}
	return s.finish(d, now)
}

// ConfigFailed says that nobody could tell; it is asked again.
func (s *State) ConfigFailed(name string, now time.Time) Decision {
	d := s.begin()
	q := Query{Kind: AskConfig, Config: name}
	if len(s.obs.Hosts) == 0 {
		delete(s.queries, q)
	} else {
		s.failed(q, retryLate, now)
	}
	return s.finish(d, now)
}

// configNames lists what a rule needs.
func (sc *scaler) configNames() []string {
	if sc.link != nil {
		return append(slices.Clone(sc.link.SourceConfig), sc.link.TargetConfig...)
	}
	return sc.configs
}

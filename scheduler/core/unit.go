package core

import (
	"fmt"
	"slices"
	"time"

	"wadm/scheduler/lattice"
)

// unit is one workload id with every rule that wants it, of whichever
// application. Since a host keeps one record per id, all those rules choose from
// the same hosts and are solved together.
type unit struct {
	id      lattice.Workload
	scalers []*scaler
	// daemon: a rule goes by host, so every host that comes or goes matters.
	daemon bool
	// hungry: something wanted is not there, so a change of hosts may help.
	hungry bool
	// wants are the spreads that a host without anything of the unit can matter to.
	wants []*spread
	// settled: nothing is in flight and what runs is as wanted, though something may
	// be missing.
	settled bool
	// apps have instances of it.
	apps []string
	// rest: until then it is not evaluated again.
	rest time.Time
}

func (s *State) evalUnit(id lattice.Workload, now time.Time) {
	u := s.units[id]
	if u == nil {
		if len(s.obs.Holders(id)) == 0 {
			s.reviewConfigs(id)
			return
		}
		u = &unit{id: id}
		s.units[id] = u
	}
	p := newPlacement(s, u, now)
	p.gather()
	p.spread()
	if id.Provider {
		p.runProviders()
	} else {
		p.runComponents()
	}
	p.report()
	s.reviewConfigs(id)
	s.runs(u, p.apps())
	u.tire(len(p.places), now)
	if s.eager[id] = u.hungry || u.daemon; !s.eager[id] {
		delete(s.eager, id)
	}
	if len(u.scalers) == 0 && len(s.obs.Holders(id)) == 0 {
		s.dropUnit(u)
	}
}

// spread decides on the hosts and counts of every demand.
func (p *placement) spread() {
	p.daemons()
	if p.u.id.Provider {
		p.spreadProviders()
	} else {
		p.spreadComponents()
	}
}

// A unit on many hosts is not looked at again for a while, so that each of the
// thousand events that follow one decision does not cost a look at a thousand
// hosts.
const (
	manyPlaces   = 500
	restPerPlace = 20 * time.Microsecond
)

func (u *unit) tire(places int, now time.Time) {
	if places >= manyPlaces {
		u.rest = now.Add(time.Duration(places) * restPerPlace)
	}
}

// apps lists the applications with instances of the unit.
func (p *placement) apps() []string {
	var apps []string
	for _, i := range p.s.obs.Holders(p.u.id) {
		if a := i.App(); a != "" && !slices.Contains(apps, a) {
			apps = append(apps, a)
		}
	}
	return apps
}

// runs notes the applications with instances of a unit.
func (s *State) runs(u *unit, apps []string) {
	for _, a := range u.apps {
		drop(s.appUnits, a, u.id)
		if !slices.Contains(apps, a) {
			// It may have been the last that an undeployed application waited for.
			s.dirty.apps[a] = true
		}
	}
	for _, a := range apps {
		put(s.appUnits, a, u.id, true)
	}
	u.apps = apps
}

// removable tells whether an instance may be stopped because nothing wants it:
// the links that lead to it go first.
func (p *placement) removable() bool {
	if !p.asked {
		p.asked, p.linked = true, p.s.linksGoing(p.u.id.ID)
	}
	return !p.linked
}

// stopReason explains a removal.
func (p *placement) stopReason(pl *place) string {
	app := pl.inst.App()
	if len(p.u.scalers) == 0 || p.s.apps[app] == nil {
		return fmt.Sprintf("no deployed application wants %s of application %q", p.u.id.ID, app)
	}
	return fmt.Sprintf("host %s is not, or no longer, needed for %s", pl.host, p.u.id.ID)
}

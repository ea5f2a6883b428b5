package core

import (
	"cmp"
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
	// settled: nothing is in flight and what runs is as wanted, though something may
	// be missing.
	settled bool
	// apps have instances of it.
	apps []string
	// rest: until then it is not evaluated again.
	rest time.Time
}

// claim is one spread of one scaler while its unit is being placed.
type claim struct {
	sc *scaler
	sp *spread
	// places are the hosts that carry this spread.
	places []*place
	// foreign counts providers on its hosts that someone else runs for it.
	foreign uint64
	// unmet: no host could be found.
	unmet bool
	// short is the number of instances (or hosts) still missing.
	short uint64
}

func (c *claim) eligible(h *lattice.Host) bool { return h.Has(c.sp.labels) }

// place is one host in the placement of a unit.
type place struct {
	host *lattice.Host
	inst *lattice.Instance
	fl   *flight
	// cur is the count that runs or has been asked for.
	cur uint64
	// locked: nothing may be asked of the host for this unit now.
	locked bool
	// blocked: what is on the host is not ours to replace.
	blocked bool
	claim   *claim
	// want is the count decided on.
	want uint64
	load int
	// failures in a row of what was last tried here.
	failures int
}

// placement is one evaluation of a unit.
type placement struct {
	s      *State
	u      *unit
	now    time.Time
	claims []*claim
	places map[lattice.HostID]*place
	// widened: every host is in places, not only those that hold something.
	widened bool
	// failing counts, by image, hosts on which a start has failed and is waiting.
	failing map[string]int
	// linked: a link of the unit is still to go; asked: that has been looked up.
	linked, asked bool
	// held says why what should start does not.
	held string
}

// maxFailing is the number of hosts on which a start may fail before other
// hosts are no longer tried: what fails on two is likely to fail everywhere.
const maxFailing = 2

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
	p := &placement{s: s, u: u, now: now, places: map[lattice.HostID]*place{}, failing: map[string]int{}}
	p.gather()
	p.held = s.missing(u)
	p.daemons()
	if id.Provider {
		p.spreadProviders()
		p.runProviders()
	} else {
		p.spreadComponents()
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

// A unit on many hosts is not looked at again for a while, so that each of the
// thousand events that follow one decision does not cost a look at a thousand
// hosts.
const (
	manyPlaces   = 500
	restPerPlace = 10 * time.Microsecond
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
	}
	for _, a := range apps {
		put(s.appUnits, a, u.id, true)
	}
	u.apps = apps
}

// gather sorts what runs under the claims it belongs to.
func (p *placement) gather() {
	for _, sc := range p.u.scalers {
		if sc.fixed != nil {
			continue
		}
		for i := range sc.spreads {
			p.claims = append(p.claims, &claim{sc: sc, sp: &sc.spreads[i]})
		}
	}
	for id := range p.s.obs.Holders(p.u.id) {
		p.at(p.s.obs.Hosts[id])
	}
	for id := range p.s.unitFlight[p.u.id] {
		if h := p.s.obs.Hosts[id]; h != nil {
			p.at(h)
		}
	}
	for id, b := range p.s.unitBackoff[p.u.id] {
		if p.now.Before(b.next) && p.s.obs.Holders(p.u.id)[id] == nil {
			p.failing[b.image]++
		}
	}
	for _, pl := range p.inOrder() {
		if c := p.belongs(pl); c != nil {
			c.places, pl.claim = append(c.places, pl), c
		}
	}
}

// at returns the place of a host, making it if need be.
func (p *placement) at(h *lattice.Host) *place {
	if pl := p.places[h.ID]; pl != nil {
		return pl
	}
	t := target{Host: h.ID, Workload: p.u.id}
	pl := &place{host: h, inst: h.Workloads[p.u.id], fl: p.s.flights[t], load: len(h.Workloads) + len(p.s.hostFlight[h.ID])}
	p.places[h.ID] = pl
	pl.locked = h.Silent || pl.fl != nil
	if b := p.s.backoffs[t]; b != nil {
		pl.failures = b.failures
	}
	if pl.inst != nil {
		pl.cur = uint64(pl.inst.Max)
		pl.blocked = !pl.inst.Managed() || p.s.frozen[pl.inst.App()] && p.s.apps[pl.inst.App()] == nil
	}
	if pl.fl != nil {
		switch pl.fl.cmd.Kind {
		case lattice.ScaleComponent, lattice.StopProvider:
			pl.cur = uint64(pl.fl.cmd.Count)
			// What is being stopped can't be used before it has gone.
			pl.blocked = pl.blocked || pl.cur == 0
		case lattice.StartProvider:
			pl.cur = 1
		}
	}
	pl.want = pl.cur
	return pl
}

// widen brings all hosts in: needed only when something has to be placed.
func (p *placement) widen() {
	if p.widened {
		return
	}
	p.widened = true
	for _, h := range p.s.obs.Hosts {
		p.at(h)
	}
}

// inOrder lists the places by host id.
func (p *placement) inOrder() []*place {
	out := make([]*place, 0, len(p.places))
	for _, pl := range p.places {
		out = append(out, pl)
	}
	slices.SortFunc(out, func(a, b *place) int { return cmp.Compare(a.host.ID, b.host.ID) })
	return out
}

// belongs finds the claim that what runs on a place was started for, if the
// host still carries its labels.
func (p *placement) belongs(pl *place) *claim {
	ann := map[string]string(nil)
	switch {
	case pl.fl != nil && pl.fl.cmd.Annotations != nil:
		ann = pl.fl.cmd.Annotations
	case pl.inst != nil && pl.inst.Managed():
		ann = pl.inst.Annotations
	}
	if ann == nil || pl.cur == 0 {
		return nil
	}
	var best *claim
	score := 0
	for _, c := range p.claims {
		if !c.eligible(pl.host) || c.sp.name != ann[lattice.AnnotationSpread] || c.sc.app != ann[lattice.AnnotationApp] {
			continue
		}
		n := 1
		if c.sc.id == ann[lattice.AnnotationScaler] {
			n = 2
		}
		if n > score {
			best, score = c, n
		}
	}
	return best
}

// usable tells whether a claim may start something new on a place.
func (p *placement) usable(pl *place, c *claim) bool {
	return pl.claim == nil && pl.inst == nil && !pl.blocked && !pl.locked && p.waiting(pl, c.sc.image) == nil
}

func (p *placement) waiting(pl *place, image string) *backoff {
	return p.s.waiting(target{Host: pl.host.ID, Workload: p.u.id}, image, p.now)
}

// adoptable tells whether something of the claim's application that belongs to
// no claim runs here. What another application started under the same id goes
// first: a host would keep its annotations.
func (pl *place) adoptable(c *claim) bool {
	return pl.claim == nil && pl.inst != nil && !pl.blocked && !pl.locked && pl.cur > 0 && pl.inst.App() == c.sc.app
}

// daemons gives every eligible host to the first daemon spread that wants it.
func (p *placement) daemons() {
	for _, c := range p.claims {
		if !c.sc.daemon {
			continue
		}
		p.widen()
		anyHost := false
		for _, pl := range p.inOrder() {
			if !c.eligible(pl.host) {
				continue
			}
			anyHost = true
			if pl.adoptable(c) || pl.claim == nil && pl.inst == nil && !pl.blocked && !pl.host.Silent {
				p.give(pl, c)
			}
			if pl.claim == c {
				pl.want = c.sp.count
				if p.u.id.Provider {
					pl.want = min(pl.want, 1)
				}
			}
			if p.u.id.Provider && pl.inst != nil && !pl.inst.Managed() {
				c.foreign++
			}
		}
		c.unmet = !anyHost
	}
}

// better orders places for a claim's new work: what already runs there first,
// then a place where nothing has failed, then the least loaded host.
func better(a, b *place) int {
	return cmp.Or(
		cmp.Compare(boolRank(a.inst == nil), boolRank(b.inst == nil)),
		cmp.Compare(a.failures, b.failures),
		cmp.Compare(a.cur, b.cur), cmp.Compare(a.load, b.load), cmp.Compare(a.host.ID, b.host.ID))
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// exhausted tells whether a claim's image has failed on so many hosts that only
// those are tried again.
func (p *placement) exhausted(c *claim) bool { return p.failing[c.sc.image] >= maxFailing }

// free lists the places that could take a claim's next instance, best first.
func (p *placement) free(c *claim) []*place {
	var out []*place
	for _, pl := range p.places {
		if c.eligible(pl.host) && (p.usable(pl, c) || pl.adoptable(c)) {
			out = append(out, pl)
		}
	}
	slices.SortFunc(out, better)
	return out
}

// give hands a place to a claim.
func (p *placement) give(pl *place, c *claim) {
	if o := pl.claim; o != nil {
		o.places = slices.DeleteFunc(o.places, func(x *place) bool { return x == pl })
	}
	c.places, pl.claim = append(c.places, pl), c
}

// augment finds the shortest chain of moves that gives c one more place: a free
// one, one of a claim that has more than it needs, or one of a claim that can
// move on in turn. It reports whether there is one; a claim for which there is
// none cannot be satisfied together with those before it. Applications that share
// an id don't take places from each other.
func (p *placement) augment(c *claim, spare func(*claim) bool) bool {
	type step struct {
		pl   *place
		from *claim
	}
	came := map[*claim]step{}
	seen := map[*claim]bool{c: true}
	for queue := []*claim{c}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		finish := func(pl *place) bool {
			for x := at; ; {
				before, more := came[x]
				p.give(pl, x)
				if !more {
					return true
				}
				pl, x = before.pl, before.from
			}
		}
		if free := p.free(at); len(free) > 0 && (free[0].inst != nil || !p.exhausted(at)) {
			return finish(free[0])
		}
		for _, pl := range p.inOrder() {
			o := pl.claim
			if o == nil || seen[o] || o.sc.daemon || o.sc.app != at.sc.app || pl.locked || pl.blocked || !at.eligible(pl.host) {
				continue
			}
			if spare(o) {
				return finish(pl)
			}
			seen[o] = true
			came[o] = step{pl, at}
			queue = append(queue, o)
		}
	}
	return false
}

// missing says which configuration a unit still waits for, empty for none.
func (s *State) missing(u *unit) string {
	for _, sc := range u.scalers {
		if m := s.unready(sc.app, sc.configs); m != "" {
			return m
		}
	}
	return ""
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
	return fmt.Sprintf("host %s is not, or no longer, needed for %s", pl.host.ID, p.u.id.ID)
}

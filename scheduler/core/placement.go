package core

import (
	"cmp"
	"slices"
	"time"

	"wadm/scheduler/lattice"
)

// demand is one spread of one scaler while its unit is being placed.
type demand struct {
	sc *scaler
	sp *spread
	// places are the hosts that carry this spread.
	places []*place
	// foreign counts providers on its hosts that someone else runs for it.
	foreign uint64
	// taken counts hosts of a daemon spread on which something of someone else, or of
	// another application, keeps it from running.
	taken uint64
	// unmet: no host could be found.
	unmet bool
	// short is the number of instances (or hosts) still missing.
	short uint64
	// held says which configuration keeps the demand from starting anything, empty
	// when none does.
	held string
}

func (c *demand) eligible(h *lattice.Host) bool { return h.Has(c.sp.labels) }

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
	demand  *demand
	// want is the count decided on.
	want uint64
	// load is the number of all workloads on the host, and of those on their way.
	load int
	// failures in a row of what was last tried here.
	failures int
}

// placement is one evaluation of a unit.
type placement struct {
	s       *State
	u       *unit
	now     time.Time
	demands []*demand
	// places finds the place of a host.
	places map[lattice.HostID]*place
	// list has the places in the order of their hosts, unless unsorted.
	list     []*place
	unsorted bool
	// slab holds the places, since there may be thousands.
	slab []place
	// fl and waits are what is in flight and what has to wait, by host.
	fl    map[lattice.HostID]*flight
	waits map[lattice.HostID]*backoff
	// widened: every host that fits a demand has its place, not only those that hold
	// something.
	widened bool
	// balances are drawn up when something is to go for the first time.
	balances map[share]*balance
	// linked: a link of the unit is still to go; asked: that has been looked up.
	linked, asked bool
}

func newPlacement(s *State, u *unit, now time.Time) *placement {
	return &placement{s: s, u: u, now: now, places: map[lattice.HostID]*place{}}
}

// maxFailing is the number of hosts on which something may fail before others are
// spared: what fails on two is likely to fail everywhere.
const maxFailing = 2

// gather sorts what runs under the demands it belongs to.
func (p *placement) gather() {
	for _, sc := range p.u.scalers {
		if sc.fixed != nil {
			continue
		}
		held := p.s.unready(sc.app, sc.configs)
		for i := range sc.spreads {
			p.demands = append(p.demands, &demand{sc: sc, sp: &sc.spreads[i], held: held})
		}
	}
	// What may not start anything takes no host from what may.
	slices.SortStableFunc(p.demands, func(a, b *demand) int { return cmp.Compare(boolRank(a.held != ""), boolRank(b.held != "")) })
	p.fl, p.waits = p.s.unitFlight[p.u.id], p.s.unitBackoff[p.u.id]
	holders := p.s.obs.Holders(p.u.id)
	p.slab = make([]place, 0, len(holders)+len(p.fl))
	for id := range holders {
		p.at(p.s.obs.Hosts[id])
	}
	for id := range p.fl {
		if h := p.s.obs.Hosts[id]; h != nil {
			p.at(h)
		}
	}
	for _, pl := range p.inOrder() {
		if c := p.belongs(pl); c != nil {
			c.places, pl.demand = append(c.places, pl), c
		}
	}
}

// at returns the place of a host, making it if need be.
func (p *placement) at(h *lattice.Host) *place {
	if pl := p.places[h.ID]; pl != nil {
		return pl
	}
	if len(p.slab) == cap(p.slab) {
		// Growing, since how many hosts fit is not known.
		p.slab = make([]place, 0, min(16+len(p.places), 1024))
	}
	p.slab = append(p.slab, place{host: h, inst: h.Workloads[p.u.id], fl: p.fl[h.ID], load: len(h.Workloads) + len(p.s.hostFlight[h.ID])})
	pl := &p.slab[len(p.slab)-1]
	p.places[h.ID] = pl
	p.list, p.unsorted = append(p.list, pl), true
	pl.locked = h.Silent || pl.fl != nil
	if b := p.waits[h.ID]; b != nil {
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

// widen brings in all hosts that fit a demand: needed only when something has to
// be placed.
func (p *placement) widen() {
	if p.widened {
		return
	}
	p.widened = true
	all := make([]*place, 0, len(p.list))
	for _, h := range p.s.hosts {
		if pl := p.places[h.ID]; pl != nil {
			all = append(all, pl)
		} else if slices.ContainsFunc(p.demands, func(c *demand) bool { return c.eligible(h) }) {
			all = append(all, p.at(h))
		}
	}
	p.list, p.unsorted = all, false
}

// inOrder lists the places by host id.
func (p *placement) inOrder() []*place {
	if p.unsorted {
		slices.SortFunc(p.list, func(a, b *place) int { return cmp.Compare(a.host.ID, b.host.ID) })
		p.unsorted = false
	}
	return p.list
}

// belongs finds the demand that what runs on a place was started for, if the
// host still carries its labels.
func (p *placement) belongs(pl *place) *demand {
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
	app, spread, scaler := ann[lattice.AnnotationApp], ann[lattice.AnnotationSpread], ann[lattice.AnnotationScaler]
	if k := p.s.keptBy(p.u.id, pl.host.ID); k != nil && pl.fl == nil {
		spread, scaler = k.spread, k.scaler
	}
	var best *demand
	score := 0
	for _, c := range p.demands {
		if !c.eligible(pl.host) || c.sp.name != spread || c.sc.app != app {
			continue
		}
		n := 1
		if c.sc.id == scaler {
			n = 2
		}
		if n > score {
			best, score = c, n
		}
	}
	return best
}

// usable tells whether a demand may start something new on a place.
func (p *placement) usable(pl *place, c *demand) bool {
	return pl.demand == nil && pl.inst == nil && !pl.blocked && !pl.locked && p.waiting(pl, c.sc.image) == nil
}

// flying is what is in flight to a place by now.
func (p *placement) flying(pl *place) *flight { return p.s.unitFlight[p.u.id][pl.host.ID] }

// waiting is the wait of a place for an image, nil when it need not wait.
func (p *placement) waiting(pl *place, image string) *backoff {
	b := p.waits[pl.host.ID]
	if b == nil || b.image != image || !p.now.Before(b.next) {
		return nil
	}
	return b
}

// adoptable tells whether something of the demand's application that belongs to
// no demand runs here. What another application started under the same id goes
// first: a host would keep its annotations.
func (pl *place) adoptable(c *demand) bool {
	return pl.demand == nil && pl.inst != nil && !pl.blocked && !pl.locked && pl.cur > 0 && pl.inst.App() == c.sc.app
}

// daemons gives every eligible host to the first daemon spread that wants it.
func (p *placement) daemons() {
	for _, c := range p.demands {
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
			if pl.adoptable(c) || c.held == "" && pl.demand == nil && pl.inst == nil && !pl.blocked && !pl.host.Silent {
				p.give(pl, c)
			}
			if pl.demand == c {
				pl.want = c.sp.count
				if p.u.id.Provider {
					pl.want = min(pl.want, 1)
				}
			}
			switch {
			case c.sp.count == 0:
			case p.u.id.Provider && pl.inst != nil && !pl.inst.Managed():
				c.foreign++
			case pl.demand == nil && pl.blocked && pl.inst != nil && !pl.locked, pl.demand != nil && pl.demand.sc.app != c.sc.app:
				c.taken++
			case pl.demand == nil:
				c.short++
			}
		}
		c.unmet = !anyHost
	}
}

// better orders places for a demand's new work: what already runs there first,
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

// exhausted tells whether so many of a demand's hosts wait after its image has failed
// there that none is tried until fewer do: those that remain would get all the work.
func (p *placement) exhausted(c *demand) bool {
	n := 0
	for id, b := range p.waits {
		if b.image != c.sc.image || !p.now.Before(b.next) {
			continue
		}
		if h := p.s.obs.Hosts[id]; h != nil && h.Workloads[p.u.id] == nil && c.eligible(h) {
			if n++; n >= maxFailing {
				return true
			}
		}
	}
	return false
}

// wary tells whether a demand's image has lately failed on so many hosts that only
// those are tried again. The next host is tried when it has failed on each of them
// twice as often as there are of them: since the waits double, a bad image gets
// around ever more slowly, and bad hosts don't keep the work from the good ones
// for ever. Hosts count on which there is, or will be, a next try.
func (p *placement) wary(c *demand) bool {
	hosts, least := 0, 0
	for id, b := range p.waits {
		pl := p.places[id]
		if b.image != c.sc.image || pl == nil || !c.eligible(pl.host) || pl.inst != nil || pl.host.Silent || !p.now.Before(b.next.Add(p.s.cfg.BackoffMax)) {
			continue
		}
		if p.now.Before(b.next) || pl.fl != nil || p.usable(pl, c) {
			if hosts++; hosts == 1 || b.failures < least {
				least = b.failures
			}
		}
	}
	return hosts >= maxFailing && least < 2*hosts
}

// tried tells whether a demand's image has failed on a place.
func (p *placement) tried(pl *place, c *demand) bool {
	b := p.waits[pl.host.ID]
	return b != nil && b.image == c.sc.image
}

// free lists up to n places that could take a demand's next instance, best first.
func (p *placement) free(c *demand, n uint64) []*place {
	var out []*place
	few, wary := n < uint64(len(p.list)/8), p.wary(c)
	for _, pl := range p.list {
		if !c.eligible(pl.host) || !pl.adoptable(c) && (!p.usable(pl, c) || wary && !p.tried(pl, c)) {
			continue
		}
		if !few {
			out = append(out, pl)
			continue
		}
		if full := uint64(len(out)) >= n; full && better(pl, out[len(out)-1]) > 0 {
			continue
		} else if full {
			out = out[:len(out)-1]
		}
		at, _ := slices.BinarySearchFunc(out, pl, better)
		out = slices.Insert(out, at, pl)
	}
	if !few {
		slices.SortFunc(out, better)
	}
	return out
}

// give hands a place to a demand.
func (p *placement) give(pl *place, c *demand) {
	if o := pl.demand; o != nil {
		o.places = slices.DeleteFunc(o.places, func(x *place) bool { return x == pl })
	}
	c.places, pl.demand = append(c.places, pl), c
}

// augment finds the shortest chain of moves that gives c one more place: a free
// one, one of a demand that has more than it needs, or one of a demand that can
// move on in turn. It reports whether there is one; a demand for which there is
// none cannot be satisfied together with those before it. Applications that share
// an id don't take places from each other.
func (p *placement) augment(c *demand, spare func(*demand) bool) bool {
	type step struct {
		pl   *place
		from *demand
	}
	came := map[*demand]step{}
	seen := map[*demand]bool{c: true}
	for queue := []*demand{c}; len(queue) > 0; queue = queue[1:] {
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
		if free := p.free(at, 1); len(free) > 0 && (free[0].inst != nil || !p.exhausted(at)) {
			return finish(free[0])
		}
		for _, pl := range p.inOrder() {
			o := pl.demand
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

package core

import "wadm/scheduler/lattice"

// balance says how much of what runs of a unit may go while what replaces it is
// still coming: a changed requirement or weight moves work, and the old serves until
// the new does.
type balance struct {
	// coming: something is still to start, or to be tried again.
	coming bool
	// running instances, and those wanted; of a provider, hosts.
	running, wanted uint64
}

// share is what a balance is drawn up for: a whole application, or one spread of it.
// What a spread has left behind on hosts that no longer fit waits for that spread
// alone; everything else, as when weights change, for the application.
type share struct {
	app, spread string
	whole       bool
}

func sharesOf(app, spread string) [2]share {
	return [2]share{{app: app, whole: true}, {app: app, spread: spread}}
}

// weigh counts what runs and what is to come. Daemon scalers have no part in it:
// what one host runs does not stand in for another.
func (p *placement) weigh() map[share]*balance {
	all := map[share]*balance{}
	for _, c := range p.demands {
		if c.sc.daemon {
			continue
		}
		wanted := c.sp.count
		if p.u.id.Provider {
			wanted -= min(wanted, c.foreign)
		}
		coming := (c.short > 0 || c.unmet) && p.hasFailed(c)
		for _, pl := range c.places {
			coming = coming || pl.want > pl.runs()
		}
		for _, sh := range sharesOf(c.sc.app, c.sp.name) {
			t := all[sh]
			if t == nil {
				t = &balance{}
				all[sh] = t
			}
			t.wanted += wanted
			t.coming = t.coming || coming
		}
	}
	for _, pl := range p.inOrder() {
		if pl.inst == nil || !pl.inst.Managed() || pl.demand != nil && pl.demand.sc.daemon {
			continue
		}
		n := pl.runs()
		if pl.fl != nil {
			// What has been told to go no longer counts.
			n = min(n, pl.cur)
		}
		for _, sh := range pl.shares() {
			if t := all[sh]; t != nil {
				t.running += n
			}
		}
	}
	return all
}

// shares are the balances that what runs on a place has a part in.
func (pl *place) shares() [2]share {
	app, spread := pl.inst.App(), pl.inst.Annotations[lattice.AnnotationSpread]
	if pl.demand != nil {
		spread = pl.demand.sp.name
	}
	return sharesOf(app, spread)
}

// runs is the number of instances on a place.
func (pl *place) runs() uint64 {
	if pl.inst == nil {
		return 0
	}
	return max(uint64(pl.inst.Max), 1)
}

// yields takes n instances on a place from what may go now, and tells whether they may.
func (p *placement) yields(pl *place, n uint64) bool {
	if p.balances == nil {
		p.balances = p.weigh()
	}
	shares := pl.shares()
	whole, own := p.balances[shares[0]], p.balances[shares[1]]
	t := whole
	if pl.demand == nil && own != nil {
		t = own
	}
	if t != nil && t.coming && t.running < t.wanted+n {
		return false
	}
	for _, t := range []*balance{whole, own} {
		if t != nil {
			t.running -= min(t.running, n)
		}
	}
	return true
}

package core

// takeover says how much of what an application runs of a unit may go while what
// replaces it is still coming: a changed requirement or weight moves work, and the
// old serves until the new does.
type takeover struct {
	// coming: something of the application is still to start, or to be tried again.
	coming bool
	// running instances, and those wanted; of a provider, hosts.
	running, wanted uint64
}

// weigh counts what runs and what is to come by application. Daemon scalers have
// no part in it: what one host runs does not stand in for another.
func (p *placement) weigh() map[string]*takeover {
	all := map[string]*takeover{}
	for _, c := range p.claims {
		if c.sc.daemon {
			continue
		}
		t := all[c.sc.app]
		if t == nil {
			t = &takeover{}
			all[c.sc.app] = t
		}
		wanted := c.sp.count
		if p.u.id.Provider {
			wanted -= min(wanted, c.foreign)
		}
		t.wanted += wanted
		for _, pl := range c.places {
			t.coming = t.coming || pl.want > pl.runs()
		}
		t.coming = t.coming || (c.short > 0 || c.unmet) && p.hasFailed(c)
	}
	for _, pl := range p.inOrder() {
		if pl.inst == nil || !pl.inst.Managed() {
			continue
		}
		if t := all[pl.inst.App()]; t != nil && (pl.claim == nil || !pl.claim.sc.daemon) {
			t.running += pl.runs()
		}
	}
	return all
}

// runs is the number of instances on a place.
func (pl *place) runs() uint64 {
	if pl.inst == nil {
		return 0
	}
	return max(uint64(pl.inst.Max), 1)
}

// yields takes n instances on a place from what their application may lose now,
// and tells whether it may.
func (p *placement) yields(pl *place, n uint64) bool {
	if p.takeovers == nil {
		p.takeovers = p.weigh()
	}
	t := p.takeovers[pl.inst.App()]
	if t == nil || !t.coming {
		return true
	}
	if t.running < t.wanted+n {
		return false
	}
	t.running -= n
	return true
}

package core

import (
	"cmp"
	"fmt"
	"slices"

	"wadm/scheduler/lattice"
)

// spreadProviders chooses hosts for the provider spread scalers. A provider runs
// at most once on a host; one that someone else runs counts, and is left alone.
func (p *placement) spreadProviders() {
	needs := func(c *demand) uint64 {
		return c.sp.count - min(c.sp.count, uint64(len(c.places))+c.foreign)
	}
	for _, c := range p.demands {
		if c.sc.daemon {
			continue
		}
		for _, pl := range p.inOrder() {
			if pl.inst != nil && !pl.inst.Managed() && c.eligible(pl.host) {
				c.foreign++
			}
		}
	}
	for _, c := range p.demands {
		if c.sc.daemon || needs(c) == 0 {
			continue
		}
		p.widen()
		for _, pl := range p.free(c, needs(c)) {
			if needs(c) == 0 {
				break
			}
			if p.exhausted(c) && pl.inst == nil {
				break
			}
			p.give(pl, c)
		}
		for needs(c) > 0 && !p.exhausted(c) {
			if !p.augment(c, func(o *demand) bool { return uint64(len(o.places))+o.foreign > o.sp.count }) {
				break
			}
		}
	}
	for _, c := range p.demands {
		if !c.sc.daemon {
			p.chooseProviders(c)
		}
	}
}

// chooseProviders sets want for the places of a demand: the right ones stay, too
// many go. What runs, even if it is outdated, goes only for what runs already:
// a start that is under way may take long, and fail.
func (p *placement) chooseProviders(c *demand) {
	keep := c.sp.count - min(c.sp.count, c.foreign)
	worth := func(pl *place) int {
		switch {
		case pl.inst != nil && !p.outdated(pl):
			return 0
		case pl.inst != nil:
			return 1
		case pl.fl != nil:
			return 2
		}
		return 3
	}
	slices.SortFunc(c.places, func(a, b *place) int {
		return cmp.Or(
			cmp.Compare(worth(a), worth(b)),
			cmp.Compare(boolRank(!a.locked), boolRank(!b.locked)),
			cmp.Compare(a.load, b.load), cmp.Compare(a.host.ID, b.host.ID))
	})
	for i, pl := range c.places {
		if pl.want = 0; uint64(i) < keep {
			pl.want = 1
		}
	}
	if n := uint64(len(c.places)); n < keep {
		c.short = keep - n
		c.unmet = true
	}
}

// outdated tells whether a running provider must be replaced: another image, or
// started with other configuration names, which are fixed at its start.
func (p *placement) outdated(pl *place) bool {
	if pl.inst == nil || pl.demand == nil || !pl.inst.Managed() {
		return false
	}
	sc := pl.demand.sc
	return !sc.matchesImage(pl.inst.Image) || !sc.sameConfigs(pl.inst, p.madeFor(pl))
}

// runProviders starts and stops. Providers can't be updated in place: where a
// second host is free the new one starts there before the old one stops, else
// the old one is stopped and started again; one at a time in either case, and
// none is stopped for what could not be started where it can be tried again.
func (p *placement) runProviders() {
	for _, c := range p.demands {
		if c.sc.fixed == nil {
			p.replaceProviders(c)
		}
	}
	for _, pl := range p.inOrder() {
		if pl.locked || pl.blocked {
			continue
		}
		switch {
		case pl.demand == nil || pl.want == 0:
			if pl.inst != nil && (pl.demand != nil || p.removable()) && p.yields(pl, 1) {
				p.stopProvider(pl, p.stopReason(pl))
			}
		case pl.inst == nil && pl.demand.held == "":
			p.startProvider(pl, pl.demand, fmt.Sprintf("spread %s wants it here, it does not run", pl.demand.sp.name))
		}
	}
}

// replaceProviders moves one step towards a demand without outdated providers.
func (p *placement) replaceProviders(c *demand) {
	var old *place
	proven := false
	for _, pl := range c.places {
		proven = proven || pl.inst != nil && !p.outdated(pl)
		if pl.fl != nil || pl.inst == nil && pl.want > 0 {
			// A step is under way, or instances are missing: no further one now.
			return
		}
		if old == nil && pl.want > 0 && !pl.locked && p.outdated(pl) {
			old = pl
		}
	}
	if old == nil || c.held != "" {
		return
	}
	spared := false
	if !c.sc.daemon {
		p.widen()
		var best *place
		wary := p.wary(c)
		for _, pl := range p.list {
			switch {
			case !c.eligible(pl.host) || !p.usable(pl, c):
			case wary && !p.tried(pl, c):
				spared = true
			case best == nil || better(pl, best) < 0:
				best = pl
			}
		}
		if best != nil {
			best.want = 1
			p.give(best, c)
			p.startProvider(best, c, fmt.Sprintf("takes over from the one on host %s, which runs %s", old.host, old.inst.Image))
			return
		}
	}
	if !spared && (proven || !p.hasFailed(c)) {
		p.stopProvider(old, fmt.Sprintf("makes room for image %s with its configuration", c.sc.image))
	}
}

// hasFailed tells whether the last start of a demand's image with its configuration
// has failed, however long ago, on a host that is free to try it again.
func (p *placement) hasFailed(c *demand) bool {
	for id, b := range p.waits {
		h := p.s.obs.Hosts[id]
		if b.scaler == c.sc.id && h != nil && c.eligible(h) && h.Workloads[p.u.id] == nil {
			return true
		}
	}
	return false
}

func (p *placement) startProvider(pl *place, c *demand, reason string) {
	if p.waiting(pl, c.sc.image) != nil {
		return
	}
	p.s.issue(lattice.Command{
		Kind: lattice.StartProvider, Host: pl.host.ID, Workload: p.u.id.ID, Image: c.sc.image,
		Annotations: c.sc.annotations(c.sp.name, c.sc.id), Config: c.sc.configs,
		App: c.sc.app, Scaler: c.sc.id, Reason: reason,
	}, false, p.now)
	pl.fl, pl.locked = p.flying(pl), true
}

func (p *placement) stopProvider(pl *place, reason string) {
	if p.waiting(pl, "") != nil {
		return
	}
	app := pl.inst.App()
	if pl.demand != nil {
		app = pl.demand.sc.app
	}
	p.s.issue(lattice.Command{
		Kind: lattice.StopProvider, Host: pl.host.ID, Workload: p.u.id.ID,
		Annotations: pl.inst.Annotations, App: app, Scaler: pl.inst.Annotations[lattice.AnnotationScaler], Reason: reason,
	}, true, p.now)
	pl.fl, pl.locked = p.flying(pl), true
}

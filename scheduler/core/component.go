package core

import (
	"cmp"
	"fmt"
	"slices"

	"wadm/scheduler/lattice"
)

// spreadComponents chooses hosts and counts for the component spread scalers:
// every spread gets at least one host as long as an assignment exists, what runs
// and is right stays, growth goes to the places with the fewest instances and
// shrinkage comes off those with the most.
func (p *placement) spreadComponents() {
	var open []*demand
	for _, c := range p.demands {
		if !c.sc.daemon {
			open = append(open, c)
		}
	}
	for _, c := range open {
		if c.sp.count > 0 && len(c.places) == 0 {
			p.widen()
			c.unmet = !p.augment(c, func(o *demand) bool { return len(o.places) > 1 || o.sp.count == 0 })
		}
	}
	p.widenDemands(open)
	for _, c := range open {
		p.level(c)
	}
}

// widenDemands deals free hosts to the demands that still have to grow, one at a
// time to the demand with the most instances per host, so that overlapping
// spreads share them evenly.
func (p *placement) widenDemands(demands []*demand) {
	type growing struct {
		*demand
		// deficit is what is missing; it takes that many fresh places at most.
		deficit, fresh uint64
		free           []*place
	}
	var grow []*growing
	total := uint64(0)
	for _, c := range demands {
		if have := sum(c.places); !c.unmet && have < c.sp.count {
			g := &growing{demand: c, deficit: c.sp.count - have}
			for _, pl := range c.places {
				if pl.cur == 0 {
					g.fresh++
				}
			}
			grow, total = append(grow, g), total+g.deficit
		}
	}
	for _, g := range grow {
		p.widen()
		g.free = p.free(g.demand, total)
	}
	for len(grow) > 0 {
		slices.SortStableFunc(grow, func(a, b *growing) int {
			// Held ones last; a.count/len(a.places) against b.count/len(b.places), without
			// division.
			return cmp.Or(cmp.Compare(boolRank(a.held != ""), boolRank(b.held != "")), cmp.Compare(b.sp.count*uint64(max(len(a.places), 1)), a.sp.count*uint64(max(len(b.places), 1))))
		})
		g := grow[0]
		for len(g.free) > 0 && g.free[0].demand != nil {
			g.free = g.free[1:]
		}
		if len(g.free) == 0 || g.fresh >= g.deficit || p.exhausted(g.demand) && g.free[0].inst == nil {
			grow = grow[1:]
			continue
		}
		if pl := g.free[0]; pl.cur == 0 {
			g.fresh++
		} else {
			g.deficit -= min(g.deficit, pl.cur)
		}
		p.give(g.free[0], g.demand)
	}
}

func sum(places []*place) (n uint64) {
	for _, pl := range places {
		n += pl.cur
	}
	return n
}

// level sets the wanted count of each of a demand's places: what is missing fills
// the lowest, what is too much comes off the highest. A place with a command in
// flight, or on which one has failed once, takes part and gets its own later; a
// silent one stays as it is, and one that keeps failing leaves its share to others.
func (p *placement) level(c *demand) {
	have := sum(c.places)
	var open []*place
	for _, pl := range c.places {
		pl.want = pl.cur
		if !pl.host.Silent && (p.waiting(pl, c.sc.image) == nil || pl.inst != nil && pl.failures < maxFailing) {
			open = append(open, pl)
		}
	}
	switch {
	case have < c.sp.count:
		slices.SortFunc(open, func(a, b *place) int {
			return cmp.Or(cmp.Compare(a.cur, b.cur), cmp.Compare(a.load, b.load), cmp.Compare(a.host.ID, b.host.ID))
		})
		c.short = fill(open, c.sp.count-have)
	case have > c.sp.count:
		slices.SortFunc(open, func(a, b *place) int {
			return cmp.Or(cmp.Compare(b.cur, a.cur), cmp.Compare(b.load, a.load), cmp.Compare(b.host.ID, a.host.ID))
		})
		drain(open, have-c.sp.count)
	}
}

// fill raises the lowest of places sorted by cur ascending until n more are
// placed, and returns what could not be placed: n when there is no place.
func fill(places []*place, n uint64) uint64 {
	if len(places) == 0 {
		return n
	}
	// k places can be raised to the level of the next one while n lasts.
	k, level := 1, places[0].cur
	for ; k < len(places); k++ {
		step := (places[k].cur - level) * uint64(k)
		if step > n {
			break
		}
		n -= step
		level = places[k].cur
	}
	level += n / uint64(k)
	extra := n % uint64(k)
	for i, pl := range places[:k] {
		pl.want = level
		if uint64(i) < extra {
			pl.want++
		}
	}
	return 0
}

// drain lowers the highest of places sorted by cur descending until n are gone.
func drain(places []*place, n uint64) {
	if len(places) == 0 {
		return
	}
	k, level := 1, places[0].cur
	for ; k < len(places); k++ {
		step := (level - places[k].cur) * uint64(k)
		if step > n {
			break
		}
		n -= step
		level = places[k].cur
	}
	cut, extra := n/uint64(k), n%uint64(k)
	if cut > level {
		cut, extra = level, 0
	}
	for i, pl := range places[:k] {
		pl.want = level - cut
		if uint64(i) < extra && pl.want > 0 {
			pl.want--
		}
	}
}

// runComponents issues the commands that make the places what they should be.
func (p *placement) runComponents() {
	p.updateImages()
	for _, pl := range p.inOrder() {
		if pl.locked || pl.blocked {
			continue
		}
		if pl.demand == nil || pl.want == 0 {
			if pl.inst != nil && (pl.demand != nil || p.removable()) && p.yields(pl, pl.runs()) {
				p.stopComponent(pl)
			}
			continue
		}
		if n := pl.runs(); pl.want >= n || p.yields(pl, n-pl.want) {
			p.scale(pl)
		}
	}
}

func (p *placement) stopComponent(pl *place) {
	if p.waiting(pl, pl.inst.Image) != nil {
		return
	}
	app := pl.inst.App()
	if pl.demand != nil {
		app = pl.demand.sc.app
	}
	p.s.issue(lattice.Command{
		Kind: lattice.ScaleComponent, Host: pl.host.ID, Workload: p.u.id.ID, Image: pl.inst.Image, Count: 0,
		Annotations: pl.inst.Annotations, App: app, Scaler: pl.inst.Annotations[lattice.AnnotationScaler], Reason: p.stopReason(pl),
	}, true, p.now)
}

// scale starts what is not there and corrects the count, the configuration names
// and the annotations of what is.
func (p *placement) scale(pl *place) {
	c := pl.demand
	if pl.inst != nil && !c.sc.matchesImage(pl.inst.Image) {
		// A scale command would change what the host reports, not what it runs.
		return
	}
	if p.overtaken(pl) {
		// The same if an update that was given up happened just before it.
		return
	}
	ann := c.sc.annotations(c.sp.name, c.sc.id)
	reason := ""
	switch i := pl.inst; {
	case i == nil:
		reason = fmt.Sprintf("spread %s wants %d here, nothing runs", c.sp.name, pl.want)
	case uint64(i.Max) != pl.want:
		reason = fmt.Sprintf("spread %s wants %d here, %d run", c.sp.name, pl.want, i.Max)
	case p.annotatedFor(pl, c):
		return
	default:
		reason = fmt.Sprintf("configuration or spread of %s changed", p.u.id.ID)
	}
	grows := pl.inst == nil || pl.want > uint64(pl.inst.Max) || !c.sc.sameConfigs(pl.inst, p.madeFor(pl))
	if grows && c.held != "" || p.waiting(pl, c.sc.image) != nil {
		return
	}
	p.s.issue(lattice.Command{
		Kind: lattice.ScaleComponent, Host: pl.host.ID, Workload: p.u.id.ID, Image: c.sc.image, Count: uint32(min(pl.want, maxCount)),
		Annotations: ann, Config: c.sc.configs, App: c.sc.app, Scaler: c.sc.id, Reason: reason,
	}, pl.inst != nil, p.now)
}

// overtaken tells whether an image update that is no longer wanted may still
// happen to what runs on a place.
func (p *placement) overtaken(pl *place) bool {
	return pl.inst != nil && len(p.s.overtaken[target{Host: pl.host.ID, Workload: p.u.id}]) > 0
}

// annotatedFor tells whether the annotations of an instance are right, or as right
// as the host lets them become.
func (p *placement) annotatedFor(pl *place, c *demand) bool {
	a := pl.inst.Annotations
	if a[lattice.AnnotationApp] == c.sc.app && a[lattice.AnnotationSpread] == c.sp.name && c.sc.sameConfigs(pl.inst, p.madeFor(pl)) {
		// The kind of rule may differ; that is no reason to touch what runs.
		return true
	}
	k := p.s.keptBy(p.u.id, pl.host.ID)
	return k != nil && k.scaler == c.sc.id && k.spread == c.sp.name
}

// madeFor is the rule whose configuration what runs on a place has.
func (p *placement) madeFor(pl *place) string { return p.s.madeFor(p.u.id, pl.host.ID, pl.inst) }

// updateImages replaces the code of what runs in place, so that the old one
// serves until the new one is ready: on one host first, on the others when that
// one shows the new image.
func (p *placement) updateImages() {
	for _, sc := range p.u.scalers {
		if sc.fixed != nil {
			continue
		}
		var old []*place
		held, proven, busy, failed := "", false, false, 0
		for _, c := range p.demands {
			if c.sc != sc {
				continue
			}
			held = c.held
			for _, pl := range c.places {
				switch {
				case pl.inst == nil:
				case sc.matchesImage(pl.inst.Image):
					proven = true
				case pl.fl != nil:
					busy = busy || pl.fl.cmd.Kind == lattice.UpdateComponent
				case p.waiting(pl, sc.image) != nil:
					failed++
				case !pl.locked && pl.want > 0:
					old = append(old, pl)
				}
			}
		}
		if len(old) == 0 || held != "" || !proven && (busy || failed >= maxFailing) {
			continue
		}
		slices.SortFunc(old, func(a, b *place) int { return cmp.Compare(a.host.ID, b.host.ID) })
		if !proven {
			old = old[:1]
		}
		for _, pl := range old {
			p.update(pl)
		}
	}
}

func (p *placement) update(pl *place) {
	c := pl.demand
	id := c.sc.id
	if made := p.madeFor(pl); !c.sc.sameConfigs(pl.inst, made) {
		// The update leaves the configuration as it is; the old scaler's id stays on
		// the instance to say so until a scale command has brought the new one.
		id = made
	}
	p.s.issue(lattice.Command{
		Kind: lattice.UpdateComponent, Host: pl.host.ID, Workload: p.u.id.ID, Image: c.sc.image, Count: pl.inst.Max,
		Annotations: c.sc.annotations(c.sp.name, id), App: c.sc.app, Scaler: c.sc.id,
		Reason: fmt.Sprintf("image %s replaces %s", c.sc.image, pl.inst.Image),
	}, true, p.now)
	pl.fl, pl.locked = p.flying(pl), true
}

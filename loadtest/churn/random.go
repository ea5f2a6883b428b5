package churn

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// gen makes random applications and changes them.
type gen struct {
	*rand.Rand
	images int
}

func pick[T any](g *gen, from []T) T { return from[g.IntN(len(from))] }

func (g *gen) chance(percent int) bool { return g.IntN(100) < percent }

// zones and tiers are the labels of hosts. No host is in the zone nowhere.
var (
	zones = []string{"a", "b", "c"}
	tiers = []string{"x", "y"}
)

func (g *gen) labels() map[string]string {
	return map[string]string{"zone": pick(g, zones), "tier": pick(g, tiers)}
}

// app makes a first version: one to three components, often a provider, linked.
func (g *gen) app(name string) *app {
	a := &app{name: name, version: "v1"}
	for i := range 1 + g.IntN(3) {
		a.works = append(a.works, g.component(a, fmt.Sprintf("c%d", i)))
	}
	if g.chance(70) {
		w := work{name: "p", provider: true, image: g.image(name, "p"), instances: 1 + g.IntN(3), daemon: g.chance(25)}
		w.spreads = g.providerSpreads()
		if g.chance(40) {
			w.configs = []conf{g.conf("p-conf")}
		}
		a.works = append(a.works, w)
	}
	for range 1 + g.IntN(3) {
		g.addLink(a)
	}
	return a
}

func (g *gen) component(a *app, name string) work {
	w := work{name: name, image: g.image(a.name, name), daemon: g.chance(20)}
	w.instances = g.IntN(9)
	if w.daemon {
		w.instances = 1 + g.IntN(3)
	}
	w.spreads = g.spreads()
	switch {
	case g.chance(40):
		w.configs = []conf{g.conf(name + "-conf")}
	case g.chance(15):
		w.configs = []conf{{name: "outside-" + a.name}, g.conf(name + "-conf")}
	}
	return w
}

// image names a fresh image. Most work at once.
func (g *gen) image(app, work string) string {
	g.images++
	ref := fmt.Sprintf("churn.test/%s/%s:%d", app, work, g.images)
	switch n := g.IntN(100); {
	case n < 20:
		return ref + "-slow"
	case n < 30:
		return ref + "-mute"
	case n < 40:
		return ref + "-flaky"
	case n < 45:
		return ref + "-bad"
	}
	return ref
}

func (g *gen) conf(name string) conf {
	return conf{name, map[string]string{"value": fmt.Sprint(g.IntN(1000))}}
}

// spreads are apart, over one another, or such that nobody can be found.
func (g *gen) spreads() []spread {
	weight := func() int { return pick(g, []int{0, 1, 30, 70, 100}) }
	switch g.IntN(6) {
	case 0, 1:
		return nil
	case 2:
		return []spread{{name: "only", labels: map[string]string{"zone": pick(g, zones)}}}
	case 3:
		out := []spread{}
		for _, z := range zones[:2+g.IntN(2)] {
			out = append(out, spread{name: "zone-" + z, labels: map[string]string{"zone": z}, weight: weight()})
		}
		return out
	case 4:
		return []spread{
			{name: "tier", labels: map[string]string{"tier": pick(g, tiers)}, weight: weight()},
			{name: "zone", labels: map[string]string{"zone": pick(g, zones)}, weight: weight()},
			{name: "any", weight: weight()},
		}
	default:
		return []spread{{name: "any", weight: weight()}, {name: "never", labels: map[string]string{"zone": "nowhere"}, weight: weight()}}
	}
}

// providerSpreads never overlap.
func (g *gen) providerSpreads() []spread {
	switch g.IntN(3) {
	case 0:
		return []spread{{name: "one", labels: map[string]string{"zone": "a"}}, {name: "two", labels: map[string]string{"zone": "b"}}}
	case 1:
		return []spread{{name: "tier", labels: map[string]string{"tier": pick(g, tiers)}}}
	}
	return nil
}

// addLink links two works that are not linked yet, if there are such.
func (g *gen) addLink(a *app) {
	from, to := g.IntN(len(a.works)), g.IntN(len(a.works))
	w := &a.works[from]
	if from == to || w.provider && a.works[to].provider {
		return
	}
	l := link{target: a.works[to].name, pkg: pick(g, []string{"http", "store"}), iface: "i-" + a.works[to].name}
	if slices.ContainsFunc(w.links, func(o link) bool { return o.target == l.target && o.pkg == l.pkg || o.pkg == l.pkg }) {
		return
	}
	name := fmt.Sprintf("%s-%s-%s", w.name, l.pkg, l.target)
	if g.chance(50) {
		l.source = []conf{g.conf(name + "-source")}
	}
	if g.chance(30) {
		l.dest = []conf{g.conf(name + "-dest")}
	}
	w.links = append(w.links, l)
}

// change makes another version out of a by one to three changes.
func (g *gen) change(a *app) *app {
	b := a.clone()
	for range 1 + g.IntN(3) {
		w := &b.works[g.IntN(len(b.works))]
		switch g.IntN(9) {
		case 0, 1:
			g.scale(w)
		case 2, 3:
			w.image = g.image(b.name, w.name)
		case 4:
			if w.provider {
				w.spreads = g.providerSpreads()
			} else {
				w.spreads = g.spreads()
			}
		case 5:
			g.reconfigure(w)
		case 6:
			if len(w.links) > 0 && g.chance(60) {
				g.relink(w)
			} else {
				g.addLink(b)
			}
		case 7:
			w.daemon = !w.daemon
		case 8:
			g.addOrRemove(b)
		}
	}
	return b
}

func (g *gen) scale(w *work) {
	if w.provider {
		w.instances = g.IntN(4)
		return
	}
	w.instances = g.IntN(9)
}

func (g *gen) reconfigure(w *work) {
	switch {
	case len(w.configs) == 0:
		w.configs = []conf{g.conf(w.name + "-conf")}
	case g.chance(30):
		w.configs = w.configs[:len(w.configs)-1]
	case g.chance(30):
		w.configs = append(w.configs, g.conf(fmt.Sprintf("%s-more%d", w.name, len(w.configs))))
	default:
		if c := &w.configs[g.IntN(len(w.configs))]; c.values != nil {
			*c = g.conf(c.name)
		}
	}
}

func (g *gen) relink(w *work) {
	i := g.IntN(len(w.links))
	l := &w.links[i]
	switch g.IntN(3) {
	case 0:
		w.links = slices.Delete(w.links, i, i+1)
	case 1:
		l.source = []conf{g.conf(fmt.Sprintf("%s-%s-%s-source", w.name, l.pkg, l.target))}
	case 2:
		l.dest = nil
	}
}

func (g *gen) addOrRemove(a *app) {
	if name := "extra"; a.work(name) == nil {
		a.works = append(a.works, g.component(a, name))
		return
	}
	a.works = slices.DeleteFunc(a.works, func(w work) bool { return w.name == "extra" })
	for i := range a.works {
		a.works[i].links = slices.DeleteFunc(slices.Clone(a.works[i].links), func(l link) bool { return l.target == "extra" })
	}
}

// mend replaces what cannot be had in a by what can.
func (g *gen) mend(a *app) *app {
	b := a.clone()
	for i := range b.works {
		if w := &b.works[i]; behaviour(w.image) == "bad" {
			g.images++
			w.image = fmt.Sprintf("churn.test/%s/%s:%d", b.name, w.name, g.images)
		}
	}
	return b
}

package core_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"wadm/scheduler/lattice"
	"wadm/tenancy"
	"wadm/tenancy/manifest"
)

// demand is one spread of one scaler, as the oracle sees it.
type demand struct {
	app, spread string
	daemon      bool
	image       string
	configs     []string
	labels      map[string]string
	// count of instances in all, of hosts for a provider, or per host for a daemon.
	count int
}

func (d demand) fits(h *host) bool {
	for k, v := range d.labels {
		if h.labels[k] != v {
			return false
		}
	}
	return true
}

// demands lists what the manifests want of each workload.
func demands(w *world) map[lattice.Workload][]demand {
	out := map[lattice.Workload][]demand{}
	for _, app := range slices.Sorted(maps.Keys(w.apps)) {
		for _, c := range w.apps[app].Spec.Components {
			x := lattice.Workload{ID: lattice.WorkloadID(manifest.ComponentID(app, c.Name, c.Properties.ID)), Provider: c.Type == manifest.TypeCapability}
			base := demand{app: app, image: *c.Properties.Image}
			for _, cfg := range c.Properties.Config {
				base.configs = append(base.configs, manifest.ConfigName(app, cfg))
			}
			for _, secret := range c.Properties.Secrets {
				base.configs = append(base.configs, manifest.SecretName(app, secret))
			}
			for _, t := range c.Traits {
				if t.Spread != nil {
					base.daemon = t.Type == manifest.TraitDaemonScaler
					out[x] = append(out[x], divide(base, t.Spread)...)
				}
			}
		}
	}
	return out
}

// divide shares the instances out one spread at a time.
func divide(base demand, s *manifest.SpreadScaler) []demand {
	spreads := slices.Clone(s.Spread)
	if len(spreads) == 0 {
		spreads = []manifest.Spread{{Name: "default"}}
	}
	weight := func(s manifest.Spread) int {
		if s.Weight == nil {
			return 100
		}
		return int(*s.Weight)
	}
	total := 0
	for _, sp := range spreads {
		total += weight(sp)
	}
	if total == 0 {
		total = len(spreads)
		weight = func(manifest.Spread) int { return 1 }
	}
	slices.SortStableFunc(spreads, func(a, b manifest.Spread) int { return cmp.Compare(weight(b), weight(a)) })
	n := int(s.Instances)
	left := n
	var out []demand
	for _, sp := range spreads {
		d := base
		d.spread, d.labels, d.count = sp.Name, sp.Requirements, n*weight(sp)/total
		left -= d.count
		out = append(out, d)
	}
	for i := range left {
		out[i].count++
	}
	if base.daemon {
		for i := range out {
			out[i].count = n
		}
	}
	return out
}

// most is how many of the slots can be served when each takes one host of those
// that fit and a host serves one: the size of a largest matching, by Kuhn's
// algorithm.
func most(slots []demand, hosts []*host) int {
	served := map[*host]int{}
	var try func(int, map[*host]bool) bool
	try = func(slot int, seen map[*host]bool) bool {
		for _, h := range hosts {
			if seen[h] || !slots[slot].fits(h) {
				continue
			}
			seen[h] = true
			if other, taken := served[h]; !taken || try(other, seen) {
				served[h] = slot
				return true
			}
		}
		return false
	}
	n := 0
	for i := range slots {
		if try(i, map[*host]bool{}) {
			n++
		}
	}
	return n
}

// verify compares a world at rest with its manifests, without placing anything.
func verify(w *world) (problems []string) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	var hosts []*host
	for _, id := range slices.Sorted(maps.Keys(w.hosts)) {
		if w.hosts[id].alive {
			hosts = append(hosts, w.hosts[id])
		}
	}
	wanted := demands(w)
	for x, ds := range wanted {
		verifyWorkload(x, ds, hosts, bad)
	}
	for _, h := range hosts {
		for x, i := range h.workloads {
			if app := i.annotations[lattice.AnnotationApp]; i.ours() && !slices.ContainsFunc(wanted[x], func(d demand) bool { return d.app == app }) {
				bad("leftover %s@%s of %s", x.ID, h.id, app)
			}
		}
		for x, i := range h.foreign {
			if h.workloads[x] != i {
				bad("foreign %s@%s is gone", x.ID, h.id)
			}
		}
	}
	if len(hosts) > 0 {
		verifyShared(w, bad)
		for _, app := range slices.Sorted(maps.Keys(w.statuses)) {
			if w.apps[app] == nil && w.statuses[app] != tenancy.StatusUndeployed {
				bad("%s is %s, though not deployed and gone", app, w.statuses[app])
			}
		}
	}
	return problems
}

func key(d demand) string { return d.app + "/" + d.spread }

func (i *workload) ours() bool {
	return i.annotations[lattice.AnnotationManagedBy] == lattice.ManagedBy
}

// verifyWorkload checks one workload on all hosts.
func verifyWorkload(x lattice.Workload, ds []demand, hosts []*host, bad func(string, ...any)) {
	daemons, spreads := false, false
	for _, d := range ds {
		daemons, spreads = daemons || d.daemon, spreads || !d.daemon
	}
	var open []*host
	ours := map[string][]*host{}
	foreign := map[int]int{}
	for _, h := range hosts {
		i := h.workloads[x]
		if i != nil && !i.ours() {
			for n, d := range ds {
				if d.fits(h) {
					foreign[n]++
				}
			}
			continue
		}
		open = append(open, h)
		if i != nil {
			app := i.annotations[lattice.AnnotationApp]
			ours[app] = append(ours[app], h)
			verifyInstance(x, app, ds, h, bad)
		} else if !spreads && slices.ContainsFunc(ds, func(d demand) bool { return d.fits(h) }) &&
			!slices.ContainsFunc(ds, func(d demand) bool { return d.fits(h) && d.count == 0 }) {
			bad("daemon %s is missing on %s", x.ID, h.id)
		}
	}
	if daemons {
		return // their hosts depend on who came first
	}
	// What each spread still needs, with what others run counted for providers.
	var slots []demand
	need := make([]int, len(ds))
	for n, d := range ds {
		if need[n] = d.count; x.Provider {
			need[n] = max(0, d.count-foreign[n])
		}
		for k := range need[n] {
			if x.Provider || k == 0 {
				slots = append(slots, d)
			}
		}
	}
	served := 0
	for app, on := range ours {
		n := attribute(x, app, ds, need, on, make([]int, len(ds)))
		if n < 0 {
			bad("%s of %s is not divided as wanted", x.ID, app)
			return
		}
		served += n
	}
	if slices.ContainsFunc(ds, func(d demand) bool { return d.app != ds[0].app }) {
		// Applications that share an id don't take places from each other, so only
		// what is free counts.
		verifyNothingFree(x, ds, need, open, bad)
		return
	}
	if can := most(slots, open); served != can {
		bad("%s: %d of %d placed, %d are possible", x.ID, served, len(slots), can)
	}
}

// verifyNothingFree checks that no spread is without any host while one is free.
func verifyNothingFree(x lattice.Workload, ds []demand, need []int, open []*host, bad func(string, ...any)) {
	for n, d := range ds {
		if need[n] == 0 || slices.ContainsFunc(open, func(h *host) bool {
			i := h.workloads[x]
			return i != nil && d.fits(h) && i.annotations[lattice.AnnotationApp] == d.app
		}) {
			continue
		}
		for _, h := range open {
			if d.fits(h) && h.workloads[x] == nil {
				bad("%s of %s has no host, %s is free", x.ID, key(d), h.id)
			}
		}
	}
}

// verifyInstance checks image, configuration and labels of one instance.
func verifyInstance(x lattice.Workload, app string, ds []demand, h *host, bad func(string, ...any)) {
	i := h.workloads[x]
	right := func(d demand) bool {
		return d.app == app && d.fits(h) && d.image == i.image && configured(d.configs, i.config) &&
			(!d.daemon || int(i.max) == d.count || x.Provider && d.count > 0)
	}
	if i.code != "" && i.code != i.image {
		bad("%s@%s runs %s and is called %s", x.ID, h.id, i.code, i.image)
	}
	if !slices.ContainsFunc(ds, right) {
		bad("%s@%s is %+v, wanted are %+v", x.ID, h.id, *i, ds)
	}
}

// configured compares the configurations of an instance with the wanted ones. A
// host does not notice that a secret is no longer wanted: the list it compares
// with has none.
func configured(want, have []string) bool {
	secret := func(n string) bool { return strings.HasPrefix(n, "SECRET") }
	have = slices.DeleteFunc(slices.Clone(have), func(n string) bool { return secret(n) && !slices.Contains(want, n) })
	return slices.Equal(want, have)
}

// attribute finds the best way to see the instances of an application as those
// of its spreads: each spread of a component has all it wants or nothing, one of
// a provider no more than it wants. It returns the number of slots served, or -1.
// The names that instances bear don't count: a host keeps its annotations when
// neither count nor configuration differ, so they may be those of another spread.
func attribute(x lattice.Workload, app string, ds []demand, need []int, on []*host, have []int) int {
	if len(on) == 0 {
		served := 0
		for n := range ds {
			switch {
			case have[n] > need[n] || !x.Provider && have[n] != 0 && have[n] != need[n]:
				return -1
			case x.Provider:
				served += have[n]
			case have[n] > 0:
				served++
			}
		}
		return served
	}
	best := -1
	for n, d := range ds {
		if d.app == app && d.fits(on[0]) {
			have[n] += int(on[0].workloads[x].max)
			best = max(best, attribute(x, app, ds, need, on[1:], have))
			have[n] -= int(on[0].workloads[x].max)
		}
	}
	return best
}

// verifyShared checks links and configurations: exactly those wanted are there.
func verifyShared(w *world, bad func(string, ...any)) {
	links, configs := map[lattice.LinkID]lattice.Link{}, map[string]map[string]string{}
	for app, m := range w.apps {
		own := func(list []manifest.Config) []string {
			names := []string{}
			for _, c := range list {
				configs[manifest.ConfigName(app, c)] = c.Properties
				names = append(names, manifest.ConfigName(app, c))
			}
			return names
		}
		for i := range m.Spec.Components {
			c := &m.Spec.Components[i]
			own(c.Properties.Config)
			for _, secret := range c.Properties.Secrets {
				policy, _ := m.Policy(secret.Policy)
				v, err := manifest.SecretValue(secret, policy)
				if err != nil {
					bad("secret %s: %v", secret.Name, err)
				}
				configs[manifest.SecretName(app, secret)] = v
			}
			for _, t := range c.Traits {
				if t.Link == nil || m.Component(t.Link.Target.Name) == nil {
					continue
				}
				to := m.Component(t.Link.Target.Name)
				l := lattice.Link{
					Source: lattice.WorkloadID(manifest.ComponentID(app, c.Name, c.Properties.ID)), Target: lattice.WorkloadID(manifest.ComponentID(app, to.Name, to.Properties.ID)),
					Name: "default", Namespace: t.Link.Namespace, Package: t.Link.Package, Interfaces: t.Link.Interfaces, SourceConfig: []string{}, TargetConfig: []string{},
				}
				if t.Link.Source != nil {
					l.SourceConfig = own(t.Link.Source.Config)
				}
				links[l.ID()] = l
			}
		}
	}
	for _, l := range w.links {
		want, ok := links[l.ID()]
		if !ok {
			bad("link %+v is left over", l.ID())
		} else if !want.Equal(l) {
			bad("link is %+v, want %+v", l, want)
		}
		delete(links, l.ID())
	}
	for id := range links {
		bad("link %+v is missing", id)
	}
	for n, v := range w.configs {
		want, ok := configs[n]
		if !ok {
			bad("configuration %s is left over", n)
		} else if !maps.Equal(want, v) {
			bad("configuration %s is %v, want %v", n, v, want)
		}
		delete(configs, n)
	}
	for n := range configs {
		bad("configuration %s is missing", n)
	}
}

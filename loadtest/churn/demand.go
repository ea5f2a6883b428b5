package churn

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
)

// wantedLink is a link as it must be in the lattice.
type wantedLink struct {
	From, To, Package, Interface string
	Source, Dest                 string // names, joined by commas
}

func (a *app) wantedLinks() []wantedLink {
	var out []wantedLink
	for _, w := range a.works {
		for _, l := range w.links {
			out = append(out, wantedLink{
				From: a.id(w.name), To: a.id(l.target), Package: l.pkg, Interface: l.iface,
				Source: strings.Join(a.configNames(l.source), ","), Dest: strings.Join(a.configNames(l.dest), ","),
			})
		}
	}
	return out
}

// wantedConfigs are the configurations the application owns, by name.
func (a *app) wantedConfigs() map[string]map[string]string {
	out := map[string]map[string]string{}
	add := func(cs []conf) {
		for _, c := range cs {
			if c.values != nil {
				out[a.configName(c)] = c.values
			}
		}
	}
	for _, w := range a.works {
		add(w.configs)
		for _, l := range w.links {
			add(l.source)
			add(l.dest)
		}
	}
	return out
}

// counts splits n by weight: the whole shares first, and what is left over goes
// one each to the heaviest, of equal ones to those named first.
func counts(n int, spreads []spread) []int {
	if len(spreads) == 0 {
		return []int{n}
	}
	weight := func(i int) int {
		if spreads[i].weight == 0 {
			return 100
		}
		return spreads[i].weight
	}
	order := make([]int, len(spreads))
	total := 0
	for i := range spreads {
		order[i] = i
		total += weight(i)
	}
	sort.SliceStable(order, func(x, y int) bool { return weight(order[x]) > weight(order[y]) })
	out := make([]int, len(spreads))
	left := n
	for i := range spreads {
		out[i] = n * weight(i) / total
		left -= out[i]
	}
	for k := range left {
		out[order[k%len(order)]]++
	}
	return out
}

func (w *work) effectiveSpreads() []spread {
	if len(w.spreads) == 0 {
		return []spread{{name: "default"}}
	}
	return w.spreads
}

func (s *spread) fits(labels map[string]string) bool {
	for k, v := range s.labels {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// holding is what one host has under one id.
type holding struct {
	host        lattice.HostID
	labels      map[string]string
	image       string
	annotations map[string]string
	max         int
	present     bool
}

func (h *holding) ours() bool {
	return h.present && h.annotations[lattice.AnnotationManagedBy] == "wadm"
}

// outlook tells what status an application must have at rest.
type outlook struct{ satisfied bool }

// check compares a lattice with what its world demands and lists what differs.
func check(l *simhost.Lattice, w *world, foreign []foreignWork) (problems []problem, outlooks map[string]outlook) {
	c := &checker{world: w, wanted: map[string]bool{}}
	for _, h := range l.Hosts() {
		inv := h.Inventory()
		c.hosts = append(c.hosts, inv)
		for _, k := range inv.Components {
			if code := h.Code(k.ID); code != k.Image {
				c.problem(k.ID, "host %s says %s runs %s, and it runs %s", short(inv.Host), k.ID, k.Image, code)
			}
		}
	}
	outlooks = map[string]outlook{}
	for _, name := range names(w.deployed) {
		a := w.deployed[name]
		satisfied := true
		for i := range a.works {
			if !c.work(a, &a.works[i]) {
				satisfied = false
			}
		}
		outlooks[name] = outlook{satisfied}
	}
	c.leftovers()
	c.links(l.Links())
	c.configs(l.Configs())
	c.foreign(foreign)
	return c.problems, outlooks
}

type checker struct {
	*world
	hosts    []lattice.Inventory
	wanted   map[string]bool // ids that some deployed application wants
	problems []problem
}

// problem is a difference, and the id or name it is about.
type problem struct{ about, text string }

func (c *checker) problem(about any, format string, args ...any) {
	c.problems = append(c.problems, problem{fmt.Sprint(about), fmt.Sprintf(format, args...)})
}

func short(id lattice.HostID) string { return string(id[:min(len(id), 8)]) }

// work checks one component or provider; it reports whether all it wants can be had.
func (c *checker) work(a *app, w *work) (satisfied bool) {
	id := lattice.WorkloadID(a.id(w.name))
	c.wanted[string(id)] = true
	var held []holding
	for _, inv := range c.hosts {
		h := holding{host: inv.Host, labels: inv.Labels}
		for _, k := range inv.Components {
			if k.ID == id {
				h.present, h.image, h.annotations, h.max = true, k.Image, k.Annotations, int(k.Max)
			}
		}
		for _, p := range inv.Providers {
			if p.ID == id {
				h.present, h.image, h.annotations, h.max = true, p.Image, p.Annotations, 1
			}
		}
		held = append(held, h)
		if h.ours() {
			if h.image != w.image {
				c.problem(id, "%s on %s runs %s, want %s", id, short(h.host), h.image, w.image)
			}
			if h.annotations[lattice.AnnotationApp] != a.name {
				c.problem(id, "%s on %s is annotated %v, want application %s", id, short(h.host), h.annotations, a.name)
			}
		}
	}
	switch {
	case w.daemon:
		return c.daemon(id, w, held)
	case w.provider:
		return c.provider(id, w, held)
	}
	return c.component(id, w, held)
}

// daemon: each host that fits a spread carries the count, others nothing.
func (c *checker) daemon(id lattice.WorkloadID, w *work, held []holding) bool {
	want := w.instances
	if w.provider {
		want = min(want, 1)
	}
	spreads := w.effectiveSpreads()
	reached := make([]bool, len(spreads))
	satisfied := true
	for _, h := range held {
		fits := false
		for i := range spreads {
			if spreads[i].fits(h.labels) {
				fits = true
				reached[i] = true
			}
		}
		switch {
		case h.present && !h.ours():
			if fits && !w.provider {
				satisfied = false
			}
		case fits && h.max != want:
			c.problem(id, "%s runs %d times on %s, want %d (daemon)", id, h.max, short(h.host), want)
		case !fits && h.present:
			c.problem(id, "%s runs on %s, which fits no spread", id, short(h.host))
		}
	}
	return satisfied && !slices.Contains(reached, false)
}

// provider: each spread, apart from the others, runs on as many hosts as wanted
// or as there are. What others run under the id counts.
func (c *checker) provider(id lattice.WorkloadID, w *work, held []holding) bool {
	spreads := w.effectiveSpreads()
	satisfied := true
	for i, n := range counts(w.instances, w.spreads) {
		eligible, ours, others := 0, 0, 0
		for _, h := range held {
			if !spreads[i].fits(h.labels) {
				continue
			}
			eligible++
			switch {
			case h.ours():
				ours++
			case h.present:
				others++
			}
		}
		want := max(min(n, eligible)-others, 0)
		if ours != want {
			c.problem(id, "%s runs on %d hosts of spread %s, want %d (%d wanted, %d eligible, %d run by others)", id, ours, spreads[i].name, want, n, eligible, others)
		}
		if eligible < n {
			satisfied = false
		}
	}
	for _, h := range held {
		if h.ours() && !slices.ContainsFunc(spreads, func(s spread) bool { return s.fits(h.labels) }) {
			c.problem(id, "%s runs on %s, which fits no spread", id, short(h.host))
		}
	}
	return satisfied
}

// component: the hosts can be shared out between the spreads, each host to one
// spread it fits, such that every spread has exactly its count or nothing, and no
// other way of sharing out all hosts serves more spreads.
func (c *checker) component(id lattice.WorkloadID, w *work, held []holding) bool {
	spreads := w.effectiveSpreads()
	want := counts(w.instances, w.spreads)
	wanted := 0
	for _, n := range want {
		if n > 0 {
			wanted++
		}
	}
	var free, running []holding
	for _, h := range held {
		if h.present && !h.ours() {
			continue // a host keeps one record per id, and this one is not ours
		}
		free = append(free, h)
		if h.present {
			running = append(running, h)
		}
	}
	possible := served(free, spreads, want)
	have := best(running, spreads, want)
	if have < 0 {
		c.problem(id, "%s runs %s, want %s", id, running2text(running), spreads2text(spreads, want))
	} else if have < possible {
		c.problem(id, "%s runs %s: %d spreads are served, %d could be of %s", id, running2text(running), have, possible, spreads2text(spreads, want))
	}
	return possible == wanted
}

// served is the largest number of spreads that can have a host each.
func served(hosts []holding, spreads []spread, want []int) int {
	most := 0
	used := make([]bool, len(hosts))
	var try func(i, n int)
	try = func(i, n int) {
		if i == len(spreads) {
			most = max(most, n)
			return
		}
		try(i+1, n)
		if want[i] == 0 {
			return
		}
		for k := range hosts {
			if !used[k] && spreads[i].fits(hosts[k].labels) {
				used[k] = true
				try(i+1, n+1)
				used[k] = false
			}
		}
	}
	try(0, 0)
	return most
}

// best shares running instances out between spreads and returns the largest
// number of spreads that have exactly what they want while the others have
// nothing; -1 when there is no such way.
func best(running []holding, spreads []spread, want []int) int {
	sums := map[string][]int{"": make([]int, len(spreads))}
	for _, h := range running {
		next := map[string][]int{}
		for _, s := range sums {
			for i := range spreads {
				if spreads[i].fits(h.labels) && s[i]+h.max <= want[i] {
					t := slices.Clone(s)
					t[i] += h.max
					next[fmt.Sprint(t)] = t
				}
			}
		}
		sums = next
	}
	most := -1
	for _, s := range sums {
		n := 0
		for i := range s {
			switch {
			case s[i] == want[i] && want[i] > 0:
				n++
			case s[i] != 0:
				n = -1 << 20
			}
		}
		most = max(most, n)
	}
	return max(most, -1)
}

func running2text(running []holding) string {
	if len(running) == 0 {
		return "nowhere"
	}
	var parts []string
	for _, h := range running {
		parts = append(parts, fmt.Sprintf("%d on %s (zone %s, tier %s, spread %s)", h.max, short(h.host), h.labels["zone"], h.labels["tier"], h.annotations[lattice.AnnotationSpread]))
	}
	return strings.Join(parts, ", ")
}

func spreads2text(spreads []spread, want []int) string {
	var parts []string
	for i := range spreads {
		parts = append(parts, fmt.Sprintf("%d for %s %v", want[i], spreads[i].name, spreads[i].labels))
	}
	return strings.Join(parts, ", ")
}

// leftovers finds work of ours that nothing deployed wants.
func (c *checker) leftovers() {
	for _, inv := range c.hosts {
		for _, k := range inv.Components {
			if k.Annotations[lattice.AnnotationManagedBy] == "wadm" && !c.wanted[string(k.ID)] {
				c.problem(k.ID, "component %s is left over on %s", k.ID, short(inv.Host))
			}
		}
		for _, p := range inv.Providers {
			if p.Annotations[lattice.AnnotationManagedBy] == "wadm" && !c.wanted[string(p.ID)] {
				c.problem(p.ID, "provider %s is left over on %s", p.ID, short(inv.Host))
			}
		}
	}
}

func linkOf(k lattice.Link) wantedLink {
	return wantedLink{
		From: string(k.Source), To: string(k.Target), Package: k.Package, Interface: strings.Join(k.Interfaces, ","),
		Source: strings.Join(k.SourceConfig, ","), Dest: strings.Join(k.TargetConfig, ","),
	}
}

func (c *checker) links(have []lattice.Link) {
	want := map[wantedLink]bool{}
	for _, a := range c.deployed {
		for _, l := range a.wantedLinks() {
			want[l] = true
		}
	}
	for _, k := range have {
		if k.Namespace != namespace {
			continue
		}
		if l := linkOf(k); want[l] {
			delete(want, l)
		} else {
			c.problem(l.From, "link %v should not be", l)
		}
	}
	for l := range want {
		c.problem(l.From, "link %v is missing", l)
	}
}

func (c *checker) configs(have map[string]map[string]string) {
	want := maps.Clone(c.outside)
	for _, a := range c.deployed {
		maps.Copy(want, a.wantedConfigs())
	}
	for _, name := range names(want) {
		if v, ok := have[name]; !ok || !maps.Equal(v, want[name]) {
			c.problem(name, "configuration %s is %v (set: %v), want %v", name, v, ok, want[name])
		}
	}
	for _, name := range names(have) {
		if _, ok := want[name]; !ok && name != foreignConfig {
			c.problem(name, "configuration %s is left over", name)
		}
	}
}

// foreign finds out what became of the work of others.
func (c *checker) foreign(all []foreignWork) {
	for _, f := range all {
		ok := false
		for _, inv := range c.hosts {
			if inv.Host != f.host {
				continue
			}
			for _, k := range inv.Components {
				ok = ok || !f.provider && k.ID == f.id && k.Image == foreignImage && k.Max == foreignMax && k.Annotations["owner"] == "operator"
			}
			for _, p := range inv.Providers {
				ok = ok || f.provider && p.ID == f.id && p.Image == foreignImage && p.Annotations["owner"] == "operator"
			}
		}
		if !ok {
			c.problem(f.id, "foreign %s on %s is no longer what it was", f.id, short(f.host))
		}
	}
}

// foreignWork is something of somebody else that runs on a host.
type foreignWork struct {
	host     lattice.HostID
	id       lattice.WorkloadID
	provider bool
}

// What others run and store.
const (
	foreignImage  = "churn.test/foreign:1"
	foreignMax    = 7
	foreignConfig = "foreign"
)

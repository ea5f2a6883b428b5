package churn

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Operation is one thing that is done to a lattice.
type Operation struct {
	// At is when, since the run began. An operation waits for those before it in
	// its lattice.
	At time.Duration
	// Kind of operation; the list is in plan.go.
	Kind string
	// Host is the number of the host it is done to, or -1.
	Host int
	// App and Version it is about, if any.
	App, Version string
	// For is how long a host is muted.
	For time.Duration

	spec   *app
	labels map[string]string
	// id of a workload, name of a configuration.
	id string
	// provider tells what kind of workload id is.
	provider bool
	link     *wantedLink
	values   map[string]string
	// choice decides between what is found at run time.
	choice int
}

func (o Operation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%8.3fs %s", o.At.Seconds(), o.Kind)
	if o.Host >= 0 {
		fmt.Fprintf(&b, " host %d", o.Host)
	}
	if o.App != "" {
		fmt.Fprintf(&b, " %s %s", o.App, o.Version)
	}
	if o.labels != nil {
		fmt.Fprintf(&b, " %v", o.labels)
	}
	if o.id != "" {
		fmt.Fprintf(&b, " %s", o.id)
	}
	if o.link != nil {
		fmt.Fprintf(&b, " %v", *o.link)
	}
	if o.For > 0 {
		fmt.Fprintf(&b, " for %v", o.For)
	}
	return b.String()
}

// latticePlan is what happens to one lattice, and what it then must be like.
type latticePlan struct {
	name string
	// hosts at the beginning, by number: their labels, nil for one that is not there.
	hosts []map[string]string
	ops   []Operation
	// end is the world after all operations.
	end world
}

// world is what operations made of a lattice, as far as they decide it.
type world struct {
	// hosts by number: labels of those that run, nil for others.
	hosts []map[string]string
	// deployed applications by name.
	deployed map[string]*app
	// apps are all names that were ever put.
	apps map[string]bool
	// outside are the configurations of others.
	outside map[string]map[string]string
}

// Plan is the whole schedule of a run.
type Plan struct {
	cfg      Config
	lattices []latticePlan
}

// NewPlan makes the schedule that cfg, with defaults filled in, asks for. The
// same configuration gives the same plan.
func NewPlan(cfg Config) (*Plan, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Plan{cfg: cfg}
	for i := range cfg.Lattices {
		p.lattices = append(p.lattices, planLattice(cfg, i))
	}
	return p, nil
}

// Operations lists what is done to each lattice, by its name.
func (p *Plan) Operations() map[string][]Operation {
	out := map[string][]Operation{}
	for _, l := range p.lattices {
		out[l.name] = slices.Clone(l.ops)
	}
	return out
}

// planner follows in its mind what its operations do.
type planner struct {
	*gen
	cfg Config
	at  time.Duration
	out *latticePlan
	w   world
	// busyUntil is when a muted host hears again.
	busyUntil []time.Duration
	// versions of each application in the order they were put, and how many there
	// ever were: no version is used twice.
	versions map[string][]*app
	count    map[string]int
	// changed is when an application was last deployed or undeployed.
	changed map[string]time.Duration
	// taken are ids of ours that somebody else runs on some host.
	taken []Operation
}

func planLattice(cfg Config, i int) latticePlan {
	p := &planner{
		gen: &gen{Rand: rand.New(rand.NewPCG(cfg.Seed, uint64(i)))}, cfg: cfg,
		out:       &latticePlan{name: fmt.Sprintf("%s%d", cfg.Prefix, i)},
		busyUntil: make([]time.Duration, cfg.Hosts),
		versions:  map[string][]*app{}, count: map[string]int{}, changed: map[string]time.Duration{},
		w: world{deployed: map[string]*app{}, apps: map[string]bool{}, outside: map[string]map[string]string{}},
	}
	for range cfg.Hosts {
		p.w.hosts = append(p.w.hosts, p.labels())
	}
	p.out.hosts = slices.Clone(p.w.hosts)
	for p.step(); p.at < cfg.Duration; p.step() {
		p.operate()
	}
	p.finish()
	p.out.end = p.w
	return *p.out
}

// step moves on by a random time with the configured mean.
func (p *planner) step() {
	p.at += time.Duration(p.ExpFloat64() * float64(time.Second) / p.cfg.Rate)
}

func (p *planner) do(o Operation) { o.At = p.at; p.out.ops = append(p.out.ops, o) }

// operate plans one operation. What is impossible now is left out.
func (p *planner) operate() {
	type choice struct {
		weight int
		fn     func()
	}
	choices := []choice{
		{16, p.upgrade}, {10, p.rescale}, {5, p.rollback}, {8, p.bringBack}, {6, p.undeploy}, {2, p.delete}, {2, p.deleteVersion}, {2, p.redeploy},
		{7, p.join}, {3, func() { p.leave("stop host") }}, {4, func() { p.leave("kill host") }}, {3, p.restart}, {5, p.relabel}, {4, p.mute},
		{12, func() { p.byHand("stop component", false) }}, {5, func() { p.byHand("stop provider", true) }}, {3, p.unlink}, {3, p.unset},
		{3, p.outside}, {4, p.foreign}, {2, p.takeID}, {2, p.freeID},
	}
	total := 0
	for _, c := range choices {
		total += c.weight
	}
	n := p.IntN(total)
	for _, c := range choices {
		if n -= c.weight; n < 0 {
			c.fn()
			return
		}
	}
}

// names lists keys in order, so that a choice depends on the seed alone.
func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// deploy plans the put of a version that is new, and its deployment.
func (p *planner) deploy(kind string, a *app) {
	p.count[a.name]++
	a.version = fmt.Sprintf("v%d", p.count[a.name])
	p.versions[a.name] = append(p.versions[a.name], a)
	p.w.apps[a.name] = true
	p.w.deployed[a.name] = a
	p.changed[a.name] = p.at
	p.do(Operation{Kind: kind, Host: -1, App: a.name, Version: a.version, spec: a})
}

func (p *planner) deployed() *app {
	if len(p.w.deployed) == 0 {
		return nil
	}
	return p.w.deployed[pick(p.gen, names(p.w.deployed))]
}

// upgrade deploys a new application, or a changed version of one.
func (p *planner) upgrade() {
	name := fmt.Sprintf("app-%d", p.IntN(p.cfg.Apps))
	switch a := p.w.deployed[name]; {
	case a != nil:
		p.deploy("upgrade", p.change(a))
	case p.free(name):
		p.deploy("deploy", p.app(name))
	}
}

// free tells whether an application may be deployed: not right after somebody
// else took one of its ids, because nobody could have known.
func (p *planner) free(name string) bool {
	return !slices.ContainsFunc(p.taken, func(o Operation) bool { return strings.HasPrefix(o.id, prefix(name)) && p.at-o.At < notice })
}

// notice is how long it takes to be noticed by anybody.
const notice = 3 * time.Second

func (p *planner) rescale() {
	if a := p.deployed(); a != nil {
		b := a.clone()
		p.scale(&b.works[p.IntN(len(b.works))])
		p.deploy("scale", b)
	}
}

// again deploys a version that was put before.
func (p *planner) again(kind string, a *app) {
	p.w.deployed[a.name] = a
	p.changed[a.name] = p.at
	p.do(Operation{Kind: kind, Host: -1, App: a.name, Version: a.version, spec: a})
}

func (p *planner) rollback() {
	if a := p.deployed(); a != nil {
		p.again("rollback", pick(p.gen, p.versions[a.name]))
	}
}

func (p *planner) redeploy() {
	if a := p.deployed(); a != nil {
		p.again("redeploy", a)
	}
}

// bringBack deploys an undeployed application.
func (p *planner) bringBack() {
	for _, name := range names(p.versions) {
		if vs := p.versions[name]; p.w.deployed[name] == nil && len(vs) > 0 && p.free(name) {
			p.again("bring back", vs[len(vs)-1])
			return
		}
	}
}

func (p *planner) undeploy() {
	if a := p.deployed(); a != nil {
		delete(p.w.deployed, a.name)
		p.changed[a.name] = p.at
		p.do(Operation{Kind: "undeploy", Host: -1, App: a.name})
	}
}

func (p *planner) delete() {
	if len(p.versions) == 0 {
		return
	}
	name := pick(p.gen, names(p.versions))
	delete(p.versions, name)
	delete(p.w.deployed, name)
	p.changed[name] = p.at
	p.do(Operation{Kind: "delete", Host: -1, App: name})
}

// deleteVersion deletes a version that is not deployed and not the last one.
func (p *planner) deleteVersion() {
	a := p.deployed()
	if a == nil {
		return
	}
	vs := p.versions[a.name]
	v := pick(p.gen, vs)
	if v.version == a.version || len(vs) < 2 {
		return
	}
	p.versions[a.name] = slices.DeleteFunc(slices.Clone(vs), func(o *app) bool { return o.version == v.version })
	p.do(Operation{Kind: "delete version", Host: -1, App: a.name, Version: v.version})
}

// hosts lists the numbers of hosts that run, or do not, and are not muted.
func (p *planner) hosts(running bool) []int {
	var out []int
	for i, labels := range p.w.hosts {
		if (labels != nil) == running && p.at >= p.busyUntil[i] {
			out = append(out, i)
		}
	}
	return out
}

func (p *planner) join() {
	if away := p.hosts(false); len(away) > 0 {
		i := pick(p.gen, away)
		p.w.hosts[i] = p.labels()
		p.do(Operation{Kind: "start host", Host: i, labels: p.w.hosts[i]})
	}
}

// fewest hosts that are left running, so that there always is somebody to ask.
const fewest = 2

func (p *planner) leave(kind string) {
	if there := p.hosts(true); len(there) > fewest {
		i := pick(p.gen, there)
		p.w.hosts[i] = nil
		p.do(Operation{Kind: kind, Host: i})
	}
}

func (p *planner) restart() {
	if there := p.hosts(true); len(there) > 0 {
		p.do(Operation{Kind: pick(p.gen, []string{"restart host", "replace host"}), Host: pick(p.gen, there)})
	}
}

func (p *planner) relabel() {
	if there := p.hosts(true); len(there) > 0 {
		i := pick(p.gen, there)
		p.w.hosts[i] = p.labels()
		p.do(Operation{Kind: "relabel host", Host: i, labels: p.w.hosts[i]})
	}
}

// longestSilence of a mute host, in heartbeats.
const longestSilence = 5

// mute silences a host: sometimes for so long that it is taken for lost.
func (p *planner) mute() {
	if there := p.hosts(true); len(there) > fewest {
		i, d := pick(p.gen, there), time.Duration(1+p.Int64N(int64(longestSilence*p.cfg.Heartbeat)))
		p.busyUntil[i] = p.at + d
		p.do(Operation{Kind: "mute host", Host: i, For: d})
	}
}

// byHand stops a workload the way an operator would.
func (p *planner) byHand(kind string, provider bool) {
	a := p.deployed()
	if a == nil {
		return
	}
	if w := pick(p.gen, a.works); w.provider == provider {
		p.do(Operation{Kind: kind, Host: -1, App: a.name, Version: a.version, id: a.id(w.name), provider: provider, choice: p.IntN(1 << 20)})
	}
}

func (p *planner) unlink() {
	if a := p.deployed(); a != nil {
		if ls := a.wantedLinks(); len(ls) > 0 {
			l := pick(p.gen, ls)
			p.do(Operation{Kind: "delete link", Host: -1, App: a.name, link: &l})
		}
	}
}

func (p *planner) unset() {
	if a := p.deployed(); a != nil {
		if cs := a.wantedConfigs(); len(cs) > 0 {
			p.do(Operation{Kind: "delete configuration", Host: -1, App: a.name, id: pick(p.gen, names(cs))})
		}
	}
}

// outside sets a configuration that applications use and do not own.
func (p *planner) outside() {
	p.setOutside(fmt.Sprintf("outside-app-%d", p.IntN(p.cfg.Apps)))
}

func (p *planner) setOutside(name string) {
	p.w.outside[name] = map[string]string{"value": fmt.Sprint(p.IntN(1000))}
	p.do(Operation{Kind: "set configuration", Host: -1, id: name, values: p.w.outside[name]})
}

// foreign starts work of somebody else that has nothing to do with ours.
func (p *planner) foreign() {
	if there := p.hosts(true); len(there) > 0 {
		p.do(Operation{Kind: "start foreign", Host: pick(p.gen, there), id: fmt.Sprintf("foreign-%d", p.IntN(3)), provider: p.chance(50)})
	}
}

// takeID starts work of somebody else under an id of an application that is not
// deployed, long after it was: commands to it may no longer be under way.
func (p *planner) takeID() {
	there := p.hosts(true)
	if len(there) == 0 {
		return
	}
	for _, name := range names(p.count) {
		vs := p.versions[name]
		if p.w.deployed[name] != nil || len(vs) == 0 || p.at-p.changed[name] < 2*notice {
			continue
		}
		a := vs[len(vs)-1]
		w := pick(p.gen, a.works)
		o := Operation{At: p.at, Kind: "take id", Host: pick(p.gen, there), id: a.id(w.name), provider: w.provider}
		p.taken = append(p.taken, o)
		p.do(o)
		return
	}
}

// freeID stops what took an id.
func (p *planner) freeID() {
	if len(p.taken) > 0 {
		i := p.IntN(len(p.taken))
		o := p.taken[i]
		p.taken = slices.Delete(p.taken, i, i+1)
		p.do(Operation{Kind: "free id", Host: o.Host, id: o.id, provider: o.provider})
	}
}

// finish makes the world one that can come to rest.
func (p *planner) finish() {
	p.at = p.cfg.Duration
	for _, name := range names(p.w.deployed) {
		if a := p.w.deployed[name]; a.broken() {
			p.deploy("mend", p.mend(a))
		}
	}
	for _, name := range names(p.w.deployed) {
		for _, w := range p.w.deployed[name].works {
			for _, c := range w.configs {
				if c.values == nil && p.w.outside[c.name] == nil {
					p.setOutside(c.name)
				}
			}
		}
	}
}

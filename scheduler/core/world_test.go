package core_test

import (
	"cmp"
	"container/heap"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"wadm/scheduler/core"
	"wadm/scheduler/lattice"
	"wadm/tenancy"
	"wadm/tenancy/manifest"
)

// world is a lattice in miniature: hosts that behave as 1.x hosts do, driven by
// the decisions of a core.State in fake time.
type world struct {
	cfg   core.Config
	core  *core.State
	now   time.Time
	queue actions
	seq   int

	hosts   map[lattice.HostID]*host
	links   []lattice.Link
	configs map[string]map[string]string
	apps    map[string]*manifest.Manifest
	images  map[string]image

	wake     time.Time
	snapshot []byte
	// saveDelay is how long a snapshot waits that no command waits for, saving the
	// owner that will store one.
	saveDelay time.Duration
	saving    int
	ledger    map[string]lattice.Command
	bootedAt  time.Time
	restarts  int

	// log is the trace of what happened since it was last taken.
	log, history []string
	// statuses are the last of each application.
	statuses map[string]tenancy.StatusType
	// askedAt is when a host was last asked for something.
	askedAt map[target]time.Time
	// sent counts commands; broken collects violated guarantees.
	sent   int
	broken []string
	// meddle changes or swallows the delivery of an event; nil delivers it at once.
	meddle func(kind lattice.EventKind, event []byte) []time.Duration
	// mislaid swallows events by kind, deaf commands on their way to a host; nil
	// swallows none.
	mislaid func(lattice.EventKind) bool
	deaf    func(lattice.Command) bool
	// twice: what any host can do is asked of another one when a mute one got it.
	twice bool
	// lag is how far a list of links is behind, shown the list that is told.
	lag   time.Duration
	shown []lattice.Link
	// unlucky may hand what any host can do to a mute one; nil does not.
	unlucky func(*host) *host
	// watch looks on after everything that happens.
	watch func()
}

// target is a workload on a host.
type target struct {
	host     lattice.HostID
	workload lattice.Workload
}

// image says how a reference behaves.
type image struct {
	fetch time.Duration
	fail  string
	mutes bool
}

// host is one simulated host.
type host struct {
	id       lattice.HostID
	labels   map[string]string
	interval time.Duration
	alive    bool
	// cut: alive, but nothing reaches it and nothing it says arrives.
	cut bool
	// skew is added to the time of its events.
	skew time.Duration
	// fails is why nothing can be started on it, empty when everything can.
	fails string
	// busy: until then the host is mute, and does everything afterwards.
	busy      time.Time
	workloads map[lattice.Workload]*workload
	// foreign are the workloads of someone else that must stay.
	foreign map[lattice.Workload]*workload
	epoch   int
}

type workload struct {
	image       string
	annotations map[string]string
	max         uint32
	config      []string
	// code is the image that really runs; image is what the host calls it.
	code string
}

// keyOf names the workload a command is about.
func keyOf(c lattice.Command) lattice.Workload {
	return lattice.Workload{ID: c.Workload, Provider: c.Kind == lattice.StartProvider || c.Kind == lattice.StopProvider}
}

type action struct {
	at  time.Time
	seq int
	do  func()
}

type actions []action

func (a actions) Len() int { return len(a) }
func (a actions) Less(i, j int) bool {
	return a[i].at.Before(a[j].at) || a[i].at.Equal(a[j].at) && a[i].seq < a[j].seq
}
func (a actions) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *actions) Push(x any)   { *a = append(*a, x.(action)) }
func (a *actions) Pop() any     { x := (*a)[len(*a)-1]; *a = (*a)[:len(*a)-1]; return x }

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newWorld() *world { return newWorldWith(core.Config{}) }

func newWorldWith(cfg core.Config) *world {
	w := &world{
		cfg: cfg,
		now: start, hosts: map[lattice.HostID]*host{}, configs: map[string]map[string]string{},
		apps: map[string]*manifest.Manifest{}, images: map[string]image{}, ledger: map[string]lattice.Command{},
		askedAt: map[target]time.Time{}, statuses: map[string]tenancy.StatusType{},
	}
	w.boot()
	return w
}

// boot starts a new owner with what the last one stored.
func (w *world) boot() {
	w.restarts++
	w.bootedAt = w.now
	w.cfg.Prefix = fmt.Sprintf("test.%d", w.restarts)
	w.core = core.New(w.cfg)
	var doubt []lattice.Command
	for _, id := range slices.Sorted(maps.Keys(w.ledger)) {
		doubt = append(doubt, w.ledger[id])
	}
	d, err := w.core.Start(w.snapshot, doubt, w.now)
	if err != nil {
		panic(err)
	}
	w.apply(d)
	w.desired()
}

// die takes the owner away: until the next boot nobody looks at the lattice.
func (w *world) die() {
	w.restarts++
	w.core, w.wake = nil, time.Time{}
}

func (w *world) desired() {
	if w.core == nil {
		return
	}
	d, err := w.core.Desired(maps.Clone(w.apps), w.now)
	if err != nil {
		panic(err)
	}
	w.apply(d)
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, action{w.now.Add(d), w.seq, do})
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for {
		next := end
		if len(w.queue) > 0 && w.queue[0].at.Before(next) {
			next = w.queue[0].at
		}
		if !w.wake.IsZero() && w.wake.Before(next) {
			w.now = later(w.now, w.wake)
			w.wake = time.Time{}
			w.apply(w.core.Tick(w.now))
			continue
		}
		if len(w.queue) == 0 || w.queue[0].at.After(end) {
			w.now = end
			return
		}
		a := heap.Pop(&w.queue).(action)
		w.now = later(w.now, a.at)
		a.do()
		if w.watch != nil {
			w.watch()
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (w *world) logf(format string, args ...any) {
	line := fmt.Sprintf("%7.3f ", w.now.Sub(start).Seconds()) + fmt.Sprintf(format, args...)
	w.log, w.history = append(w.log, line), append(w.history, line)
}

// apply carries out a decision.
func (w *world) apply(d core.Decision) {
	if d.Unchanged {
		if !d.Wake.IsZero() {
			w.wake = d.Wake
		}
		return
	}
	w.wake = d.Wake
	if err := w.core.CheckLinks(); err != nil {
		w.broken = append(w.broken, err.Error())
	}
	if d.State != nil {
		w.snapshot = d.State
	}
	if (d.Stale || d.Fewer) && w.saving != w.restarts {
		gen := w.restarts
		save := func() {
			if gen == w.restarts {
				w.snapshot, w.saving = w.core.Snapshot(), 0
			}
		}
		if w.saving = gen; w.saveDelay == 0 {
			save()
		} else {
			w.after(w.saveDelay, save)
		}
	}
	for _, id := range d.Resolved {
		w.history = append(w.history, "resolved "+id)
		delete(w.ledger, id)
	}
	gen := w.restarts
	for _, c := range d.Commands {
		w.ledger[c.ID], w.askedAt[target{c.Host, keyOf(c)}] = c, w.now
		w.sent++
		w.logf("%s", describe(c))
		w.after(time.Millisecond, func() { w.send(c, gen) })
	}
	for _, st := range d.Statuses {
		w.statuses[st.App] = st.Status.Status.Type
		w.logf("status %s: %s %s", st.App, st.Status.Status.Type, st.Status.Status.Message)
	}
	for _, q := range d.Queries {
		w.history = append(w.history, fmt.Sprintf("query %+v", q))
		w.after(time.Millisecond, func() { w.query(q, gen) })
	}
}

func describe(c lattice.Command) string {
	switch c.Kind {
	case lattice.ScaleComponent:
		return fmt.Sprintf("scale %s@%s to %d of %s (%s)", c.Workload, c.Host, c.Count, c.Image, c.Reason)
	case lattice.PutLink, lattice.DeleteLink:
		return fmt.Sprintf("%s %s->%s %s:%s (%s)", strings.ReplaceAll(string(c.Kind), "_", " "), c.Link.Source, c.Link.Target, c.Link.Namespace, c.Link.Package, c.Reason)
	case lattice.PutConfig, lattice.DeleteConfig:
		return fmt.Sprintf("%s %s (%s)", strings.ReplaceAll(string(c.Kind), "_", " "), c.ConfigName, c.Reason)
	}
	return fmt.Sprintf("%s %s@%s %s (%s)", strings.ReplaceAll(string(c.Kind), "_", " "), c.Workload, c.Host, c.Image, c.Reason)
}

// reply hands something to the owner that asked, unless it was replaced meanwhile.
func (w *world) reply(gen int, f func() core.Decision) {
	if gen == w.restarts {
		w.apply(f())
	}
}

func (w *world) query(q core.Query, gen int) {
	switch q.Kind {
	case core.AskHosts:
		w.after(100*time.Millisecond, func() {
			var ids []lattice.HostID
			for id, h := range w.hosts {
				if h.alive && !h.cut && !h.mute(w) {
					ids = append(ids, id)
				}
			}
			w.reply(gen, func() core.Decision { return w.core.HostsListed(ids, w.now) })
		})
	case core.AskInventory:
		h := w.hosts[q.Host]
		if h == nil || !h.alive || h.cut {
			w.reply(gen, func() core.Decision { return w.core.InventoryFailed(q.Host, true, w.now) })
			return
		}
		if left := h.busy.Sub(w.now); h.mute(w) && left < 2*time.Second {
			// It answers after everything else it was asked, as if nothing had been.
			w.after(left+time.Microsecond, func() { w.query(q, gen) })
			return
		}
		if h.mute(w) {
			w.after(2*time.Second, func() {
				w.reply(gen, func() core.Decision { return w.core.InventoryFailed(q.Host, false, w.now) })
			})
			return
		}
		inv, err := lattice.DecodeInventory(h.inventory(w))
		if err != nil {
			panic(err)
		}
		w.reply(gen, func() core.Decision { return w.core.InventoryRead(inv, w.now) })
	case core.AskLinks:
		if w.anyone() == nil {
			w.reply(gen, func() core.Decision { return w.core.LinksFailed(w.now) })
			return
		}
		links := slices.Clone(w.links)
		if w.lag > 0 {
			links = slices.Clone(w.shown)
		}
		w.reply(gen, func() core.Decision { return w.core.LinksListed(links, w.now) })
	case core.AskConfig:
		if w.anyone() == nil {
			w.reply(gen, func() core.Decision { return w.core.ConfigFailed(q.Config, w.now) })
			return
		}
		v, ok := w.configs[q.Config]
		w.reply(gen, func() core.Decision { return w.core.ConfigRead(q.Config, v, ok, w.now) })
	}
}

// anyone is a host that answers requests to the queue group.
func (w *world) anyone() *host {
	for _, id := range slices.Sorted(maps.Keys(w.hosts)) {
		if h := w.hosts[id]; h.alive && !h.cut && !h.mute(w) {
			return h
		}
	}
	return nil
}

func (h *host) mute(w *world) bool { return w.now.Before(h.busy) }

func (w *world) send(c lattice.Command, gen int) {
	answer := func(r lattice.Reply) { w.reply(gen, func() core.Decision { return w.core.Reply(c, r, w.now) }) }
	if w.deaf != nil && w.deaf(c) {
		w.after(2*time.Second, func() { answer(lattice.Reply{Outcome: lattice.Unknown}) })
		return
	}
	if c.Host == "" {
		h := w.anyone()
		if w.unlucky != nil {
			h = w.unlucky(h)
		}
		switch {
		case h == nil:
			answer(lattice.Reply{Outcome: lattice.Undelivered})
		case h.mute(w):
			epoch := h.epoch
			w.after(h.busy.Sub(w.now), func() {
				if h.alive && h.epoch == epoch {
					w.shared(h, c)
				}
			})
			// Another host is asked after a second; the answer is that of either.
			w.after(time.Second, func() {
				if h := w.anyone(); h != nil && w.twice {
					answer(w.shared(h, c))
				} else {
					w.after(time.Second, func() { answer(lattice.Reply{Outcome: lattice.Unknown}) })
				}
			})
		default:
			answer(w.shared(h, c))
		}
		return
	}
	h := w.hosts[c.Host]
	switch {
	case h == nil || !h.alive || h.cut:
		answer(lattice.Reply{Outcome: lattice.Undelivered})
	case h.mute(w):
		epoch := h.epoch
		w.after(h.busy.Sub(w.now), func() {
			if h.alive && h.epoch == epoch {
				h.execute(w, c, func(lattice.Reply) {})
			}
		})
		w.after(2*time.Second, func() { answer(lattice.Reply{Outcome: lattice.Unknown}) })
	default:
		h.execute(w, c, answer)
	}
}

// shared executes a link or configuration command.
func (w *world) shared(h *host, c lattice.Command) lattice.Reply {
	ok := lattice.Reply{Outcome: lattice.Accepted}
	w.after(w.lag, func() { w.shown = slices.Clone(w.links) })
	switch c.Kind {
	case lattice.PutConfig:
		w.configs[c.ConfigName] = maps.Clone(c.ConfigValue)
		w.emit(h, lattice.ConfigSet, map[string]any{"config_name": c.ConfigName})
	case lattice.DeleteConfig:
		delete(w.configs, c.ConfigName)
		w.emit(h, lattice.ConfigDeleted, map[string]any{"config_name": c.ConfigName})
	case lattice.PutLink:
		for _, n := range append(slices.Clone(c.Link.SourceConfig), c.Link.TargetConfig...) {
			if _, there := w.configs[n]; !there {
				return lattice.Reply{Outcome: lattice.Refused, Message: "Configuration " + n + " not found in config store."}
			}
		}
		at := -1
		for i, l := range w.links {
			if l.ID() == c.Link.ID() {
				at = i
			} else if l.Source == c.Link.Source && l.Name == c.Link.Name && l.Namespace == c.Link.Namespace && l.Package == c.Link.Package &&
				slices.ContainsFunc(l.Interfaces, func(x string) bool { return slices.Contains(c.Link.Interfaces, x) }) {
				return lattice.Reply{Outcome: lattice.Refused, Message: "link already exists with different target"}
			}
		}
		if at >= 0 {
			w.links[at] = *c.Link
		} else {
			w.links = append(w.links, *c.Link)
		}
		w.emit(h, lattice.LinkSet, *c.Link)
	case lattice.DeleteLink:
		for i, l := range w.links {
			if l.Source == c.Link.Source && l.Name == c.Link.Name && l.Namespace == c.Link.Namespace && l.Package == c.Link.Package {
				w.links = slices.Delete(w.links, i, i+1)
				w.emit(h, lattice.LinkDeleted, l)
				break
			}
		}
	}
	return ok
}

// execute does what a 1.9.2 host does, quirks included.
func (h *host) execute(w *world, c lattice.Command, answer func(lattice.Reply)) {
	accepted := lattice.Reply{Outcome: lattice.Accepted}
	have := h.workloads[keyOf(c)]
	epoch := h.epoch
	later := func(d time.Duration, do func()) {
		w.after(d, func() {
			if h.alive && h.epoch == epoch {
				do()
			}
		})
	}
	switch c.Kind {
	case lattice.ScaleComponent:
		answer(accepted)
		if have != nil && have.annotations[lattice.AnnotationManagedBy] != lattice.ManagedBy {
			w.broken = append(w.broken, fmt.Sprintf("foreign %s@%s was scaled", c.Workload, h.id))
		}
		if have != nil && c.Count > 0 && have.image != c.Image {
			w.broken = append(w.broken, fmt.Sprintf("%s@%s was scaled with another image", c.Workload, h.id))
		}
		if have != nil {
			later(time.Millisecond, func() { h.rescale(w, c) })
			return
		}
		if c.Count == 0 {
			later(time.Millisecond, func() { h.scaled(w, c.Workload, c.Image, c.Annotations, 0) })
			return
		}
		im := w.images[c.Image]
		if im.mutes {
			h.busy = w.now.Add(im.fetch)
		}
		later(im.fetch, func() { h.start(w, c, im) })
	case lattice.UpdateComponent:
		if have == nil {
			answer(lattice.Reply{Outcome: lattice.Refused, Message: "component ID not found"})
			return
		}
		answer(accepted)
		im := w.images[c.Image]
		if im.fail != "" || have.image == c.Image {
			return
		}
		later(im.fetch, func() {
			if have := h.workloads[keyOf(c)]; have != nil {
				have.image, have.code, have.annotations = c.Image, c.Image, maps.Clone(c.Annotations)
				h.scaled(w, c.Workload, c.Image, c.Annotations, have.max)
				h.scaled(w, c.Workload, c.Image, c.Annotations, 0)
			}
		})
	case lattice.StartProvider:
		if have != nil {
			answer(lattice.Reply{Outcome: lattice.Refused, Message: "provider with that ID is already running"})
			return
		}
		answer(accepted)
		im := w.images[c.Image]
		later(im.fetch, func() {
			fail := im.fail
			if h.workloads[keyOf(c)] != nil {
				fail = "provider is already running with that ID"
			}
			if fail != "" {
				w.emit(h, lattice.ProviderStartFailed, map[string]any{"provider_ref": c.Image, "provider_id": c.Workload, "host_id": h.id, "error": fail})
				return
			}
			h.workloads[keyOf(c)] = &workload{image: lattice.BareImage(c.Image), annotations: c.Annotations, max: 1, config: c.Config}
			w.emit(h, lattice.ProviderStarted, map[string]any{"provider_id": c.Workload, "image_ref": lattice.BareImage(c.Image), "annotations": c.Annotations, "host_id": h.id})
		})
	case lattice.StopProvider:
		if have == nil {
			answer(lattice.Reply{Outcome: lattice.Refused, Message: "provider with that ID is not running"})
			return
		}
		if have.annotations[lattice.AnnotationManagedBy] != lattice.ManagedBy {
			w.broken = append(w.broken, fmt.Sprintf("foreign provider %s@%s was stopped", c.Workload, h.id))
		}
		delete(h.workloads, keyOf(c))
		w.emit(h, lattice.ProviderStopped, map[string]any{"provider_id": c.Workload, "annotations": have.annotations, "host_id": h.id, "reason": "stop"})
		answer(accepted)
	}
}

func (h *host) start(w *world, c lattice.Command, im image) {
	fail := cmp.Or(h.fails, im.fail)
	for _, n := range c.Config {
		if _, there := w.configs[n]; !there && fail == "" {
			fail = "Unable to fetch requested config: Config " + n + " does not exist"
		}
	}
	if fail != "" {
		w.emit(h, lattice.ComponentScaleFailed, map[string]any{"component_id": c.Workload, "image_ref": c.Image, "max_instances": c.Count, "annotations": c.Annotations, "host_id": h.id, "error": fail})
		return
	}
	if h.workloads[keyOf(c)] != nil {
		h.rescale(w, c)
		return
	}
	h.workloads[keyOf(c)] = &workload{image: c.Image, code: c.Image, annotations: c.Annotations, max: c.Count, config: c.Config}
	h.scaled(w, c.Workload, c.Image, c.Annotations, c.Count)
	h.scaled(w, c.Workload, c.Image, c.Annotations, c.Count)
}

// rescale changes a running component; the event shows what held before.
func (h *host) rescale(w *world, c lattice.Command) {
	have := h.workloads[keyOf(c)]
	if have == nil {
		return
	}
	before := *have
	if c.Count == 0 {
		delete(h.workloads, keyOf(c))
		h.scaled(w, c.Workload, before.image, before.annotations, 0)
		return
	}
	// The list compared with leaves out the secrets, the one asked for does not.
	stored := slices.DeleteFunc(slices.Clone(have.config), func(n string) bool { return strings.HasPrefix(n, "SECRET") })
	if have.max != c.Count || !slices.Equal(stored, c.Config) {
		have.max, have.config, have.annotations, have.image = c.Count, c.Config, c.Annotations, c.Image
	}
	h.scaled(w, c.Workload, before.image, before.annotations, c.Count)
}

func (h *host) scaled(w *world, id lattice.WorkloadID, image string, ann map[string]string, n uint32) {
	if ann == nil {
		ann = map[string]string{}
	}
	w.emit(h, lattice.ComponentScaled, map[string]any{"component_id": id, "image_ref": image, "annotations": ann, "max_instances": n, "host_id": h.id})
}

func (h *host) inventory(world *world) []byte {
	components, providers := []any{}, []any{}
	for _, w := range slices.SortedFunc(maps.Keys(h.workloads), lattice.Workload.Compare) {
		x := h.workloads[w]
		e := map[string]any{"id": w.ID, "image_ref": x.image, "annotations": x.annotations, "revision": 0}
		if w.Provider {
			providers = append(providers, e)
		} else {
			e["max_instances"] = x.max
			components = append(components, e)
		}
	}
	return mustJSON(map[string]any{"components": components, "providers": providers, "host_id": h.id, "friendly_name": "host-" + h.id,
		"labels": h.labels, "version": "1.9.2", "uptime_human": "1s", "uptime_seconds": int(world.now.Sub(start).Seconds())})
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// emit publishes an event of a host.
func (w *world) emit(h *host, kind lattice.EventKind, data any) {
	raw, ok := data.(json.RawMessage)
	if !ok {
		raw = mustJSON(data)
	}
	w.seq++
	ev := mustJSON(map[string]any{"specversion": "1.0", "id": fmt.Sprintf("e%d", w.seq), "type": lattice.TypePrefix + string(kind),
		"source": h.id, "datacontenttype": "application/json", "time": w.now.Add(h.skew).Add(time.Duration(w.seq)).Format(time.RFC3339Nano), "data": raw})
	if h.cut || w.mislaid != nil && w.mislaid(kind) {
		return
	}
	delays := []time.Duration{0}
	if w.meddle != nil {
		delays = w.meddle(kind, ev)
	}
	for _, d := range delays {
		w.after(d, func() {
			if w.core != nil {
				w.apply(w.core.Event(ev, w.now))
			}
		})
	}
}

func newHost(id lattice.HostID) *host { return &host{id: id, interval: 10 * time.Second} }

// addHost starts a host.
func (w *world) addHost(id lattice.HostID, labels map[string]string) *host {
	h := w.hosts[id]
	if h == nil {
		h = newHost(id)
		w.hosts[id] = h
	}
	h.alive, h.cut, h.labels, h.busy = true, false, labels, time.Time{}
	h.workloads, h.foreign = map[lattice.Workload]*workload{}, map[lattice.Workload]*workload{}
	h.epoch++
	w.emit(h, lattice.HostStarted, map[string]any{"friendly_name": "host-" + id, "labels": labels, "version": "1.9.2", "uptime_seconds": 0})
	w.beat(h, h.epoch)
	return h
}

func (w *world) beat(h *host, epoch int) {
	w.after(h.interval, func() {
		if !h.alive || h.epoch != epoch {
			return
		}
		if h.mute(w) {
			w.after(h.busy.Sub(w.now), func() {
				if h.alive && h.epoch == epoch {
					w.emit(h, lattice.HostHeartbeat, json.RawMessage(h.inventory(w)))
				}
			})
		} else {
			w.emit(h, lattice.HostHeartbeat, json.RawMessage(h.inventory(w)))
		}
		w.beat(h, epoch)
	})
}

// kill ends a host without a word, or with one.
func (w *world) kill(id lattice.HostID, graceful bool) {
	h := w.hosts[id]
	h.alive = false
	h.workloads, h.foreign = map[lattice.Workload]*workload{}, map[lattice.Workload]*workload{}
	if graceful {
		w.emit(h, lattice.HostStopped, map[string]any{"labels": h.labels})
	}
}

package lattice

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// State is everything observed of one lattice. One goroutine owns it.
//
// Facts about one host are ordered by the host's own time: an older fact never
// overwrites a newer one, and of two with the same time the later delivered
// wins, so redelivery and reordering are harmless.
type State struct {
	Hosts   map[HostID]*Host
	Links   map[LinkID]Link
	Configs map[string]ConfigFact
	// LinksKnown is false until the links have been listed once.
	LinksKnown bool

	// holders finds the hosts that run a workload without walking all hosts.
	holders map[Workload]map[HostID]*Instance
	// left are the hosts that went a short while ago.
	left map[HostID]departure
	// swept is when the forgotten ones were last taken out of left.
	swept time.Time
}

// departure is the host's time of its last word, and the owner's.
type departure struct {
	at   int64
	when time.Time
}

// remembered is how long what a host said before it went is told from what it says
// anew: as long as events may be delivered once more.
const remembered = 3 * time.Minute

// LinkID is the part of a link that tells it from the other links of its source.
type LinkID struct {
	Source, Target           WorkloadID
	Namespace, Package, Name string
}

// ID returns the link's identity.
func (l Link) ID() LinkID {
	return LinkID{Source: l.Source, Target: l.Target, Namespace: l.Namespace, Package: l.Package, Name: l.Name}
}

// Equal compares two links in full.
func (l Link) Equal(o Link) bool {
	return l.ID() == o.ID() && slices.Equal(l.Interfaces, o.Interfaces) &&
		slices.Equal(l.SourceConfig, o.SourceConfig) && slices.Equal(l.TargetConfig, o.TargetConfig)
}

// ConfigFact is what is known of a configuration that was asked for.
type ConfigFact struct {
	Exists bool
	Value  map[string]string
}

// Instance is one workload on one host.
type Instance struct {
	Image       string
	Annotations map[string]string
	// Max is the limit of concurrent instances; 1 for providers.
	Max uint32
	// Health of a provider: zero until a check said something.
	Health Health
	// time is the host's time of the newest fact, in nanoseconds since 1970.
	time int64
	// updated is the host's time of an image change while running. The event that
	// follows it claims the workload stopped; it did not.
	updated int64
}

// Workload names a component or a provider. Hosts keep a table of each, so one id
// may stand in both.
type Workload struct {
	ID       WorkloadID
	Provider bool
}

// Compare orders workloads by id, components first.
func (w Workload) Compare(o Workload) int {
	return cmp.Or(cmp.Compare(w.ID, o.ID), cmp.Compare(btoi(w.Provider), btoi(o.Provider)))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ComponentOf names the component of an id.
func ComponentOf(id WorkloadID) Workload { return Workload{ID: id} }

// ProviderOf names the provider of an id.
func ProviderOf(id WorkloadID) Workload { return Workload{ID: id, Provider: true} }

// Health is what the health checks of a provider last said.
type Health int

// The states of a provider's health.
const (
	HealthUnknown Health = iota
	Healthy
	Unhealthy
)

// Managed tells whether wadm started the instance.
func (i *Instance) Managed() bool { return i.Annotations[AnnotationManagedBy] == ManagedBy }

// App is the application the instance was started for, if wadm started it.
func (i *Instance) App() string {
	if !i.Managed() {
		return ""
	}
	return i.Annotations[AnnotationApp]
}

// Changes says what a fold changed, in terms the decision can index.
type Changes struct {
	Host HostID
	// Joined and Left: the host came or went. Labels: its labels changed. Woke: it
	// speaks again after it counted as silent.
	Joined, Left, Labels, Woke bool
	// Before are the labels of a host that went, started anew or whose labels changed.
	Before map[string]string
	// Back: the one that joined was taken for gone a short while ago and has not said
	// that it started anew.
	Back bool
	// Workloads changed on the host, sorted.
	Workloads []Workload
	// Link is set when a link was observed or went.
	Link *LinkID
	// Config names a configuration that was set or deleted.
	Config string
	// AskInventory: the event alone does not tell the truth; the host must be asked.
	AskInventory bool
	// Stale: the event was older than what is known and changed nothing.
	Stale bool
}

// NewState returns a state in which nothing has been observed.
func NewState() *State {
	return &State{
		Hosts:   map[HostID]*Host{},
		Links:   map[LinkID]Link{},
		Configs: map[string]ConfigFact{},
		holders: map[Workload]map[HostID]*Instance{},
		left:    map[HostID]departure{},
	}
}

// Holders returns the instances of a workload by host. The map must not be changed.
func (s *State) Holders(w Workload) map[HostID]*Instance { return s.holders[w] }

// Workloads lists everything that runs anywhere, in no order.
func (s *State) Workloads() []Workload { return slices.Collect(maps.Keys(s.holders)) }

// Unchanged folds a heartbeat that repeats the host's last inventory and reports
// whether it was one. It allocates nothing.
func (s *State) Unchanged(g *Glimpse, now time.Time) bool {
	if !g.IsHeartbeat() {
		return false
	}
	h := s.Hosts[HostID(g.Source)]
	if h == nil || h.digest != g.Digest || h.dirty || h.Silent || h.pastBeat != 0 || h.late(g.Time, now) {
		return false
	}
	h.beat(g.Time, now)
	return true
}

// Fold brings one event into the state. now is the owner's clock.
func (s *State) Fold(ev Event, now time.Time) Changes {
	ch := Changes{Host: ev.Host}
	at := ev.Time.UnixNano()
	h := s.Hosts[ev.Host]
	if h != nil {
		ch.Woke = h.Silent && !h.unread
		h.heard(at, now)
	} else if gone, ok := s.left[ev.Host]; ok && at <= gone.at && now.Sub(gone.when) < remembered && ev.ofHost() {
		// Delivered once more, it must not bring the host back.
		ch.Stale = true
		return ch
	}
	switch ev.Kind {
	case HostStarted:
		s.hostStarted(ev, at, now, &ch)
	case HostStopped:
		if h != nil && at >= h.started {
			s.Remove(h.ID, &ch)
			s.left[ev.Host] = departure{at, now}
		}
	case HostHeartbeat:
		if h != nil && h.late(at, now) {
			past := at < h.heartbeat
			moved := h.clockMoved(at, now)
			if past && !moved {
				ch.Stale = true
				break
			}
			// Events since then may have been taken for old, or this list be old itself.
			ch.AskInventory = true
			if moved && !past {
				ch.Stale = true
				h.beat(at, now)
				break
			}
		} else if h != nil {
			h.pastBeat = 0
		}
		if h != nil && h.unordered(at) {
			ch.Stale, ch.AskInventory = true, true
			h.beat(at, now)
			break
		}
		if h != nil {
			var ask bool
			if ch.Stale, ask = h.doubt(ev.Inventory, at); ch.Stale {
				ch.AskInventory = ch.AskInventory || ask
				h.beat(at, now)
				break
			}
		}
		s.Inventory(ev.Inventory, at, now, &ch)
		s.Hosts[ev.Host].beat(at, now)
	case LabelsChanged:
		if h == nil {
			ch.AskInventory = true
			break
		}
		if at < h.labelsAt {
			ch.Stale = true
			break
		}
		h.labelsAt = at
		if !maps.Equal(h.Labels, ev.Inventory.Labels) {
			ch.Before, h.Labels, ch.Labels, h.dirty = h.Labels, ev.Inventory.Labels, true, true
		}
	case ComponentScaled:
		s.componentScaled(h, ev, at, &ch)
	case ProviderStarted:
		s.providerStarted(h, ev, at, &ch)
	case ProviderStopped:
		w := ProviderOf(ev.Provider.ID)
		if h == nil || at < h.factTime(w) {
			ch.Stale = h != nil
			break
		}
		if h.Workloads[w] == nil {
			break
		}
		if h.unordered(at) {
			ch.Stale, ch.AskInventory = true, true
			break
		}
		s.drop(h, w, at, &ch)
	case HealthCheckPassed, HealthCheckFailed:
		s.health(h, ev, at, &ch)
	case LinkSet:
		s.linkSet(ev.Link, &ch)
	case LinkDeleted:
		id := ev.Link.ID()
		if _, ok := s.Links[id]; ok {
			delete(s.Links, id)
			ch.Link = &id
		}
	case ConfigSet, ConfigDeleted:
		ch.Config = ev.Config
	case ComponentScaleFailed, ProviderStartFailed, HealthCheckStatus, LinkSetFailed:
		// Outcomes of commands and repetitions: nothing about the lattice changed.
	}
	if h == nil && ch.Host != "" && !ch.Joined && s.Hosts[ev.Host] == nil && ev.Kind != HostStopped || h != nil && h.unread && s.Hosts[ev.Host] == h {
		// Someone speaks whom nobody has seen join, or only an earlier owner has: learn
		// the rest from the host itself.
		ch.AskInventory = true
	}
	slices.SortFunc(ch.Workloads, Workload.Compare)
	ch.Workloads = slices.Compact(ch.Workloads)
	return ch
}

// ofHost tells whether an event is about its host, and not about what all hosts share.
func (ev *Event) ofHost() bool {
	switch ev.Kind {
	case LinkSet, LinkDeleted, LinkSetFailed, ConfigSet, ConfigDeleted:
		return false
	}
	return true
}

func (s *State) hostStarted(ev Event, at int64, now time.Time, ch *Changes) {
	if h := s.Hosts[ev.Host]; h != nil {
		if at < h.heartbeat || at < h.inventory || at == h.started {
			ch.Stale = true
			return
		}
		if h.unordered(at) {
			// It may be the start of the process that has answered since.
			ch.Stale, ch.AskInventory = true, true
			return
		}
		// The same id again: a restart, nothing of before is left.
		s.Remove(ev.Host, ch)
		ch.Left = false
	}
	h := newHost(ev.Inventory, now)
	h.started, h.inventory, h.labelsAt = at, at, at
	h.heard(at, now)
	s.Hosts[ev.Host] = h
	ch.Joined = true
}

// Inventory replaces what is known of a host by its own list. at is the host's
// time in nanoseconds: facts newer than it stay.
func (s *State) Inventory(inv Inventory, at int64, now time.Time, ch *Changes) {
	h := s.Hosts[inv.Host]
	if h == nil {
		h = newHost(inv, now)
		h.labelsAt = at
		s.Hosts[inv.Host] = h
		gone, was := s.left[inv.Host]
		ch.Joined, ch.Back = true, was && now.Sub(gone.when) < remembered
	}
	ch.Woke = ch.Woke || h.Silent
	h.unread = false
	h.seen(now)
	if at >= h.labelsAt {
		if !maps.Equal(h.Labels, inv.Labels) {
			ch.Before, h.Labels, ch.Labels = h.Labels, inv.Labels, true
		}
		h.labelsAt = at
	}
	if inv.FriendlyName != "" {
		h.FriendlyName = inv.FriendlyName
	}
	if inv.Version != "" {
		h.Version = inv.Version
	}
	// What is newer than the list stays, and the next one must be compared in full.
	newer := false
	listed := make(map[Workload]bool, len(inv.Components)+len(inv.Providers))
	for _, c := range inv.Components {
		if c.Max == 0 {
			continue
		}
		listed[ComponentOf(c.ID)] = true
		newer = !s.set(h, ComponentOf(c.ID), Instance{Image: c.Image, Annotations: c.Annotations, Max: c.Max}, at, ch) || newer
	}
	for _, p := range inv.Providers {
		listed[ProviderOf(p.ID)] = true
		newer = !s.set(h, ProviderOf(p.ID), Instance{Image: p.Image, Annotations: p.Annotations, Max: 1, Health: p.Health}, at, ch) || newer
	}
	for id := range h.Workloads {
		if listed[id] {
			continue
		}
		if h.factTime(id) <= at {
			s.drop(h, id, at, ch)
		} else {
			newer = true
		}
	}
	if at > h.inventory {
		h.inventory = at
		// Older events are refused by the inventory's time from now on.
		maps.DeleteFunc(h.gone, func(_ Workload, t int64) bool { return t <= at })
	}
	h.dirty, h.digest = newer, 0
	slices.SortFunc(ch.Workloads, Workload.Compare)
	ch.Workloads = slices.Compact(ch.Workloads)
}

// Question is a moment at which a host was asked for its inventory: the owner's time,
// and the host's Told then, zero for a host that was not known.
type Question struct {
	Sent time.Time
	Told int64
}

// Polled folds the inventory a host gave when it was asked.
func (s *State) Polled(inv Inventory, q Question, now time.Time, ch *Changes) {
	at := q.Sent.UnixNano()
	h := s.Hosts[inv.Host]
	if h != nil {
		at = h.HostTime(q.Sent)
	}
	// What the host told in the moment of the question, as far as clocks tell moments
	// apart, may be newer than the answer, unless it was known already.
	at -= int64(time.Microsecond)
	if h != nil {
		at = max(at, min(q.Told, h.told))
	}
	s.Inventory(inv, at, now, ch)
	h = s.Hosts[inv.Host]
	h.provisional = !h.hasLag
	h.polledAt(q.Sent, now)
}

// Restore adds a host as an earlier owner knew it. It counts as silent until it
// tells what it runs, and whatever it says is newer.
func (s *State) Restore(inv Inventory, now time.Time) {
	var ch Changes
	s.Inventory(inv, 0, now, &ch)
	h := s.Hosts[inv.Host]
	h.Silent, h.unread = true, true
}

// Remove forgets a host and everything it ran.
func (s *State) Remove(id HostID, ch *Changes) {
	h := s.Hosts[id]
	if h == nil {
		return
	}
	for w := range h.Workloads {
		s.unhold(w, id)
		ch.Workloads = append(ch.Workloads, w)
	}
	delete(s.Hosts, id)
	if h.LastSeen.Sub(s.swept) >= remembered {
		// Not for each of many that go together.
		s.swept = h.LastSeen
		maps.DeleteFunc(s.left, func(_ HostID, d departure) bool { return h.LastSeen.Sub(d.when) >= remembered })
	}
	s.left[id] = departure{h.heartbeat, h.LastSeen}
	ch.Host, ch.Left, ch.Before = id, true, h.Labels
	slices.SortFunc(ch.Workloads, Workload.Compare)
}

func (s *State) componentScaled(h *Host, ev Event, at int64, ch *Changes) {
	c, w := ev.Component, ComponentOf(ev.Component.ID)
	if h == nil {
		return
	}
	if at < h.factTime(w) {
		ch.Stale = true
		return
	}
	have := h.Workloads[w]
	if h.unordered(at) && (have == nil) != (c.Max == 0) {
		ch.Stale, ch.AskInventory = true, true
		return
	}
	if c.Max == 0 {
		if have == nil {
			return
		}
		if have.Image != c.Image || have.updated != 0 && at-have.updated < int64(updateEcho) {
			// After an update the host announces the end of the old code under the new
			// image; the workload goes on. Another image than the known one means that
			// the update's own event was lost or is late.
			ch.AskInventory = true
			return
		}
		s.drop(h, w, at, ch)
		return
	}
	if have == nil {
		s.set(h, w, Instance{Image: c.Image, Annotations: c.Annotations, Max: c.Max}, at, ch)
		return
	}
	if have.Image == c.Image && have.Max == c.Max && maps.Equal(have.Annotations, c.Annotations) {
		have.time = at
		return
	}
	// A change of something that runs: the event shows the annotations of before,
	// so the host has to be asked what holds now.
	ch.AskInventory = true
	next := Instance{Image: c.Image, Annotations: have.Annotations, Max: c.Max}
	if have.Image != c.Image {
		next.Annotations = c.Annotations
	}
	s.set(h, w, next, at, ch)
}

// updateEcho is how long after an image change an event of zero instances is
// taken for the host's echo of it. The two are microseconds apart.
const updateEcho = 5 * time.Second

func (s *State) providerStarted(h *Host, ev Event, at int64, ch *Changes) {
	if h == nil {
		return
	}
	p, w := ev.Provider, ProviderOf(ev.Provider.ID)
	if at < h.factTime(w) {
		ch.Stale = true
		return
	}
	if h.unordered(at) && h.Workloads[w] == nil {
		ch.Stale, ch.AskInventory = true, true
		return
	}
	s.set(h, w, Instance{Image: p.Image, Annotations: p.Annotations, Max: 1}, at, ch)
}

func (s *State) health(h *Host, ev Event, at int64, ch *Changes) {
	if h == nil {
		return
	}
	w := ProviderOf(ev.Provider.ID)
	i := h.Workloads[w]
	if i == nil {
		return
	}
	health := Healthy
	if ev.Kind == HealthCheckFailed {
		health = Unhealthy
	}
	if at < i.time {
		ch.Stale = true
		return
	}
	if i.Health != health {
		i.Health = health
		ch.Workloads = append(ch.Workloads, w)
	}
}

func (s *State) linkSet(l Link, ch *Changes) {
	id := l.ID()
	if have, ok := s.Links[id]; ok && have.Equal(l) {
		return
	}
	s.Links[id] = l
	ch.Link = &id
}

// SetLinks replaces the known links by a host's list and returns what changed.
func (s *State) SetLinks(links []Link) []LinkID {
	var changed []LinkID
	now := make(map[LinkID]Link, len(links))
	for _, l := range links {
		now[l.ID()] = l
		if have, ok := s.Links[l.ID()]; !ok || !have.Equal(l) {
			changed = append(changed, l.ID())
		}
	}
	for id := range s.Links {
		if _, ok := now[id]; !ok {
			changed = append(changed, id)
		}
	}
	s.Links, s.LinksKnown = now, true
	return changed
}

// set records an instance and notes whether that is news. It reports
// false when something newer is known.
func (s *State) set(h *Host, id Workload, next Instance, at int64, ch *Changes) bool {
	have := h.Workloads[id]
	if have == nil {
		// Newer lists don't have it, even if the time of its going is forgotten.
		if max(h.gone[id], h.inventory) > at {
			return false
		}
	} else {
		if have.time > at {
			return false
		}
		if next.updated = have.updated; next.Image != have.Image {
			next.updated = at
		} else {
			next.Health = have.Health
		}
	}
	next.time = at
	if have != nil && have.same(&next) {
		*have = next
		return true
	}
	h.dirty = true
	delete(h.gone, id)
	kept := &next
	h.Workloads[id] = kept
	if s.holders[id] == nil {
		s.holders[id] = map[HostID]*Instance{}
	}
	s.holders[id][h.ID] = kept
	ch.Workloads = append(ch.Workloads, id)
	return true
}

func (i *Instance) same(o *Instance) bool {
	return i.Image == o.Image && i.Max == o.Max && i.Health == o.Health && maps.Equal(i.Annotations, o.Annotations)
}

// drop forgets an instance; its time stays so that an older event cannot revive it.
func (s *State) drop(h *Host, id Workload, at int64, ch *Changes) {
	delete(h.Workloads, id)
	h.gone[id], h.dirty = at, true
	s.unhold(id, h.ID)
	ch.Workloads = append(ch.Workloads, id)
}

func (s *State) unhold(w Workload, id HostID) {
	delete(s.holders[w], id)
	if len(s.holders[w]) == 0 {
		delete(s.holders, w)
	}
}

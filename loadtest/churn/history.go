package churn

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
)

// grace is how long after a change a command may still follow what was before:
// it was under way.
const grace = 3 * time.Second

// linkGrace is how long a link that is no longer wanted may still be there: a busy
// host deletes it later than it was asked to.
const linkGrace = 15 * time.Second

// span is how long something held; an open end is zero.
type span[T any] struct {
	value    T
	from, to time.Time
}

func (s span[T]) during(from, to time.Time) bool {
	return !s.from.After(to) && (s.to.IsZero() || !s.to.Before(from))
}

// history remembers what was demanded when, so that commands can be judged later.
type history struct {
	begun  time.Time
	apps   map[string][]span[*app]
	images map[string]bool // ever wanted: id and image
	labels map[lattice.HostID][]span[map[string]string]
	// waits are what commands are expected after, in order.
	waits []wait
	ops   []span[Operation]
}

// wait is a cause for a command about what begins with prefix.
type wait struct {
	prefix string
	deploy bool
	at     time.Time
}

func newHistory() *history {
	return &history{begun: time.Now(), apps: map[string][]span[*app]{}, images: map[string]bool{}, labels: map[lattice.HostID][]span[map[string]string]{}}
}

func (h *history) do(o Operation, now time.Time) {
	h.ops = append(h.ops, span[Operation]{value: o, from: now})
}

func (h *history) host(id lattice.HostID, labels map[string]string, now time.Time) {
	all := h.labels[id]
	if len(all) > 0 {
		all[len(all)-1].to = now
	}
	h.labels[id] = append(all, span[map[string]string]{value: labels, from: now})
}

// deployed notes that an application is being deployed, or with nil that it no
// longer is.
func (h *history) deployed(name string, a *app, now time.Time) {
	all := h.apps[name]
	if len(all) > 0 && all[len(all)-1].to.IsZero() {
		all[len(all)-1].to = now
	}
	if a != nil {
		all = append(all, span[*app]{value: a, from: now})
		for _, w := range a.works {
			h.images[a.id(w.name)+" "+w.image] = true
		}
	}
	h.apps[name] = all
}

// going notes that an application is about to be undeployed: commands that take
// it down may come before the answer.
func (h *history) going(name string, now time.Time) {
	if all := h.apps[name]; len(all) > 0 && all[len(all)-1].to.IsZero() {
		all[len(all)-1].to = now
	}
}

// acknowledged notes that a deployment was, stopped that an operator stopped
// something: commands are to follow.
func (h *history) acknowledged(name string, now time.Time) {
	h.waits = append(h.waits, wait{prefix(name), true, now})
}
func (h *history) stopped(id string, now time.Time) {
	h.waits = append(h.waits, wait{id, false, now})
}

// body is what is read of a command.
type body struct {
	Component    string   `json:"component_id"`
	ComponentRef string   `json:"component_ref"`
	NewRef       string   `json:"new_component_ref"`
	Provider     string   `json:"provider_id"`
	ProviderRef  string   `json:"provider_ref"`
	Count        int      `json:"count"`
	Config       []string `json:"config"`
	Source       string   `json:"source_id"`
	Package      string   `json:"wit_package"`
	Namespace    string   `json:"wit_namespace"`
}

// subject is the id or name that a command is about.
func (b *body) subject(r *simhost.Record) string {
	if name, ok := strings.CutPrefix(r.Kind, "config."); ok {
		_, name, _ = strings.Cut(r.Subject, ".config."+name+".")
		return name
	}
	return b.Component + b.Provider + b.Source
}

// told is what a host was last asked to run under an id.
type told struct {
	image  string
	config []string
}

// hear notes what an accepted command makes a host run.
func hear(last map[string]told, r *simhost.Record) {
	var b body
	if !r.Accepted || json.Unmarshal(r.Body, &b) != nil {
		return
	}
	key := string(r.Host) + " " + b.Component + b.Provider
	switch {
	case r.Kind == "component.scale" && b.Count > 0:
		last[key] = told{b.ComponentRef, b.Config}
	case r.Kind == "provider.start":
		last[key] = told{b.ProviderRef, b.Config}
	case r.Kind == "component.update":
		last[key] = told{b.NewRef, last[key].config}
	}
}

// judge says what is wrong with a command, or nothing. last is what hosts were told
// before it.
func (h *history) judge(r *simhost.Record, last map[string]told) string {
	var b body
	if r.Kind != "config.put" && r.Kind != "config.del" {
		if err := json.Unmarshal(r.Body, &b); err != nil {
			return fmt.Sprintf("cannot be read: %v", err)
		}
	}
	id := b.subject(r)
	recent, steady := h.recent(id, r.Time)
	switch r.Kind {
	case "component.scale", "component.update", "provider.start", "provider.stop":
		image := b.ComponentRef + b.NewRef
		if r.Kind == "provider.start" {
			image = b.ProviderRef
		}
		stops := r.Kind == "provider.stop" || r.Kind == "component.scale" && b.Count == 0
		fits := func(a *app) bool { return h.fits(a, id, r.Host, r.Time, false) }
		if stops {
			// A daemon that is wanted on this host all the time, as it runs, has no
			// reason to stop.
			has := last[string(r.Host)+" "+id]
			if steady && !slices.ContainsFunc(recent, func(a *app) bool { return !h.daemonHere(a, id, r.Host, r.Time, has) }) {
				return "stops a daemon that is wanted on the host"
			}
			return ""
		}
		if !slices.ContainsFunc(recent, fits) {
			return "nothing recently deployed wants it on this host"
		}
		if !h.images[id+" "+image] {
			return "nobody ever wanted this image"
		}
	case "link.put":
		var k lattice.Link
		if err := json.Unmarshal(r.Body, &k); err != nil {
			return fmt.Sprintf("cannot be read: %v", err)
		}
		if !slices.ContainsFunc(recent, func(a *app) bool { return slices.Contains(a.wantedLinks(), linkOf(k)) }) {
			return "nothing recently deployed wants this link"
		}
	case "link.del":
		// A deletion names no target: it may be meant for a link of an earlier version
		// between the same source and another target, which a busy host still has.
		same := func(l wantedLink) bool { return l.From == b.Source && l.Package == b.Package }
		recent, steady := h.since(id, r.Time.Add(-linkGrace), r.Time)
		if steady && always(recent, func(a *app) (wantedLink, bool) {
			ls := a.wantedLinks()
			i := slices.IndexFunc(ls, same)
			if i < 0 {
				return wantedLink{}, false
			}
			return ls[i], true
		}) {
			return "deletes a link that is wanted"
		}
	case "config.put":
		var v map[string]string
		if err := json.Unmarshal(r.Body, &v); err != nil {
			return fmt.Sprintf("cannot be read: %v", err)
		}
		if !slices.ContainsFunc(recent, func(a *app) bool { w, ok := a.wantedConfigs()[id]; return ok && maps.Equal(v, w) }) {
			return "nothing recently deployed wants this configuration"
		}
	case "config.del":
		if steady && always(recent, func(a *app) (string, bool) { v, ok := a.wantedConfigs()[id]; return fmt.Sprint(v), ok }) {
			return "deletes a configuration that is wanted"
		}
	default:
		return "is not what a scheduler sends"
	}
	return ""
}

// always tells whether all versions want the same.
func always[T comparable](recent []*app, want func(*app) (T, bool)) bool {
	var first T
	for i, a := range recent {
		v, ok := want(a)
		if !ok || i > 0 && v != first {
			return false
		}
		first = v
	}
	return len(recent) > 0
}

// recent lists the versions, of the application that id belongs to, that were
// deployed a moment ago or are. steady: one was at every moment since.
func (h *history) recent(id string, now time.Time) (out []*app, steady bool) {
	return h.since(id, now.Add(-grace), now)
}

// since is recent from another moment on.
func (h *history) since(id string, from, now time.Time) (out []*app, steady bool) {
	for name, all := range h.apps {
		if !strings.HasPrefix(id, prefix(name)) {
			continue
		}
		covered := from
		for _, s := range all {
			if !s.during(from, now) {
				continue
			}
			out = append(out, s.value)
			if !s.from.After(covered) {
				covered = s.to
				if s.to.IsZero() {
					covered = now
				}
			}
		}
		steady = !covered.Before(now)
	}
	return out, steady
}

// fits tells whether a version wants a work on a host as it was labelled a moment
// ago or is; with every, as it was labelled all that time.
func (h *history) fits(a *app, id string, host lattice.HostID, now time.Time, every bool) bool {
	any, all := false, true
	for i := range a.works {
		w := &a.works[i]
		if a.id(w.name) != id {
			continue
		}
		for _, l := range h.labels[host] {
			if !l.during(now.Add(-grace), now) {
				continue
			}
			ok := slices.ContainsFunc(w.effectiveSpreads(), func(s spread) bool { return s.fits(l.value) })
			any, all = any || ok, all && ok
		}
	}
	return any && (all || !every)
}

func (h *history) daemonHere(a *app, id string, host lattice.HostID, now time.Time, has told) bool {
	_, name, _ := strings.Cut(id, "-")
	w := a.work(name)
	return w != nil && w.daemon && w.instances > 0 && w.image == has.image && slices.Equal(a.configNames(w.configs), has.config) && h.fits(a, id, host, now, true)
}

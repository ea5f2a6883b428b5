package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/config/natsconn"
	"wadm/scheduler/lattice"
	"wadm/shard"
	"wadm/shard/natskv"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

const (
	// devQuiet is how long nothing may have been tried for an application that
	// failed until it counts as failed for good.
	devQuiet = 3 * time.Second
	// devPatience is the least gap between heartbeats to go by: hosts that work are late.
	devPatience = time.Second
	// devForget is how long a host that is gone is still shown.
	devForget = 30 * time.Second
)

// devWatch follows what anybody can follow on NATS: events of hosts, claims and
// commands in the ledger, statuses. It uses nothing of the server in this process.
type devWatch struct {
	nc   *natsconn.Conn
	view *devView
	in   chan *nats.Msg
	subs []*nats.Subscription

	mu sync.Mutex
	// changed is closed and replaced at every change of an application.
	changed chan struct{}
	hosts   map[devHostKey]*devHost
	apps    map[devAppKey]*devAppState
	owners  map[tenancy.Lattice]devOwner
	// stale are lattices whose versions have to be read again.
	stale    map[tenancy.Lattice]bool
	expected []devAppKey
}

type devHostKey struct {
	lattice tenancy.Lattice
	id      lattice.HostID
}

// devHost is what a host said of itself.
type devHost struct {
	lattice tenancy.Lattice
	id      lattice.HostID
	name    string
	labels  map[string]string
	// runs counts instances by component; providers have 0.
	runs map[lattice.WorkloadID]uint32
	last time.Time
	// beat is its last heartbeat, gap the longest time between two.
	beat  time.Time
	gap   time.Duration
	state hostState
}

// hostState is how far a host is believed to be there.
type hostState string

const (
	hostOK hostState = "ok"
	// hostSilent: a heartbeat is missing; what it ran is taken to run on.
	hostSilent hostState = "silent"
	// hostLost: two are; servers have its work done elsewhere.
	hostLost hostState = "lost"
	// hostKilled: by whoever watches.
	hostKilled hostState = "killed"
)

// gone tells that nothing the host ran is believed to run.
func (s hostState) gone() bool { return s == hostLost || s == hostKilled }

type devAppKey struct {
	lattice tenancy.Lattice
	name    string
}

// devOwner is who owned a lattice last.
type devOwner struct {
	id   shard.MemberID
	life shard.Incarnation
	// held: it has not given the lattice up.
	held bool
}

// devAppState is what is known of an application.
type devAppState struct {
	status  tenancy.Status
	version string
	since   time.Time
	// live: the status was published in this session, not read from kept data.
	live bool
	// tried is when a command was last sent for it, expected when it was deployed here.
	tried, expected time.Time
}

// settled tells whether the status can be believed to last.
func (a *devAppState) settled(now time.Time) bool {
	return now.Sub(a.since) > devQuiet && now.Sub(a.tried) > devQuiet && now.Sub(a.expected) > devQuiet
}

// newDevWatch subscribes; what is published from then on is seen by run.
func newDevWatch(ctx context.Context, nc *natsconn.Conn, view *devView) (*devWatch, error) {
	w := &devWatch{
		nc: nc, view: view, in: make(chan *nats.Msg, 64<<10), changed: make(chan struct{}),
		hosts: map[devHostKey]*devHost{}, apps: map[devAppKey]*devAppState{}, stale: map[tenancy.Lattice]bool{},
		owners: map[tenancy.Lattice]devOwner{},
	}
	for _, subject := range []string{"wasmbus.evt.*.*", natskv.ClaimSubject + ".*.*", natskv.CommandSubject + ".*.*", "wadm.status.*.*", "wadm.evt.>"} {
		sub, err := nc.ChanSubscribe(subject, w.in)
		if err != nil {
			return nil, fmt.Errorf("subscribe %s: %w", subject, err)
		}
		w.subs = append(w.subs, sub)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	view.state = w.snapshot
	return w, nil
}

// run follows until ctx ends.
func (w *devWatch) run(ctx context.Context) error {
	defer func() {
		for _, sub := range w.subs {
			_ = sub.Unsubscribe()
		}
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-w.in:
			w.hear(m)
		case now := <-tick.C:
			w.listen(now)
			w.readVersions(ctx)
		}
	}
}

// hear sorts a message by its subject.
func (w *devWatch) hear(m *nats.Msg) {
	part := strings.Split(m.Subject, ".")
	if len(part) < 4 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch part[0] + "." + part[1] {
	case "wasmbus.evt":
		if ev, err := lattice.DecodeEvent(m.Data); err == nil {
			w.event(tenancy.Lattice(part[2]), ev)
		}
	case natskv.ClaimSubject:
		if r, err := shard.DecodeRecord(m.Data); err == nil {
			w.claim(tenancy.Lattice(part[3]), r)
		}
	case natskv.CommandSubject:
		var commands []lattice.Command
		if json.Unmarshal(m.Data, &commands) == nil {
			for _, c := range commands {
				w.command(tenancy.Lattice(part[3]), c)
			}
		}
	case "wadm.status":
		if s, err := tenancy.DecodeStatus(m.Data); err == nil {
			w.status(devAppKey{tenancy.Lattice(part[2]), part[3]}, s)
		}
	case "wadm.evt":
		w.stale[tenancy.Lattice(part[2])] = true
	}
}

func (w *devWatch) event(l tenancy.Lattice, ev lattice.Event) {
	key := devHostKey{l, ev.Host}
	if ev.Kind == lattice.HostStopped {
		if h := w.hosts[key]; h != nil {
			w.happen(l, "host", fmt.Sprintf("%s stopped", h.name))
			delete(w.hosts, key)
		}
		return
	}
	h := w.hosts[key]
	if h != nil && h.state == hostKilled {
		return // said before it was killed; it starts again under another id
	}
	switch ev.Kind {
	case lattice.HostStarted, lattice.HostHeartbeat:
		now := time.Now()
		if h == nil {
			h = &devHost{lattice: l, id: ev.Host, name: string(ev.Host), runs: map[lattice.WorkloadID]uint32{}, state: hostOK}
			w.hosts[key] = h
		}
		joined := h.last.IsZero()
		if ev.Inventory.FriendlyName != "" {
			h.name = ev.Inventory.FriendlyName
		}
		if ev.Inventory.Labels != nil {
			h.labels = ev.Inventory.Labels
		}
		if joined {
			// A machine that came back has another id and the old name.
			maps.DeleteFunc(w.hosts, func(_ devHostKey, old *devHost) bool {
				return old != h && old.lattice == l && old.name == h.name && old.state.gone()
			})
			w.happen(l, "host", fmt.Sprintf("%s joined (%s), id %s", h.name, devLabels(h.labels), h.id))
		}
		if ev.Kind == lattice.HostHeartbeat {
			if !h.beat.IsZero() && h.state == hostOK {
				h.gap = max(h.gap, now.Sub(h.beat))
			}
			h.beat = now
			h.runs = map[lattice.WorkloadID]uint32{}
			for _, c := range ev.Inventory.Components {
				h.runs[c.ID] = c.Max
			}
			for _, p := range ev.Inventory.Providers {
				h.runs[p.ID] = 0
			}
		}
		if h.state != hostOK {
			w.happen(l, "host", h.name+" is back")
			h.state = hostOK
		}
		h.last = now
	case lattice.LabelsChanged:
		if h != nil {
			h.labels = ev.Inventory.Labels
			w.happen(l, "host", fmt.Sprintf("%s changed its labels (%s)", h.name, devLabels(h.labels)))
		}
	case lattice.ComponentScaled:
		// A zero also follows an update of what runs on; the heartbeat knows.
		if h != nil && ev.Component.Max > 0 {
			h.runs[ev.Component.ID] = ev.Component.Max
		}
	case lattice.ProviderStarted:
		if h != nil {
			h.runs[ev.Provider.ID] = 0
		}
	case lattice.ProviderStopped:
		if h != nil {
			delete(h.runs, ev.Provider.ID)
		}
	case lattice.ComponentScaleFailed:
		w.happen(l, "failure", fmt.Sprintf("%s on %s: %s", ev.Component.ID, w.hostName(l, ev.Host), ev.Error))
	case lattice.ProviderStartFailed:
		w.happen(l, "failure", fmt.Sprintf("%s on %s: %s", ev.Provider.ID, w.hostName(l, ev.Host), ev.Error))
	}
}

func (w *devWatch) hostName(l tenancy.Lattice, id lattice.HostID) string {
	if h := w.hosts[devHostKey{l, id}]; h != nil {
		return h.name
	}
	return string(id)
}

// hostPattern is the id of a host.
var hostPattern = regexp.MustCompile(`\bN[A-Z2-7]{55}\b`)

// named puts the names of hosts where a text has their ids, or names and ids.
func (w *devWatch) named(l tenancy.Lattice, text string) string {
	for _, s := range hostPattern.FindAllString(text, -1) {
		id := lattice.HostID(s)
		name := w.hostName(l, id)
		text = strings.ReplaceAll(text, id.Called(name), name)
		text = strings.ReplaceAll(text, s, name)
	}
	return text
}

// claim tells of a change of owner. A lattice that is given up keeps its last one
// until there is another: who has gone is what makes the change worth telling.
func (w *devWatch) claim(l tenancy.Lattice, r shard.Record) {
	was := w.owners[l]
	if r.State != shard.Held {
		was.held = false
		w.owners[l] = was
		return
	}
	is := devOwner{r.Owner, r.Incarnation, true}
	w.owners[l] = is
	w.view.claimed(string(r.Owner))
	switch {
	case was.id == "":
		w.happen(l, "owner", fmt.Sprintf("%s owns it", is.id))
	case was.id != is.id:
		w.happen(l, "owner", fmt.Sprintf("%s owns it, before %s", is.id, was.id))
	case was.life != is.life:
		w.happen(l, "owner", fmt.Sprintf("%s owns it in another life", is.id))
	}
}

func (w *devWatch) command(l tenancy.Lattice, c lattice.Command) {
	w.app(devAppKey{l, c.App}).tried = time.Now()
	what := string(c.Kind)
	switch {
	case c.Link != nil:
		what += fmt.Sprintf(" %s → %s", c.Link.Source, c.Link.Target)
	case c.ConfigName != "":
		what += " " + c.ConfigName
	case c.Kind == lattice.ScaleComponent:
		what += fmt.Sprintf(" %s to %d", c.Workload, c.Count)
	default:
		what += " " + string(c.Workload)
	}
	if c.Host != "" {
		what += " on " + w.hostName(l, c.Host)
	}
	w.happen(l, "command", what+": "+w.named(l, c.Reason))
}

// app is the record of an application, new if there is none.
func (w *devWatch) app(key devAppKey) *devAppState {
	a := w.apps[key]
	if a == nil {
		a = &devAppState{since: time.Now()}
		w.apps[key] = a
	}
	return a
}

func (w *devWatch) status(key devAppKey, s tenancy.Status) {
	a := w.app(key)
	if was := a.status.Status; was != s.Status {
		text := key.name + " " + string(s.Status.Type)
		if s.Status.Message != "" {
			text += ": " + w.named(key.lattice, s.Status.Message)
		}
		w.happen(key.lattice, "status", text)
		if was.Type != s.Status.Type {
			a.since = time.Now()
		}
	}
	a.status, a.live = s, true
	w.stale[key.lattice] = true
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *devWatch) happen(l tenancy.Lattice, kind, text string) {
	w.view.happen(happening{lattice: l, kind: kind, text: text})
}

// listen notices who has not been heard for a while, as servers do: silent
// after a missed heartbeat, lost after two and a second.
func (w *devWatch) listen(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, h := range w.hosts {
		quiet, gap := now.Sub(h.last), max(h.gap, devPatience)
		switch {
		case h.state.gone():
			if quiet > 2*gap+devForget {
				delete(w.hosts, key)
				w.happen(h.lattice, "host", h.name+" is not shown any more")
			}
		case h.gap == 0:
			// How often it speaks is not known yet.
		case quiet > 2*gap+time.Second:
			h.state = hostLost
			w.happen(h.lattice, "host", h.name+" is lost")
		case h.state == hostOK && quiet > gap*3/2+devPatience/2:
			h.state = hostSilent
			w.happen(h.lattice, "host", h.name+" is silent")
		}
	}
}

// killed notes that a host was ended without a word to anybody.
func (w *devWatch) killed(l tenancy.Lattice, id lattice.HostID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h := w.hosts[devHostKey{l, id}]; h != nil {
		h.state = hostKilled
	}
}

// readVersions asks for the deployed versions where something changed.
func (w *devWatch) readVersions(ctx context.Context) {
	w.mu.Lock()
	stale := slices.Collect(maps.Keys(w.stale))
	clear(w.stale)
	w.mu.Unlock()
	for _, l := range stale {
		client, err := api.NewClient(w.nc.Conn, api.ClientConfig{Lattice: l, Timeout: 200 * time.Millisecond})
		if err != nil {
			continue // hosts may use names that clients cannot
		}
		models, err := client.List(ctx)
		if err != nil {
			continue // the next change asks again
		}
		w.mu.Lock()
		listed := map[string]bool{}
		for _, m := range models {
			listed[m.Name] = true
			a := w.app(devAppKey{l, m.Name})
			a.version = ""
			if m.DeployedVersion != nil {
				a.version = *m.DeployedVersion
			}
			if a.status.Status.Type == "" {
				a.status = m.DetailedStatus
			}
		}
		for key := range w.apps {
			if key.lattice == l && !listed[key.name] && !slices.Contains(w.expected, key) {
				delete(w.apps, key)
			}
		}
		w.mu.Unlock()
	}
}

// expect makes converge wait for an application.
func (w *devWatch) expect(app devApp) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := devAppKey{app.lattice, app.name}
	w.expected = append(w.expected, key)
	w.app(key).expected = time.Now()
}

// converge returns errConverged when all of want are deployed, and an error
// that wraps errAppFailed when one has failed for good.
func (w *devWatch) converge(ctx context.Context, want []devApp) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		w.mu.Lock()
		changed := w.changed
		err := w.verdict(want, time.Now())
		w.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick.C:
		}
	}
}

// verdict is nil while there is hope and no success.
func (w *devWatch) verdict(want []devApp, now time.Time) error {
	deployed := 0
	var failed error
	for _, app := range want {
		a := w.apps[devAppKey{app.lattice, app.name}]
		if a == nil {
			continue
		}
		switch a.status.Status.Type {
		case tenancy.StatusDeployed:
			// Nothing is published when all is as the last session left it.
			if a.live || a.settled(now) {
				deployed++
			}
		case tenancy.StatusFailed:
			if a.settled(now) {
				failed = errors.Join(failed, fmt.Errorf("%w: %s in %s: %s", errAppFailed, app.name, app.lattice, w.named(app.lattice, a.status.Status.Message)))
			}
		}
	}
	if deployed == len(want) {
		return errConverged
	}
	return failed
}

// unfinished lists which of want are not deployed, and their statuses.
func (w *devWatch) unfinished(want []devApp) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, app := range want {
		status := tenancy.StatusType("without status")
		if a := w.apps[devAppKey{app.lattice, app.name}]; a != nil && a.status.Status.Type != "" {
			status = a.status.Status.Type
		}
		if status != tenancy.StatusDeployed {
			out = append(out, fmt.Sprintf("%s in %s is %s", app.name, app.lattice, status))
		}
	}
	return strings.Join(out, ", ")
}

// snapshot is what the table shows, in order.
func (w *devWatch) snapshot() devState {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := devState{owned: map[string]int{}}
	for _, o := range w.owners {
		if o.held {
			s.owned[string(o.id)]++
		}
	}
	for key, a := range w.apps {
		if status := a.status.Status; status.Type != "" {
			status.Message = w.named(key.lattice, status.Message)
			s.apps = append(s.apps, devAppRow{key, a.version, status, a.since})
		}
	}
	for _, h := range w.hosts {
		row := *h
		row.runs = maps.Clone(h.runs)
		s.hosts = append(s.hosts, row)
	}
	slices.SortFunc(s.apps, func(a, b devAppRow) int {
		return cmp.Or(cmp.Compare(a.key.lattice, b.key.lattice), cmp.Compare(a.key.name, b.key.name))
	})
	slices.SortFunc(s.hosts, func(a, b devHost) int {
		return cmp.Or(cmp.Compare(a.lattice, b.lattice), cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id))
	})
	return s
}

// devLabels writes labels in order, without those every host has.
func devLabels(labels map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		if !strings.HasPrefix(k, "hostcore.") {
			out = append(out, k+"="+labels[k])
		}
	}
	if len(out) == 0 {
		return "no labels"
	}
	return strings.Join(out, " ")
}

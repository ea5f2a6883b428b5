package simhost

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/scheduler/lattice"
)

// Errors of what is done to hosts.
var (
	ErrHostExists = errors.New("host id is taken")
	ErrHostGone   = errors.New("host is not running")
	ErrNotRunning = errors.New("workload is not running")
	ErrRunning    = errors.New("workload is already running")
)

var builtinLabels = map[string]string{"hostcore.arch": "x86_64", "hostcore.os": "linux", "hostcore.osfamily": "unix"}

// earlyBy is how long a host with the quirk EarlyStarted cannot be reached.
const earlyBy = 10 * time.Millisecond

// settleTimeout is how long a server may take to note subscriptions.
const settleTimeout = 10 * time.Second

// Host is one simulated host. It stays usable over restarts.
type Host struct {
	lattice *Lattice
	cfg     *HostConfig

	// All below is guarded by the lattice's lock.

	id           lattice.HostID
	friendlyName string
	labels       *dict
	alive        bool
	incarnation  uint32
	started      time.Time
	lastEvent    time.Time
	subs         []*nats.Subscription

	components []*component
	providers  []*provider
	used       map[string]bool // configurations seen once: they never become missing
	fetched    map[string]bool // images at hand
	doing      map[string]int  // accepted work in progress, by request

	componentTable table
	providerTable  table

	nextBeat int64 // when the next heartbeat is due, without jitter
	late     int   // heartbeats that were due while they could not be sent

	// A muted host does nothing: deferred work and held requests wait.
	mutes    int
	deferred []func()
	held     []request
	// A stalled host works on but hears nothing and cannot send.
	stalls int
	outbox []*nats.Msg
}

// AddHost starts a host: it subscribes, announces itself and sends its first
// heartbeat after a full interval. It can be reached when AddHost returns.
func (l *Lattice) AddHost(cfg HostConfig) (*Host, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.Labels = maps.Clone(cfg.Labels)
	cfg.DisabledBuiltins = slices.Clone(cfg.DisabledBuiltins)
	h := &Host{lattice: l, cfg: &cfg, id: cfg.ID}
	if err := h.bringUp(func() {}); err != nil {
		return nil, err
	}
	return h, nil
}

// bringUp starts a process after prepare, under one lock, and makes sure that
// the server knows its subscriptions.
func (h *Host) bringUp(prepare func()) error {
	l := h.lattice
	l.mu.Lock()
	prepare()
	err := h.start()
	l.unlock()
	if err != nil {
		return err
	}
	if err := l.settle(); err != nil {
		l.mu.Lock()
		h.die()
		l.unlock()
		return fmt.Errorf("start host %s: %w", h.ID(), err)
	}
	return nil
}

// bringDown ends the process with end. A server that cannot be told now learns
// of it when the connection is back.
func (h *Host) bringDown(end func()) error {
	l := h.lattice
	l.mu.Lock()
	alive := h.alive
	if alive {
		end()
	}
	l.unlock()
	if !alive {
		return ErrHostGone
	}
	if l.nc.IsConnected() {
		if err := l.settle(); err != nil {
			l.mu.Lock()
			l.log.stats.PublishErrors++
			l.mu.Unlock()
		}
	}
	return nil
}

// settle waits until the server has taken in all that was sent.
func (l *Lattice) settle() error {
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	// Not Flush: its pooled timers do not survive a change of synctest bubbles.
	if err := l.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("flush connection: %w", err)
	}
	return nil
}

// start brings up a fresh process under h.id, or a new id when that is empty.
func (h *Host) start() error {
	l := h.lattice
	if l.closed {
		return ErrClosed
	}
	if h.id == "" {
		id, err := hostID(l.rand)
		if err != nil {
			return err
		}
		h.id = id
	}
	if l.hosts[h.id] != nil {
		return fmt.Errorf("start host %s: %w", h.id, ErrHostExists)
	}
	h.friendlyName = h.cfg.FriendlyName
	if h.friendlyName == "" {
		h.friendlyName = friendlyName(l.rand)
	}
	labels := maps.Clone(builtinLabels)
	maps.Copy(labels, h.cfg.Labels)
	h.labels = l.dict(labels)
	h.started = time.Now()
	h.incarnation++
	h.components, h.providers, h.used, h.fetched, h.doing = nil, nil, nil, nil, nil
	h.componentTable, h.providerTable = table{}, table{}
	h.late, h.mutes, h.deferred, h.held, h.stalls, h.outbox = 0, 0, nil, nil, 0, nil

	if !l.cfg.Quirks.EarlyStarted {
		if err := h.subscribe(); err != nil {
			return fmt.Errorf("start host %s: %w", h.id, err)
		}
	}
	h.alive = true
	l.hosts[h.id] = h
	l.alive = append(l.alive, h)
	h.announce()
	if l.cfg.Quirks.EarlyStarted {
		h.timer(earlyBy, func() {
			if err := h.subscribe(); err != nil {
				h.die()
			}
		})
	}
	h.nextBeat = l.now() + int64(h.interval())
	if l.cfg.SpreadHeartbeats {
		h.nextBeat = l.now() + int64(l.upTo(h.interval()))
	}
	h.armBeat()
	return nil
}

func (h *Host) announce() {
	o := newObject(h.lattice.scratch()).str("friendly_name", h.friendlyName)
	if h.lattice.cfg.Quirks.EarlyStarted {
		o = o.str("id", string(h.id))
	}
	h.emit(lattice.HostStarted, o.raw("labels", h.labels.json).num("uptime_seconds", 0).str("version", h.lattice.cfg.Version).end())
}

// subscribe makes the host reachable, and the lattice with its first host.
func (h *Host) subscribe() error {
	l := h.lattice
	if l.subs == nil {
		if err := l.subscribe(); err != nil {
			return err
		}
	}
	patterns := []string{"component.*.", "provider.*.", "host.*.", "label.*."}
	if l.cfg.Compact {
		patterns = []string{"*.*."}
	}
	h.subs = make([]*nats.Subscription, 0, len(patterns))
	for _, p := range patterns {
		sub, err := l.nc.ChanSubscribe(l.prefix+p+string(h.id), l.inbox)
		if err != nil {
			h.unsubscribe()
			return fmt.Errorf("subscribe to %s: %w", p, err)
		}
		h.subs = append(h.subs, sub)
	}
	return nil
}

func (h *Host) unsubscribe() {
	for _, s := range h.subs {
		h.lattice.drop(s)
	}
	h.subs = nil
	if len(h.lattice.alive) == 0 {
		h.lattice.unsubscribe()
	}
}

// die removes the host from the lattice; nothing it had begun goes on.
func (h *Host) die() {
	if !h.alive {
		return
	}
	l := h.lattice
	h.alive = false
	h.incarnation++
	delete(l.hosts, h.id)
	l.alive = slices.DeleteFunc(l.alive, func(o *Host) bool { return o == h })
	h.unsubscribe()
	h.held, h.deferred, h.outbox = nil, nil, nil
}

// Stop ends the host the polite way: host_stopped, nothing per workload.
// Requests to it are refused by the server when Stop returns.
func (h *Host) Stop() error { return h.bringDown(h.sayGoodbye) }

func (h *Host) sayGoodbye() {
	h.mutes, h.stalls = 0, 0
	h.flushOutbox()
	h.emit(lattice.HostStopped, newObject(h.lattice.scratch()).raw("labels", h.labels.json).end())
	h.die()
}

// Kill ends the host without a word. Requests to it are refused by the server
// when Kill returns.
func (h *Host) Kill() error { return h.bringDown(h.die) }

// Restart starts a fresh, empty process in the host's place, with a new id or
// the old one. A host that runs is killed first.
func (h *Host) Restart(newID bool) error {
	return h.bringUp(func() {
		h.die()
		if newID {
			h.id = ""
		}
	})
}

// Mute makes the host busy for d: it answers nothing, its heartbeats and its
// work wait. Then it does in one burst all that was asked meanwhile.
func (h *Host) Mute(d time.Duration) error {
	h.lattice.mu.Lock()
	defer h.lattice.unlock()
	if !h.alive {
		return ErrHostGone
	}
	h.mutes++
	h.timer(d, func() {
		h.mutes--
		h.resume()
	})
	return nil
}

// Relabel puts and deletes labels until exactly the built-in ones and these
// are left; each change is a labels_changed.
func (h *Host) Relabel(labels map[string]string) error {
	h.lattice.mu.Lock()
	defer h.lattice.unlock()
	if !h.alive {
		return ErrHostGone
	}
	want := maps.Clone(builtinLabels)
	maps.Copy(want, labels)
	for _, k := range slices.Sorted(maps.Keys(h.labels.m)) {
		if _, ok := want[k]; !ok {
			h.setLabel(k, nil)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if v, ok := h.labels.m[k]; !ok || v != want[k] {
			v = want[k]
			h.setLabel(k, &v)
		}
	}
	return nil
}

// setLabel sets a label, or removes it when value is nil, and tells.
func (h *Host) setLabel(key string, value *string) {
	m := maps.Clone(h.labels.m)
	if value == nil {
		delete(m, key)
	} else {
		m[key] = *value
	}
	h.labels = h.lattice.dict(m)
	h.emit(lattice.LabelsChanged, newObject(h.lattice.scratch()).str("host_id", string(h.id)).raw("labels", h.labels.json).end())
}

// ID is the host's id; it changes with Restart(true).
func (h *Host) ID() lattice.HostID {
	h.lattice.mu.Lock()
	defer h.lattice.mu.Unlock()
	return h.id
}

// Alive tells whether the host runs.
func (h *Host) Alive() bool {
	h.lattice.mu.Lock()
	defer h.lattice.mu.Unlock()
	return h.alive
}

func (h *Host) interval() time.Duration {
	if h.cfg.HeartbeatInterval > 0 {
		return h.cfg.HeartbeatInterval
	}
	return h.lattice.cfg.HeartbeatInterval
}

func (h *Host) uptime() int64 { return int64(time.Since(h.started) / time.Second) }

func (h *Host) armBeat() {
	l := h.lattice
	l.arm(timer{at: h.nextBeat + int64(l.upTo(l.cfg.HeartbeatJitter)), host: h, incarnation: h.incarnation})
}

// beat is the heartbeat's timer. The rhythm is kept however late a heartbeat is.
func (h *Host) beat() {
	h.nextBeat += int64(h.interval())
	h.armBeat()
	h.late++
	if h.late == 1 {
		h.flushBeats()
	}
}

// flushBeats sends what heartbeats are due, as soon as the tables can be read.
func (h *Host) flushBeats() {
	if h.late == 0 || h.mutes > 0 {
		return
	}
	h.readTables(func() {
		if h.late == 0 || h.mutes > 0 {
			return
		}
		h.emit(lattice.HostHeartbeat, h.appendInventory(h.lattice.scratch()))
		h.late--
		h.flushBeats()
	})
}

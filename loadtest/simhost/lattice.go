package simhost

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/scheduler/lattice"
)

// ErrClosed is returned after Close.
var ErrClosed = errors.New("simulated lattice is closed")

// Lattice is a simulated lattice: hosts and what they share. All methods may be
// called from any goroutine.
type Lattice struct {
	nc     *nats.Conn
	name   string
	cfg    Config
	prefix string // control subjects up to and with the lattice's dot
	events string // event subjects up to and with the lattice's dot
	url    string
	begun  time.Time

	inbox   chan *nats.Msg
	wake    chan struct{}
	closing chan struct{}
	ended   chan struct{}

	mu       sync.Mutex
	closed   bool
	rand     *rand.Rand
	hosts    map[lattice.HostID]*Host // those alive
	alive    []*Host                  // the same, to pick from
	subs     []*nats.Subscription     // of the lattice, while a host is alive
	timers   timers
	dicts    map[string]*dict
	store    store
	buf, out []byte
	changed  chan struct{} // closed and replaced at a change, while somebody waits
	log      recorder
	answered []*Record // recorded commands the hook has yet to see
}

// New starts a simulated lattice without hosts. The name must be a single
// subject token. The connection stays the caller's and must outlive it.
func New(nc *nats.Conn, name string, cfg Config) (*Lattice, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if !validKey(name) {
		return nil, fmt.Errorf("validate lattice: name %q is no bucket token", name)
	}
	l := &Lattice{
		nc: nc, name: name, cfg: cfg,
		prefix:  cfg.CtlPrefix + ".v1." + name + ".",
		events:  "wasmbus.evt." + name + ".",
		url:     nc.ConnectedUrlRedacted(),
		begun:   time.Now(),
		inbox:   make(chan *nats.Msg, cfg.Inbox),
		wake:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		ended:   make(chan struct{}),
		rand:    rand.New(rand.NewPCG(cfg.Seed, hash(name))),
		hosts:   map[lattice.HostID]*Host{},
		dicts:   map[string]*dict{},
		store:   newStore(),
		log:     newRecorder(),
	}
	go l.run()
	return l, nil
}

// hash keeps lattices of one seed from having the same hosts.
func hash(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

// Close ends all hosts without a word, as if their machine lost power, and
// waits for the lattice's goroutine. It may be called twice.
func (l *Lattice) Close() {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	for len(l.alive) > 0 {
		l.alive[0].die()
	}
	l.mu.Unlock()
	if first {
		close(l.closing)
	}
	<-l.ended
}

// Name of the lattice.
func (l *Lattice) Name() string { return l.name }

// run is the lattice's only goroutine: it hears requests and runs timers.
func (l *Lattice) run() {
	defer close(l.ended)
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for {
		l.mu.Lock()
		for t, ok := l.timers.due(l.now()); ok; t, ok = l.timers.due(l.now()) {
			l.fire(t)
		}
		wait := time.Hour
		if at, ok := l.timers.next(); ok {
			wait = time.Duration(at - l.now())
		}
		l.unlock()
		alarm.Reset(wait)

		select {
		case <-l.closing:
			return
		case <-l.wake:
		case <-alarm.C:
		case m := <-l.inbox:
			l.mu.Lock()
			l.hear(m)
			// A burst is heard in one go; timers wait no longer than that.
			for range 64 {
				select {
				case m := <-l.inbox:
					l.hear(m)
					continue
				default:
				}
				break
			}
			l.unlock()
		}
	}
}

// unlock releases the lattice after work that may have changed it: whoever
// waits looks again, and the hook sees what was answered. Only run's goroutine
// answers commands, so the hook sees them in order.
func (l *Lattice) unlock() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
	var seen []Record
	if len(l.answered) > 0 {
		if l.cfg.OnCommand != nil {
			for _, r := range l.answered {
				seen = append(seen, *r)
			}
		}
		clear(l.answered)
		l.answered = l.answered[:0]
	}
	l.mu.Unlock()
	for _, r := range seen {
		l.cfg.OnCommand(r)
	}
}

// now is the time since the lattice began, in nanoseconds, by the monotonic clock.
func (l *Lattice) now() int64 { return int64(time.Since(l.begun)) }

func (l *Lattice) fire(t timer) {
	switch {
	case t.host != nil && t.host.incarnation != t.incarnation:
	case t.fn != nil:
		t.fn()
	default:
		t.host.beat()
	}
}

// arm adds a timer and wakes run when it must look earlier than it planned.
func (l *Lattice) arm(t timer) {
	next, ok := l.timers.next()
	l.timers.add(t)
	if !ok || t.at < next {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// after runs fn later, whatever becomes of any host.
func (l *Lattice) after(d time.Duration, fn func()) {
	l.arm(timer{at: l.now() + int64(d), fn: fn})
}

// chance is true with probability p.
func (l *Lattice) chance(p float64) bool { return p > 0 && l.rand.Float64() < p }

// upTo is a random duration below d.
func (l *Lattice) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(l.rand.Int64N(int64(d)))
}

//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/loadtest/process"
	"wadm/scheduler/lattice"
	"wadm/shard"
)

// operation is a change that takes one command for each of several components on
// hosts. What has been done of it only grows until something else is asked for.
type operation struct {
	what string
	// total is how many components on hosts it changes.
	total int
	// ask asks the server for it, await waits until everything shows it.
	ask, await func(*testing.T)
	// done counts what an inventory shows of it.
	done func(lattice.Inventory) int
	// did tells whether a component that a host has scaled is one more.
	did func(lattice.Component) bool
}

// cut is how far an operation was when its owner was lost.
type cut struct {
	at  time.Time
	err error // of the signal
	// holder wrote the last claim of the lattice, read after the signal.
	holder string
	// sent is how many components the owner had sent a command for.
	sent int
	// least is how many effects hosts had told of before, most how many they show
	// when asked after it. What did not answer may have done everything.
	least, most int
	silent      []string
}

// middle tells whether the owner was lost, when something had taken effect and
// something had not.
func (c cut) middle(o operation, was string) bool {
	return c.holder == was && c.least > 0 && c.most < o.total
}

func (c cut) String() string {
	s := fmt.Sprintf("the claim was that of %s, commands for %d components were sent, %d to %d of them in effect", c.holder, c.sent, c.least, c.most)
	if len(c.silent) > 0 {
		s += fmt.Sprintf(" (no answer of %v)", c.silent)
	}
	return s
}

// knife sends a process a signal as soon as an operation has taken some effect.
type knife struct {
	f    *fleet
	op   operation
	from int // effects
	p    *process.Process
	sig  os.Signal

	mu    sync.Mutex
	sent  map[string]bool // by host and component
	seen  map[string]bool
	fell  bool
	wound chan cut // one, when the signal is sent
}

// lay has the signal sent when hosts tell of as many effects as from.
func (f *fleet) lay(t *testing.T, op operation, from int, p *process.Process, sig os.Signal) *knife {
	t.Helper()
	k := &knife{f: f, op: op, from: from, p: p, sig: sig, sent: map[string]bool{}, seen: map[string]bool{}, wound: make(chan cut, 1)}
	var subs []*nats.Subscription
	for subject, see := range map[string]nats.MsgHandler{
		"wasmbus.ctl.v1.default.component.*.*": k.command,
		"wasmbus.evt.default.component_scaled": k.event,
	} {
		sub, err := f.nc.Subscribe(subject, see)
		if err != nil {
			t.Fatal(err)
		}
		subs = append(subs, sub)
	}
	t.Cleanup(func() {
		for _, sub := range subs {
			_ = sub.Unsubscribe() // the connection may be gone by then
		}
	})
	// The server knows them before it is asked for anything.
	if err := f.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *knife) command(m *nats.Msg) {
	var body struct {
		ID string `json:"component_id"`
	}
	if json.Unmarshal(m.Data, &body) != nil {
		return
	}
	host := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sent[host+" "+body.ID] = true
}

func (k *knife) event(m *nats.Msg) {
	ev, err := lattice.DecodeEvent(m.Data)
	if err != nil || !k.op.did(ev.Component) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen[string(ev.Host)+" "+string(ev.Component.ID)] = true
	if k.fell || len(k.seen) < k.from {
		return
	}
	k.fell = true
	c := cut{least: len(k.seen), sent: len(k.sent), at: time.Now(), err: k.p.Signal(k.sig)}
	go func() { k.wound <- k.f.after(k.op, c) }()
}

// after asks whose the lattice was, and the hosts how much they had done at most.
func (f *fleet) after(op operation, c cut) cut {
	if holder, err := f.holder(); err != nil {
		c.holder = err.Error()
	} else {
		c.holder = holder
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for name := range f.hosts {
		wg.Go(func() {
			inv, err := f.inventory(name)
			n := op.total / len(f.hosts)
			if err == nil {
				n = op.done(inv)
			}
			mu.Lock()
			defer mu.Unlock()
			if c.most += n; err != nil {
				c.silent = append(c.silent, name)
			}
		})
	}
	wg.Wait()
	return c
}

// interrupt has an operation done and loses the owner in its middle. When the
// hosts were quicker, back undoes it and it is tried again.
func (f *fleet) interrupt(t *testing.T, op, back operation, from int, sig os.Signal) {
	t.Helper()
	const tries = 4
	for try := 1; ; try++ {
		f.settled(t)
		was := f.owner(t)
		survivor := f.other(was)
		ready := f.watchReady(survivor)
		k := f.lay(t, op, from, f.instances[was].Process, sig)
		op.ask(t)
		var c cut
		select {
		case c = <-k.wound:
		case <-time.After(patience):
			t.Fatalf("%s: no effect was told of within %v", op.what, patience)
		}
		if c.err != nil {
			t.Fatal(c.err)
		}
		t.Logf("%s of %d: %s was %v: %v", op.what, op.total, was, sig, c)
		f.lost(t, was, c.at, sig)
		op.await(t)
		t.Logf("%s: finished %v after the loss", op.what, time.Since(c.at).Round(100*time.Millisecond))
		ready.end(t)
		f.eventually(t, time.Minute, survivor+" is ready", func() error { return isReady(f.instances[survivor].admin) })
		f.start(was)
		if c.middle(op, was) {
			return
		}
		if try == tries {
			t.Fatalf("%s: in %d tries the owner was never lost in the middle; the last time, of %d, %v", op.what, tries, op.total, c)
		}
		t.Logf("%s: not the middle, again", op.what)
		back.ask(t)
		back.await(t)
	}
}

// readiness asks an instance again and again whether it is ready.
type readiness struct {
	id     string
	cancel context.CancelFunc
	done   chan struct{}
	// Owned by the goroutine until done is closed.
	asked int
	bad   []string
}

func (f *fleet) watchReady(id string) *readiness {
	ctx, cancel := context.WithCancel(f.ctx)
	r := &readiness{id: id, cancel: cancel, done: make(chan struct{})}
	url := f.instances[id].admin
	go func() {
		defer close(r.done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			if err := isReady(url); err != nil {
				r.bad = append(r.bad, fmt.Sprintf("%s: %v", time.Now().Format("15:04:05.000"), err))
			}
			r.asked++
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return r
}

// end fails the test when the instance was not ready for another reason than a
// ledger that is late to answer, as it is when the machine compiles.
func (r *readiness) end(t *testing.T) {
	t.Helper()
	r.cancel()
	<-r.done
	t.Logf("%s was asked %d times and was ready %d times", r.id, r.asked, r.asked-len(r.bad))
	for _, s := range r.bad {
		if !strings.Contains(s, shard.ErrUnhealthy.Error()) {
			t.Errorf("%s was not ready at %s", r.id, s)
		}
	}
}

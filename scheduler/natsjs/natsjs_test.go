package natsjs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/scheduler"
	"wadm/scheduler/natsjs"
	"wadm/shard/natskv"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// patience bounds every wait of the tests.
const patience = 20 * time.Second

// eventually waits until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// makeLedger does what the keeper of the claims does before the scheduler begins.
func makeLedger(t testing.TB, nc *nats.Conn) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := natskv.EnsureStream(t.Context(), js, natskv.LedgerConfig(natskv.DefaultLedger, 1, jetstream.FileStorage)); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, nc *nats.Conn, cfg natsjs.Config) *natsjs.Streams {
	t.Helper()
	makeLedger(t, nc)
	cfg.Ledger, cfg.Status = natskv.DefaultLedger, api.Streams{}.StatusStream()
	s, err := natsjs.New(t.Context(), nc, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newLedger opens the ledger over a connection of its own.
func newLedger(t testing.TB, srv *natstest.Server) *natsjs.Ledger {
	t.Helper()
	return natsjs.NewLedger(open(t, srv.Connect(t), natsjs.Config{}))
}

func lattice1(name string) tenancy.LatticeKey {
	return tenancy.LatticeKey{Tenant: tenancy.DefaultTenant, Lattice: tenancy.Lattice(name)}
}

// claim writes a claim as the owners of lattices do; its sequence is the epoch.
func claim(t testing.TB, js jetstream.JetStream, key tenancy.LatticeKey) scheduler.Claim {
	t.Helper()
	m := nats.NewMsg("wadm.own." + key.Token())
	m.Data = []byte("{}")
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	ack, err := js.PublishMsg(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return scheduler.Claim{Key: key, Epoch: ack.Sequence}
}

func emit(t testing.TB, nc *nats.Conn, lattice, kind, data string) {
	t.Helper()
	if err := nc.Publish("wasmbus.evt."+lattice+"."+kind, []byte(data)); err != nil {
		t.Fatal(err)
	}
}

// stored waits until the events stream of the default tenant has taken n events.
func stored(t testing.TB, js jetstream.JetStream, n uint64) {
	t.Helper()
	eventually(t, "events stored", func() bool {
		st, err := js.Stream(t.Context(), "wasmbus_events")
		return err == nil && st.CachedInfo().State.LastSeq >= n
	})
}

// background runs f until the test ends or stop is called, which waits for it.
func background(t testing.TB, f func(context.Context) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = f(ctx)
	}()
	stop = sync.OnceValue(func() error {
		cancel()
		<-done
		return err
	})
	t.Cleanup(func() { _ = stop() })
	return stop
}

// owner is attached to one lattice and keeps what it is given.
type owner struct {
	mu   sync.Mutex
	got  []string
	held []scheduler.Delivery
	gaps int
	// keep: don't acknowledge.
	keep bool
	// ended is closed when Attach has returned; stop tells what.
	ended chan struct{}
	stop  func() error
}

// attach returns once events are delivered.
func attach(t testing.TB, in *natsjs.Intake, c scheduler.Claim, keep bool) *owner {
	t.Helper()
	o := &owner{keep: keep, ended: make(chan struct{})}
	o.stop = background(t, func(ctx context.Context) error {
		defer close(o.ended)
		return in.Attach(ctx, c, func(d scheduler.Delivery) {
			o.mu.Lock()
			o.got = append(o.got, string(d.Data))
			keep := o.keep
			if keep {
				o.held = append(o.held, d)
			}
			o.mu.Unlock()
			if !keep {
				d.Ack()
			}
		}, func() {
			o.mu.Lock()
			o.gaps++
			o.mu.Unlock()
		})
	})
	eventually(t, "attached", func() bool { return o.gapCount() > 0 })
	return o
}

func (o *owner) seen() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.got...)
}

func (o *owner) has(s string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Contains(o.got, s)
}

func (o *owner) gapCount() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.gaps
}

func newIntake(t testing.TB, s *natsjs.Streams) *natsjs.Intake {
	t.Helper()
	in := natsjs.NewIntake(s)
	background(t, in.Run)
	return in
}

func TestEventsAreDeliveredInOrderAndAcknowledged(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	js := srv.JetStream(t)
	in := newIntake(t, open(t, srv.Connect(t), natsjs.Config{}))
	o := attach(t, in, claim(t, js, lattice1("default")), false)
	other := attach(t, in, claim(t, js, lattice1("other")), false)
	const n = 500
	for i := range n {
		emit(t, nc, "default", "host_heartbeat", fmt.Sprint(i))
		emit(t, nc, "other", "component_scaled", fmt.Sprint(-i))
	}
	eventually(t, "all events", func() bool { return len(o.seen()) == n && len(other.seen()) == n })
	for i, s := range o.seen() {
		if s != fmt.Sprint(i) {
			t.Fatalf("event %d is %s", i, s)
		}
	}
	if o.gapCount() != 1 || other.gapCount() != 1 {
		t.Errorf("gaps: %d, %d, want one each at the start", o.gapCount(), other.gapCount())
	}
	eventually(t, "acknowledgements", func() bool {
		c, err := js.Consumer(t.Context(), "wasmbus_events", "wadm-default")
		return err == nil && c.CachedInfo().NumAckPending == 0 && c.CachedInfo().NumPending == 0
	})
	if err := o.stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("attach ended with %v", err)
	}
}

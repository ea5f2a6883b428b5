package natsjs_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/scheduler"
	"wadm/scheduler/natsjs"
	"wadm/tenancy"
)

// TestAStreamThatCannotBeMadeHoldsUpNobody: somebody else's stream takes the events of
// one tenant, whose own was deleted. Who is told to stop waiting for it stops, other
// tenants' lattices are attached, and when it can be made, nobody has waited in vain.
func TestAStreamThatCannotBeMadeHoldsUpNobody(t *testing.T) {
	t.Parallel()
	natstest.Bubble(t, func(t *testing.T, srv *natstest.Server) {
		js := srv.JetStream(t)
		said := &journal{}
		s := open(t, srv.Connect(t), natsjs.Config{Log: said.logger()})
		if err := s.AddTenant(t.Context(), "acme", "A"); err != nil {
			t.Fatal(err)
		}
		in := newIntake(t, s)
		if err := js.DeleteStream(t.Context(), "wasmbus_events"); err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "somebodys", Subjects: []string{"wasmbus.evt.>"}}); err != nil {
			t.Fatal(err)
		}
		const n = 40 // more than may make their consumers at once
		var ended, attached atomic.Int64
		var stops []func() error
		for i := range n {
			c := claim(t, js, lattice1(fmt.Sprint("l", i)))
			stops = append(stops, background(t, func(ctx context.Context) error {
				defer ended.Add(1)
				return in.Attach(ctx, c, func(scheduler.Delivery) {}, func() { attached.Add(1) })
			}))
		}
		synctest.Wait()

		began := time.Now()
		attach(t, in, claim(t, js, tenancy.LatticeKey{Tenant: "acme", Lattice: "l0"}), false)
		if took := time.Since(began); took >= natsjs.Settle/2 {
			t.Errorf("another tenant's lattice was attached after %v", took)
		}
		// Those who are told to stop are half of all, among them who looks at the stream
		// for the others.
		began = time.Now()
		for _, stop := range stops[:n/2] {
			_ = stop()
		}
		if took := time.Since(began); took > 0 || ended.Load() != n/2 {
			t.Errorf("after %v, %d of %d have stopped", took, ended.Load(), n/2)
		}
		time.Sleep(15 * time.Second)
		if got := strings.Count(said.String(), "stream has disappeared"); got != 1 {
			t.Errorf("waited %d times for the stream to settle", got)
		}
		if got := strings.Count(said.String(), "consumer of events not there"); got != 1 {
			t.Errorf("said of %d lattices why they have no consumer, want one for all", got)
		}
		if err := js.DeleteStream(t.Context(), "somebodys"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "attached", func() bool { return attached.Load() == n/2 })
	})
}

// TestALatticeWithoutConsumerIsSpokenOfEachMinute: nobody acts for it, however long it
// has been so.
func TestALatticeWithoutConsumerIsSpokenOfEachMinute(t *testing.T) {
	t.Parallel()
	natstest.Bubble(t, func(t *testing.T, srv *natstest.Server) {
		js := srv.JetStream(t)
		said := &journal{}
		in := newIntake(t, open(t, srv.Connect(t), natsjs.Config{Log: said.logger()}))
		if err := js.DeleteStream(t.Context(), "wasmbus_events"); err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "somebodys", Subjects: []string{"wasmbus.evt.>"}}); err != nil {
			t.Fatal(err)
		}
		c := claim(t, js, lattice1("default"))
		background(t, func(ctx context.Context) error {
			return in.Attach(ctx, c, func(scheduler.Delivery) {}, func() {})
		})
		time.Sleep(10*time.Minute + 30*time.Second)
		if n := strings.Count(said.String(), "consumer of events not there"); n < 10 || n > 11 {
			t.Errorf("said so %d times in ten minutes and a half", n)
		}
	})
}

// TestALookThatFailedServesAllWhoWaited: a server that does not answer costs all
// lattices together its silence, and not one after the other.
func TestALookThatFailedServesAllWhoWaited(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	through, wire := proxied(t, srv)
	s := open(t, through, natsjs.Config{})
	asked := watchRequests(t, srv, "STREAM.INFO.wasmbus_events")
	wire.dropAnswers.Store(true)
	const n = 32
	var looks sync.WaitGroup
	var failed atomic.Int64
	for range n {
		looks.Go(func() {
			if natsjs.LookAtEvents(t.Context(), s) != nil {
				failed.Add(1)
			}
		})
	}
	looks.Wait()
	// The first one looks for itself, the second one for all who began meanwhile.
	if got := asked(); got > 3 || failed.Load() != n {
		t.Errorf("%d of %d failed after %d looks", failed.Load(), n, got)
	}
}

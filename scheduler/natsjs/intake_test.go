package natsjs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/scheduler"
	"wadm/scheduler/natsjs"
	"wadm/tenancy"
)

func TestAnAttachLeavesOutWhatIsOlderThanItsInventory(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	key := lattice1("default")
	first := newIntake(t, open(t, srv.Connect(t), natsjs.Config{MaxAckPending: 4}))
	emit(t, nc, "default", "host_started", "before anybody")
	stored(t, js, 1)
	o := attach(t, first, claim(t, js, key), true)
	for i := range 10 {
		emit(t, nc, "default", "host_heartbeat", fmt.Sprint(i))
	}
	eventually(t, "first owner full", func() bool { return len(o.seen()) == 4 })
	stored(t, js, 11)
	if err := o.stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("attach ended with %v", err)
	}
	if diff := cmp.Diff([]string{"0", "1", "2", "3"}, o.seen()); diff != "" {
		t.Error(diff)
	}
	second := newIntake(t, open(t, srv.Connect(t), natsjs.Config{}))
	next := claim(t, js, key)
	// Twice under one claim, too.
	for range 2 {
		p := attach(t, second, next, true)
		emit(t, nc, "default", "host_started", "after")
		eventually(t, "event after the inventory", func() bool { return p.has("after") })
		if diff := cmp.Diff([]string{"after"}, p.seen()); diff != "" {
			t.Error(diff)
		}
		_ = p.stop()
	}
	// An acknowledgement that comes late settles nothing of the successor's.
	o.mu.Lock()
	o.held[0].Ack()
	o.mu.Unlock()
	info, err := js.Consumer(t.Context(), "wasmbus_events", "wadm-default")
	if err != nil || info.CachedInfo().NumAckPending != 1 {
		t.Errorf("%v, %+v", err, info.CachedInfo())
	}
}

func TestAnOwnerThatHangsTakesNothingFromItsSuccessor(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	key := lattice1("default")
	zombie := attach(t, newIntake(t, open(t, srv.Connect(t), natsjs.Config{})), claim(t, js, key), false)
	emit(t, nc, "default", "host_started", "before")
	eventually(t, "zombie at work", func() bool { return zombie.has("before") })
	// It keeps its standing request; the new owner does not get to talk to it.
	next := newIntake(t, open(t, srv.Connect(t), natsjs.Config{}))
	o := attach(t, next, claim(t, js, key), false)
	for i := range 50 {
		emit(t, nc, "default", "host_heartbeat", fmt.Sprint(i))
	}
	eventually(t, "all events", func() bool { return len(o.seen()) >= 50 })
	if n := len(zombie.seen()); n != 1 {
		t.Errorf("the old owner was given %d more", n-1)
	}
	// Its consumer is gone; the one it finds is of a newer claim.
	<-zombie.ended
	if err := zombie.stop(); !errors.Is(err, scheduler.ErrFenced) {
		t.Errorf("the old owner ended with %v, want fenced", err)
	}
	if st := next.Stats(); st.Created != 1 {
		t.Errorf("%+v", st)
	}
}

// TestAnOwnerThatComesBackTakesNothingFromItsSuccessor: its connection was broken, and
// it does not know yet that its claim is gone.
func TestAnOwnerThatComesBackTakesNothingFromItsSuccessor(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	through, wire := proxied(t, srv)
	old := attach(t, newIntake(t, open(t, through, natsjs.Config{})), claim(t, js, lattice1("default")), true)
	wire.refuse.Store(true)
	wire.cut()
	next := attach(t, newIntake(t, open(t, srv.Connect(t), natsjs.Config{})), claim(t, js, lattice1("default")), false)
	wire.refuse.Store(false)
	n := 0
	eventually(t, "it is told that its claim is gone", func() bool {
		emit(t, nc, "default", "host_started", fmt.Sprint(n))
		n++
		select {
		case <-old.ended:
			return true
		default:
			return false
		}
	})
	// Sooner than what it might have taken would be delivered again.
	eventually(t, "all events", func() bool { return len(next.seen()) == n })
	if got := old.seen(); len(got) > 0 {
		t.Errorf("the old owner took %v", got)
	}
}

func TestServerRestartIsRepairedWithoutHelp(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	in := newIntake(t, open(t, srv.Connect(t), natsjs.Config{}))
	const n = 40
	var owners []*owner
	for i := range n {
		owners = append(owners, attach(t, in, claim(t, js, lattice1(fmt.Sprintf("l%d", i))), false))
	}
	keeper := attach(t, in, claim(t, js, lattice1("keeper")), true)
	for i := range n {
		emit(t, nc, fmt.Sprintf("l%d", i), "host_started", "before")
	}
	emit(t, nc, "keeper", "host_started", "held")
	eventually(t, "events before", func() bool {
		return keeper.has("held") && !slices.ContainsFunc(owners, func(o *owner) bool { return !o.has("before") })
	})
	eventually(t, "acknowledged", func() bool { return in.Stats().Acked == n })
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	srv.Restart(t)
	// Hosts come back and speak.
	eventually(t, "publisher back", func() bool { return nc.Status() == nats.CONNECTED && nc.FlushTimeout(time.Second) == nil })
	for i := range n {
		emit(t, nc, fmt.Sprintf("l%d", i), "host_started", "after")
	}
	emit(t, nc, "keeper", "host_started", "after")
	eventually(t, "events after the restart", func() bool {
		return keeper.has("after") && !slices.ContainsFunc(owners, func(o *owner) bool { return !o.has("after") })
	})
	for i, o := range owners {
		if o.gapCount() < 2 {
			t.Errorf("l%d was not told of a gap", i)
		}
		if got := slices.DeleteFunc(o.seen(), func(s string) bool { return s == "after" }); len(got) != 1 {
			t.Errorf("l%d got acknowledged events again: %v", i, got)
		}
	}
	if got := slices.DeleteFunc(keeper.seen(), func(s string) bool { return s == "after" }); len(got) != 2 {
		t.Errorf("the unacknowledged event was delivered %d times, want again after the restart", len(got))
	}
	// Late acknowledgements of the old deliveries settle the new ones.
	keeper.mu.Lock()
	for _, d := range keeper.held {
		d.Ack()
	}
	keeper.mu.Unlock()
	eventually(t, "acknowledged", func() bool {
		c, err := js.Consumer(t.Context(), "wasmbus_events", "wadm-keeper")
		return err == nil && c.CachedInfo().NumAckPending == 0 && c.CachedInfo().AckFloor.Stream > 0
	})
}

// TestARestartIsRepairedAlsoWhereOthersListen: the server says that nobody takes a
// request for events only if nobody does, and whoever watches JetStream's API does.
func TestARestartIsRepairedAlsoWhereOthersListen(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	watchRequests(t, srv, ">")
	nc, js := srv.Connect(t), srv.JetStream(t)
	in := newIntake(t, open(t, srv.Connect(t), natsjs.Config{}))
	o := attach(t, in, claim(t, js, lattice1("default")), false)
	emit(t, nc, "default", "host_started", "one")
	eventually(t, "first event", func() bool { return o.has("one") })
	srv.Restart(t)
	eventually(t, "consumer", func() bool { return in.Stats().Created == 2 })
	emit(t, nc, "default", "host_started", "two")
	eventually(t, "second event", func() bool { return o.has("two") })
}

func TestADeletedConsumerIsMadeAgainWhereItStood(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	in := newIntake(t, open(t, srv.Connect(t), natsjs.Config{}))
	o := attach(t, in, claim(t, js, lattice1("default")), false)
	emit(t, nc, "default", "host_started", "one")
	eventually(t, "first event", func() bool { return in.Stats().Acked == 1 })
	if err := js.DeleteConsumer(t.Context(), "wasmbus_events", "wadm-default"); err != nil {
		t.Fatal(err)
	}
	emit(t, nc, "default", "host_started", "two")
	eventually(t, "second event", func() bool { return o.has("two") })
	if diff := cmp.Diff([]string{"one", "two"}, o.seen()); diff != "" {
		t.Error(diff)
	}
	if o.gapCount() != 2 {
		t.Errorf("%d gaps", o.gapCount())
	}
}

func TestAConsumerDeletedBeforeItsFirstEventMissesNone(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	in := newIntake(t, open(t, srv.Connect(t), natsjs.Config{}))
	emit(t, nc, "default", "host_started", "old")
	stored(t, js, 1)
	o := attach(t, in, claim(t, js, lattice1("default")), false)
	if err := js.DeleteConsumer(t.Context(), "wasmbus_events", "wadm-default"); err != nil {
		t.Fatal(err)
	}
	emit(t, nc, "default", "host_started", "new")
	eventually(t, "new event", func() bool { return o.has("new") })
	if diff := cmp.Diff([]string{"new"}, o.seen()); diff != "" {
		t.Error(diff)
	}
}

func TestAConsumerThatIsStillThereIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	in := newIntake(t, open(t, srv.Connect(t), natsjs.Config{}))
	inbox := make(chan string, 16)
	_, err := nc.Subscribe("$JS.API.CONSUMER.MSG.NEXT.wasmbus_events.wadm-default", func(m *nats.Msg) { inbox <- m.Reply })
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	o := attach(t, in, claim(t, js, lattice1("default")), false)
	// What a server says whose news are old: about a consumer that is back by now.
	looks := watchRequests(t, srv, "CONSUMER.INFO.wasmbus_events.wadm-default")
	before := looks()
	late := nats.NewMsg(<-inbox)
	late.Header.Set("Status", "409")
	late.Header.Set("Description", "Consumer Deleted")
	if err := nc.PublishMsg(late); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a look", func() bool { return looks() > before })
	emit(t, nc, "default", "host_started", "one")
	eventually(t, "event", func() bool { return o.has("one") })
	if st := in.Stats(); st.Created != 1 || st.Gaps != 1 || len(o.seen()) != 1 {
		t.Errorf("%+v, %v", st, o.seen())
	}
}

func TestADeletedStreamIsMadeAgain(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	in := newIntake(t, open(t, srv.Connect(t), natsjs.Config{}))
	o := attach(t, in, claim(t, js, lattice1("default")), true)
	for i := range 3 {
		emit(t, nc, "default", "host_started", fmt.Sprint("old ", i))
	}
	eventually(t, "events", func() bool { return o.has("old 2") })
	if err := js.DeleteStream(t.Context(), "wasmbus_events"); err != nil {
		t.Fatal(err)
	}
	// The first consumer made again may still have been in the old stream.
	eventually(t, "consumer in a new stream", func() bool {
		_, err := js.Consumer(t.Context(), "wasmbus_events", "wadm-default")
		return err == nil
	})
	eventually(t, "gap", func() bool { return o.gapCount() >= 2 })
	emit(t, nc, "default", "host_started", "new 0")
	emit(t, nc, "default", "host_started", "new 1")
	eventually(t, "new events", func() bool { return o.has("new 1") })
	// Acknowledging an event of the old stream must not settle the one that has
	// its number in the new stream.
	o.mu.Lock()
	for _, d := range o.held[:3] {
		d.Ack()
	}
	o.mu.Unlock()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	c, err := js.Consumer(t.Context(), "wasmbus_events", "wadm-default")
	if err != nil || c.CachedInfo().NumAckPending != 2 {
		t.Errorf("%v, %+v", err, c.CachedInfo())
	}
	if st := in.Stats(); st.Acked != 0 {
		t.Errorf("%+v", st)
	}
}

func TestUnacknowledgedEventsComeAgain(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	in := newIntake(t, open(t, srv.Connect(t), natsjs.Config{AckWait: 200 * time.Millisecond}))
	o := attach(t, in, claim(t, js, lattice1("default")), true)
	emit(t, nc, "default", "host_started", "x")
	eventually(t, "third delivery", func() bool { return len(o.seen()) >= 3 })
	o.mu.Lock()
	o.keep = false
	// The oldest delivery's acknowledgement counts for the event.
	o.held[0].Ack()
	o.held[0].Ack()
	o.mu.Unlock()
	eventually(t, "settled", func() bool {
		c, err := js.Consumer(t.Context(), "wasmbus_events", "wadm-default")
		return err == nil && c.CachedInfo().NumAckPending == 0
	})
}

func TestASlowLatticeHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	in := newIntake(t, open(t, srv.Connect(t), natsjs.Config{}))
	block, attached := make(chan struct{}), make(chan struct{})
	var slow sync.WaitGroup
	slow.Add(1)
	var once sync.Once
	c := claim(t, js, lattice1("slow"))
	stop := background(t, func(ctx context.Context) error {
		return in.Attach(ctx, c, func(d scheduler.Delivery) {
			once.Do(slow.Done)
			<-block
			d.Ack()
		}, func() { close(attached) })
	})
	<-attached
	o := attach(t, in, claim(t, js, lattice1("quick")), false)
	for i := range 200 {
		emit(t, nc, "slow", "host_heartbeat", fmt.Sprint(i))
		emit(t, nc, "quick", "host_heartbeat", fmt.Sprint(i))
	}
	slow.Wait()
	eventually(t, "quick lattice", func() bool { return len(o.seen()) == 200 })
	close(block)
	eventually(t, "slow lattice", func() bool { return in.Stats().Acked == 400 })
	_ = stop()
}

func TestAForeignConsumerIsReplaced(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	s := open(t, srv.Connect(t), natsjs.Config{})
	_, err := js.CreateConsumer(t.Context(), "wasmbus_events", jetstream.ConsumerConfig{
		Durable: "wadm-default", FilterSubject: "evt.default", AckPolicy: jetstream.AckExplicitPolicy,
		// The epochs of another ledger mean nothing here.
		Metadata: map[string]string{"wadm-epoch": "1000000", "wadm-ledger": "another"},
	})
	if err != nil {
		t.Fatal(err)
	}
	o := attach(t, newIntake(t, s), claim(t, js, lattice1("default")), false)
	emit(t, nc, "default", "host_started", "one")
	eventually(t, "event", func() bool { return o.has("one") })
	info, err := js.Consumer(t.Context(), "wasmbus_events", "wadm-default")
	if err != nil {
		t.Fatal(err)
	}
	if cfg := info.CachedInfo().Config; !cfg.MemoryStorage || cfg.MaxAckPending != 16 || cfg.Replicas != 1 || cfg.AckWait != 30*time.Second {
		t.Errorf("%+v", cfg)
	}
}

func TestAnOlderClaimDoesNotAttach(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	in := newIntake(t, open(t, srv.Connect(t), natsjs.Config{}))
	key := lattice1("default")
	old := claim(t, js, key)
	attach(t, in, claim(t, js, key), false)
	late := newIntake(t, open(t, srv.Connect(t), natsjs.Config{}))
	err := late.Attach(t.Context(), old, func(scheduler.Delivery) {}, func() { t.Error("attached") })
	if !errors.Is(err, scheduler.ErrFenced) {
		t.Errorf("attach ended with %v, want fenced", err)
	}
}

func TestAnExpiredRequestIsRenewed(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	in := newIntake(t, open(t, srv.Connect(t), natsjs.Config{PullExpires: 100 * time.Millisecond, PullBatch: 4}))
	o := attach(t, in, claim(t, js, lattice1("default")), false)
	asked := watchRequests(t, srv, "CONSUMER.MSG.NEXT.wasmbus_events.wadm-default")
	eventually(t, "renewals", func() bool { return asked() >= 3 })
	for i := range 20 {
		emit(t, nc, "default", "host_heartbeat", fmt.Sprint(i))
	}
	eventually(t, "events", func() bool { return len(o.seen()) == 20 })
	if o.gapCount() != 1 {
		t.Errorf("%d gaps", o.gapCount())
	}
}

// watchRequests counts the requests of a kind to JetStream.
func watchRequests(t testing.TB, srv *natstest.Server, kind string) func() int {
	t.Helper()
	nc := srv.Connect(t)
	var mu sync.Mutex
	n := 0
	_, err := nc.Subscribe("$JS.API."+kind, func(*nats.Msg) {
		mu.Lock()
		n++
		mu.Unlock()
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

func TestAQuietHeartbeatCostsItsAcknowledgementOnly(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	own := srv.Connect(t)
	in := newIntake(t, open(t, own, natsjs.Config{}))
	attach(t, in, claim(t, js, lattice1("default")), false)
	emit(t, nc, "default", "host_heartbeat", "0")
	eventually(t, "first", func() bool { return in.Stats().Acked == 1 })
	before := own.Stats()
	const n = 30 // less than half a request
	for i := range n {
		emit(t, nc, "default", "host_heartbeat", fmt.Sprint(i))
		eventually(t, "acknowledgement", func() bool { return in.Stats().Acked == uint64(i+2) })
	}
	after := own.Stats()
	if in, out := after.InMsgs-before.InMsgs, after.OutMsgs-before.OutMsgs; in != n || out != n {
		t.Errorf("%d heartbeats: %d messages in, %d out", n, in, out)
	}
}

func TestHeadersOfEventsAreNoStatuses(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	in := newIntake(t, open(t, srv.Connect(t), natsjs.Config{}))
	o := attach(t, in, claim(t, js, lattice1("default")), false)
	for _, status := range []string{"503", "409", "100"} {
		m := nats.NewMsg("wasmbus.evt.default.host_heartbeat")
		m.Header.Set("Status", status)
		m.Header.Set("Description", "Consumer Deleted")
		if err := nc.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "events", func() bool { return len(o.seen()) == 3 })
	if o.gapCount() != 1 || in.Stats().Created != 1 {
		t.Errorf("%d gaps, %+v", o.gapCount(), in.Stats())
	}
}

func TestHostileLatticesAreRefused(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	in := newIntake(t, open(t, srv.Connect(t), natsjs.Config{}))
	for _, name := range []string{"", "*", ">", "a.b", "-a", "a b", strings.Repeat("a", 200)} {
		err := in.Attach(t.Context(), scheduler.Claim{Key: lattice1(name), Epoch: 1}, func(scheduler.Delivery) {}, func() {})
		if !errors.Is(err, tenancy.ErrBadName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	err := in.Attach(t.Context(), scheduler.Claim{Key: tenancy.LatticeKey{Tenant: "none", Lattice: "a"}, Epoch: 1}, func(scheduler.Delivery) {}, func() {})
	if !errors.Is(err, natsjs.ErrUnknownTenant) {
		t.Errorf("unknown tenant: %v", err)
	}
}

func TestAttachEndsWithTheIntake(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	in := natsjs.NewIntake(open(t, srv.Connect(t), natsjs.Config{}))
	stop := background(t, in.Run)
	o := attach(t, in, claim(t, js, lattice1("default")), false)
	if err := stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	if err := o.stop(); !errors.Is(err, natsjs.ErrStopped) && !errors.Is(err, context.Canceled) {
		t.Errorf("attach: %v", err)
	}
	if err := in.Run(t.Context()); err == nil {
		t.Error("the intake ran twice")
	}
}

func TestABrokenConnectionLosesNothingUnlessItLastsAsLongAsEvents(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		age  time.Duration
		gaps int
	}{{"short", 70 * time.Second, 1}, {"long", 3 * time.Second, 2}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			nc, js := srv.Connect(t), srv.JetStream(t)
			through, wire := proxied(t, srv)
			in := newIntake(t, open(t, through, natsjs.Config{EventsMaxAge: c.age}))
			o := attach(t, in, claim(t, js, lattice1("default")), false)
			emit(t, nc, "default", "host_started", "before")
			eventually(t, "first event", func() bool { return in.Stats().Acked == 1 })
			wire.refuse.Store(true)
			wire.cut()
			eventually(t, "break noticed", func() bool { return through.Status() == nats.RECONNECTING })
			since := time.Now()
			eventually(t, "time without connection", func() bool { return time.Since(since) > 1600*time.Millisecond })
			emit(t, nc, "default", "host_started", "meanwhile")
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			wire.refuse.Store(false)
			eventually(t, "event of the break", func() bool { return o.has("meanwhile") })
			eventually(t, "gaps", func() bool { return o.gapCount() == c.gaps })
			if st := in.Stats(); st.Created != 1 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestTheAgeOfAnEventIsByTheServersClock: a process whose clock is hours off must
// not take every event for one before which others were lost, nor none.
func TestTheAgeOfAnEventIsByTheServersClock(t *testing.T) {
	t.Parallel()
	s := open(t, natstest.Start(t).Connect(t), natsjs.Config{})
	for _, ahead := range []time.Duration{0, 5 * time.Hour, -5 * time.Hour} {
		for _, actual := range []time.Duration{0, time.Minute} {
			if age := natsjs.Age(s, actual, ahead); age < actual || age > actual+10*time.Second {
				t.Errorf("clock %v ahead: an event of %v ago counts as %v old", ahead, actual, age)
			}
		}
	}
}

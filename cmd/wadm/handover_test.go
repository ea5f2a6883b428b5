package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn"
	"wadm/config/natsconn/natstest"
	"wadm/loadtest/chaos"
	"wadm/loadtest/simhost"
	"wadm/shard"
	"wadm/shard/ring"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// departure is an owner of the lattice default that has just sent something and is
// to be stopped, with the connection of its commands in the test's hands.
type departure struct {
	t      *testing.T
	nats   *natstest.Server
	sim    *simhost.Lattice
	client *api.Client
	wire   *chaos.Proxy
	// one is the owner; said counts what its connection for commands was given.
	one  *server
	said func() uint64
	stop func() error

	mu sync.Mutex
	// released is the newest release of the lattice, seen at releasedAt.
	released   shard.Record
	releasedAt time.Time
}

func newDeparture(ctx context.Context, t *testing.T) *departure {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	d := &departure{t: t, nats: natstest.Start(t)}
	nc := d.nats.Connect(t)
	_, err := nc.Subscribe("wadm.own.default.default", func(m *nats.Msg) {
		if r, err := shard.DecodeRecord(m.Data); err == nil && r.State == shard.Released {
			d.mu.Lock()
			d.released, d.releasedAt = r, time.Now()
			d.mu.Unlock()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if d.sim, err = simhost.New(nc, "default", simhost.Config{RequireEpoch: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.sim.Close)
	if _, err := d.sim.AddHost(simhost.HostConfig{Labels: map[string]string{"zone": "a"}}); err != nil {
		t.Fatal(err)
	}
	if d.client, err = api.NewClient(nc, api.ClientConfig{Lattice: "default"}); err != nil {
		t.Fatal(err)
	}
	if d.wire, err = chaos.NewProxy(strings.TrimPrefix(d.nats.URL(), "nats://")); err != nil {
		t.Fatal(err)
	}
	carried := make(chan error, 1)
	wctx, unplug := context.WithCancel(context.WithoutCancel(t.Context()))
	go func() { carried <- d.wire.Run(wctx) }()
	t.Cleanup(func() {
		unplug()
		if err := <-carried; err != nil {
			t.Error(err)
		}
	})
	commands, err := natsconn.Connect(ctx, natsconn.Config{Server: "nats://" + d.wire.Addr(), NoBuffer: true}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(commands.Close)
	d.said = func() uint64 { return commands.Stats().OutMsgs }
	d.one, d.stop = startAs(t, "one", d.nats.URL(), "", log, func(d *deps) {
		d.Commands.Close()
		d.Commands = commands
	})
	d.deploy(ctx, "first")
	awaitStatus(ctx, t, d.client, "first", tenancy.StatusDeployed)
	return d
}

// await waits until cond holds.
func (d *departure) await(ctx context.Context, what string, cond func() bool) {
	d.t.Helper()
	for !cond() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			d.t.Fatal("never: " + what)
		}
	}
}

// deploy puts and deploys an application of one instance.
func (d *departure) deploy(ctx context.Context, app string) {
	d.t.Helper()
	if _, err := d.client.Put(ctx, []byte(zoned(app, 1, "a")), ""); err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.client.Deploy(ctx, app, nil); err != nil {
		d.t.Fatal(err)
	}
}

// deployFromOne is deploy, and a wait until a command for it has left.
func (d *departure) deployFromOne(ctx context.Context, app string) {
	d.t.Helper()
	stored, said := d.one.scheduler.Stats.Commands.Load(), d.said()
	d.deploy(ctx, app)
	d.await(ctx, "the command has left", func() bool { return d.one.scheduler.Stats.Commands.Load() > stored && d.said() > said })
}

// stopOne stops the owner in order and returns its release and when that was seen. A
// machine that is short of time may have had it leave a moment before.
func (d *departure) stopOne(ctx context.Context) (r shard.Record, at time.Time) {
	d.t.Helper()
	stopped := make(chan error, 1)
	go func() { stopped <- d.stop() }()
	select {
	case err := <-stopped:
		if err != nil {
			d.t.Fatalf("the owner ended with %v", err)
		}
	case <-ctx.Done():
		d.t.Fatal("the owner does not stop")
	}
	d.await(ctx, "the release is seen", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		r, at = d.released, d.releasedAt
		return !at.IsZero()
	})
	return r, at
}

// TestAHandOverWaitsForCommandsUnderWay: the connection of an owner's commands is
// held while it stops in order. Its successor has something to do at once, and
// still leaves the commands of the older epoch the time that the release says.
func TestAHandOverWaitsForCommandsUnderWay(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d := newDeparture(ctx, t)

	// The second gets the lattice when the first leaves, and not before.
	second := ""
	for i := 0; second == ""; i++ {
		name := fmt.Sprintf("two%d", i)
		r, err := ring.New(ring.DefaultParams(), []ring.Member{{ID: "one", Units: ring.FullUnits}, {ID: name, Units: ring.FullUnits}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if owner, _ := r.Owner("default.default"); owner == "one" {
			second = name
		}
	}
	two, _ := startAs(t, second, d.nats.URL(), "", slog.New(slog.DiscardHandler))
	d.await(ctx, "both are in the view", func() bool { return len(two.fleet.Status().View.Members) == 2 })

	d.wire.Set(chaos.Link{Hold: [2]bool{chaos.Up: true}})
	d.deployFromOne(ctx, "held")
	before := len(d.sim.Commands())
	r, at := d.stopOne(ctx)
	if r.State != shard.Released || r.Settle == 0 {
		t.Errorf("the owner left %+v, want a release that a successor waits after", r)
	}
	d.deploy(ctx, "waiting")
	d.wire.Set(chaos.Link{})
	for _, app := range []string{"held", "waiting"} {
		awaitStatus(ctx, t, d.client, app, tenancy.StatusDeployed)
	}
	wait, commands := time.Duration(r.Settle)*time.Millisecond, map[string]int{}
	for _, c := range d.sim.Commands()[before:] {
		commands[c.Instance]++
		// The second may have seen the release a little earlier than the test.
		if after := c.Time.Sub(at); c.Instance == second && after < wait-wait/4 {
			t.Errorf("the second acted %s after the release, want it to wait for %s", after, wait)
		}
	}
	if commands["one"] == 0 || commands[second] == 0 {
		t.Errorf("commands came from %v, want some that were held and some of the second", commands)
	}
}

// TestAHandOverWaitsForNothingThatHasArrived: a command that has just been sent
// delays no successor.
func TestAHandOverWaitsForNothingThatHasArrived(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d := newDeparture(ctx, t)
	d.deployFromOne(ctx, "quick")
	if r, _ := d.stopOne(ctx); r.State != shard.Released || r.Settle != 0 {
		t.Errorf("the owner left %+v, want a release that nobody waits after", r)
	}
}

// TestAClaimThatIsTakenIsDropped: an owner that sees a newer claim neither stores
// anything more nor waits for what it has sent, and counts as one that lost its claim.
func TestAClaimThatIsTakenIsDropped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	d := newDeparture(ctx, t)
	other, err := shard.Record{Owner: "other", Incarnation: "other-1", State: shard.Held}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.nats.JetStream(t).PublishMsg(ctx, &nats.Msg{
		Subject: "wadm.own.default.default", Data: other, Header: nats.Header{jetstream.MsgRollup: {jetstream.MsgRollupSubject}},
	}); err != nil {
		t.Fatal(err)
	}
	d.await(ctx, "the claim counts as lost", func() bool { return d.one.scheduler.Stats.Fenced.Load() == 1 })
}

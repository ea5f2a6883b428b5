package control_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/config/natsconn/natstest"
	"wadm/loadtest/chaos"
	"wadm/scheduler"
	"wadm/scheduler/control"
	"wadm/scheduler/lattice"
)

var stop = lattice.Command{Kind: lattice.StopProvider, Host: host, Workload: "w"}

// held connects a client through a proxy that can keep what passes; arrived gets
// the commands.
func held(t *testing.T) (c *control.Client, p *chaos.Proxy, arrived chan *nats.Msg) {
	t.Helper()
	srv := natstest.Start(t, natstest.WithoutJetStream())
	p, err := chaos.NewProxy(strings.TrimPrefix(srv.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	nc, err := nats.Connect("nats://"+p.Addr(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectBufSize(-1), nats.IgnoreDiscoveredServers())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	hosts := srv.Connect(t)
	arrived = make(chan *nats.Msg, 16)
	if _, err := hosts.ChanSubscribe("wasmbus.ctl.v1.>", arrived); err != nil {
		t.Fatal(err)
	}
	if err := hosts.Flush(); err != nil {
		t.Fatal(err)
	}
	return newClient(t, nc, control.Config{}), p, arrived
}

// send sends a command that nobody answers, and returns once it has left.
func send(t *testing.T, c *control.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if r := c.Send(ctx, scheduler.Claim{Key: key, Epoch: 7}, stop); r.Outcome != lattice.Unknown {
		t.Fatalf("the command is %+v, want no answer", r)
	}
}

// flush asks whether all has arrived, for at most limit.
func flush(t *testing.T, c *control.Client, limit time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return c.Flush(ctx)
}

func TestFlushTellsWhetherCommandsHaveArrived(t *testing.T) {
	t.Parallel()
	c, p, arrived := held(t)
	send(t, c)
	if err := flush(t, c, 10*time.Second); err != nil || len(arrived) != 1 {
		t.Fatalf("nothing is in the way, %d have arrived: %v", len(arrived), err)
	}
	<-arrived
	p.Set(chaos.Link{Hold: [2]bool{chaos.Up: true}})
	send(t, c)
	if err := flush(t, c, 50*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) || len(arrived) != 0 {
		t.Fatalf("held back, %d have arrived: %v", len(arrived), err)
	}
	p.Set(chaos.Link{})
	if err := flush(t, c, 10*time.Second); err != nil {
		t.Fatalf("held back no more: %v", err)
	}
	select {
	case <-arrived:
	case <-time.After(10 * time.Second):
		t.Error("flushed, and the command never came")
	}
}

// TestFlushDoesNotSpeakForAConnectionThatIsLost: what the network holds of the old
// one may arrive after anything that is sent over the new one.
func TestFlushDoesNotSpeakForAConnectionThatIsLost(t *testing.T) {
	t.Parallel()
	c, p, _ := held(t)
	send(t, c)
	p.Set(chaos.Link{Cut: true})
	for end := time.Now().Add(10 * time.Second); ; {
		began := time.Now()
		err := flush(t, c, time.Second)
		if err != nil && time.Since(began) < time.Second {
			break // it knows
		}
		if time.Now().After(end) {
			t.Fatalf("flushed without a connection: %v", err)
		}
	}
	p.Set(chaos.Link{})
	for end := time.Now().Add(10 * time.Second); ; {
		r := c.Send(t.Context(), scheduler.Claim{Key: key, Epoch: 7}, lattice.Command{Kind: lattice.DeleteConfig, ConfigName: "c"})
		if r.Outcome != lattice.Unsent {
			break // it is connected again
		}
		if time.Now().After(end) {
			t.Fatalf("not connected again: %+v", r)
		}
	}
	if err := flush(t, c, 10*time.Second); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("over the new connection: %v", err)
	}
	control.Age(c, time.Minute)
	if err := flush(t, c, 10*time.Second); err != nil {
		t.Errorf("long after the loss: %v", err)
	}
}

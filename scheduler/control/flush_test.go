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

// line is a client whose connection the test can hold or cut, and the hosts at the
// other end.
type line struct {
	*control.Client
	t         *testing.T
	nc, hosts *nats.Conn
	wire      *chaos.Proxy
	commands  chan *nats.Msg
}

func newLine(t *testing.T) *line {
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
	l := &line{t: t, Client: newClient(t, nc, control.Config{}), nc: nc, hosts: srv.Connect(t), wire: p, commands: make(chan *nats.Msg, 16)}
	if _, err := l.hosts.ChanSubscribe("wasmbus.ctl.v1.>", l.commands); err != nil {
		t.Fatal(err)
	}
	l.arrived()
	return l
}

// arrived is how many commands have come to the hosts by now: what the server has
// for them is delivered before its answer to their ping.
func (l *line) arrived() int {
	l.t.Helper()
	if err := l.hosts.FlushTimeout(10 * time.Second); err != nil {
		l.t.Fatal(err)
	}
	return len(l.commands)
}

// send sends a command that nobody answers, and returns once it has left.
func (l *line) send() {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.t.Context())
	defer cancel()
	before := l.nc.Stats().OutMsgs
	answer := make(chan lattice.Reply, 1)
	go func() { answer <- l.Send(ctx, scheduler.Claim{Key: key, Epoch: 7}, stop) }()
	l.await("the command has left", func() bool { return l.nc.Stats().OutMsgs > before })
	cancel()
	if r := <-answer; r.Outcome != lattice.Unknown {
		l.t.Fatalf("the command is %+v, want no answer", r)
	}
}

// flush asks whether all has arrived that has been sent until now, for at most limit.
func (l *line) flush(limit time.Duration) error {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), limit)
	defer cancel()
	return l.Flush(ctx, time.Now())
}

// await waits until cond holds.
func (l *line) await(what string, cond func() bool) {
	l.t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatal("never: " + what)
		}
	}
}

func TestFlushTellsWhetherCommandsHaveArrived(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.send()
	if err := l.flush(10 * time.Second); err != nil || l.arrived() != 1 {
		t.Fatalf("nothing is in the way, %d have arrived: %v", l.arrived(), err)
	}
	l.wire.Set(chaos.Link{Hold: [2]bool{chaos.Up: true}})
	l.send()
	if err := l.flush(50 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) || l.arrived() != 1 {
		t.Fatalf("held back, %d have arrived: %v", l.arrived(), err)
	}
	if err := l.Flush(t.Context(), time.Now().Add(-time.Minute)); err != nil {
		t.Fatalf("held back, and the newest left long ago: %v", err)
	}
	l.wire.Set(chaos.Link{})
	if err := l.flush(10 * time.Second); err != nil || l.arrived() != 2 {
		t.Fatalf("held back no more, %d have arrived: %v", l.arrived(), err)
	}
}

// reconnect cuts the connection, and returns once there is a new one.
func (l *line) reconnect() {
	l.t.Helper()
	before := l.nc.Stats().Reconnects
	l.wire.Set(chaos.Link{Cut: true})
	l.await("the connection is lost", func() bool { return !l.nc.IsConnected() })
	if err := l.flush(10 * time.Second); err == nil || errors.Is(err, context.DeadlineExceeded) {
		l.t.Errorf("without a connection: %v", err)
	}
	l.wire.Set(chaos.Link{})
	l.await("connected again", func() bool { return l.nc.IsConnected() && l.nc.Stats().Reconnects > before })
}

// TestFlushDoesNotSpeakForAConnectionThatIsLost: what the network holds of the old
// one may arrive after anything that is sent over the new one.
func TestFlushDoesNotSpeakForAConnectionThatIsLost(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.reconnect()
	l.send()
	if err := l.flush(10 * time.Second); err != nil {
		t.Errorf("nothing had left before: %v", err)
	}
	// The loss is noticed after silence: it is younger than what was lost.
	control.Age(l.Client, 9*time.Second)
	l.reconnect()
	l.send()
	control.Age(l.Client, 9*time.Second)
	if err := l.flush(10 * time.Second); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("over the new connection: %v", err)
	}
	control.Age(l.Client, time.Minute)
	if err := l.flush(10 * time.Second); err != nil {
		t.Errorf("long after the loss: %v", err)
	}
}

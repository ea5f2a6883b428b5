package simhost_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/config/natsconn/natstest"
	"wadm/loadtest/simhost"
)

func TestAThousandHostsLiveInOneProcess(t *testing.T) {
	t.Parallel()
	n := 1000
	if testing.Short() {
		n = 200
	}
	s := natstest.Start(t, natstest.WithoutJetStream())
	client := s.Connect(t)
	var beats, started, scaled atomic.Int64
	for kind, count := range map[string]*atomic.Int64{"host_heartbeat": &beats, "host_started": &started, "component_scaled": &scaled} {
		if _, err := client.Subscribe("wasmbus.evt.many."+kind, func(*nats.Msg) { count.Add(1) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Flush(); err != nil {
		t.Fatal(err)
	}
	goroutines := runtime.NumGoroutine()
	sim, err := simhost.New(s.Connect(t), "many", simhost.Config{HeartbeatInterval: 2 * time.Second, SpreadHeartbeats: true})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	for range n {
		if _, err := sim.AddHost(simhost.HostConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	// Other tests of this package come and go meanwhile; a goroutine per host would show.
	if more := runtime.NumGoroutine() - goroutines; more > n/2 {
		t.Errorf("%d goroutines for %d hosts", more, n)
	}

	hosts := sim.Hosts()
	for _, h := range hosts {
		if err := client.Publish("wasmbus.ctl.v1.many."+on("component.scale", h), []byte(scaleTo(h, "c", "img", 1, "s"))); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := sim.WaitFor(ctx, func() bool { return len(sim.Instances("c")) == n }); err != nil {
		t.Fatal(err)
	}
	for beats.Load() < int64(2*n) || started.Load() < int64(n) || scaled.Load() < int64(2*n) {
		select {
		case <-ctx.Done():
			t.Fatalf("%d heartbeats, %d starts, %d scaled", beats.Load(), started.Load(), scaled.Load())
		case <-time.After(10 * time.Millisecond):
		}
	}

	inbox, err := client.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	if err := client.PublishRequest("wasmbus.ctl.v1.many.host.ping", inbox.Subject, nil); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for len(ids) < n {
		m, err := inbox.NextMsgWithContext(ctx)
		if err != nil {
			t.Fatalf("%d of %d hosts answered: %v", len(ids), n, err)
		}
		var r struct {
			Response struct {
				ID string `json:"id"`
			} `json:"response"`
		}
		if err := json.Unmarshal(m.Data, &r); err != nil {
			t.Fatal(err)
		}
		ids[r.Response.ID] = true
	}
	for _, h := range hosts[:n/2] {
		if err := h.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	diff(t, "left", n/2, len(sim.Instances("c")))
	diff(t, "lost", 0, sim.Stats().Lost)
}

// BenchmarkIdleHost reports the memory of a host that runs nothing, server
// side of its subscriptions included.
func BenchmarkIdleHost(b *testing.B) {
	for _, compact := range []bool{false, true} {
		b.Run(fmt.Sprintf("compact=%v", compact), func(b *testing.B) {
			s := natstest.Start(b, natstest.WithoutJetStream())
			sim, err := simhost.New(s.Connect(b), "idle", simhost.Config{Compact: compact, HeartbeatInterval: time.Hour})
			if err != nil {
				b.Fatal(err)
			}
			defer sim.Close()
			if _, err := sim.AddHost(simhost.HostConfig{}); err != nil {
				b.Fatal(err)
			}
			before := heap()
			b.ResetTimer()
			for range b.N {
				if _, err := sim.AddHost(simhost.HostConfig{}); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(heap()-before)/float64(b.N), "B/host")
		})
	}
}

// BenchmarkIdleLattice reports the memory of a lattice with three idle hosts.
func BenchmarkIdleLattice(b *testing.B) {
	s := natstest.Start(b, natstest.WithoutJetStream())
	nc := s.Connect(b)
	var sims []*simhost.Lattice
	before := heap()
	for i := range b.N {
		sim, err := simhost.New(nc, fmt.Sprint("idle", i), simhost.Config{Compact: true, Inbox: 64, HeartbeatInterval: time.Hour})
		if err != nil {
			b.Fatal(err)
		}
		sims = append(sims, sim)
		for range 3 {
			if _, err := sim.AddHost(simhost.HostConfig{}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(heap()-before)/float64(b.N), "B/lattice")
	for _, sim := range sims {
		sim.Close()
	}
}

// BenchmarkHeartbeat is a host with twenty components that only lives.
func BenchmarkHeartbeat(b *testing.B) {
	s := natstest.Start(b, natstest.WithoutJetStream())
	client := s.Connect(b)
	var beats atomic.Int64
	if _, err := client.Subscribe("wasmbus.evt.busy.host_heartbeat", func(*nats.Msg) { beats.Add(1) }); err != nil {
		b.Fatal(err)
	}
	if err := client.Flush(); err != nil {
		b.Fatal(err)
	}
	sim, err := simhost.New(s.Connect(b), "busy", simhost.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer sim.Close()
	h, err := sim.AddHost(simhost.HostConfig{HeartbeatInterval: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 20 {
		if err := client.Publish("wasmbus.ctl.v1.busy."+on("component.scale", h), []byte(scaleTo(h, fmt.Sprint("c", i), "img", 1, "s"))); err != nil {
			b.Fatal(err)
		}
	}
	if err := sim.WaitFor(b.Context(), func() bool { return len(h.Inventory().Components) == 20 }); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		h.Beat()
	}
	for beats.Load() < int64(b.N) {
		runtime.Gosched()
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

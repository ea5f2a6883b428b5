package natsjs_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/config/natsconn/natstest"
	"wadm/scheduler"
	"wadm/scheduler/natsjs"
)

// attachMany attaches n lattices that acknowledge everything and waits until
// all are attached; stop ends them.
func attachMany(b testing.TB, in *natsjs.Intake, n int, epoch uint64, delivered *atomic.Int64) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	var attached, ended sync.WaitGroup
	attached.Add(n)
	for i := range n {
		var once sync.Once
		ended.Go(func() {
			err := in.Attach(ctx, scheduler.Claim{Key: lattice1(fmt.Sprintf("l%d", i)), Epoch: epoch}, func(d scheduler.Delivery) {
				d.Ack()
				delivered.Add(1)
			}, func() { once.Do(attached.Done) })
			if ctx.Err() == nil {
				b.Error(err)
			}
		})
	}
	attached.Wait()
	return func() { cancel(); ended.Wait() }
}

// BenchmarkAttach2000 measures how long 2,000 lattices take to be delivered:
// with no consumer in the way, and with those of previous owners.
func BenchmarkAttach2000(b *testing.B) {
	const n = 2000
	for _, mode := range []string{"new", "takeover"} {
		b.Run(mode, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				srv := natstest.Start(b)
				s := open(b, srv.Connect(b), natsjs.Config{})
				in := newIntake(b, s)
				var delivered atomic.Int64
				if mode == "takeover" {
					attachMany(b, in, n, 1, &delivered)()
				}
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				b.StartTimer()
				stop := attachMany(b, in, n, 2, &delivered)
				b.StopTimer()
				runtime.GC()
				runtime.ReadMemStats(&after)
				// The server runs in this process, its consumers are in the figure.
				b.ReportMetric(float64(after.HeapInuse-before.HeapInuse)/n/1024, "KiB/lattice")
				stop()
				srv.Stop()
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "µs/lattice")
		})
	}
}

// BenchmarkDeliver measures a delivered and acknowledged event of 2.5 KB, server
// included, over many lattices.
func BenchmarkDeliver(b *testing.B) {
	for _, n := range []int{1, 100, 10000} {
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			srv := natstest.Start(b)
			pub := srv.Connect(b)
			in := newIntake(b, open(b, srv.Connect(b), natsjs.Config{}))
			var delivered atomic.Int64
			stop := attachMany(b, in, n, 1, &delivered)
			defer stop()
			data := []byte(strings.Repeat("x", 2500))
			subjects := make([]string, n)
			for i := range subjects {
				subjects[i] = fmt.Sprintf("wasmbus.evt.l%d.host_heartbeat", i)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if err := pub.Publish(subjects[i%n], data); err != nil {
					b.Fatal(err)
				}
				for int64(i)-delivered.Load() > 1000 {
					runtime.Gosched()
				}
			}
			for delivered.Load() < int64(b.N) {
				time.Sleep(50 * time.Microsecond)
			}
		})
	}
}

// An event costs what nats.go allocates for its message and nothing of ours.
func TestDeliveryAllocatesNothing(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	a := natsjs.NewBenchAttachment(open(t, nc, natsjs.Config{}), lattice1("default"))
	const n = 1000
	var next []*nats.Msg
	for i := range n + 2 {
		next = append(next, &nats.Msg{Reply: fmt.Sprintf("$JS.ACK.wasmbus_events.wadm-default.1.%d.%d.1764035000000000000.3", i+1, i+1), Data: []byte("x")})
	}
	deliver := func() {
		if !a.Deliver(next[0]) {
			t.Fatal("not delivered")
		}
		next = next[1:]
	}
	deliver()
	if n := testing.AllocsPerRun(n, deliver); n > 0 {
		t.Errorf("%v allocations per event", n)
	}
}

//go:build unix

package scheduler_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/embedded"
	"wadm/scheduler"
	"wadm/scheduler/control"
	"wadm/scheduler/lattice"
	"wadm/scheduler/natsjs"
	"wadm/tenancy"
)

// serverDir is the environment variable that turns the test binary into a NATS
// server. In a process of its own it stays out of what the benchmarks measure.
const serverDir = "SCHEDULER_BENCH_SERVER_DIR"

func TestMain(m *testing.M) {
	dir := os.Getenv(serverDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	srv, err := embedded.Start(embedded.Config{StoreDir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(srv.URL())
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone
	srv.Stop()
}

// serve runs a server in another process and connects to it.
func serve(b *testing.B) (connect func() *nats.Conn) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverDir+"="+b.TempDir())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return func() *nats.Conn {
		nc, err := nats.Connect(strings.TrimSpace(url))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(nc.Close)
		return nc
	}
}

// site is a worker over a real intake, ledger and control client. Its lattice has
// one host "h", which runs what the heartbeats of the benchmark say.
type site struct {
	*ports
	*control.Client
	*natsjs.Ledger
	inventory lattice.Inventory
	sched     *scheduler.Scheduler
	pub       *nats.Conn
}

func (s *site) Ping(ctx context.Context, k tenancy.LatticeKey, expected []lattice.HostID) ([]lattice.HostID, error) {
	return s.ports.Ping(ctx, k, expected)
}
func (s *site) Inventory(context.Context, tenancy.LatticeKey, lattice.HostID) (lattice.Inventory, error) {
	return s.inventory, nil
}
func (s *site) Links(ctx context.Context, k tenancy.LatticeKey) ([]lattice.Link, error) {
	return s.ports.Links(ctx, k)
}
func (s *site) Config(ctx context.Context, k tenancy.LatticeKey, name string) (map[string]string, bool, error) {
	return s.ports.Config(ctx, k, name)
}
func (s *site) Send(ctx context.Context, c scheduler.Claim, cmd lattice.Command) lattice.Reply {
	return s.Client.Send(ctx, c, cmd)
}

// newSite runs a worker for p's applications until the benchmark ends; it returns
// when the worker has gathered the lattice. serveHosts subscribes to commands.
func newSite(b *testing.B, p *ports, inv lattice.Inventory, serveHosts func(*nats.Conn)) *site {
	b.Helper()
	connect := serve(b)
	s := &site{ports: p, inventory: inv, pub: connect()}
	if serveHosts != nil {
		serveHosts(s.pub)
		if err := s.pub.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	nc := connect()
	streams, err := natsjs.New(b.Context(), nc, natsjs.Config{})
	if err != nil {
		b.Fatal(err)
	}
	s.Ledger = natsjs.NewLedger(streams)
	intake := natsjs.NewIntake(streams)
	if s.Client, err = control.New(nc, control.Config{}); err != nil {
		b.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	claim, err := js.Publish(b.Context(), "wadm.own."+key.Token(), nil)
	if err != nil {
		b.Fatal(err)
	}
	s.sched, err = scheduler.New(scheduler.Deps{Ledger: s.Ledger, Intake: intake, Hosts: s, Desired: p, Statuses: p, Log: slog.New(slog.DiscardHandler)}, scheduler.Config{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	var all sync.WaitGroup
	ready := make(chan struct{})
	for _, run := range []func(context.Context) error{intake.Run, s.Run, func(ctx context.Context) error {
		return s.sched.Own(ctx, scheduler.Claim{Key: key, Epoch: claim.Sequence, Guard: &scheduler.Guard{Recovered: func() { close(ready) }}})
	}} {
		all.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				b.Error(err)
			}
		})
	}
	b.Cleanup(func() { cancel(); all.Wait() })
	<-ready
	return s
}

// cpu is what this process has used so far.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// beat is a heartbeat whose time can be written over.
type beat struct {
	data []byte
	at   int
	now  time.Time
}

const beatTime = "2006-01-02T15:04:05.000000000Z"

func newBeat(components int) (*beat, lattice.Inventory) {
	inv := lattice.Inventory{Host: "h", FriendlyName: "h", Version: "1.9.2", Labels: map[string]string{"hostcore.os": "linux", "zone": "a"}}
	var list []string
	for i := range components {
		ann := map[string]string{lattice.AnnotationScaler: fmt.Sprintf("%064d", i)}
		inv.Components = append(inv.Components, lattice.Component{ID: lattice.WorkloadID(fmt.Sprintf("other-web_%d", i)), Image: fmt.Sprintf("registry.example.com/web:%d", i), Annotations: ann, Max: 3})
		list = append(list, fmt.Sprintf(`{"id":"other-web_%d","image_ref":"registry.example.com/web:%d","name":"web","revision":0,"max_instances":3,"annotations":{%q:"%064d"}}`, i, i, lattice.AnnotationScaler, i))
	}
	now := time.Now().UTC()
	data := fmt.Appendf(nil, `{"specversion":"1.0","id":"0193a1e2","type":"%shost_heartbeat","source":"h","datacontenttype":"application/json","time":"%s","data":{"components":[%s],"providers":[],"host_id":"h","friendly_name":"h","labels":{"hostcore.os":"linux","zone":"a"},"version":"1.9.2","uptime_human":"1s","uptime_seconds":1}}`,
		lattice.TypePrefix, now.Format(beatTime), strings.Join(list, ","))
	return &beat{data: data, at: bytes.Index(data, []byte(now.Format(beatTime))), now: now}, inv
}

func (h *beat) next() []byte {
	h.now = h.now.Add(time.Microsecond)
	h.now.AppendFormat(h.data[:h.at], beatTime)
	return h.data
}

// BenchmarkQuietHeartbeat measures a heartbeat without news from its publication
// to the worker's acknowledgement, against publishing alone. Time and allocations
// are of this process, which publishes too; the server is another one.
func BenchmarkQuietHeartbeat(b *testing.B) {
	for _, components := range []int{1, 20, 100} {
		b.Run(fmt.Sprintf("published/%d", components), func(b *testing.B) {
			pub := serve(b)()
			h, _ := newBeat(components)
			run(b, pub, h, nil)
		})
		b.Run(fmt.Sprintf("handled/%d", components), func(b *testing.B) {
			h, inv := newBeat(components)
			p := newPorts()
			p.apps = nil
			s := newSite(b, p, inv, nil)
			run(b, s.pub, h, &s.sched.Stats.Events)
			// The first ones may bring news, and the last is counted before it is judged.
			if st := &s.sched.Stats; st.Unchanged.Load()+10 < st.Events.Load() {
				b.Errorf("%d of %d events were quiet", st.Unchanged.Load(), st.Events.Load())
			}
		})
	}
}

// run publishes heartbeats, few enough at once for none to be lost, and waits
// until all are counted.
func run(b *testing.B, pub *nats.Conn, h *beat, handled *atomic.Uint64) {
	b.Helper()
	b.ReportAllocs()
	before := cpu(b)
	b.ResetTimer()
	for i := range b.N {
		if err := pub.Publish("wasmbus.evt.default.host_heartbeat", h.next()); err != nil {
			b.Fatal(err)
		}
		for handled != nil && uint64(i) > handled.Load()+500 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	if err := pub.Flush(); err != nil {
		b.Fatal(err)
	}
	for handled != nil && handled.Load() < uint64(b.N) {
		time.Sleep(100 * time.Microsecond)
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(len(h.data)), "B/event")
}

// BenchmarkReaction measures the time from the publication of an event with news
// to the arrival of the command it calls for, ledger included. An instance dies,
// is asked for again and reported to run, and so on.
func BenchmarkReaction(b *testing.B) {
	commands := make(chan time.Time, 1)
	scale := func(pub *nats.Conn, n int) time.Time {
		now := time.Now().UTC()
		data := fmt.Appendf(nil, `{"specversion":"1.0","id":"1","type":"%scomponent_scaled","source":"h","datacontenttype":"application/json","time":"%s","data":{"component_id":"shop-web","image_ref":"web:1","max_instances":%d,"annotations":{},"host_id":"h"}}`,
			lattice.TypePrefix, now.Format(beatTime), n)
		if err := pub.Publish("wasmbus.evt.default.component_scaled", data); err != nil {
			b.Fatal(err)
		}
		return now
	}
	s := newSite(b, newPorts(), lattice.Inventory{Host: "h", Version: "1.9.2", Labels: map[string]string{}}, func(nc *nats.Conn) {
		_, err := nc.Subscribe("wasmbus.ctl.v1.default.component.scale.h", func(m *nats.Msg) {
			at := time.Now()
			_ = m.Respond([]byte(`{"success":true,"message":"","response":null}`))
			scale(nc, 1)
			commands <- at
		})
		if err != nil {
			b.Fatal(err)
		}
	})
	<-commands
	var sum, worst time.Duration
	n := uint64(1)
	b.ReportAllocs()
	for b.Loop() {
		// The instance is known to run before it dies.
		for s.sched.Stats.Events.Load() < n {
			time.Sleep(20 * time.Microsecond)
		}
		at := scale(s.pub, 0)
		select {
		case got := <-commands:
			took := got.Sub(at)
			sum += took
			worst = max(worst, took)
		case <-time.After(20 * time.Second):
			b.Fatal("no command")
		}
		n += 2
	}
	b.ReportMetric(float64(sum.Microseconds())/float64(b.N), "µs/reaction")
	b.ReportMetric(float64(worst.Microseconds()), "µs-worst")
}

//go:build unix

package scheduler_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
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
	"wadm/shard/natskv"
	"wadm/tenancy"
	"wadm/tenancy/api"
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
	inventory func() lattice.Inventory
	sched     *scheduler.Scheduler
	pub       *nats.Conn
}

func (s *site) Ping(ctx context.Context, k tenancy.LatticeKey, expected []lattice.HostID) ([]lattice.HostID, error) {
	return s.ports.Ping(ctx, k, expected)
}
func (s *site) Inventory(context.Context, tenancy.LatticeKey, lattice.HostID) (lattice.Inventory, error) {
	return s.inventory(), nil
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

func (s *site) Flush(ctx context.Context, newest time.Time) error {
	return s.Client.Flush(ctx, newest)
}

// newSite runs a worker for p's applications until the benchmark ends; it returns
// when the worker has gathered the lattice. serveHosts subscribes to commands.
func newSite(b *testing.B, p *ports, inv func() lattice.Inventory, serveHosts func(*nats.Conn)) *site {
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
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := natskv.EnsureStream(b.Context(), js, natskv.LedgerConfig(natskv.DefaultLedger, 1, jetstream.FileStorage)); err != nil {
		b.Fatal(err)
	}
	streams, err := natsjs.New(b.Context(), nc, natsjs.Config{Ledger: natskv.DefaultLedger, Status: api.Streams{}.StatusStream()})
	if err != nil {
		b.Fatal(err)
	}
	s.Ledger = natsjs.NewLedger(streams)
	intake := natsjs.NewIntake(streams)
	if s.Client, err = control.New(nc, control.Config{}); err != nil {
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
	// A clock that stands still would have every beat be from before an answer.
	h.now = time.Now().UTC()
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
			s := newSite(b, p, func() lattice.Inventory { return inv }, nil)
			st := &s.sched.Stats
			// The first ones bring news of a host that was asked a moment ago.
			for n := uint64(1); st.Unchanged.Load() == 0; n++ {
				if err := s.pub.Publish("wasmbus.evt.default.host_heartbeat", h.next()); err != nil {
					b.Fatal(err)
				}
				for st.Events.Load() < n {
					time.Sleep(100 * time.Microsecond)
				}
			}
			events, unchanged := st.Events.Load(), st.Unchanged.Load()
			run(b, s.pub, h, &st.Events)
			// The last is counted before it is judged.
			if events, unchanged = st.Events.Load()-events, st.Unchanged.Load()-unchanged; unchanged+1 < events {
				b.Errorf("%d of %d events were quiet", unchanged, events)
			}
		})
	}
}

// run publishes heartbeats, few enough at once for none to be lost, and waits
// until all are counted.
func run(b *testing.B, pub *nats.Conn, h *beat, handled *atomic.Uint64) {
	b.Helper()
	b.ReportAllocs()
	before, earlier := cpu(b), uint64(0)
	if handled != nil {
		earlier = handled.Load()
	}
	b.ResetTimer()
	for i := range b.N {
		if err := pub.Publish("wasmbus.evt.default.host_heartbeat", h.next()); err != nil {
			b.Fatal(err)
		}
		for handled != nil && uint64(i) > handled.Load()-earlier+500 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	if err := pub.Flush(); err != nil {
		b.Fatal(err)
	}
	for handled != nil && handled.Load()-earlier < uint64(b.N) {
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
	var runs atomic.Pointer[map[string]string] // its annotations
	var shown atomic.Bool
	scale := func(pub *nats.Conn, n int, annotations map[string]string) time.Time {
		if runs.Store(nil); n > 0 {
			runs.Store(&annotations)
		}
		ann, err := json.Marshal(annotations)
		if err != nil {
			b.Fatal(err)
		}
		now := time.Now().UTC()
		data := fmt.Appendf(nil, `{"specversion":"1.0","id":"1","type":"%scomponent_scaled","source":"h","datacontenttype":"application/json","time":"%s","data":{"component_id":"shop-web","image_ref":"web:1","max_instances":%d,"annotations":%s,"host_id":"h"}}`,
			lattice.TypePrefix, now.Format(beatTime), n, ann)
		if err := pub.Publish("wasmbus.evt.default.component_scaled", data); err != nil {
			b.Fatal(err)
		}
		return now
	}
	inventory := func() lattice.Inventory {
		inv := lattice.Inventory{Host: "h", Version: "1.9.2", Labels: map[string]string{}}
		if ann := runs.Load(); ann != nil {
			shown.Store(true)
			inv.Components = []lattice.Component{{ID: "shop-web", Image: "web:1", Annotations: *ann, Max: 1}}
		}
		return inv
	}
	s := newSite(b, newPorts(), inventory, func(nc *nats.Conn) {
		_, err := nc.Subscribe("wasmbus.ctl.v1.default.component.scale.h", func(m *nats.Msg) {
			at := time.Now()
			var body struct {
				Annotations map[string]string `json:"annotations"`
			}
			if err := json.Unmarshal(m.Data, &body); err != nil {
				b.Error(err)
			}
			_ = m.Respond([]byte(`{"success":true,"message":"","response":null}`))
			scale(nc, 1, body.Annotations)
			commands <- at
		})
		if err != nil {
			b.Fatal(err)
		}
	})
	<-commands
	// The first event of a host raises a question, as nobody knows its clock.
	for !shown.Load() {
		time.Sleep(20 * time.Microsecond)
	}
	var sum, worst time.Duration
	n := uint64(1)
	b.ReportAllocs()
	for b.Loop() {
		// The instance is known to run before it dies.
		for s.sched.Stats.Events.Load() < n {
			time.Sleep(20 * time.Microsecond)
		}
		at := scale(s.pub, 0, map[string]string{})
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

package natsjs_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/scheduler"
	"wadm/scheduler/natsjs"
	"wadm/shard/natskv"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// journal is a log that can be read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

func streamConfig(t testing.TB, js jetstream.JetStream, name string) jetstream.StreamConfig {
	t.Helper()
	st, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return st.CachedInfo().Config
}

func TestStreamsAreMadeAsNeededAndFoundAgain(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	var j journal
	for range 2 {
		open(t, nc, natsjs.Config{Log: j.logger()})
	}
	if j.String() != "" {
		t.Errorf("the second start found differences:\n%s", &j)
	}
	ev := streamConfig(t, js, "wasmbus_events")
	if tr := ev.SubjectTransform; tr == nil || tr.Source != "wasmbus.evt.*.*" || tr.Destination != "evt.{{wildcard(1)}}" {
		t.Errorf("transform %+v", ev.SubjectTransform)
	}
	if ev.MaxAge != 70*time.Second || ev.MaxConsumers != 200_000 || !ev.NoAck || ev.AllowRollup || ev.Storage != jetstream.FileStorage || ev.Duplicates != time.Second {
		t.Errorf("%+v", ev)
	}
	st := streamConfig(t, js, "wadm_status")
	if st.MaxMsgsPerSubject != 10 || st.MaxAge != 0 || !slices.Equal(st.Subjects, []string{"wadm.status.*.*"}) {
		t.Errorf("%+v", st)
	}
}

func TestAnUpstreamStreamIsChangedInPlace(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	for _, cfg := range []jetstream.StreamConfig{
		{Name: "wasmbus_events", Description: "upstream", Subjects: []string{"wasmbus.evt.*.>"}, MaxAge: 70 * time.Second, Duplicates: 70 * time.Second, Storage: jetstream.MemoryStorage, Replicas: 1},
		{Name: "wadm_status", Subjects: []string{"wadm.status.*.*"}, MaxMsgsPerSubject: 10, AllowDirect: true, Replicas: 1, Metadata: map[string]string{"theirs": "yes"}},
		{
			Name: "wadm_event_consumer", Retention: jetstream.WorkQueuePolicy, Replicas: 1,
			Sources: []*jetstream.StreamSource{{Name: "wasmbus_events", SubjectTransforms: []jetstream.SubjectTransformConfig{{Source: "wasmbus.evt.*.>", Destination: "wadm_event_consumer.evt.{{wildcard(1)}}.>"}}}},
		},
	} {
		if _, err := js.CreateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	emit(t, nc, "default", "host_heartbeat", "before")
	before := streamConfig(t, js, "wadm_status")
	made := func() time.Time {
		st, err := js.Stream(t.Context(), "wasmbus_events")
		if err != nil {
			t.Fatal(err)
		}
		return st.CachedInfo().Created
	}
	created := made()
	var j journal
	s := open(t, nc, natsjs.Config{Log: j.logger()})
	if !made().Equal(created) {
		t.Error("the stream was replaced")
	}
	for _, what := range []string{"subjects are [wasmbus.evt.*.>], want [wasmbus.evt.*.*]", "subject transform is none", "duplicate window is 1m10s", "max consumers is -1", "keeps its storage"} {
		if !strings.Contains(j.String(), what) {
			t.Errorf("%q is not logged:\n%s", what, &j)
		}
	}
	if diff := cmp.Diff(before, streamConfig(t, js, "wadm_status")); diff != "" {
		t.Errorf("status stream changed:\n%s", diff)
	}
	o := attach(t, newIntake(t, s), claim(t, js, lattice1("default")), false)
	emit(t, nc, "default", "host_heartbeat", "after")
	eventually(t, "event", func() bool { return o.has("after") })
}

func TestAStreamThatCannotBeChangedIsNamed(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "wasmbus_events", Subjects: []string{"wasmbus.evt.*.*"}, Retention: jetstream.WorkQueuePolicy, MaxAge: 70 * time.Second, Replicas: 1,
	}); err != nil {
		t.Fatal(err)
	}
	before := streamConfig(t, js, "wasmbus_events")
	makeLedger(t, nc)
	_, err := natsjs.New(t.Context(), nc, natsjs.Config{Ledger: natskv.DefaultLedger, Status: api.Streams{}.StatusStream()})
	if !errors.Is(err, natsjs.ErrDiffers) || !strings.Contains(err.Error(), "retention is WorkQueue, want Limits") {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff(before, streamConfig(t, js, "wasmbus_events")); diff != "" {
		t.Error(diff)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "mine", Subjects: []string{"x.wasmbus.evt.>"}, Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	s := open(t, nc, natsjs.Config{Multi: true})
	if err := s.AddTenant(t.Context(), "acme", "x"); err == nil || !strings.Contains(err.Error(), "wasmbus_events_acme") {
		t.Errorf("overlapping subjects: %v", err)
	}
}

func TestBadConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	makeLedger(t, nc)
	const ledger = natskv.DefaultLedger
	status := api.Streams{}.StatusStream()
	for want, cfg := range map[string]natsjs.Config{
		"command TTL is 1.5s":               {Ledger: ledger, Status: status, CommandTTL: 1500 * time.Millisecond},
		"ack wait is -1ns":                  {Ledger: ledger, Status: status, AckWait: -1},
		"max consumers is -1":               {Ledger: ledger, Status: status, MaxConsumers: -1},
		`stream name "a.b"`:                 {Ledger: ledger, Status: status, Events: "a.b"},
		"ledger and the stream of statuses": {Ledger: ledger},
		"the ledger and the stream":         {Status: status},
		"look up ledger of_nobody":          {Ledger: "of_nobody", Status: status},
	} {
		if _, err := natsjs.New(t.Context(), nc, cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error that says %q", err, want)
		}
	}
}

func TestTenantsWithEqualLatticesNeverMeet(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	s := open(t, srv.Connect(t), natsjs.Config{Multi: true})
	in := newIntake(t, s)
	st := natsjs.NewStatuses(s)
	var owners []*owner
	for _, tenant := range []tenancy.Tenant{"acme", "umbrella"} {
		if err := s.AddTenant(t.Context(), tenant, "A"+string(tenant)); err != nil {
			t.Fatal(err)
		}
		key := tenancy.LatticeKey{Tenant: tenant, Lattice: "default"}
		owners = append(owners, attach(t, in, claim(t, js, key), false))
		if err := st.Publish(t.Context(), key, "app", tenancy.Status{Status: tenancy.StatusInfo{Type: tenancy.StatusDeployed}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tenant := range []string{"Aacme", "Aumbrella"} {
		if err := nc.Publish(tenant+".wasmbus.evt.default.host_started", []byte(tenant)); err != nil {
			t.Fatal(err)
		}
	}
	for i, tenant := range []string{"Aacme", "Aumbrella"} {
		eventually(t, "event", func() bool { return len(owners[i].seen()) == 1 })
		if !owners[i].has(tenant) {
			t.Errorf("%s got %v", tenant, owners[i].seen())
		}
		stream, err := js.Stream(t.Context(), "wadm_status")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.GetLastMsgForSubject(t.Context(), tenant+".wadm.status.default.app"); err != nil {
			t.Errorf("status of %s: %v", tenant, err)
		}
	}
	found := make(chan tenancy.LatticeKey, 100)
	background(t, func(ctx context.Context) error {
		return natsjs.NewDiscovery(s).Discover(ctx, func(k tenancy.LatticeKey) { found <- k })
	})
	seen := map[tenancy.LatticeKey]bool{}
	eventually(t, "both found", func() bool {
		select {
		case k := <-found:
			seen[k] = true
		default:
		}
		return len(seen) == 2
	})
	if !seen[tenancy.LatticeKey{Tenant: "acme", Lattice: "default"}] || !seen[tenancy.LatticeKey{Tenant: "umbrella", Lattice: "default"}] {
		t.Errorf("%v", seen)
	}
	if err := s.AddTenant(t.Context(), "a.b", ""); !errors.Is(err, tenancy.ErrBadName) {
		t.Errorf("hostile tenant: %v", err)
	}
	if err := s.AddTenant(t.Context(), "ok", "a.>"); !errors.Is(err, tenancy.ErrBadName) {
		t.Errorf("hostile account: %v", err)
	}
}

func TestLatticesAreFoundByStartsAndByStoredEvents(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	var j journal
	s := open(t, srv.Connect(t), natsjs.Config{Discovery: 50 * time.Millisecond, Log: j.logger()})
	emit(t, nc, "stored", "host_heartbeat", "{}")
	emit(t, nc, "_hostile", "host_heartbeat", "{}")
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	d := natsjs.NewDiscovery(s)
	var mu sync.Mutex
	seen := map[tenancy.Lattice]int{}
	count := func(l tenancy.Lattice) int { mu.Lock(); defer mu.Unlock(); return seen[l] }
	stop := background(t, func(ctx context.Context) error {
		return d.Discover(ctx, func(k tenancy.LatticeKey) {
			mu.Lock()
			seen[k.Lattice]++
			mu.Unlock()
		})
	})
	eventually(t, "stored lattice, again and again", func() bool { return count("stored") >= 3 })
	emit(t, nc, "started", "host_started", "{}")
	eventually(t, "started lattice", func() bool { return count("started") >= 1 })
	eventually(t, "refusal", func() bool { return strings.Contains(j.String(), "lattice refused") })
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("discover: %v", err)
	}
	if count("_hostile") != 0 {
		t.Error("a hostile name was found")
	}
}

func TestStatusesAreStoredByteCompatible(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	p := natsjs.NewStatuses(open(t, srv.Connect(t), natsjs.Config{}))
	if err := p.Publish(t.Context(), lattice1("default"), "app", tenancy.Status{Status: tenancy.StatusInfo{Type: tenancy.StatusDeployed}}); err != nil {
		t.Fatal(err)
	}
	st, err := js.Stream(t.Context(), "wadm_status")
	if err != nil {
		t.Fatal(err)
	}
	m, err := st.GetLastMsgForSubject(t.Context(), "wadm.status.default.app")
	if err != nil || string(m.Data) != `{"status":{"type":"deployed"},"version":"","components":[]}` {
		t.Errorf("%s %v", m.Data, err)
	}
	for _, app := range []string{"", "a.b", "*", "a b"} {
		if err := p.Publish(t.Context(), lattice1("default"), app, tenancy.Status{}); !errors.Is(err, tenancy.ErrBadName) {
			t.Errorf("application %q: %v", app, err)
		}
	}
	if err := p.Publish(t.Context(), lattice1("a.b"), "app", tenancy.Status{}); !errors.Is(err, tenancy.ErrBadName) {
		t.Errorf("hostile lattice: %v", err)
	}
}

// TestASuccessorRepeatsNoStatus: whoever takes an application over publishes
// what it finds, which is what the stream says already.
func TestASuccessorRepeatsNoStatus(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	key := lattice1("default")
	for _, kind := range []tenancy.StatusType{tenancy.StatusDeployed, tenancy.StatusDeployed, tenancy.StatusReconciling} {
		p := natsjs.NewStatuses(open(t, srv.Connect(t), natsjs.Config{}))
		if err := p.Publish(t.Context(), key, "app", tenancy.Status{Status: tenancy.StatusInfo{Type: kind}}); err != nil {
			t.Fatal(err)
		}
	}
	st, err := srv.JetStream(t).Stream(t.Context(), "wadm_status")
	if err != nil {
		t.Fatal(err)
	}
	if n := st.CachedInfo().State.Msgs; n != 2 {
		t.Errorf("%d statuses stored, want 2", n)
	}
}

func TestOnlyTheNewestStatusIsStoredAfterAnOutage(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, wire := proxied(t, srv)
	p := natsjs.NewStatuses(open(t, nc, natsjs.Config{AppendTimeout: 100 * time.Millisecond}))
	key := lattice1("default")
	status := func(text string) tenancy.Status {
		return tenancy.Status{Status: tenancy.StatusInfo{Type: tenancy.StatusReconciling, Message: text}}
	}
	wire.dropRequests.Store(true)
	ended, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Publish(ended, key, "app", status("given up")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("publish: %v", err)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := p.Publish(t.Context(), key, "app", status("old")); err != nil {
				t.Error(err)
			}
		})
	}
	// The last one is handed in when all others are.
	eventually(t, "others waiting", func() bool { return natsjs.Waiting(p) == 20 })
	all.Go(func() {
		if err := p.Publish(t.Context(), key, "app", status("newest")); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "all waiting", func() bool { return natsjs.Waiting(p) == 21 })
	wire.dropRequests.Store(false)
	all.Wait()
	st, err := srv.JetStream(t).Stream(t.Context(), "wadm_status")
	if err != nil {
		t.Fatal(err)
	}
	m, err := st.GetLastMsgForSubject(t.Context(), "wadm.status.default.app")
	if err != nil || !strings.Contains(string(m.Data), "newest") {
		t.Errorf("%v %v", m, err)
	}
	if n := st.CachedInfo().State.Msgs; n > 3 {
		t.Errorf("%d statuses stored for 21 handed in", n)
	}
	if n := natsjs.Waiting(p); n != 0 {
		t.Errorf("%d callers are still counted", n)
	}
}

// TestAPanicOfWhoStoresAStatusIsItsOwn: it is a panic for its caller, which can be
// caught, and the status that was handed in meanwhile is stored by its own.
func TestAPanicOfWhoStoresAStatusIsItsOwn(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	s := open(t, srv.Connect(t), natsjs.Config{})
	began, panics := natsjs.PanicOnce(s)
	p := natsjs.NewStatuses(s)
	publish := func(text string) error {
		return p.Publish(t.Context(), lattice1("default"), "app", tenancy.Status{Status: tenancy.StatusInfo{Message: text}})
	}
	var caught any
	var both sync.WaitGroup
	both.Go(func() {
		defer func() { caught = recover() }()
		t.Errorf("publish returned %v", publish("first"))
	})
	<-began
	both.Go(func() {
		if err := publish("second"); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "second handed in", func() bool { return natsjs.Waiting(p) == 2 })
	panics <- "boom"
	both.Wait()
	if caught != "boom" || natsjs.Waiting(p) != 0 {
		t.Errorf("the first panicked with %v, and %d callers are still counted", caught, natsjs.Waiting(p))
	}
	st, err := srv.JetStream(t).Stream(t.Context(), "wadm_status")
	if err != nil {
		t.Fatal(err)
	}
	m, err := st.GetLastMsgForSubject(t.Context(), "wadm.status.default.app")
	if err != nil || !strings.Contains(string(m.Data), "second") {
		t.Errorf("%v %v", m, err)
	}
}

var _ scheduler.Statuses = (*natsjs.Statuses)(nil)

package catalog_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/tenancy"
	"wadm/tenancy/catalog"
)

// textLogger writes to w from any goroutine.
func textLogger(w *strings.Builder) *slog.Logger {
	return slog.New(slog.NewTextHandler(&guarded{w: w}, nil))
}

type guarded struct {
	mu sync.Mutex
	w  *strings.Builder
}

func (g *guarded) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.w.Write(b)
}

// watch counts calls of a watcher until the test ends.
func watch(t *testing.T, c *catalog.Catalog, key tenancy.LatticeKey) *atomic.Int64 {
	t.Helper()
	var calls atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Watch(ctx, key, func() { calls.Add(1) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("watch: %v", err)
		}
	})
	eventually(t, "the first call", func() bool { return calls.Load() > 0 })
	return &calls
}

func TestWatchersHearOfTheirLatticeOnly(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	writer, c := open(t, s.JetStream(t), catalog.Config{}), open(t, s.JetStream(t), catalog.Config{})
	run(t, c)
	other := tenancy.LatticeKey{Tenant: "else", Lattice: lattice.Lattice}
	mine, theirs := watch(t, c, lattice), watch(t, c, other)
	put(t, writer, app("shop", "v1"))
	eventually(t, "the put in the index", func() bool {
		l, err := c.List(t.Context(), lattice)
		return err == nil && len(l) == 1
	})
	quiet := mine.Load()
	steps := map[string]func(){
		"deploy":   func() { deploy(t, writer, "shop", nil) },
		"redeploy": func() { deploy(t, writer, "shop", nil) },
	}
	for _, name := range []string{"deploy", "redeploy"} {
		before := mine.Load()
		steps[name]()
		eventually(t, "a call after "+name, func() bool { return mine.Load() > before })
	}
	before := mine.Load()
	if _, err := writer.Delete(t.Context(), lattice, "shop", nil, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a call after delete", func() bool { return mine.Load() > before })
	if d, err := c.Deployed(t.Context(), lattice); err != nil || len(d) != 0 {
		t.Errorf("deployed after the call: %v, %v", d, err)
	}
	if theirs.Load() != 1 {
		t.Errorf("the other tenant's watcher was called %d times", theirs.Load())
	}
	// Only the first call, or a second one if Run listed after it.
	if quiet > 2 {
		t.Errorf("a put alone called %d times", quiet)
	}
}

func TestWatchingSurvivesARestartOfNATS(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	writer, c := open(t, s.JetStream(t), catalog.Config{}), open(t, s.JetStream(t), catalog.Config{})
	run(t, c)
	calls := watch(t, c, lattice)
	put(t, writer, app("shop", "v1"))
	s.Restart(t)
	before := calls.Load()
	eventually(t, "a deploy after the restart", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := writer.Deploy(ctx, lattice, "shop", nil, "", nil)
		return err == nil
	})
	eventually(t, "a call after the restart", func() bool { return calls.Load() > before })
	eventually(t, "the deployment", func() bool {
		d, err := c.Deployed(t.Context(), lattice)
		return err == nil && d["shop"] != nil
	})
}

func TestManyLatticesShareOneWatch(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	js := s.JetStream(t)
	c := open(t, js, catalog.Config{})
	run(t, c)
	const n = 300
	var calls [n]atomic.Int64
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer func() { cancel(); wg.Wait() }()
	key := func(i int) tenancy.LatticeKey {
		return tenancy.LatticeKey{Tenant: "t", Lattice: tenancy.Lattice(fmt.Sprint("l", i))}
	}
	for i := range n {
		wg.Go(func() {
			if err := c.Watch(ctx, key(i), func() { calls[i].Add(1) }); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range n {
		eventually(t, "the first call", func() bool { return calls[i].Load() > 0 })
	}
	stream, err := js.Stream(t.Context(), "KV_wadm_catalog")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := stream.Info(t.Context()); err != nil || info.State.Consumers > 1 {
		t.Errorf("%d consumers for %d watched lattices, %v", info.State.Consumers, n, err)
	}
	for i := range n {
		if _, err := c.Put(t.Context(), key(i), app("a", "v1"), ""); err != nil {
			t.Fatal(err)
		}
		before := calls[i].Load()
		if _, err := c.Deploy(t.Context(), key(i), "a", nil, "", nil); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a call", func() bool { return calls[i].Load() > before })
	}
	if keys, err := c.Lattices(t.Context()); err != nil || len(keys) != n {
		t.Errorf("%d lattices, %v", len(keys), err)
	}
}

// faulty stores what it is told to and then says it failed, or fails without
// storing.
type faulty struct {
	jetstream.JetStream
	kv *faultyKV
}

func (f *faulty) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	kv, err := f.JetStream.KeyValue(ctx, bucket)
	if err != nil {
		return nil, err
	}
	f.kv.KeyValue = kv
	return f.kv, nil
}

type faultyKV struct {
	jetstream.KeyValue
	// stale, while above 0, counts down the lists that lack the newest change.
	stale atomic.Int64
	mu    sync.Mutex
	// next are the faults of the next writes, one each.
	next []fault
	// bodies are those of the next writes of bodies.
	bodies []fault
}

type fault struct {
	err   error
	store bool
	// then is what happens before the error is heard.
	then func()
}

func (f *faultyKV) take() (fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.next) == 0 {
		return fault{}, false
	}
	n := f.next[0]
	f.next = f.next[1:]
	return n, true
}

// Watch lists like a copy that is behind by one change, as often as it is told to.
func (f *faultyKV) Watch(ctx context.Context, keys string, opts ...jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	w, err := f.KeyValue.Watch(ctx, keys, opts...)
	if err != nil || f.stale.Load() <= 0 {
		return w, err
	}
	f.stale.Add(-1)
	var all []jetstream.KeyValueEntry
	for u := range w.Updates() {
		if u == nil {
			break
		}
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b jetstream.KeyValueEntry) int { return cmp.Compare(a.Revision(), b.Revision()) })
	updates := make(chan jetstream.KeyValueEntry, len(all))
	for _, u := range all[:len(all)-1] {
		updates <- u
	}
	updates <- nil
	return behind{w, updates}, nil
}

type behind struct {
	jetstream.KeyWatcher
	updates chan jetstream.KeyValueEntry
}

func (b behind) Updates() <-chan jetstream.KeyValueEntry { return b.updates }

func (f *faultyKV) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.bodies) == 0 {
		return f.KeyValue.Put(ctx, key, value)
	}
	n := f.bodies[0]
	f.bodies = f.bodies[1:]
	if n.store {
		if _, err := f.KeyValue.Put(ctx, key, value); err != nil {
			return 0, err
		}
	}
	return 0, n.err
}

func (f *faultyKV) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if n, ok := f.take(); ok {
		if n.store {
			if _, err := f.KeyValue.Update(ctx, key, value, revision); err != nil {
				return 0, err
			}
		}
		if n.then != nil {
			n.then()
		}
		return 0, n.err
	}
	return f.KeyValue.Update(ctx, key, value, revision)
}

func (f *faultyKV) Purge(ctx context.Context, key string, opts ...jetstream.KVDeleteOpt) error {
	if n, ok := f.take(); ok {
		if n.store {
			if err := f.KeyValue.Purge(ctx, key, opts...); err != nil {
				return err
			}
		}
		return n.err
	}
	return f.KeyValue.Purge(ctx, key, opts...)
}

func TestAWriteWithALostAcknowledgementHappensOnce(t *testing.T) {
	t.Parallel()
	for _, stored := range []bool{true, false} {
		t.Run(fmt.Sprint("stored ", stored), func(t *testing.T) {
			t.Parallel()
			js := natstest.Start(t).JetStream(t)
			open(t, js, catalog.Config{})
			f := &faulty{JetStream: js, kv: &faultyKV{}}
			c := open(t, f, catalog.Config{})
			lose := func() { f.kv.next = []fault{{err: nats.ErrTimeout, store: stored}, {err: nats.ErrTimeout}} }
			lose()
			f.kv.bodies = slices.Clone(f.kv.next)
			if got, err := c.Put(t.Context(), lattice, app("shop", "v1"), ""); err != nil || got.Total != 1 {
				t.Errorf("put: %+v, %v", got, err)
			}
			if _, err := c.Manifest(t.Context(), lattice, "shop", nil); err != nil || len(f.kv.bodies) > 0 {
				t.Errorf("what is put is not there: %v, %d faults left", err, len(f.kv.bodies))
			}
			lose()
			if got, err := c.Deploy(t.Context(), lattice, "shop", nil, "", nil); err != nil || got.Version != "v1" {
				t.Errorf("deploy: %+v, %v", got, err)
			}
			lose()
			if was, err := c.Undeploy(t.Context(), lattice, "shop", ""); err != nil || !was {
				t.Errorf("undeploy: %v, %v", was, err)
			}
			a, err := c.Application(t.Context(), lattice, "shop")
			if err != nil {
				t.Fatal(err)
			}
			var did []string
			for _, ch := range a.Changes {
				did = append(did, ch.Did)
			}
			if got := strings.Join(did, " "); got != "put deploy undeploy" {
				t.Errorf("history: %s", got)
			}
			lose()
			if del, err := c.Delete(t.Context(), lattice, "shop", nil, ""); err != nil || !del.Gone {
				t.Errorf("delete: %+v, %v", del, err)
			}
		})
	}
}

// TestAPutThatWasRemovedUnheardIsStoredWhole: somebody sees the application before
// its put has heard that it is stored, and removes it, with all manifests it names.
func TestAPutThatWasRemovedUnheardIsStoredWhole(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	other := open(t, js, catalog.Config{})
	f := &faulty{JetStream: js, kv: &faultyKV{}}
	c := open(t, f, catalog.Config{})
	f.kv.next = []fault{{err: nats.ErrTimeout, store: true, then: func() {
		if _, err := other.Delete(t.Context(), lattice, "shop", nil, ""); err != nil {
			t.Error(err)
		}
	}}}
	put(t, c, app("shop", "v1"))
	if got := versions(t, other, "shop"); !slices.Equal(got, []string{"v1"}) {
		t.Errorf("versions: %v", got)
	}
	if _, err := other.Manifest(t.Context(), lattice, "shop", nil); err != nil {
		t.Errorf("what is put is not there: %v", err)
	}
	if n := bodies(t, js); n != 1 {
		t.Errorf("%d bodies for one version", n)
	}
}

func TestALostConditionIsTriedAgain(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	open(t, js, catalog.Config{})
	f := &faulty{JetStream: js, kv: &faultyKV{}}
	c := open(t, f, catalog.Config{})
	put(t, c, app("shop", "v0"))
	for range 10 {
		f.kv.next = append(f.kv.next, fault{err: jetstream.ErrKeyRevisionMismatch})
	}
	if _, err := c.Put(t.Context(), lattice, app("shop", "v1"), ""); err != nil {
		t.Errorf("put after ten conflicts: %v", err)
	}
	for range 1000 {
		f.kv.next = append(f.kv.next, fault{err: jetstream.ErrKeyRevisionMismatch})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := c.Put(ctx, lattice, app("shop", "v2"), ""); err == nil {
		t.Error("put succeeded against endless conflicts")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("gave up after %v", took)
	}
	f.kv.next = nil
	if got := versions(t, c, "shop"); len(got) != 2 {
		t.Errorf("versions: %v", got)
	}
	if n := bodies(t, js); n != 2 {
		t.Errorf("%d bodies for two versions", n)
	}
}

func TestSweepRemovesOnlyWhatNoHeadNames(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	c, kv := openBucket(t, js)
	put(t, c, app("shop", "v1"))
	for _, key := range []string{
		"default.prod.shop.01ARZ3NDEKTSV4RRFFQ69G5FAV", // an orphan beside a version
		"default.prod.gone.01ARZ3NDEKTSV4RRFFQ69G5FAV", // an orphan of a deleted application
		"default.prod.broken.01ARZ3NDEKTSV4RRFFQ69G5FAV",
		"default.prod.shop.mine",
	} {
		if _, err := kv.PutString(t.Context(), key, "{}"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := kv.PutString(t.Context(), "default.prod.broken", "{"); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("young bodies were swept: %d, %v", n, err)
	}
	wrong := open(t, js, catalog.Config{Now: func() time.Time { return time.Now().Add(5 * time.Hour) }})
	if n, err := wrong.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("young bodies were swept by a clock that is ahead: %d, %v", n, err)
	}
	later := open(t, js, catalog.Config{SweepAge: time.Nanosecond})
	if n, err := later.Sweep(t.Context()); n != 2 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	if _, err := c.Manifest(t.Context(), lattice, "shop", nil); err != nil {
		t.Error(err)
	}
	for key, want := range map[string]error{
		"default.prod.broken.01ARZ3NDEKTSV4RRFFQ69G5FAV": nil,
		"default.prod.shop.mine":                         nil,
		"default.prod.shop.01ARZ3NDEKTSV4RRFFQ69G5FAV":   jetstream.ErrKeyNotFound,
	} {
		if _, err := kv.Get(t.Context(), key); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", key, err, want)
		}
	}
}

// TestAListFromACopyThatIsBehindIsNotBelieved: an owner that starts removes what
// no application wants, so an acknowledged deploy must never be missing.
func TestAListFromACopyThatIsBehindIsNotBelieved(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	kv := &faultyKV{}
	open(t, js, catalog.Config{}) // makes the bucket
	c := open(t, &faulty{js, kv}, catalog.Config{})
	for _, name := range []string{"old", "new"} {
		put(t, c, app(name, "v1"))
		deploy(t, c, name, nil)
	}
	kv.stale.Store(2)
	d, err := c.Deployed(t.Context(), lattice)
	if err != nil || d["old"] == nil || d["new"] == nil {
		t.Errorf("deployed: %v, %v", d, err)
	}
	if _, err := c.Undeploy(t.Context(), lattice, "old", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Delete(t.Context(), lattice, "new", nil, ""); err != nil {
		t.Fatal(err)
	}
	kv.stale.Store(1)
	if d, err = c.Deployed(t.Context(), lattice); err != nil || len(d) != 0 {
		t.Errorf("deployed: %v, %v; want none", d, err)
	}
	kv.stale.Store(1000)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if d, err = c.Deployed(ctx, lattice); err == nil {
		t.Errorf("deployed, from a list that stays behind: %v", d)
	}
}

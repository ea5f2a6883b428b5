package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/tenancy"
	"wadm/tenancy/catalog"
	"wadm/tenancy/manifest"
)

var lattice = tenancy.LatticeKey{Tenant: tenancy.DefaultTenant, Lattice: "prod"}

// app makes a manifest; version "" means none is given.
func app(name, version string) *manifest.Manifest {
	m := &manifest.Manifest{
		APIVersion: "core.oam.dev/v1beta1", Kind: "Application",
		Metadata: manifest.Metadata{Name: name},
		Spec: manifest.Spec{Components: []manifest.Component{{
			Name: "c", Type: manifest.TypeComponent, Properties: manifest.Properties{Image: new("registry.example.com/c:1")},
		}}},
	}
	if version != "" {
		m.Metadata.Annotations = map[string]string{manifest.AnnotationVersion: version}
	}
	return m
}

func open(t *testing.T, js jetstream.JetStream, cfg catalog.Config) *catalog.Catalog {
	t.Helper()
	c, err := catalog.New(t.Context(), js, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// openBucket opens a catalog, and the bucket behind its back.
func openBucket(t *testing.T, js jetstream.JetStream) (*catalog.Catalog, jetstream.KeyValue) {
	t.Helper()
	c := open(t, js, catalog.Config{})
	kv, err := js.KeyValue(t.Context(), "wadm_catalog")
	if err != nil {
		t.Fatal(err)
	}
	return c, kv
}

// run runs c until the test ends.
func run(t *testing.T, c *catalog.Catalog) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

func put(t *testing.T, c *catalog.Catalog, m *manifest.Manifest) catalog.Stored {
	t.Helper()
	s, err := c.Put(t.Context(), lattice, m, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func deploy(t *testing.T, c *catalog.Catalog, name string, version *string) {
	t.Helper()
	if _, err := c.Deploy(t.Context(), lattice, name, version, "", nil); err != nil {
		t.Fatal(err)
	}
}

func versions(t *testing.T, c *catalog.Catalog, name string) []string {
	t.Helper()
	a, err := c.Application(t.Context(), lattice, name)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, v := range a.Versions {
		out = append(out, v.Version)
	}
	return out
}

// eventually waits for an outcome.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestPutKeepsTheOrderOfVersions(t *testing.T) {
	t.Parallel()
	c := open(t, natstest.Start(t).JetStream(t), catalog.Config{})
	if got, want := put(t, c, app("shop", "v2")), (catalog.Stored{Version: "v2", Total: 1}); got != want {
		t.Errorf("first put: %+v, want %+v", got, want)
	}
	if got, want := put(t, c, app("shop", "v1")), (catalog.Stored{Version: "v1", Previous: "v2", Total: 2}); got != want {
		t.Errorf("second put: %+v, want %+v", got, want)
	}
	m := app("shop", "")
	generated := put(t, c, m)
	if len(generated.Version) != 26 || generated.Total != 3 {
		t.Errorf("put without version: %+v", generated)
	}
	if _, has := m.Version(); has {
		t.Error("the caller's manifest was changed")
	}
	if _, err := c.Put(t.Context(), lattice, app("shop", "v1"), ""); !errors.Is(err, catalog.ErrVersionExists) {
		t.Errorf("put of an existing version: %v", err)
	}
	if diff := cmp.Diff([]string{"v2", "v1", generated.Version}, versions(t, c, "shop")); diff != "" {
		t.Error(diff)
	}
	data, err := c.Manifest(t.Context(), lattice, "shop", nil)
	if err != nil || !strings.Contains(string(data), generated.Version) {
		t.Errorf("last version: %s, %v", data, err)
	}
	if _, err := c.Manifest(t.Context(), lattice, "shop", new("latest")); !errors.Is(err, catalog.ErrNoVersion) {
		t.Errorf("unknown version: %v", err)
	}
	if _, err := c.Manifest(t.Context(), lattice, "nope", nil); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("unknown application: %v", err)
	}
}

func TestVersionsAreFreeText(t *testing.T) {
	t.Parallel()
	c := open(t, natstest.Start(t).JetStream(t), catalog.Config{})
	texts := []string{"1.0.0+build", "with space", "*", ">", "a.b.c", "ünï", strings.Repeat("a", 5000), "<&>\u2028"}
	m := app("ver", "x")
	m.Metadata.Annotations[manifest.AnnotationVersion] = ""
	put(t, c, m)
	for _, v := range texts {
		put(t, c, app("ver", v))
	}
	if diff := cmp.Diff(append([]string{""}, texts...), versions(t, c, "ver")); diff != "" {
		t.Error(diff)
	}
	for _, v := range append([]string{""}, texts...) {
		deploy(t, c, "ver", &v)
		d, err := c.Deployed(t.Context(), lattice)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := d["ver"].Version(); got != v {
			t.Errorf("deployed %.20q instead of %.20q", got, v)
		}
	}
}

func TestNamesThatAreNoTokensReachNoKey(t *testing.T) {
	t.Parallel()
	c := open(t, natstest.Start(t).JetStream(t), catalog.Config{})
	for _, name := range []string{"", "*", ">", "a.b", "ünï", strings.Repeat("a", 129)} {
		if _, err := c.Put(t.Context(), lattice, app(name, "v1"), ""); !errors.Is(err, tenancy.ErrBadName) {
			t.Errorf("put %q: %v", name, err)
		}
		if _, err := c.Delete(t.Context(), lattice, name, nil, ""); !errors.Is(err, tenancy.ErrBadName) {
			t.Errorf("delete %q: %v", name, err)
		}
		key := tenancy.LatticeKey{Tenant: "default", Lattice: tenancy.Lattice(name)}
		if _, err := c.List(t.Context(), key); !errors.Is(err, tenancy.ErrBadName) {
			t.Errorf("list %q: %v", name, err)
		}
	}
}

func TestDeployUndeployAndDeleteFollowTheirVersions(t *testing.T) {
	t.Parallel()
	c := open(t, natstest.Start(t).JetStream(t), catalog.Config{})
	put(t, c, app("shop", "v1"))
	put(t, c, app("shop", "v2"))
	d, err := c.Deploy(t.Context(), lattice, "shop", nil, "ann", nil)
	if err != nil || d.Version != "v2" {
		t.Fatalf("deploy the last put version: %+v, %v", d, err)
	}
	if _, err := c.Deploy(t.Context(), lattice, "shop", new("v9"), "", nil); !errors.Is(err, catalog.ErrNoVersion) {
		t.Errorf("deploy of an unknown version: %v", err)
	}
	no := errors.New("no")
	if _, err := c.Deploy(t.Context(), lattice, "shop", new("v1"), "", func(context.Context, *manifest.Manifest) error { return no }); !errors.Is(err, no) {
		t.Errorf("refused deploy: %v", err)
	}
	a, err := c.Application(t.Context(), lattice, "shop")
	if err != nil || a.Deployed == nil || *a.Deployed != "v2" {
		t.Fatalf("after the refusals: %+v, %v", a, err)
	}
	if last := a.Changes[len(a.Changes)-1]; last.Did != "deploy" || last.By != "ann" || last.Version != "v2" {
		t.Errorf("history: %+v", a.Changes)
	}
	if del, err := c.Delete(t.Context(), lattice, "shop", new("v9"), ""); !errors.Is(err, catalog.ErrNoVersion) {
		t.Errorf("delete of an unknown version: %+v, %v", del, err)
	}
	if del, err := c.Delete(t.Context(), lattice, "shop", new("v1"), ""); err != nil || del != (catalog.Deleted{}) {
		t.Errorf("delete of a version not deployed: %+v, %v", del, err)
	}
	put(t, c, app("shop", "v1"))
	if del, err := c.Delete(t.Context(), lattice, "shop", new("v2"), ""); err != nil || del != (catalog.Deleted{Undeployed: true}) {
		t.Errorf("delete of the deployed version: %+v, %v", del, err)
	}
	if was, err := c.Undeploy(t.Context(), lattice, "shop", ""); was || err != nil {
		t.Errorf("undeploy of the undeployed: %v, %v", was, err)
	}
	deploy(t, c, "shop", nil)
	if was, err := c.Undeploy(t.Context(), lattice, "shop", ""); !was || err != nil {
		t.Errorf("undeploy: %v, %v", was, err)
	}
	if del, err := c.Delete(t.Context(), lattice, "shop", new("v1"), ""); err != nil || del != (catalog.Deleted{Gone: true}) {
		t.Errorf("delete of the last version: %+v, %v", del, err)
	}
	if _, err := c.Delete(t.Context(), lattice, "shop", nil, ""); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("delete of the deleted: %v", err)
	}
	if got := put(t, c, app("shop", "v1")); got.Total != 1 {
		t.Errorf("put after delete: %+v", got)
	}
}

func TestConcurrentPutsAreAllKept(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	two := []*catalog.Catalog{open(t, s.JetStream(t), catalog.Config{}), open(t, s.JetStream(t), catalog.Config{})}
	const n = 50
	created := make([]bool, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			got, err := two[i%2].Put(t.Context(), lattice, app("shop", fmt.Sprint("v", i)), "")
			if err != nil {
				t.Errorf("put %d: %v", i, err)
			}
			created[i] = got.Total == 1
		})
	}
	wg.Wait()
	firsts := 0
	for _, c := range created {
		if c {
			firsts++
		}
	}
	if firsts != 1 {
		t.Errorf("%d puts believe to be the first", firsts)
	}
	if got := versions(t, two[0], "shop"); len(got) != n {
		t.Errorf("%d of %d versions are stored: %v", len(got), n, got)
	}
}

func TestConcurrentPutsOfOneVersionStoreItOnce(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	js := s.JetStream(t)
	two := []*catalog.Catalog{open(t, js, catalog.Config{}), open(t, js, catalog.Config{})}
	var won, exists int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			_, err := two[i%2].Put(t.Context(), lattice, app("shop", "v1"), "")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case errors.Is(err, catalog.ErrVersionExists):
				exists++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 || exists != 9 {
		t.Errorf("%d stored it, %d were refused", won, exists)
	}
	// The losers' bodies are gone again.
	if n := bodies(t, js); n != 1 {
		t.Errorf("%d bodies for one version", n)
	}
}

// bodies counts the stored bodies.
func bodies(t *testing.T, js jetstream.JetStream) int {
	t.Helper()
	stream, err := js.Stream(t.Context(), "KV_wadm_catalog")
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("$KV.wadm_catalog.*.*.*.*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(info.State.Subjects)
}

func TestDeployAndDeleteAtOnceLeaveNoHalfState(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	a, b := open(t, s.JetStream(t), catalog.Config{}), open(t, s.JetStream(t), catalog.Config{})
	for i := range 30 {
		name := fmt.Sprint("app-", i)
		put(t, a, app(name, "v1"))
		var deployErr, deleteErr error
		var wg sync.WaitGroup
		wg.Go(func() { _, deployErr = a.Deploy(t.Context(), lattice, name, nil, "", nil) })
		wg.Go(func() { _, deleteErr = b.Delete(t.Context(), lattice, name, nil, "") })
		wg.Wait()
		if deleteErr != nil {
			t.Errorf("delete: %v", deleteErr)
		}
		if deployErr != nil && !errors.Is(deployErr, catalog.ErrNotFound) {
			t.Errorf("deploy: %v", deployErr)
		}
		if _, err := a.Application(t.Context(), lattice, name); !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("after the delete: %v", err)
		}
	}
	if d, err := a.Deployed(t.Context(), lattice); err != nil || len(d) != 0 {
		t.Errorf("deployed: %v, %v", d, err)
	}
}

func TestHistoryMeetsNoPayloadWall(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	js := s.JetStream(t)
	c := open(t, js, catalog.Config{})
	for i := range 200 {
		m := app("big", fmt.Sprint("v", i))
		m.Metadata.Annotations["x"] = strings.Repeat("x", 20<<10)
		put(t, c, m)
	}
	if n := len(versions(t, c, "big")); n != 200 {
		t.Errorf("%d versions", n)
	}
	if data, err := c.Manifest(t.Context(), lattice, "big", new("v7")); err != nil || len(data) < 20<<10 {
		t.Errorf("an old version: %d bytes, %v", len(data), err)
	}
	if _, err := c.Delete(t.Context(), lattice, "big", nil, ""); err != nil {
		t.Fatal(err)
	}
	if n := bodies(t, js); n != 0 {
		t.Errorf("%d bodies left after the delete", n)
	}
}

func TestTooManyOrTooLargeIsRefusedWhole(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, natstest.WithMaxPayload(64<<10))
	c := open(t, s.JetStream(t), catalog.Config{MaxVersions: 2})
	m := app("big", "v1")
	m.Metadata.Annotations["x"] = strings.Repeat("x", 70<<10)
	if _, err := c.Put(t.Context(), lattice, m, ""); !errors.Is(err, catalog.ErrTooLarge) {
		t.Errorf("put of a large manifest: %v", err)
	}
	if _, err := c.Application(t.Context(), lattice, "big"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("after the refusal: %v", err)
	}
	put(t, c, app("many", "v1"))
	put(t, c, app("many", "v2"))
	if _, err := c.Put(t.Context(), lattice, app("many", "v3"), ""); !errors.Is(err, catalog.ErrTooLarge) {
		t.Errorf("put of one version too many: %v", err)
	}
}

func TestAnUndecodableRecordBlocksNobodyElse(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	js := s.JetStream(t)
	for name, running := range map[string]bool{"with the index": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			bucket := fmt.Sprint("catalog_", running)
			c := open(t, js, catalog.Config{Bucket: bucket})
			if running {
				run(t, c)
			}
			put(t, c, app("good", "v1"))
			deploy(t, c, "good", nil)
			kv, err := js.KeyValue(t.Context(), bucket)
			if err != nil {
				t.Fatal(err)
			}
			for key, value := range map[string]string{
				"default.prod.bad": "{", "default.prod.newer": `{"format":9,"versions":[]}`, "foreign": "x", "default._x.app": "x",
			} {
				if _, err := kv.PutString(t.Context(), key, value); err != nil {
					t.Fatal(err)
				}
			}
			list, err := c.List(t.Context(), lattice)
			if err != nil || len(list) != 1 || list[0].Name != "good" {
				t.Errorf("list: %+v, %v", list, err)
			}
			d, err := c.Deployed(t.Context(), lattice)
			if err != nil {
				t.Fatal(err)
			}
			if m, has := d["bad"]; m != nil || !has || d["good"] == nil {
				t.Errorf("deployed must show the unreadable as nil and the others: %v", d)
			}
			if _, err := c.Put(t.Context(), lattice, app("bad", "v1"), ""); !errors.Is(err, catalog.ErrUndecodable) {
				t.Errorf("put: %v", err)
			}
			if _, err := c.Delete(t.Context(), lattice, "bad", nil, ""); !errors.Is(err, catalog.ErrUndecodable) {
				t.Errorf("delete: %v", err)
			}
			put(t, c, app("other", "v1"))
			if keys, err := c.Lattices(t.Context()); err != nil || len(keys) != 1 || keys[0] != lattice {
				t.Errorf("lattices: %v, %v", keys, err)
			}
		})
	}
}

func TestReadsSeeEveryAcknowledgedChange(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	writer, reader := open(t, s.JetStream(t), catalog.Config{}), open(t, s.JetStream(t), catalog.Config{})
	run(t, reader)
	long := strings.Repeat("d", 2000)
	for i := range 100 {
		name := fmt.Sprint("app-", i%7)
		m := app(name, fmt.Sprint("v", i))
		m.Metadata.Annotations[manifest.AnnotationDescription] = long
		put(t, writer, m)
		deploy(t, writer, name, nil)
		list, err := reader.List(t.Context(), lattice)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, a := range list {
			if a.Name == name {
				found = a.Version == fmt.Sprint("v", i) && *a.Deployed == a.Version && *a.Description == long
			}
		}
		if !found {
			t.Fatalf("round %d is not in the list", i)
		}
		d, err := reader.Deployed(t.Context(), lattice)
		if err != nil {
			t.Fatal(err)
		}
		if v, _ := d[name].Version(); v != fmt.Sprint("v", i) {
			t.Fatalf("round %d: deployed is %s", i, v)
		}
	}
	if _, err := writer.Delete(t.Context(), lattice, "app-0", nil, ""); err != nil {
		t.Fatal(err)
	}
	if list, err := reader.List(t.Context(), lattice); err != nil || len(list) != 6 {
		t.Errorf("after a delete: %d, %v", len(list), err)
	}
}

func TestAnExistingBucketIsUsedAsItIs(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "wadm_catalog", History: 5, Storage: jetstream.MemoryStorage}); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	c := open(t, js, catalog.Config{Logger: textLogger(&log)})
	for _, want := range []string{"history is 5 instead of 1", "storage is Memory instead of File"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, log.String())
		}
	}
	put(t, c, app("shop", "v1"))
	if _, err := c.Delete(t.Context(), lattice, "shop", nil, ""); err != nil {
		t.Errorf("delete without expiring markers: %v", err)
	}
}

func TestAWrongConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	for _, cfg := range []catalog.Config{
		{Bucket: "a.b"}, {Replicas: 7}, {MaxVersions: -1}, {SweepEvery: -1}, {MarkerTTL: time.Millisecond},
	} {
		if _, err := catalog.New(t.Context(), js, cfg); err == nil {
			t.Errorf("accepted: %+v", cfg)
		}
	}
}

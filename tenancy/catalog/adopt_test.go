package catalog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/tenancy"
	"wadm/tenancy/catalog"
)

// bucket stores what an upstream server would have.
func bucket(t *testing.T, js jetstream.JetStream, values map[string]string) jetstream.KeyValue {
	t.Helper()
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "wadm_manifests"})
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range values {
		if _, err := kv.PutString(t.Context(), k, v); err != nil {
			t.Fatal(err)
		}
	}
	return kv
}

// record is a stored record of upstream with the given versions in order.
func record(name, deployed string, versions ...string) string {
	var b strings.Builder
	b.WriteString(`{"manifests":{`)
	for i, v := range versions {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `%q:{"apiVersion":"core.oam.dev/v1beta1","kind":"Application","metadata":{"name":%q,"annotations":{"version":%q}},`+
			// A spread without requirements, as upstream writes it.
			`"spec":{"components":[{"name":"c","type":"component","properties":{"image":"r/c:1"},"traits":[{"type":"spreadscaler","properties":{"instances":2,"spread":[{"name":"x"}]}}]}]}}`, v, name, v)
	}
	b.WriteString(`},"deployed_version":`)
	if deployed == "" {
		b.WriteString("null}")
	} else {
		fmt.Fprintf(&b, "%q}", deployed)
	}
	return b.String()
}

func TestARecordedBucketIsAdopted(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	data, err := os.ReadFile("testdata/wadm_manifests.json")
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for k, v := range raw {
		values[k] = string(v)
	}
	kv := bucket(t, js, values)
	c := open(t, js, catalog.Config{})
	got, err := c.Adopt(t.Context(), "wadm_manifests")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"default/default/hello-app"}, got.Adopted); diff != "" || got.Versions != 4 || !got.Done {
		t.Errorf("%+v\n%s", got, diff)
	}
	key := tenancy.LatticeKey{Tenant: "default", Lattice: "default"}
	a, err := c.Application(t.Context(), key, "hello-app")
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, v := range a.Versions {
		order = append(order, v.Version)
	}
	if diff := cmp.Diff([]string{"v1", "v2", "v3", "v4"}, order); diff != "" || a.Deployed == nil || *a.Deployed != "v4" {
		t.Errorf("%+v\n%s", a, diff)
	}
	d, err := c.Deployed(t.Context(), key)
	if err != nil || d["hello-app"] == nil || len(d["hello-app"].Spec.Components) == 0 {
		t.Errorf("deployed: %v, %v", d, err)
	}
	for k, v := range values {
		e, err := kv.Get(t.Context(), k)
		if err != nil || string(e.Value()) != v {
			t.Errorf("key %s of the old bucket was touched: %v", k, err)
		}
	}
}

func TestAdoptionKeepsOrderAndHappensOnce(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	c := open(t, js, catalog.Config{})
	if got, err := c.Adopt(t.Context(), "wadm_manifests"); err != nil || got.Done {
		t.Fatalf("without a bucket: %+v, %v", got, err)
	}
	bucket(t, js, map[string]string{
		"prod": `["mine","shop"]`, "prod-shop": record("shop", "z", "z", "a", "m"), "prod-mine": record("mine", "", "v1"),
		"a": `["b-c"]`, "a-b-c": record("b-c", "", "v1"), // dashes that resolve
		"empty": `[]`, "nolist-x": record("x", "v1", "v1"), "gone": `["nothing"]`,
	})
	put(t, c, app("mine", "v9"))
	got, err := c.Adopt(t.Context(), "wadm_manifests")
	if err != nil {
		t.Fatal(err)
	}
	want := catalog.Adoption{
		Bucket: "wadm_manifests", Done: true, At: got.At, Versions: 4,
		Adopted: []string{"default/a/b-c", "default/prod/shop"}, Present: []string{"default/prod/mine"}, Unlisted: []string{"nolist-x"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"z", "a", "m"}, versions(t, c, "shop")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"v9"}, versions(t, c, "mine")); diff != "" {
		t.Error(diff)
	}
	data, err := c.Manifest(t.Context(), lattice, "shop", nil)
	if err != nil || !strings.Contains(string(data), `"spread":[{"name":"x","requirements":{}}]`) {
		t.Errorf("a spread without requirements: %s, %v", data, err)
	}
	if _, err := c.Delete(t.Context(), lattice, "shop", nil, ""); err != nil {
		t.Fatal(err)
	}
	again, err := c.Adopt(t.Context(), "wadm_manifests")
	if err != nil || !again.Earlier || again.Versions != 4 {
		t.Errorf("again: %+v, %v", again, err)
	}
	if _, err := c.Application(t.Context(), lattice, "shop"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("a deleted application came back: %v", err)
	}
}

func TestAdoptionByTwoAtOnceStoresEverythingOnce(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	js := s.JetStream(t)
	values := map[string]string{}
	var names []string
	for i := range 20 {
		name := fmt.Sprint("app", i)
		names = append(names, name)
		values["prod-"+name] = record(name, "v1", "v1", "v2")
	}
	list, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	values["prod"] = string(list)
	bucket(t, js, values)
	var wg sync.WaitGroup
	var mu sync.Mutex
	adopted := 0
	for range 2 {
		c := open(t, s.JetStream(t), catalog.Config{})
		wg.Go(func() {
			got, err := c.Adopt(t.Context(), "wadm_manifests")
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !got.Earlier {
				adopted += len(got.Adopted)
			}
		})
	}
	wg.Wait()
	if adopted != 20 {
		t.Errorf("%d applications were adopted", adopted)
	}
	if n := bodies(t, js); n != 40 {
		t.Errorf("%d bodies for 40 versions", n)
	}
}

func TestAdoptionOfSeveralTenantsSplitsKnownNamesOnly(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	c := open(t, js, catalog.Config{})
	kv := bucket(t, js, map[string]string{"acme-eu-prod": `["shop"]`, "acme-eu-prod-shop": record("shop", "v1", "v1")})
	if _, err := c.Adopt(t.Context(), "wadm_manifests", "other"); err == nil || !strings.Contains(err.Error(), "no known tenant") {
		t.Errorf("an unknown tenant: %v", err)
	}
	if _, err := c.Adopt(t.Context(), "wadm_manifests", "acme", "acme-eu"); !errors.Is(err, catalog.ErrAmbiguous) {
		t.Errorf("two possible tenants: %v", err)
	}
	if _, err := kv.PutString(t.Context(), "beta-prod", `["shop"]`); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "beta-prod-shop", record("shop", "", "v1")); err != nil {
		t.Fatal(err)
	}
	got, err := c.Adopt(t.Context(), "wadm_manifests", "acme", "beta")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"acme/eu-prod/shop", "beta/prod/shop"}, got.Adopted); diff != "" {
		t.Error(diff)
	}
}

func TestAdoptionStopsWithoutWritingOnWhatItCannotTell(t *testing.T) {
	t.Parallel()
	good := map[string]string{"prod": `["shop"]`, "prod-shop": record("shop", "v1", "v1")}
	for name, bad := range map[string]struct {
		values map[string]string
		want   error
		key    string
	}{
		"one record of two lattices":        {map[string]string{"a": `["b-c"]`, "a-b": `["c"]`, "a-b-c": record("c", "", "v1")}, catalog.ErrAmbiguous, "a-b-c"},
		"a list where a record should be":   {map[string]string{"a": `["b"]`, "a-b": `["c"]`, "a-b-c": record("c", "", "v1")}, catalog.ErrAmbiguous, "a-b"},
		"a record of another application":   {map[string]string{"a": `["b"]`, "a-b": record("other", "", "v1")}, catalog.ErrAmbiguous, "a-b"},
		"a broken list":                     {map[string]string{"a": `["b"`}, catalog.ErrUndecodable, "a"},
		"a broken record":                   {map[string]string{"a": `["b"]`, "a-b": `{"manifests":`}, catalog.ErrUndecodable, "a-b"},
		"a broken manifest":                 {map[string]string{"a": `["b"]`, "a-b": `{"manifests":{"v1":{"kind":1}}}`}, catalog.ErrUndecodable, "a-b"},
		"a record without manifests":        {map[string]string{"a": `["b"]`, "a-b": `{"deployed_version":null}`}, catalog.ErrUndecodable, "a-b"},
		"a record with no version":          {map[string]string{"a": `["b"]`, "a-b": `{"manifests":{}}`}, catalog.ErrUndecodable, "a-b"},
		"a deployed version that is absent": {map[string]string{"a": `["b"]`, "a-b": record("b", "v9", "v1")}, catalog.ErrUndecodable, "a-b"},
		"a lattice that cannot exist here":  {map[string]string{"_a": `["b"]`, "_a-b": record("b", "", "v1")}, tenancy.ErrBadName, "_a"},
		"a name that cannot exist here":     {map[string]string{"a": `["b.c"]`}, tenancy.ErrBadName, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			js := natstest.Start(t).JetStream(t)
			c := open(t, js, catalog.Config{})
			kv := bucket(t, js, good)
			for k, v := range bad.values {
				if _, err := kv.PutString(t.Context(), k, v); err != nil {
					t.Fatal(err)
				}
			}
			_, err := c.Adopt(t.Context(), "wadm_manifests")
			if !errors.Is(err, bad.want) || !strings.Contains(err.Error(), "key "+bad.key+":") {
				t.Errorf("%v, want %v about key %s", err, bad.want, bad.key)
			}
			if keys, err := c.Lattices(t.Context()); err != nil || len(keys) != 0 {
				t.Errorf("something was written: %v, %v", keys, err)
			}
		})
	}
}

package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
	"wadm/tenancy"
)

// sharing lends a component under an id of its own.
const sharing = `
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: base
  annotations: {version: v1, experimental.wasmcloud.dev/shared: "true"}
spec:
  components:
    - name: store
      type: component
      properties: {image: "registry.example.com/store:1", id: the-store}
      traits: [{type: daemonscaler, properties: {replicas: 2}}]
`

// allForms is written in every way that has ever been allowed.
const allForms = `
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: forms
  annotations: {version: v1}
  labels: {example.com/team: one}
spec:
  policies:
    - name: vault
      type: policy.secret.wasmcloud.dev/v1alpha1
      properties: {backend: nats-kv, mount: apps}
    - name: notes
      type: policy.example.com/other
      properties: {a: b}
  components:
    - name: web
      type: actor
      properties:
        image: registry.example.com/web:1
        config:
          - name: own
            properties: {lang: de}
          - name: theirs
        secrets:
          - name: token
            properties: {policy: vault, key: web/token, field: password, version: "3"}
      traits:
        - type: spreadscaler
          properties: {replicas: 3}
        - type: autoscaler.example.com
          properties: {max: 9, nested: {b: [1, "2", null], a: true}}
        - type: link
          properties:
            target: lent
            namespace: wasi
            package: keyvalue
            interfaces: [store]
            target_config: [{name: bucket, properties: {name: b1}}]
    - name: http
      type: capability
      properties: {image: "wasmcloud+builtin://http-server"}
      traits:
        - type: link
          properties:
            target: web
            namespace: wasi
            package: http
            interfaces: [incoming-handler]
            source_config: [{name: addr, properties: {address: "127.0.0.1:8080"}}]
            name: front
    - name: lent
      type: component
      properties:
        application: {name: base, component: store}
`

// TestEveryFormOfAManifestWorks goes from the put to the hosts and back with old
// spellings, secrets, policies, configurations of others, traits of unknown kinds
// and a shared component.
func TestEveryFormOfAManifestWorks(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	nc, sim, client := simulated(t, slog.New(slog.DiscardHandler), simhost.HostConfig{})
	for _, doc := range []string{sharing, allForms} {
		if _, err := client.Put(ctx, []byte(doc), ""); err != nil {
			t.Fatal(err)
		}
	}
	// The shared component has to be there first.
	if _, err := client.Deploy(ctx, "forms", nil); err == nil || !strings.Contains(err.Error(), `shared components that are not deployed in other applications: ["lent"]`) {
		t.Errorf("deployed without what is shared: %v", err)
	}
	for _, app := range []string{"base", "forms"} {
		if _, err := client.Deploy(ctx, app, nil); err != nil {
			t.Fatal(err)
		}
	}
	// It waits for the configuration of somebody else, and says for which.
	awaitStatus(ctx, t, client, "forms", tenancy.StatusFailed)
	if st, err := client.Status(ctx, "forms"); err != nil || !strings.Contains(st.Status.Message, "Specified configuration theirs does not exist") {
		t.Errorf("status: %+v, %v", st.Status, err)
	}
	if m, err := nc.RequestWithContext(ctx, "wasmbus.ctl.v1.default.config.put.theirs", []byte(`{"k":"v"}`)); err != nil || !strings.Contains(string(m.Data), "true") {
		t.Fatal(m, err)
	}
	deployed := func(message string) {
		t.Helper()
		var last tenancy.StatusInfo
		for ctx.Err() == nil {
			if st, err := client.Status(ctx, "forms"); err == nil {
				if last = st.Status; last.Type == tenancy.StatusDeployed && last.Message == message {
					return
				}
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		t.Fatalf("status is %+v", last)
	}
	const ignored = `Trait "autoscaler.example.com" of component "web" is not supported and ignored`
	deployed(ignored)

	got, err := nc.RequestWithContext(ctx, "wadm.api.default.model.get.forms", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`{"type":"autoscaler.example.com","properties":{"max":9,"nested":{"a":true,"b":[1,"2",null]}}}`,
		`"type":"component"`, `"instances":3`, `"target":{"name":"web"}`, `"name":"notes"`, `"properties":{"a":"b"}`, `"example.com/team":"one"`,
	} {
		if !strings.Contains(string(got.Data), part) {
			t.Errorf("%s is not in %s", part, got.Data)
		}
	}
	// The host runs what that means.
	inv := sim.Hosts()[0].Inventory()
	have := map[string]uint32{}
	for _, c := range inv.Components {
		have[string(c.ID)] = c.Max
	}
	for _, p := range inv.Providers {
		have[string(p.ID)] = 1
	}
	if diff := cmp.Diff(map[string]uint32{"forms-web": 3, "forms-http": 1, "the-store": 2}, have); diff != "" {
		t.Error(diff)
	}
	links := sim.Links()
	slices.SortFunc(links, func(a, b lattice.Link) int { return strings.Compare(string(a.Source), string(b.Source)) })
	if diff := cmp.Diff([]lattice.Link{
		{Source: "forms-http", Target: "forms-web", Name: "front", Namespace: "wasi", Package: "http", Interfaces: []string{"incoming-handler"}, SourceConfig: []string{"forms-addr"}, TargetConfig: []string{}},
		{Source: "forms-web", Target: "the-store", Name: "default", Namespace: "wasi", Package: "keyvalue", Interfaces: []string{"store"}, SourceConfig: []string{}, TargetConfig: []string{"forms-bucket"}},
	}, links); diff != "" {
		t.Error(diff)
	}
	configs := sim.Configs()
	if diff := cmp.Diff([]string{"SECRET_forms-token", "forms-addr", "forms-bucket", "forms-own", "theirs"}, slices.Sorted(maps.Keys(configs))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{
		"type": "secret.wasmcloud.dev/v1alpha1", "name": "token", "backend": "nats-kv", "key": "web/token", "field": "password", "version": "3",
		"policy": `{"type":"properties.secret.wasmcloud.dev/v1alpha1","properties":{"mount":"apps"}}`,
	}, configs["SECRET_forms-token"]); diff != "" {
		t.Error(diff)
	}

	// What is shared may go; who uses it says that it is gone.
	if err := client.Undeploy(ctx, "base"); err != nil {
		t.Fatal(err)
	}
	awaitStatus(ctx, t, client, "base", tenancy.StatusUndeployed)
	deployed(`Shared component "store" of application "base" is not deployed, ` + ignored)
	if err := client.Undeploy(ctx, "forms"); err != nil {
		t.Fatal(err)
	}
	awaitStatus(ctx, t, client, "forms", tenancy.StatusUndeployed)
	if inv := sim.Hosts()[0].Inventory(); len(inv.Components)+len(inv.Providers) > 0 {
		t.Errorf("left: %+v", inv)
	}
	if left := slices.Sorted(maps.Keys(sim.Configs())); len(sim.Links()) > 0 || !slices.Equal(left, []string{"theirs"}) {
		t.Errorf("left: %v, %v", sim.Links(), left)
	}
	if v := sim.Violations(); len(v) > 0 {
		t.Errorf("%v", v)
	}
}

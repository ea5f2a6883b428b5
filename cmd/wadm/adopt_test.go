package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// recorded is what wadm 0.21.1 and two real hosts had when an application with an
// older version v1 and the deployed version v4 was up: the bucket, the inventories,
// the links and the configurations.
type recorded struct {
	Bucket  map[string]json.RawMessage
	Hosts   []json.RawMessage
	Links   []json.RawMessage
	Configs map[string]json.RawMessage
}

// leave makes a NATS server and a lattice look like the recording, with hosts
// that run everything already.
func (r recorded) leave(ctx context.Context, t *testing.T, ns *natstest.Server) *simhost.Lattice {
	t.Helper()
	kv, err := ns.JetStream(t).CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "wadm_manifests"})
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range r.Bucket {
		if _, err := kv.Put(ctx, k, v); err != nil {
			t.Fatal(err)
		}
	}
	nc := ns.Connect(t)
	sim, err := simhost.New(nc, "default", simhost.Config{HeartbeatInterval: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	want := map[lattice.HostID]lattice.Inventory{}
	for _, raw := range r.Hosts {
		inv, err := lattice.DecodeInventory(raw)
		if err != nil {
			t.Fatal(err)
		}
		h, err := sim.AddHost(simhost.HostConfig{ID: inv.Host, FriendlyName: inv.FriendlyName, Labels: inv.Labels})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range inv.Components {
			if err := h.StartComponent(c); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range inv.Providers {
			p.Image = "wasmcloud+builtin://" + p.Image
			if err := h.StartProvider(p); err != nil {
				t.Fatal(err)
			}
		}
		want[inv.Host] = inv
	}
	ask := func(subject string, body []byte) {
		t.Helper()
		m, err := nc.RequestWithContext(ctx, "wasmbus.ctl.v1.default."+subject, body)
		if err != nil || !strings.Contains(string(m.Data), `"success":true`) {
			t.Fatalf("%s: %v %v", subject, m, err)
		}
	}
	for name, value := range r.Configs {
		ask("config.put."+name, value)
	}
	for _, l := range r.Links {
		ask("link.put", l)
	}
	if err := sim.WaitFor(ctx, func() bool {
		for id, inv := range want {
			have := sim.Host(id).Inventory()
			if len(have.Components) != len(inv.Components) || len(have.Providers) != len(inv.Providers) {
				return false
			}
		}
		return true
	}); err != nil {
		t.Fatalf("the hosts never ran what was recorded: %v", err)
	}
	return sim
}

// TestRunningWorkOfAnotherServerIsAdopted starts on what wadm 0.21 left behind: the
// application is deployed, nothing at all is asked of any host, and from then on
// it is ours, down to the last configuration.
func TestRunningWorkOfAnotherServerIsAdopted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	data, err := os.ReadFile(filepath.Join("testdata", "upstream.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r recorded
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	ns := natstest.Start(t)
	sim := r.leave(ctx, t, ns)
	before := len(sim.Commands())
	start(t, ns.URL(), slog.New(slog.DiscardHandler))
	nc := ns.Connect(t)
	client, err := api.NewClient(nc, api.ClientConfig{Lattice: "default"})
	if err != nil {
		t.Fatal(err)
	}
	awaitStatus(ctx, t, client, "hello-app", tenancy.StatusDeployed)

	// A late deploy event of the first version is news of yesterday. And there is
	// quiet: several heartbeats of each host bring nothing.
	old := fmt.Sprintf(`{"specversion":"1.0","id":"1","type":"com.wadm.manifest_published","source":"wadm","datacontenttype":"application/json","time":%q,"data":%s}`,
		time.Now().UTC().Format(time.RFC3339Nano), r.version(t, "default-hello-app", "v1"))
	for _, subject := range []string{"wadm.evt.default.manifest_published", "wasmbus.evt.default.manifest_published"} {
		if err := nc.Publish(subject, []byte(old)); err != nil {
			t.Fatal(err)
		}
	}
	var beats atomic.Int32
	if _, err := nc.Subscribe("wasmbus.evt.default.host_heartbeat", func(*nats.Msg) { beats.Add(1) }); err != nil {
		t.Fatal(err)
	}
	for beats.Load() < 8 {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("only %d heartbeats", beats.Load())
		}
	}
	for _, c := range sim.Commands()[before:] {
		t.Errorf("asked of host %s: %s %s", c.Host, c.Kind, c.Body)
	}
	awaitStatus(ctx, t, client, "hello-app", tenancy.StatusDeployed)
	apps, err := client.List(ctx)
	if err != nil || len(apps) != 1 || apps[0].DeployedVersion == nil || *apps[0].DeployedVersion != "v4" {
		t.Errorf("applications: %+v, %v", apps, err)
	}
	kv, err := ns.JetStream(t).KeyValue(ctx, "wadm_manifests")
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range r.Bucket {
		if e, err := kv.Get(ctx, k); err != nil || !bytes.Equal(e.Value(), v) {
			t.Errorf("key %s of the old bucket was touched: %v", k, err)
		}
	}

	if err := client.Undeploy(ctx, "hello-app"); err != nil {
		t.Fatal(err)
	}
	awaitStatus(ctx, t, client, "hello-app", tenancy.StatusUndeployed)
	for _, h := range sim.Hosts() {
		if inv := h.Inventory(); len(inv.Components)+len(inv.Providers) > 0 {
			t.Errorf("left on %s: %+v", h.ID(), inv)
		}
	}
	if links, configs := sim.Links(), sim.Configs(); len(links)+len(configs) > 0 {
		t.Errorf("left: %+v, %v", links, configs)
	}
	if v := sim.Violations(); len(v) > 0 {
		t.Errorf("%v", v)
	}
}

// version is one stored manifest of a record.
func (r recorded) version(t *testing.T, key, version string) []byte {
	t.Helper()
	var record struct {
		Manifests map[string]json.RawMessage
	}
	if err := json.Unmarshal(r.Bucket[key], &record); err != nil || record.Manifests[version] == nil {
		t.Fatalf("no version %s in %s: %v", version, key, err)
	}
	return record.Manifests[version]
}

// TestABucketThatCannotBeToldIsRefused: the server names the key, says what it
// could be, and ends; a supervisor has no reason to try again.
func TestABucketThatCannotBeToldIsRefused(t *testing.T) {
	t.Parallel()
	const record = `{"manifests":{"v1":{"apiVersion":"x","kind":"y","metadata":{"name":"c","annotations":{"version":"v1"}},"spec":{"components":[]}}},"deployed_version":null}`
	for name, tt := range map[string]struct {
		values map[string]string
		want   string
	}{
		"one key of two applications": {map[string]string{"a": `["b-c"]`, "a-b": `["c"]`, "a-b-c": record}, `key a-b-c:`},
		"a record of nobody's format": {map[string]string{"a": `["c"]`, "a-c": `{"manifests":`}, `key a-c:`},
		"a name that cannot be":       {map[string]string{"a": `["c.d"]`}, `key a:`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := natstest.Start(t)
			kv, err := ns.JetStream(t).CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "wadm_manifests"})
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range tt.values {
				if _, err := kv.PutString(t.Context(), k, v); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			var stdout, stderr bytes.Buffer
			if code := Run(ctx, []string{"-s", strings.TrimPrefix(ns.URL(), "nats://")}, nil, &stdout, &stderr); code != exitInvalid {
				t.Errorf("exit code %d, want %d; stderr:\n%s", code, exitInvalid, stderr.String())
			}
			for _, part := range []string{"adopt applications", "wadm_manifests", tt.want} {
				if !strings.Contains(stderr.String(), part) {
					t.Errorf("%q is not in\n%s", part, stderr.String())
				}
			}
		})
	}
}

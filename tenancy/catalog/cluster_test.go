//go:build cluster

package catalog_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/tenancy/catalog"
)

// TestADeployIsHeardOfSoonAfterTheLossOfTheWatchsServer: that keeps the place of the
// watch in the bucket; the connection, to another server, stays.
func TestADeployIsHeardOfSoonAfterTheLossOfTheWatchsServer(t *testing.T) {
	servers := natstest.StartCluster(t, 3)
	// Who places consumers stays too: its election is no matter of ours.
	var near *natstest.Server
	eventually(t, "the cluster has a leader", func() bool {
		for _, s := range servers {
			if s.NATS().JetStreamIsLeader() {
				near = s
			}
		}
		return near != nil
	})
	nc, err := nats.Connect(near.URL(), nats.IgnoreDiscoveredServers())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	var c *catalog.Catalog
	eventually(t, "the cluster takes streams", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		c, err = catalog.New(ctx, js, catalog.Config{Replicas: 3})
		return err == nil
	})
	put(t, c, app("shop", "v1"))
	st, err := js.Stream(t.Context(), "KV_wadm_catalog")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	// where names the server of the consumer that is new.
	where := func() string {
		for c := range st.ListConsumers(t.Context()).Info() {
			if c.Config.FilterSubject == "$KV.wadm_catalog.*.*.*" && c.Cluster != nil && c.Cluster.Leader != "" && !known[c.Name] {
				known[c.Name] = true
				return c.Cluster.Leader
			}
		}
		return ""
	}
	at := near.NATS().Name()
	for deadline := time.Now().Add(time.Minute); ; {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		stop := func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		eventually(t, "the catalog is read", func() bool { return c.Ready() == nil })
		eventually(t, "a consumer", func() bool { at = where(); return at != "" })
		if at != near.NATS().Name() {
			t.Cleanup(stop)
			break
		}
		stop()
		if time.Now().After(deadline) {
			t.Fatal("the watch is always kept where the connection is")
		}
	}
	calls, stopped := watch(t, c, lattice), time.Now()
	before := calls.Load()
	for _, s := range servers {
		if s.NATS().Name() == at {
			s.Stop()
		}
	}
	eventually(t, "a deploy", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Deploy(ctx, lattice, "shop", nil, "", nil)
		return err == nil
	})
	// Some 2 s; the client's own watches take 10 to 20 s.
	for deadline := time.Now().Add(6 * time.Second); calls.Load() == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a deploy is not heard of")
		}
	}
	t.Logf("heard of after %v", time.Since(stopped))
	if nc.Reconnects > 0 {
		t.Error("the connection did not stay")
	}
}

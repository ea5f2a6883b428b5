//go:build cluster

package natsjs_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/scheduler/natsjs"
	"wadm/shard/natskv"
	"wadm/tenancy/api"
)

// openReplicated is open for streams of three copies, once the cluster takes them.
func openReplicated(t *testing.T, js jetstream.JetStream, nc *nats.Conn) (s *natsjs.Streams) {
	t.Helper()
	eventually(t, "the cluster takes streams", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := natskv.EnsureStream(ctx, js, natskv.LedgerConfig(natskv.DefaultLedger, 3, jetstream.FileStorage))
		if err == nil {
			s, err = natsjs.New(ctx, nc, natsjs.Config{
				Ledger: natskv.DefaultLedger, Status: api.Streams{Replicas: 3}.StatusStream(), Replicas: 3, Probe: 2 * time.Second,
			})
		}
		return err == nil
	})
	return s
}

// TestTheLossOfAConsumersServerIsRepaired: a consumer has one copy, in memory. Its
// server ends without a word to an owner that is connected to another one.
func TestTheLossOfAConsumersServerIsRepaired(t *testing.T) {
	t.Parallel()
	for _, returns := range []bool{true, false} {
		t.Run(fmt.Sprintf("returns %v", returns), func(t *testing.T) {
			t.Parallel()
			servers := natstest.StartCluster(t, 3)
			nc, js := servers[0].Connect(t), servers[0].JetStream(t)
			through, wire := proxied(t, servers[0])
			streams := openReplicated(t, js, through)
			in := newIntake(t, streams)
			var o *owner
			var host *natstest.Server
			var name string
			for i := 0; host == nil; i++ {
				name = fmt.Sprint("l", i)
				o = attach(t, in, claim(t, js, lattice1(name)), false)
				c, err := js.Consumer(t.Context(), "wasmbus_events", "wadm-"+name)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range servers[1:] {
					if s.NATS().Name() == c.CachedInfo().Cluster.Leader {
						host = s
					}
				}
			}
			emit(t, nc, name, "host_started", "one")
			eventually(t, "first event", func() bool { return o.has("one") })
			wire.dropAnswers.Store(true)
			host.Stop()
			eventually(t, "events are taken by those that are left", func() bool {
				st, err := js.Stream(t.Context(), "wasmbus_events")
				return err == nil && st.CachedInfo().Cluster.Leader != ""
			})
			emit(t, nc, name, "host_started", "two")
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			wire.dropAnswers.Store(false)
			if returns {
				host.StartAgain(t)
				eventually(t, "the consumer is back", func() bool {
					_, err := js.Consumer(t.Context(), "wasmbus_events", "wadm-"+name)
					return err == nil
				})
			}
			emit(t, nc, name, "host_started", "three")
			eventually(t, "what happened meanwhile", func() bool { return o.has("three") })
			if diff := cmp.Diff([]string{"one", "two", "three"}, o.seen()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestEventsBetweenTwoLeadersAreAGap: what hosts publish while their stream has no
// leader is stored nowhere, and a consumer on another server lives on.
func TestEventsBetweenTwoLeadersAreAGap(t *testing.T) {
	t.Parallel()
	servers := natstest.StartCluster(t, 3)
	nc, js := servers[0].Connect(t), servers[0].JetStream(t)
	streams := openReplicated(t, js, nc)
	info := func() *jetstream.StreamInfo {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		st, err := js.Stream(ctx, "wasmbus_events")
		if err != nil {
			return &jetstream.StreamInfo{Cluster: &jetstream.ClusterInfo{}}
		}
		return st.CachedInfo()
	}
	// The server that the owner is connected to has to stay.
	eventually(t, "another server leads", func() bool {
		if info().Cluster.Leader != servers[0].NATS().Name() {
			return info().Cluster.Leader != ""
		}
		_, _ = nc.Request("$JS.API.STREAM.LEADER.STEPDOWN.wasmbus_events", nil, time.Second)
		return false
	})
	leads := info().Cluster.Leader
	in := newIntake(t, streams)
	var o *owner
	var name string
	for i := 0; o == nil; i++ {
		name = fmt.Sprint("l", i)
		candidate := attach(t, in, claim(t, js, lattice1(name)), false)
		c, err := js.Consumer(t.Context(), "wasmbus_events", "wadm-"+name)
		if err != nil {
			t.Fatal(err)
		}
		if c.CachedInfo().Cluster.Leader != leads {
			o = candidate
		}
	}
	emit(t, nc, name, "host_started", "one")
	eventually(t, "first event", func() bool { return o.has("one") })
	before := o.gapCount()
	for _, s := range servers {
		if s.NATS().Name() == leads {
			s.Stop()
		}
	}
	emit(t, nc, name, "host_started", "lost")
	eventually(t, "another leader", func() bool { l := info().Cluster.Leader; return l != "" && l != leads })
	eventually(t, "word of the gap", func() bool { return o.gapCount() > before })
	emit(t, nc, name, "host_started", "two")
	eventually(t, "what came then", func() bool { return o.has("two") })
}

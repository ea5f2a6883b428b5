//go:build cluster

package natskv_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/shard"
	"wadm/shard/natskv"
)

// TestSubscriptionsHearSoonAfterTheLossOfTheirServer: it keeps their places in the
// streams; the connection, to another server, stays.
func TestSubscriptionsHearSoonAfterTheLossOfTheirServer(t *testing.T) {
	servers := natstest.StartCluster(t, 3)
	// Who places consumers stays too: its election is no matter of ours.
	var near, far *natstest.Server
	eventually(t, "the cluster has a leader", func() bool {
		near, far = nil, nil
		for _, s := range servers {
			if s.NATS().JetStreamIsLeader() {
				near = s
			} else {
				far = s
			}
		}
		return near != nil && far != nil
	})
	nc, err := nats.Connect(near.URL(), nats.IgnoreDiscoveredServers(), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	var s *natskv.Store
	eventually(t, "the cluster takes streams", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		s, err = natskv.Open(ctx, nc, natskv.Config{Replicas: 3, Storage: jetstream.FileStorage, LedgerBytes: 64 << 20, MemberTTL: time.Minute})
		return err == nil
	})
	ctx := t.Context()
	if err := s.Registry().Register(ctx, "t.old"); err != nil {
		t.Fatal(err)
	}

	subscriptions := subscriptions(s)
	all := make([]*heard, len(subscriptions))
	for i, sub := range subscriptions {
		h := &heard{last: map[string]bool{}}
		all[i] = h
		place(t, s.JetStream(), sub.stream, far.NATS().Name(), func(t *testing.T) func() { return again(t, sub, h) })
	}
	eventually(t, "the first key is heard of", func() bool { return all[0].is("t.old", true) })
	far.Stop()
	for _, sub := range subscriptions {
		eventually(t, sub.stream+" takes writes", func() bool {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			err := sub.store(ctx)
			return err == nil || errors.Is(err, shard.ErrFenced) // perhaps by the try before
		})
	}
	for i, sub := range subscriptions {
		at := time.Now()
		within(t, hearing, sub.stream+" is heard", func() bool { return all[i].is(sub.key, true) })
		t.Logf("%s is heard after another %v", sub.stream, time.Since(at))
	}
	within(t, hearing, "what is gone is heard of", func() bool { return all[0].is("t.old", false) })
	if nc.Reconnects > 0 {
		t.Error("the connection did not stay")
	}
}

// place calls follow until the server of that name keeps its consumer.
func place(t *testing.T, js jetstream.JetStream, stream, server string, follow func(*testing.T) (stop func())) {
	t.Helper()
	known := map[string]bool{}
	// where names the server of the consumer that is new.
	where := func() string {
		st, err := js.Stream(t.Context(), stream)
		if err != nil {
			return ""
		}
		for name := range st.ConsumerNames(t.Context()).Name() {
			c, err := st.Consumer(t.Context(), name)
			if err != nil || known[name] || c.CachedInfo().Cluster == nil || c.CachedInfo().Cluster.Leader == "" {
				continue
			}
			known[name] = true
			return c.CachedInfo().Cluster.Leader
		}
		return ""
	}
	for deadline := time.Now().Add(time.Minute); ; {
		stop := follow(t)
		var at string
		eventually(t, "a consumer of "+stream, func() bool { at = where(); return at != "" })
		if at == server {
			t.Cleanup(stop)
			return
		}
		stop()
		if time.Now().After(deadline) {
			t.Fatalf("%s places no consumer of %s", server, stream)
		}
	}
}

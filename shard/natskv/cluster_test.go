//go:build cluster

package natskv_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/shard"
	"wadm/shard/natskv"
	"wadm/shard/shardtest"
)

func TestLossOfTheLedgersLeaderMovesNothing(t *testing.T) {
	servers := natstest.StartCluster(t, 3)
	urls := make([]string, len(servers))
	for i, s := range servers {
		urls[i] = s.URL()
	}
	cfg := natskv.Config{Replicas: 3, Storage: jetstream.FileStorage, LedgerBytes: 64 << 20}
	f := &fleet{t: t, effects: shardtest.NewEffects()}
	var all []*member
	var admin *natskv.Store
	for i := range 4 {
		nc, err := nats.Connect(strings.Join(urls, ","), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
			nats.ReconnectJitter(10*time.Millisecond, 10*time.Millisecond), nats.ReconnectBufSize(-1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		var st *natskv.Store
		eventually(t, "the cluster takes streams", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			st, err = natskv.Open(ctx, nc, cfg)
			return err == nil
		})
		if i == 0 {
			admin = st
			for i := range 60 {
				k := shard.Key(fmt.Sprintf("t.l%d", i))
				if err := st.Registry().Register(t.Context(), k); err != nil {
					t.Fatal(err)
				}
				f.keys = append(f.keys, k)
			}
		}
		all = append(all, f.run(shard.MemberID(fmt.Sprintf("wadm-%d", i)), st, st.JetStream(), nc.Close, quick))
	}
	t.Cleanup(func() {
		for _, m := range all {
			m.cancel()
		}
		for _, m := range all {
			<-m.done
		}
	})
	whole := func() bool {
		for _, m := range all {
			v := m.fleet.Status().View
			if m.fleet.Ready() != nil || len(v.Members) != 4 || v.Ramp != nil {
				return false
			}
		}
		return f.covered() == nil
	}
	eventually(t, "the fleet is whole", whole)
	before, rev := f.placement(), all[0].fleet.Status().View.Rev

	st, err := admin.JetStream().Stream(t.Context(), natskv.DefaultLedger)
	if err != nil {
		t.Fatal(err)
	}
	leader := st.CachedInfo().Cluster.Leader
	began := time.Now()
	for _, s := range servers {
		if s.NATS().Name() == leader {
			s.Stop()
		}
	}
	for began := time.Now(); ; {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := admin.Put(ctx, "probe.key", shard.Record{Owner: "x", Incarnation: "x", State: shard.Released}, lastSeq(ctx, admin))
		cancel()
		if err == nil {
			break
		}
		if time.Since(began) > 60*time.Second {
			t.Fatalf("ledger does not take writes again: %v", err)
		}
	}
	t.Logf("the ledger takes writes again after %s", time.Since(began))
	eventually(t, "the fleet is whole again", whole)
	t.Logf("the fleet is whole again after %s", time.Since(began))
	if m := moved(before, f.placement()); m != 0 {
		t.Errorf("%d keys moved", m)
	}
	if got := all[0].fleet.Status().View; got.Rev != rev {
		t.Errorf("view %d after %d: %s", got.Rev, rev, got.Cause)
	}
	checkLedger(t, admin.JetStream())
}

func lastSeq(ctx context.Context, s *natskv.Store) uint64 {
	h, err := s.Last(ctx, "probe.key")
	if err != nil {
		return 0
	}
	return h.Seq
}

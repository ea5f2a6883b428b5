package natskv_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/shard"
	"wadm/shard/natskv"
	"wadm/shard/shardtest"
)

// A ledger that is made anew begins with low sequences: what was known of the old
// one must not be compared with it.
func TestALostLedgerIsNoticedAndEverythingClaimedAnew(t *testing.T) {
	t.Parallel()
	natstest.Bubble(t, func(t *testing.T, srv *natstest.Server) {
		f := &fleet{t: t, effects: shardtest.NewEffects()}
		admin := open(t, srv)
		for i := range 20 {
			k := shard.Key(fmt.Sprintf("t.l%d", i))
			if err := admin.Registry().Register(t.Context(), k); err != nil {
				t.Fatal(err)
			}
			f.keys = append(f.keys, k)
		}
		for i := range 2 {
			st := open(t, srv)
			f.run(shard.MemberID(fmt.Sprintf("wadm-%d", i)), st, st.JetStream(), func() {}, nil)
		}
		time.Sleep(40 * time.Second)
		if err := f.covered(); err != nil {
			t.Fatal(err)
		}
		life := f.members[0].fleet.Status().Incarnation
		js := admin.JetStream()
		if err := js.DeleteStream(t.Context(), natskv.DefaultLedger); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if _, err := js.CreateStream(t.Context(), natskv.LedgerConfig(natskv.DefaultLedger, 1, jetstream.MemoryStorage)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if err := f.covered(); err != nil {
			t.Errorf("with a new ledger: %v", err)
		}
		if f.members[0].fleet.Status().Incarnation == life {
			t.Error("same life on another ledger")
		}
		for k, e := range f.members[0].keys() {
			if h, err := admin.Last(t.Context(), k); err != nil || h.Seq != e {
				t.Errorf("%s: owned at %d, head %d, %v", k, e, h.Seq, err)
			}
		}
		checkLedger(t, js)
		for _, m := range f.members {
			m.cancel()
		}
		for _, m := range f.members {
			if err := <-m.done; err != nil {
				t.Error(err)
			}
		}
	})
}

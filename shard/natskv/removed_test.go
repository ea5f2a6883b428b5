package natskv_test

import (
	"fmt"
	"testing"
	"time"

	"wadm/config/natsconn/natstest"
	"wadm/shard"
	"wadm/shard/shardtest"
)

// An operator who deletes the view, or one who repairs an unreadable view by
// deleting it, leaves a fleet that agrees on a new one.
func TestADeletedViewIsReplaced(t *testing.T) {
	t.Parallel()
	for name, unreadable := range map[string]bool{"readable": false, "unreadable": true} {
		t.Run(name, func(t *testing.T) {
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
				for i := range 3 {
					st := open(t, srv)
					f.run(shard.MemberID(fmt.Sprintf("wadm-%d", i)), st, st.JetStream(), func() {}, nil)
				}
				time.Sleep(40 * time.Second)
				kv, err := admin.JetStream().KeyValue(t.Context(), "wadm_view")
				if err != nil {
					t.Fatal(err)
				}
				if unreadable {
					if _, err := kv.Put(t.Context(), "view", []byte("?")); err != nil {
						t.Fatal(err)
					}
					time.Sleep(5 * time.Second)
				}
				if err := kv.Delete(t.Context(), "view"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(40 * time.Second)
				if err := f.covered(); err != nil {
					t.Error(err)
				}
				if e, err := kv.Get(t.Context(), "view"); err != nil || f.members[0].fleet.Status().View.Rev != e.Revision() {
					t.Errorf("stored view: %v, followed is %d", err, f.members[0].fleet.Status().View.Rev)
				}
				for _, m := range f.members {
					m.cancel()
				}
				for _, m := range f.members {
					<-m.done //nolint:errcheck // it was cancelled, so its error says nothing
				}
			})
		})
	}
}

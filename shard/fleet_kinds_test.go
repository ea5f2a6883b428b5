package shard_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wadm/shard"
	"wadm/shard/ring"
)

// ghost stands for an instance of a schema that this build does not have: it has a
// record, beats, and the view to itself. The function it returns ends it in order.
func (r *rig) ghost(id shard.MemberID, schema int) (leave func()) {
	r.t.Helper()
	ports, p := r.w.Link().Ports(), ring.DefaultParams()
	m := shard.Member{
		ID: id, Incarnation: shard.Incarnation(id + "-life"), Schema: schema, Fingerprint: p.Fingerprint(),
		Units: ring.FullUnits, State: shard.MemberActive,
	}
	view, err := ports.Views.PutView(context.Background(), shard.View{
		Schema: schema, Params: p, Fingerprint: p.Fingerprint(),
		Members: []shard.ViewMember{{ID: id, Incarnation: m.Incarnation, Units: m.Units, State: m.State}},
	}, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		rev := uint64(0)
		for n := 0; ctx.Err() == nil; n++ {
			if n%8 == 0 {
				if rev, err = ports.Members.PutMember(context.Background(), m, rev); err != nil {
					r.t.Error(err)
				}
			}
			if err := ports.Beats.SendBeat(shard.Beat{ID: id, Incarnation: m.Incarnation, View: view}); err != nil {
				r.t.Error(err)
			}
			time.Sleep(250 * time.Millisecond)
		}
		if err := ports.Members.DropMember(context.Background(), id, rev); err != nil {
			r.t.Error(err)
		}
	})
	leave = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	r.t.Cleanup(leave)
	return leave
}

func TestAnInstanceOfAnotherSchemaOwnsNothingAndSaysSo(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]int{"newer than the view": shard.Schema - 1, "older than the view": shard.Schema + 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20)
				leave := r.ghost("ghost", schema)
				i := r.start("wadm-0")
				outside := func(when string) {
					t.Helper()
					if err := i.fleet.Ready(); err == nil || !strings.Contains(err.Error(), shard.ErrForeignView.Error()) {
						t.Errorf("%s: ready: %v", when, err)
					}
					if n := len(i.held()); n != 0 || i.fleet.Status().Digest != 0 {
						t.Errorf("%s: owns %d keys, digest %d", when, n, i.fleet.Status().Digest)
					}
					if n := len(r.w.Views()); n != 1 {
						t.Errorf("%s: %d views", when, n)
					}
				}
				time.Sleep(time.Minute)
				outside("beside it")
				foreign := false
				for _, m := range i.fleet.Status().Members {
					foreign = foreign || (m.ID == i.id && m.Foreign && !m.InView)
				}
				if !foreign {
					t.Error("its status does not call it foreign")
				}
				leave()
				time.Sleep(5 * time.Second)
				if schema > shard.Schema {
					outside("alone with the view")
					r.w.RemoveView()
					time.Sleep(5 * time.Second)
				}
				r.mustCover("as the only kind")
				if err := i.fleet.Ready(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
